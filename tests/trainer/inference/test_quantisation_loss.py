"""What int8 arithmetic loses, and when that is more than chance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from trainer.data.split import Split
from trainer.inference.quantisation_loss import (
    CHANCE,
    ModelForm,
    at_most,
    compared,
    false_accepts_by_chance,
    refuse_loss,
)
from trainer.inference.splits import SimulatedSplit
from wakeword.contract import slice_count
from wakeword.errors import MeasurementFailure
from wakeword.presentation import SESSION, STREAM, Presentation
from wakeword.simulation.streams import Recording, SimulatedStream

STRIDE, WINDOW, TARGET = 3, 5, 0.0
WORDS, HOUR = 60, 3600.0
OTHERS = [80] * 6
"""More false accepts below a cutoff of 80 than chance explains."""


def stream(presentation: Presentation, seconds: Sequence[float], peaks: Sequence[tuple[float, int]]) -> SimulatedStream:
    """A stream whose probabilities are 0 but for 300 ms around some seconds of it."""
    samples = [round(16_000 * length) for length in seconds]
    starts = presentation.starts(samples)
    recordings = tuple(
        Recording(Path("x.wav"), "", length, start) for length, start in zip(samples, starts, strict=True)
    )
    slices = slice_count(presentation.silence(len(samples)) + sum(samples))
    levels = np.zeros(slices // STRIDE, np.uint8)
    for moment, level in peaks:
        at = round(moment * 100 / STRIDE)
        levels[at : at + 10] = level
    return SimulatedStream(recordings, presentation, slices, STRIDE, levels)


def form(words: Sequence[int], others: Sequence[int], name: str = "float") -> ModelForm:
    """A model that gives each word, and sounds of an hour without it, such a level at most."""
    silent = stream(SESSION, [1.0] * len(words), [])
    spoken = [(one.span.start + 0.5, level) for one, level in zip(silent.recordings, words, strict=True)]
    positives = stream(SESSION, [1.0] * len(words), spoken)
    negatives = stream(STREAM, [HOUR], [(100.0 + 30 * index, level) for index, level in enumerate(others)])
    return ModelForm(name, SimulatedSplit(Split.VAL, positives, negatives), None)


def test_all_forms_are_told_at_the_float_models_false_accepts() -> None:
    floating = form([240] * 50 + [90] * 10, [80])
    exported = form([235] * 40 + [90] * 20, [150], "int8")
    first, second = compared((floating, exported), WINDOW, TARGET)
    assert (first.form, first.detected, first.utterances, first.false_accepts) == ("float", 60, WORDS, 0)
    assert (second.form, second.detected, second.false_accepts) == ("int8", 40, 0)
    assert 80 <= first.cutoff < 90
    assert 150 <= second.cutoff < 235
    assert (first.recall, second.recall) == (1.0, 40 / 60)


def test_a_loss_that_neither_words_nor_false_accepts_explain_is_refused() -> None:
    floating, exported = form([240] * WORDS, [80]), form([240] * 50 + [40] * 10, OTHERS, "int8")
    with pytest.raises(
        MeasurementFailure,
        match=r"finds 50 of 60 validation utterances at no more than 0 false accepts, and the float model 60: 100\.0%"
        r" became 83\.3%, and export\.max_recall_drop is 0\.02",
    ):
        refuse_loss(floating, exported, WINDOW, TARGET, 0.02)
    refuse_loss(floating, exported, WINDOW, TARGET, 0.2)
    refuse_loss(exported, floating, WINDOW, TARGET, 0.0)


def test_a_few_words_are_chance() -> None:
    floating = form([240] * WORDS, OTHERS)
    refuse_loss(floating, form([240] * 56 + [40] * 4, OTHERS), WINDOW, TARGET, 0.02)
    with pytest.raises(MeasurementFailure):
        refuse_loss(floating, form([240] * 55 + [40] * 5, OTHERS), WINDOW, TARGET, 0.02)
    # Ten are lost and six found that the float model had not: no sign test calls that a loss.
    mixed_float = form([240] * 54 + [40] * 6, OTHERS)
    mixed_int8 = form([40] * 10 + [240] * 50, OTHERS)
    refuse_loss(mixed_float, mixed_int8, WINDOW, TARGET, 0.02)


def test_a_false_accept_more_is_chance_and_five_are_not() -> None:
    """At the float model's false accepts the int8 model loses half the words; allowed four more, none."""
    floating, words = form([240] * WORDS, [80]), [240] * 30 + [120] * 30
    for others in (1, 4):
        exported = form(words, [150] * others)
        assert compared((floating, exported), WINDOW, TARGET)[1].detected == 30
        refuse_loss(floating, exported, WINDOW, TARGET, 0.02)
    with pytest.raises(MeasurementFailure):
        refuse_loss(floating, form(words, [150] * 5), WINDOW, TARGET, 0.02)


def test_what_chance_allows_is_the_binomial_tests() -> None:
    assert [false_accepts_by_chance(count) for count in (0, 1, 10)] == [4, 6, 19]
    for count in (0, 3, 12):
        most = false_accepts_by_chance(count)
        allowed, refused = (binomtest(count, count + more, 0.5, alternative="less").pvalue for more in (most, most + 1))
        assert allowed >= CHANCE > refused
    assert at_most(0, 0) == 1.0
    assert at_most(0, 5) == pytest.approx(1 / 32)
