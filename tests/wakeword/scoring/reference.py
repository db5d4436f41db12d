"""Detections, counts and areas the slow way, written from the rules as they are stated and sharing no line with what
the project computes them with.

Rules: ESPHome 2026.10.0 for a detection (a slice is 10 ms); `wakeword/scoring/matching.py` for what a detection is;
microWakeWord for the area.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from wakeword.scoring.matching import Span

HOLD_OFF_SLICES = 100
TOLERANCE = 0.75


@dataclass
class Counts:
    """Of any streams: added up by whoever counts them."""

    found: int = 0
    utterances: int = 0
    false_accepts: int = 0
    seconds: float = 0.0


def detected_at(probabilities: Sequence[int], stride: int, slices: int, cutoff: int, window: int) -> list[float]:
    """The seconds of a stream's detections, slice by slice; a slice is told when its 30 ms have been heard."""
    ring, newest, ignore, pending, found = [0] * window, 0, -HOLD_OFF_SLICES, False, []
    for index in range(slices):
        if (index + 1) % stride == 0:
            newest = (newest + 1) % window
            ring[newest] = probabilities[(index + 1) // stride - 1]
            pending = True
        if ring[newest] < cutoff:
            ignore = min(ignore + 1, 0)
        if pending and ignore >= 0:
            pending = False
            if sum(ring) > cutoff * window:
                found.append((480 + 160 * index) / 16_000)
                ring, ignore = [0] * window, -HOLD_OFF_SLICES
    return found


def most_found(utterances: Sequence[Span], detections: Sequence[float]) -> int:
    """The utterances found by the best assignment of one detection to one utterance: each in turn, the others moving
    aside where they can.
    """
    taken: dict[int, int] = {}

    def place(utterance: int, tried: set[int]) -> bool:
        for number, moment in enumerate(detections):
            if number not in tried and utterances[utterance].start <= moment <= utterances[utterance].end + TOLERANCE:
                tried.add(number)
                if number not in taken or place(taken[number], tried):
                    taken[number] = utterance
                    return True
        return False

    return sum(place(utterance, set()) for utterance in range(len(utterances)))


def count(detections: Sequence[float], utterances: Sequence[Span], voids: Sequence[Span], *, rated: bool) -> Counts:
    """Of one stream whose utterances' windows do not overlap where there is void time."""
    counts = Counts()
    windows = [Span(one.start, one.end + TOLERANCE) for one in utterances]
    void_windows = [
        window for window in windows if any(window.start <= void.end and void.start <= window.end for void in voids)
    ]
    left = [
        moment for moment in detections if not any(span.start <= moment <= span.end for span in (*voids, *void_windows))
    ]
    scored = [one for one, window in zip(utterances, windows, strict=True) if window not in void_windows]
    counts.found, counts.utterances = most_found(scored, left), len(scored)
    counts.false_accepts = len(left) - counts.found if rated else 0
    return counts


def area_of_recall(rates: Sequence[float], recalls: Sequence[float], highest: float = 2.0) -> float:
    """Recall over false accepts an hour from 0 to `highest`, divided by it: at each rate the best recall of all cutoffs
    at or under it.
    """
    borders = sorted({0.0, highest, *(rate for rate in rates if rate < highest)})
    area = 0.0
    for left, right in pairwise(borders):
        area += (right - left) * max(
            (recall for rate, recall in zip(rates, recalls, strict=True) if rate <= left), default=0.0
        )
    return area / highest
