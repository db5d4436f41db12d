"""The DET curve is the detector at every cutoff."""

from __future__ import annotations

import numpy as np
import pytest

from wakeword.detector import detect
from wakeword.scoring.det import DetCurve, Stream, average_viable_recall, det_curve


def noisy_stream(seed: int, inferences: int = 400) -> Stream:
    rng = np.random.default_rng(seed)
    probabilities = (rng.random(inferences) ** 6 * 255).astype(np.uint8)
    return Stream(probabilities, 3, inferences * 3)


def test_each_cutoff_is_decided_anew() -> None:
    positives, negatives = [noisy_stream(seed) for seed in range(4)], [noisy_stream(9, 3000)]
    curve = det_curve(positives, negatives, window=2, negative_hours=0.025)
    for cutoff in (1, 60, 130, 200, 254):
        found = [len(detect(s.probabilities, s.stride, s.slices, cutoff, 2)) for s in [*positives, *negatives]]
        assert curve.detected[cutoff] == sum(count > 0 for count in found[:4])
        assert curve.false_accepts[cutoff] == found[4]
    assert curve.false_accepts_per_hour[60] == pytest.approx(curve.false_accepts[60] / 0.025)


def test_average_viable_recall_is_the_area_up_to_two_an_hour() -> None:
    cutoffs = np.arange(3)
    curve = DetCurve(cutoffs, detected=np.array([10, 8, 5]), false_accepts=np.array([3, 1, 0]), utterances=10, hours=1.0)
    # 0.5 from 0 to 1 an hour, 0.8 from 1 to 2; the cutoff at 3 an hour is not viable.
    assert average_viable_recall(curve) == pytest.approx((0.5 + 0.8) / 2)


def test_no_viable_cutoff_has_no_area() -> None:
    curve = DetCurve(np.arange(1), np.array([10]), np.array([9]), utterances=10, hours=1.0)
    assert average_viable_recall(curve) == 0.0
