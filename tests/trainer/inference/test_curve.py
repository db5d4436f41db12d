"""The validation's curve at every cutoff, against the slow reference: which streams find words, which give false
accepts, whose hours count.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.wakeword.scoring import reference
from tests.wakeword.scoring.test_reference import rising_and_falling
from trainer.data.split import Split
from trainer.inference.splits import SimulatedSplit
from wakeword.contract import slice_count
from wakeword.presentation import SESSION, STREAM, Presentation
from wakeword.simulation.streams import Recording, SimulatedStream

STRIDE, WINDOW = 3, 4
SECONDS = {"positives": (1.0, 0.5, 1.25), "negatives": (6.0, 2.0)}


def simulated(presentation: Presentation, seconds: Sequence[float], seed: int) -> SimulatedStream:
    samples = [round(16_000 * length) for length in seconds]
    starts = presentation.starts(samples)
    recordings = tuple(
        Recording(Path("x.wav"), "", length, start) for length, start in zip(samples, starts, strict=True)
    )
    slices = slice_count(presentation.silence(len(samples)) + sum(samples))
    return SimulatedStream(
        recordings, presentation, slices, STRIDE, rising_and_falling(np.random.default_rng(seed), slices // STRIDE)
    )


def counted(streams: Sequence[SimulatedStream], cutoff: int, *, words: bool) -> reference.Counts:
    """Words found in streams that hold them, or false accepts in any."""
    total = reference.Counts()
    for stream in streams:
        moments = reference.detected_at(stream.probabilities.tolist(), STRIDE, stream.slices, cutoff, WINDOW)
        counts = reference.count(moments, [one.span for one in stream.recordings] if words else [], [], rated=True)
        total.found, total.utterances = total.found + counts.found, total.utterances + counts.utterances
        total.false_accepts += counts.false_accepts
    return total


def test_every_cutoff_counts_the_session_the_negatives_and_the_negatives_in_hard_conditions() -> None:
    words, *hard = (simulated(SESSION, SECONDS["positives"], seed) for seed in range(15, 18))
    negatives, *hard_negatives = (simulated(STREAM, SECONDS["negatives"], seed) for seed in range(18, 21))
    split = SimulatedSplit(Split.VAL, words, negatives, tuple(hard), tuple(hard_negatives))
    curve, hard_recall = split.curve(WINDOW), split.hard_recall(WINDOW)
    assert hard_recall is not None
    for cutoff in range(256):
        session, others = (
            counted([words], cutoff, words=True),
            counted([negatives, *hard_negatives], cutoff, words=False),
        )
        assert (curve.detected[cutoff], curve.utterances) == (session.found, 3), cutoff
        assert curve.false_accepts[cutoff] == session.false_accepts + others.false_accepts, cutoff
        in_hard = counted(hard, cutoff, words=True)
        assert hard_recall[cutoff] == in_hard.found / in_hard.utterances, cutoff
    assert curve.hours * 3600 == pytest.approx(
        1.5 + sum(SECONDS["positives"]) + 3 * 3.5 + 3 * sum(SECONDS["negatives"])
    )
    assert len(set(curve.detected.tolist())) > 2, "a curve that never changes shows nothing"
    assert split.choice(WINDOW, 500.0).detected == curve.detected[split.choice(WINDOW, 500.0).cutoff]


def test_people_choose_alone_where_there_are_enough_of_them() -> None:
    words, hard = (simulated(SESSION, SECONDS["positives"], seed) for seed in (15, 16))
    negatives, hard_negatives, people = (simulated(STREAM, SECONDS["negatives"], seed) for seed in (18, 19, 20))
    split = SimulatedSplit(Split.VAL, words, negatives, (hard,), (hard_negatives,), (people,))
    choice = split.choice(WINDOW, 500.0)
    assert choice.hours * 3600 == pytest.approx(1.5 + sum(SECONDS["positives"]) + 3 * 3.5 + sum(SECONDS["negatives"]))
    session, others = (
        counted([words], choice.cutoff, words=True),
        counted([people], choice.cutoff, words=False),
    )
    assert choice.detected == session.found
    assert choice.false_accepts == session.false_accepts + others.false_accepts
    assert "people's negatives chose it" in choice.margin
    assert split.curve(WINDOW).hours > choice.hours, "every other figure is of all negatives"


def test_without_hard_conditions_there_is_no_recall_in_them_and_only_validation_chooses() -> None:
    split = SimulatedSplit(Split.TEST, simulated(SESSION, [1.0], 1), simulated(STREAM, [2.0], 2))
    assert split.hard_recall(WINDOW) is None
    with pytest.raises(ValueError, match="data must not choose"):
        split.choice(WINDOW, 2.0)
