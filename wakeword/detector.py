"""ESPHome's decision logic: sliding window, pending probability, hold-off.

Three forms of one rule. `Detector` is the device's own, slice by slice; `detect` gives the same detections of a whole
stream from its stored probabilities, jumping from one to the next; `detections_by_cutoff` does so for many cutoffs.

Conventions: probabilities and cutoffs are the device's uint8 values; a slice is one step of features (10 ms unless the
manifest has another); the inference `j` of a model with stride `s` happens on slice `(j + 1) * s - 1`. A stream begins
at boot.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wakeword import contract


@dataclass(frozen=True)
class Detection:
    """One detection, with the figures that the device logs, as uint8 values (255 is probability 1)."""

    slice_index: int
    """0-based feature slice since the stream began."""
    average: int
    """`sum // window`, as the device rounds it."""
    maximum: int
    step_ms: int = contract.STEP_MS
    """From slice to slice."""

    @property
    def seconds(self) -> float:
        """Audio heard when it was decided."""
        return contract.slice_end_seconds(self.slice_index, self.step_ms)


class Detector:
    """The decision logic of one wake word, fed slice by slice.

    Transcribed from the rules of `StreamingModel::perform_streaming_inference`, `WakeWordModel::determine_detected` and
    `MicroWakeWord::process_probabilities_` (ESPHome 2026.10.0).
    """

    def __init__(self, cutoff: int, window: int) -> None:
        check_operating_point(cutoff, window)
        self._cutoff = cutoff
        self._window = window
        self.reset()

    def reset(self) -> None:
        """Back to the state after boot."""
        self._slice_index = -1
        self._pending = False
        self._newest = 0
        self._clear()

    def _clear(self) -> None:
        self._ring = [0] * self._window
        self._ignore = -contract.HOLD_OFF_SLICES

    @property
    def total(self) -> int:
        """Sum of the window's probabilities; the device compares it with the cutoff times the window."""
        return sum(self._ring)

    @property
    def hold_off(self) -> int:
        """Slices below the cutoff that must still pass before a detection is possible."""
        return -self._ignore

    def step(self, probability: int | None) -> Detection | None:
        """Advance by one slice; `probability` is the model's output if this slice completed a stride, else None."""
        self._slice_index += 1
        if probability is not None:
            self._newest = (self._newest + 1) % self._window
            self._ring[self._newest] = probability
            self._pending = True
        if self._ring[self._newest] < self._cutoff:
            self._ignore = min(self._ignore + 1, 0)
        # While the hold-off lasts the probability stays pending: a detection can fall on a slice without an inference.
        if not self._pending or self._ignore < 0:
            return None
        self._pending = False
        total = self.total
        if total <= self._cutoff * self._window:
            return None
        detection = Detection(self._slice_index, total // self._window, max(self._ring))
        self._clear()
        return detection


def detect(
    probabilities: NDArray[np.uint8],
    stride: int,
    slices: int,
    cutoff: int,
    window: int,
    step_ms: int = contract.STEP_MS,
) -> list[Detection]:
    """All detections of one stream from its probabilities.

    Args:
        probabilities: Since boot, uint8 `[slices // stride]`.
        stride: Slices an inference.
        slices: Of the whole stream.
        cutoff: Uint8.
        window: Inferences of the sliding window.
        step_ms: Time of a slice; it decides nothing, and gives detections their seconds.

    Returns the detections in order. Raises `ValueError` when lengths disagree or the operating point is out of range.
    """
    check_operating_point(cutoff, window)
    _check_stream(probabilities, stride, slices)
    return list(_CutoffSweep(probabilities, stride, slices, step_ms).detections(cutoff, window))


def detections_by_cutoff(
    probabilities: NDArray[np.uint8],
    stride: int,
    slices: int,
    cutoffs: Iterable[int],
    window: int,
    step_ms: int = contract.STEP_MS,
) -> Iterator[Sequence[Detection]]:
    """The detections of one stream at each cutoff in turn.

    The hold-off depends on the cutoff, so each is decided anew; nothing is interpolated.

    Args:
        probabilities: Since boot, uint8 `[slices // stride]`.
        stride: Slices an inference.
        slices: Of the whole stream.
        cutoffs: Uint8.
        window: Inferences of the sliding window.
        step_ms: Milliseconds of a slice; they give detections their seconds.

    Returns the detections of each cutoff, in the order of `cutoffs`. Raises `ValueError` as `detect` does.
    """
    _check_stream(probabilities, stride, slices)
    sweep = _CutoffSweep(probabilities, stride, slices, step_ms)
    for cutoff in cutoffs:
        check_operating_point(cutoff, window)
        yield list(sweep.detections(cutoff, window))


def first_decisive(stride: int, window: int) -> int:
    """The first inference since boot that can take part in a detection, by 0-based index; what earlier ones gave is
    never decided on.

    The hold-off after boot ends with slice `HOLD_OFF_SLICES - 1` at the earliest, if all inferences until then were
    below the cutoff. So the newest one of a detection ends on a later slice, and the ring then holds it and
    `window - 1` before it.
    """
    return max(0, contract.HOLD_OFF_SLICES // stride - window + 1)


def sliding_averages(
    probabilities: NDArray[np.uint8], stride: int, window: int, detected: Iterable[int] = ()
) -> NDArray[np.float64]:
    """The average that the device compares with the cutoff at each inference, 0-1: float64 `[inferences]`.

    The ring starts full of zeros and is zeroed on each slice that `detected` names, so an average reaches back `window`
    inferences or to the last detection before it.
    """
    sums = np.concatenate([[0], np.cumsum(probabilities, dtype=np.int64)])
    indices = np.arange(len(probabilities))
    fresh = np.array([0, *sorted((slice_index + 1) // stride for slice_index in detected)])
    oldest = np.maximum(np.maximum(indices - window + 1, 0), fresh[np.searchsorted(fresh, indices, side="right") - 1])
    averages: NDArray[np.float64] = (sums[indices + 1] - sums[oldest]) / (window * contract.PROBABILITY_MAX)
    return averages


def check_operating_point(cutoff: int, window: int) -> None:
    """Raise `ValueError` unless 0 <= cutoff <= 255 and 1 <= window <= 255."""
    if not 0 <= cutoff <= contract.PROBABILITY_MAX:
        raise ValueError(f"cutoff {cutoff} is not in 0-{contract.PROBABILITY_MAX}")
    if not 1 <= window <= contract.MAX_WINDOW:
        raise ValueError(f"sliding window {window} is not in 1-{contract.MAX_WINDOW}")


def _check_stream(probabilities: NDArray[np.uint8], stride: int, slices: int) -> None:
    if probabilities.dtype != np.uint8 or probabilities.shape != (slices // stride,):
        raise ValueError(
            f"{slices} slices at stride {stride} need uint8 [{slices // stride}], got {probabilities.dtype}"
            f" {list(probabilities.shape)}"
        )


_BLOCK = 256
"""Inferences that are passed over at once where nothing is above the threshold."""


class _CutoffSweep:
    """One stream's probabilities, with what is shared between operating points computed once."""

    def __init__(
        self, probabilities: NDArray[np.uint8], stride: int, slices: int, step_ms: int = contract.STEP_MS
    ) -> None:
        self._step_ms = step_ms
        self._probabilities = probabilities
        self._stride = stride
        self._slices = slices
        self._prefix = np.concatenate([[0], np.cumsum(probabilities, dtype=np.int64)])
        self._sums: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}

    def detections(self, cutoff: int, window: int) -> Iterator[Detection]:
        """Jump from detection to detection.

        After a reset the newest ring entry is zero until the next inference, so every slice up to that inference counts
        toward the hold-off (if the cutoff is above zero), and from then on those of an inference below the cutoff.
        """
        sums, largest = self._windowed_sums(window)
        threshold = cutoff * window
        if largest.max(initial=0) <= threshold or cutoff == 0:
            # Nothing is ever above the threshold; and at cutoff 0 no slice is below it, so the hold-off never ends.
            return
        stride = self._stride
        reset_slice = -1
        while True:
            ready = self._hold_off_end(cutoff, reset_slice)
            if ready is None:
                return
            first_fresh = (reset_slice + 1) // stride  # first inference after the reset
            newest = (ready + 1) // stride - 1  # newest inference when the hold-off ends
            found: tuple[int, int, int] | None = None
            if newest >= first_fresh:
                found = self._decide(ready, newest, first_fresh, threshold, window)
            if found is None:
                inference = max(newest, first_fresh - 1)
                # A windowed sum that reaches back over the reset counts zeros there, so a candidate may fail.
                while found is None and (above := _next_above(sums, largest, threshold, inference + 1)) is not None:
                    inference = above
                    found = self._decide((inference + 1) * stride - 1, inference, first_fresh, threshold, window)
            if found is None:
                return
            reset_slice, total, maximum = found
            yield Detection(reset_slice, total // window, maximum, self._step_ms)

    def _decide(
        self, slice_index: int, inference: int, first_fresh: int, threshold: int, window: int
    ) -> tuple[int, int, int] | None:
        oldest = max(inference - window + 1, first_fresh)
        total = int(self._prefix[inference + 1] - self._prefix[oldest])
        if total <= threshold:
            return None
        return slice_index, total, int(self._probabilities[oldest : inference + 1].max())

    def _hold_off_end(self, cutoff: int, reset_slice: int) -> int | None:
        """The slice on which `ignore` reaches zero after a reset on `reset_slice`, None if the stream ends before."""
        stride = self._stride
        needed = contract.HOLD_OFF_SLICES
        first_fresh = (reset_slice + 1) // stride
        before_inference = (first_fresh + 1) * stride - 1 - (reset_slice + 1)
        if needed <= before_inference:
            end = reset_slice + needed
            return end if end < self._slices else None
        needed -= before_inference
        # Inference j rules the slices from its own to the one before the next inference: `stride` of them.
        full = (needed - 1) // stride  # inferences below the cutoff that are used up whole
        ruling = self._nth_below(cutoff, first_fresh, full + 1)  # the inference during which the count completes
        if ruling is None:
            return None
        end = (ruling + 1) * stride - 1 + (needed - 1) % stride
        return end if end < self._slices else None

    def _nth_below(self, cutoff: int, first: int, count: int) -> int | None:
        """The inference from `first` on that is the `count`-th below the cutoff, None if there are not so many.

        Looked for from place to place, in ever longer ranges: detections are few, and a stream has hours.
        """
        size = 2 * count
        while first < len(self._probabilities):
            below = np.flatnonzero(self._probabilities[first : first + size] < cutoff)
            if len(below) >= count:
                return first + int(below[count - 1])
            count -= len(below)
            first += size
            size *= 2
        return None

    def _windowed_sums(self, window: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The sum of each inference and those before it in the window, and the largest sum of each `_BLOCK`
        inferences."""
        if window not in self._sums:
            inferences = len(self._probabilities)
            sums = self._prefix[1:].copy()
            sums[window:] -= self._prefix[1 : max(inferences - window, 0) + 1]
            self._sums[window] = (
                sums,
                np.maximum.reduceat(sums, np.arange(0, inferences, _BLOCK)) if inferences else sums,
            )
        return self._sums[window]


def _next_above(sums: NDArray[np.int64], largest: NDArray[np.int64], threshold: int, first: int) -> int | None:
    """The first inference from `first` on whose sum is above the threshold; whole blocks without one are
    passed over."""
    block = first // _BLOCK
    here = np.flatnonzero(sums[first : (block + 1) * _BLOCK] > threshold)
    if len(here):
        return first + int(here[0])
    later = np.flatnonzero(largest[block + 1 :] > threshold)
    if not len(later):
        return None
    start = (block + 1 + int(later[0])) * _BLOCK
    return start + int(np.flatnonzero(sums[start : start + _BLOCK] > threshold)[0])
