"""The three forms of ESPHome's decision rule agree, and the rule is the device's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wakeword.detector import Detection, Detector, detect, detections_by_cutoff, first_decisive, sliding_averages


def run_device(probabilities: NDArray[np.uint8], stride: int, slices: int, cutoff: int, window: int) -> list[Detection]:
    detector = Detector(cutoff, window)
    found = []
    for index in range(slices):
        completes = (index + 1) % stride == 0
        detection = detector.step(int(probabilities[(index + 1) // stride - 1]) if completes else None)
        if detection is not None:
            found.append(detection)
    return found


def stream(values: Sequence[int], stride: int = 1) -> tuple[NDArray[np.uint8], int, int]:
    return np.array(values, np.uint8), stride, len(values) * stride


@st.composite
def streams(draw: st.DrawFn) -> tuple[NDArray[np.uint8], int, int]:
    """Bursts of high and low probability of every length, so that hold-offs are cut, prolonged and left pending."""
    stride = draw(st.integers(1, 4))
    runs = draw(
        st.lists(st.tuples(st.integers(1, 130), st.sampled_from([0, 1, 90, 127, 128, 129, 200, 254, 255])), max_size=12)
    )
    values = [value for length, value in runs for _ in range(length)]
    extra = draw(st.integers(0, stride - 1))
    return np.array(values, np.uint8), stride, len(values) * stride + extra


@given(streams(), st.sampled_from([0, 1, 2, 90, 128, 200, 229, 254, 255]), st.integers(1, 10))
@settings(max_examples=400, deadline=None)
def test_jumping_equals_stepping(given_stream: tuple[NDArray[np.uint8], int, int], cutoff: int, window: int) -> None:
    assert detect(*given_stream, cutoff, window) == run_device(*given_stream, cutoff, window)


@given(st.integers(0, 2**32 - 1), st.integers(1, 15), st.integers(1, 12))
@settings(max_examples=100, deadline=None)
def test_jumping_equals_stepping_on_noise(seed: int, stride: int, window: int) -> None:
    rng = np.random.default_rng(seed)
    probabilities = (rng.random(300) ** rng.uniform(0.1, 4) * 255).astype(np.uint8)
    cutoff = int(rng.integers(0, 256))
    assert detect(probabilities, stride, 300 * stride, cutoff, window) == run_device(
        probabilities, stride, 300 * stride, cutoff, window
    )


@given(streams())
@settings(max_examples=30, deadline=None)
def test_sweep_counts_what_each_operating_point_detects(given_stream: tuple[NDArray[np.uint8], int, int]) -> None:
    cutoffs = [0, 1, 89, 128, 254, 255]
    for window in (1, 5, 10):
        found = detections_by_cutoff(*given_stream, cutoffs, window)
        assert list(found) == [run_device(*given_stream, cutoff, window) for cutoff in cutoffs]


@given(streams(), st.integers(1, 254), st.integers(1, 40))
def test_no_detection_is_decided_on_what_came_before_the_first_decisive_inference(
    given_stream: tuple[NDArray[np.uint8], int, int], cutoff: int, window: int
) -> None:
    probabilities, stride, slices = given_stream
    spoiled, first = probabilities.copy(), first_decisive(stride, window)
    spoiled[:first] = 0
    quiet = probabilities.copy()
    quiet[:first] = np.minimum(
        quiet[:first], cutoff - 1
    )  # below the cutoff either way, so that the hold-off ends at the same slice
    assert detect(quiet, stride, slices, cutoff, window) == detect(spoiled, stride, slices, cutoff, window)


@pytest.mark.parametrize(("stride", "window"), [(1, 1), (2, 4), (3, 5), (7, 3)])
def test_the_first_decisive_inference_can_decide(stride: int, window: int) -> None:
    first = first_decisive(stride, window)
    newest = first + window - 1
    # All just below the cutoff, so that the hold-off goes by, then one above it: enough only if the oldest in the ring
    # is not 0.
    probabilities = np.where(np.arange(200) < newest, 199, 0).astype(np.uint8)
    probabilities[newest] = 255
    assert [one.slice_index for one in detect(probabilities, stride, 200 * stride, 200, window)] == [
        (newest + 1) * stride - 1
    ]
    probabilities[first] = 0
    assert detect(probabilities, stride, 200 * stride, 200, window) == []


def test_sliding_averages_begin_with_an_empty_ring_and_again_after_a_detection() -> None:
    averages = sliding_averages(np.array([255, 255, 0, 51], np.uint8), 3, 2)
    np.testing.assert_allclose(averages, [0.5, 1, 0.5, 0.1])
    averages = sliding_averages(np.array([255, 255, 255, 51], np.uint8), 3, 2, [5])
    np.testing.assert_allclose(averages, [0.5, 1, 0.5, 0.6])


def test_nothing_is_detected_in_the_first_second() -> None:
    # 99 slices count toward the hold-off, one is missing; it never comes while the probability stays high.
    assert detect(*stream([0] * 99 + [255] * 200), 128, 1) == []
    assert [d.slice_index for d in detect(*stream([0] * 100 + [255] * 200), 128, 1)] == [100]


def test_hold_off_lasts_while_the_probability_is_high() -> None:
    values = [0] * 100 + [255] * 50 + [0] * 98 + [255] * 5
    assert len(detect(*stream(values), 128, 1)) == 1
    # The zeroed ring counts at once: on the slice after a detection at stride 3 two slices count before the next
    # inference.
    values = [0] * 34 + [255] + [0] * 33 + [255] * 3
    found = detect(*stream(values, 3), 128, 1)
    assert [d.slice_index for d in found] == run_slices(values, 3)


def run_slices(values: Sequence[int], stride: int) -> list[int]:
    return [d.slice_index for d in run_device(*stream(values, stride), 128, 1)]


def test_a_pending_probability_detects_on_a_slice_without_inference() -> None:
    # Stride 3, window 5: 2 slices before the first inference and 3 for each of 32 low ones are 98. The first low
    # inference after the word makes 99, the slice behind it 100: the hold-off ends there, with the average still above
    # the cutoff.
    values = [0] * 32 + [255] * 4 + [10] * 10
    found = detect(*stream(values, 3), 128, 5)
    assert [d.slice_index for d in found] == [d.slice_index for d in run_device(*stream(values, 3), 128, 5)]
    assert found
    assert (found[0].slice_index + 1) % 3 != 0


def test_the_sum_must_exceed_the_cutoff() -> None:
    quiet = [0] * 100
    assert detect(*stream([*quiet, 128, 128]), 128, 1) == []
    assert len(detect(*stream([*quiet, 129, 129]), 128, 1)) == 1


def test_average_is_rounded_down_and_maximum_is_of_the_ring() -> None:
    assert detect(*stream([0] * 100 + [201]), 100, 2) == [Detection(100, 100, 201)]
    assert detect(*stream([0] * 100 + [200, 255]), 200, 2) == [Detection(101, 227, 255)]


def test_an_empty_stream_detects_nothing() -> None:
    assert detect(np.zeros(0, np.uint8), 3, 2, 128, 5) == []


@pytest.mark.parametrize(("cutoff", "window"), [(-1, 5), (256, 5), (128, 0), (128, 256)])
def test_an_operating_point_out_of_range_is_refused(cutoff: int, window: int) -> None:
    with pytest.raises(ValueError, match="is not in"):
        detect(*stream([0]), cutoff, window)


def test_lengths_that_disagree_are_refused() -> None:
    with pytest.raises(ValueError, match="need uint8"):
        detect(np.zeros(5, np.uint8), 3, 12, 128, 5)
