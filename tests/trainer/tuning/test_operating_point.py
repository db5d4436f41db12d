"""Window and cutoff are chosen together, on validation data only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from trainer.data.split import Split
from trainer.evaluation.hearing import HeardSplit, SplitRecords
from trainer.tuning.operating_point import choose_point
from wakeword.contract import SAMPLE_RATE_HZ
from wakeword.simulation.streams import Recording, SimulatedStream


def stream(*peaks: tuple[int, int, int], inferences: int = 200) -> SimulatedStream:
    """Peaks as (first inference, how many, probability)."""
    probabilities = np.zeros(inferences, np.uint8)
    for first, count, value in peaks:
        probabilities[first : first + count] = value
    slices = inferences * 3
    samples = 480 + (slices - 1) * 160
    return SimulatedStream((Recording(Path("x.wav"), "", samples, 0),), slices, 3, probabilities)


def heard(clips: list[SimulatedStream], joined: SimulatedStream, split: Split = Split.VAL) -> HeardSplit:
    return HeardSplit(SplitRecords(split, (), ()), tuple(clips), joined)


UTTERANCES = [stream((80, 8, 240)) for _ in range(10)]


def test_single_peaks_ask_for_a_longer_window() -> None:
    chosen = choose_point(heard(UTTERANCES, stream((100, 2, 255), (180, 2, 255))), 0.5, 0.9)
    assert chosen.reaches_targets
    assert (chosen.window, chosen.recall, chosen.false_accepts_per_hour) == (5, 1.0, 0.0)
    short = choose_point(heard(UTTERANCES, stream((100, 2, 255), (180, 2, 255))), 0.5, 0.9, windows=(1, 2))
    assert not short.reaches_targets


def test_short_words_ask_for_a_shorter_one() -> None:
    clips = [*UTTERANCES, *(stream((80, 2, 255)) for _ in range(10))]
    chosen = choose_point(heard(clips, stream((100, 9, 128))), 0.5, 0.9)
    assert chosen.window < 5
    assert chosen.recall == 1


def test_of_equals_the_usual_window() -> None:
    assert choose_point(heard(UTTERANCES, stream()), 0.5, 0.9).window == 5
    assert choose_point(heard(UTTERANCES, stream()), 0.5, 0.9, windows=(4, 6)).window == 4


def test_a_missed_target_is_said() -> None:
    chosen = choose_point(heard([*UTTERANCES[:5], *(stream() for _ in range(5))], stream()), 0.5, 0.9)
    assert (chosen.recall, chosen.reaches_recall, chosen.reaches_targets) == (0.5, False, False)
    assert stream().recordings[0].samples / SAMPLE_RATE_HZ > 5


def test_other_data_chooses_nothing() -> None:
    for split in (Split.TEST, Split.TRAIN):
        with pytest.raises(ValueError, match="data chooses nothing"):
            choose_point(heard(UTTERANCES, stream(), split), 0.5, 0.9)
    with pytest.raises(ValueError, match="no sliding window"):
        choose_point(heard(UTTERANCES, stream()), 0.5, 0.9, windows=())
