"""Sessions whose outcome can be read from their peaks, and iterations made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trainer.data.split import Split
from trainer.inference.splits import SimulatedSplit
from trainer.tuning.operating_point import PointChoice
from trainer.tuning.policy import Iteration, Move, TuningRecipe
from wakeword.contract import SAMPLE_RATE_HZ, slice_count
from wakeword.presentation import SESSION, STREAM
from wakeword.scoring.operating_point import CutoffChoice, cutoff_as_probability
from wakeword.simulation.streams import Recording, SimulatedStream

STRIDE = 3
WORD_SAMPLES = 16_000
Peak = tuple[int, int]
"""Inferences that it lasts, and its probability."""


def session(
    words: list[Peak], accepts: list[Peak], split: Split = Split.VAL, hours: float = 1.0, late: int = 0
) -> SimulatedSplit:
    """A peak within each wake word, another in the pauses after the first `late` of them, and peaks ten seconds apart
    in the negatives.
    """
    samples = [WORD_SAMPLES] * len(words)
    slices, starts = slice_count(SESSION.silence(len(words)) + sum(samples)), SESSION.starts(samples)
    spoken = tuple(Recording(Path(f"{index}.wav"), "", WORD_SAMPLES, start) for index, start in enumerate(starts))
    levels = np.zeros(slices // STRIDE, np.uint8)
    for index, (recording, (length, value)) in enumerate(zip(spoken, words, strict=True)):
        for after in (0.5, 3.0) if index < late else (0.5,):
            first = round((recording.span.start + after) * 100 / STRIDE)
            levels[first : first + length] = value
    others = np.zeros(1000 * (len(accepts) + 1) // STRIDE, np.uint8)
    for index, (length, value) in enumerate(accepts, 1):
        first = index * 1000 // STRIDE
        others[first : first + length] = value
    negatives = (Recording(Path("others.wav"), "", round(hours * 3600 * SAMPLE_RATE_HZ), 0),)
    return SimulatedSplit(
        split,
        SimulatedStream(spoken, SESSION, slices, STRIDE, levels),
        SimulatedStream(negatives, STREAM, len(others) * STRIDE, STRIDE, others),
    )


def point(
    found: int,
    accepted: int,
    *,
    utterances: int = 100,
    hours: float = 10.0,
    reaches_fah: bool = True,
    reaches_recall: bool = False,
    viable: float = 0.5,
    half: tuple[int, int] = (0, 0),
    window: int = 5,
    cutoff: int = 128,
) -> PointChoice:
    """A point with such counts; `half` are misses and false accepts at a cutoff of one half."""
    choice = CutoffChoice(cutoff_as_probability(cutoff), cutoff, found, utterances, accepted, hours, reaches_fah)
    return PointChoice(window, choice, reaches_recall, viable, *half)


RECIPE = TuningRecipe(1e-4, 20.0, 40.0, 0.2)


def iteration(
    number: int, at: PointChoice, kept: bool, recipe: TuningRecipe = RECIPE, move: Move = Move.SAME
) -> Iteration:
    """An iteration that came out at a point."""
    return Iteration(
        number, Move.GIVEN if number == 0 else move, recipe, at, kept, 0, None if number == 0 else 0.25, 1.5
    )
