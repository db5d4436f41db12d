"""Smith's range test: what it suggests, when it ends, and what it leaves."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from trainer.training import rate_test
from trainer.training.rate_test import LOWEST, STEPS, WARM_UP, RateTest, drawn, range_test, rates


def outcome(loss_at: Callable[[float], float]) -> RateTest:
    return range_test(loss_at, lambda: False, lambda _done, _total: None)


def valley(rate: float) -> float:
    """A loss that stays, falls from 1e-4 on, is lowest at 1e-2 and then rises."""
    position = math.log10(rate)
    if position < -4:
        return 1.0
    return 1.0 - 0.4 * (position + 4) if position < -2 else 0.2 * 10 ** (2 * (position + 2))


def test_rates_rise_exponentially() -> None:
    found = rates()
    assert len(found) == STEPS
    assert (found[0], found[-1]) == pytest.approx((LOWEST, 1.0))
    factors = {round(after / before, 9) for before, after in pairwise(found)}
    assert len(factors) == 1


def test_a_tenth_of_the_rate_of_the_lowest_loss_is_suggested_and_a_rise_ends_the_test() -> None:
    found = outcome(valley)
    assert found.lowest is not None
    assert found.suggestion is not None
    assert found.suggestion == pytest.approx(1e-3, rel=0.8)  # the running mean lags behind
    assert found.suggestion == pytest.approx(found.rates[found.lowest] / 10, rel=0.05)
    assert found.diverged
    assert found.rates[-1] < 1
    assert max(found.losses[found.lowest :]) <= rate_test.DIVERGED * found.losses[found.lowest]
    assert "a tenth of" in str(found)
    assert f"beyond {found.rates[-1]:.1e} the training diverges" in str(found)


def test_a_loss_that_is_no_number_ends_it() -> None:
    found = outcome(lambda rate: math.nan if rate > 0.05 else valley(min(rate, 0.01)))
    assert found.diverged
    assert 0.04 < found.rates[-1] <= 0.05


def test_a_loss_that_does_not_fall_suggests_nothing() -> None:
    found = outcome(lambda _: 3.0)
    assert (found.suggestion, found.diverged, len(found.rates)) == (None, False, STEPS)
    assert found.losses == pytest.approx([3.0] * STEPS)  # the young mean is not pulled to zero
    assert "no learning rate is suggested" in str(found)
    assert outcome(lambda rate: 1.0 if rate < LOWEST * 1.5 else math.inf).lowest is None
    assert len(outcome(lambda _: math.nan).rates) <= WARM_UP


def test_an_interrupt_ends_it_between_two_steps() -> None:
    steps: list[float] = []

    def loss_at(rate: float) -> float:
        steps.append(rate)
        return 1.0

    with pytest.raises(KeyboardInterrupt):
        range_test(loss_at, lambda: len(steps) == 5, lambda _done, _total: None)
    assert len(steps) == 5


def test_the_plot_is_a_picture(tmp_path: Path) -> None:
    from matplotlib.image import imread

    for name, test in (("found", outcome(valley)), ("none", outcome(lambda _: 3.0))):
        (tmp_path / name).write_bytes(drawn(test, "okay house"))
        image = imread(tmp_path / name, format="png")
        assert image.shape[0] > 400
        assert image.shape[1] > 700
    assert drawn(outcome(valley), "a") == drawn(outcome(valley), "a")
