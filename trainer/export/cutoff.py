"""Choosing the probability cutoff on validation data, with the exported model under the device's own decision logic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wakeword.contract import PROBABILITY_MAX
from wakeword.model.flatbuffer import TfliteModel
from wakeword.scoring.det import DetCurve, Stream, det_curve
from wakeword.simulation.presentation import CLIPS, STREAM
from wakeword.simulation.simulate import Options, recorded_hours, simulate
from wakeword.simulation.streams import SimulatedStream

HIGHEST_CUTOFF = PROBABILITY_MAX - 1
"""At 255 the sum of a window can never exceed the cutoff."""


@dataclass(frozen=True)
class CutoffChoice:
    """A cutoff and what it was chosen by, all on validation data."""

    probability_cutoff: float
    """As a manifest states it; `int(probability_cutoff * 255)` is `cutoff`."""
    cutoff: int
    detected: int
    utterances: int
    false_accepts: int
    hours: float
    reaches_target: bool
    """False when no cutoff has so few false accepts; the one with the fewest was taken."""


def validation_curve(model: TfliteModel, positives: Sequence[Path], negatives: Sequence[Path], window: int, options: Options) -> DetCurve:
    """The exported model over the validation recordings, at every cutoff."""
    clips = simulate(model, positives, CLIPS, options)
    streams = simulate(model, sorted(negatives, key=Path.as_posix), STREAM, options)
    return det_curve([_stream(clip) for clip in clips], [_stream(stream) for stream in streams], window, recorded_hours(streams))


def choose_cutoff(curve: DetCurve, target_false_accepts_per_hour: float) -> CutoffChoice:
    """The middle of the cutoffs that find most utterances among those at or under the target.

    Several cutoffs usually do equally well on a validation set; the lowest of them is one step from a false accept, the highest
    one step from a miss, and the middle is as far from both as the data can tell. Where none reaches the target, those
    with the fewest false accepts take part instead.
    """
    usable = np.arange(1, HIGHEST_CUTOFF + 1)  # at 0 no slice is below the cutoff: the device never detects
    rates = curve.false_accepts_per_hour[usable]
    reaching = rates <= target_false_accepts_per_hour
    eligible = usable[reaching] if reaching.any() else usable[rates == rates.min()]
    best = eligible[curve.detected[eligible] == curve.detected[eligible].max()]
    # The plateau may have gaps; the middle is taken of its members, so that the chosen one is a member.
    cutoff = int(best[(len(best) - 1) // 2])
    return CutoffChoice(
        probability_cutoff=cutoff_as_probability(cutoff),
        cutoff=cutoff,
        detected=int(curve.detected[cutoff]),
        utterances=curve.utterances,
        false_accepts=int(curve.false_accepts[cutoff]),
        hours=curve.hours,
        reaches_target=bool(reaching.any()),
    )


def cutoff_as_probability(cutoff: int) -> float:
    """The shortest decimal that ESPHome turns into this uint8 cutoff by `int(probability * 255)`."""
    for digits in range(1, 8):
        probability: float = math.ceil(cutoff / PROBABILITY_MAX * 10**digits) / 10**digits
        if int(probability * PROBABILITY_MAX) == cutoff:
            return probability
    raise AssertionError(f"no decimal for cutoff {cutoff}")


def _stream(simulated: SimulatedStream) -> Stream:
    return Stream(simulated.probabilities, simulated.stride, simulated.slices)
