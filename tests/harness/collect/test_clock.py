"""The fit finds the drift that was put in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from firmware.answers import ClockSample, Stamp
from harness.collect.clock import MILLIS_RANGE, clock_samples, fit_clock
from harness.collect.raw import RawEvent
from wakeword.errors import InfrastructureError

BOOT = "0badcafe"


def probes(
    *,
    count: int,
    drift_ppm: float,
    start_ms: float,
    seed: int,
    jitter: float,
    out_share: float,
    outliers: float = 0.0,
    origin: float = 5000.0,
) -> list[ClockSample]:
    """Probes, one a second: each way takes 1 ms and more, the way out `out_share` of the jitter."""
    random = np.random.default_rng(seed)
    samples = []
    for number in range(count):
        sent = origin + number + random.uniform(0, 0.05)
        extra = random.exponential(jitter / 3) + (random.uniform(0.1, 2.0) if random.random() < outliers else 0.0)
        read = sent + 0.001 + extra * out_share
        received = sent + 0.002 + extra
        board_ms = start_ms + (read - origin) * 1000 * (1 + drift_ppm * 1e-6)
        samples.append(ClockSample(number, Stamp(BOOT, 0, int(board_ms) % MILLIS_RANGE), sent, received, 0))
    return samples


@settings(max_examples=60)
@example(
    drift_ppm=0.0, start_ms=0.0, seed=489940, out_share=1.0, outliers=0.1
)  # the last probe began a window of its own, and was late by a second
@given(
    drift_ppm=st.floats(-80, 80),
    start_ms=st.floats(0, 2.0**33),
    seed=st.integers(0, 2**32),
    out_share=st.sampled_from([0.0, 0.2, 0.5, 1.0]),
    outliers=st.sampled_from([0.0, 0.1]),
)
def test_drift_within_2_ppm_in_ten_minutes(
    drift_ppm: float, start_ms: float, seed: int, out_share: float, outliers: float
) -> None:
    samples = probes(
        count=600,
        drift_ppm=drift_ppm,
        start_ms=start_ms,
        seed=seed,
        jitter=0.03,
        out_share=out_share,
        outliers=outliers,
    )
    fit = fit_clock(samples)
    assert abs(fit.drift_ppm - drift_ppm) < 2.0
    assert fit.residual_rms < 0.003
    assert fit.uncertainty < 0.005
    assert (fit.probes, fit.used) == (600, 60)
    for elapsed in (0.0, 300.0, 600.0):
        t_ms = int(start_ms + elapsed * 1000 * (1 + drift_ppm * 1e-6)) % MILLIS_RANGE
        assert abs(fit.to_host(t_ms, near=5000.0 + elapsed) - (5000.0 + elapsed)) < 0.005
        assert abs(fit.to_host(t_ms) - (5000.0 + elapsed)) < 0.005


def test_a_clean_clock_is_found_within_a_tenth_of_a_millisecond() -> None:
    fit = fit_clock(probes(count=600, drift_ppm=40.0, start_ms=1000.0, seed=1, jitter=1e-9, out_share=0.5))
    assert fit.drift_ppm == pytest.approx(40.0, abs=0.5)
    assert fit.to_host(301_000) == pytest.approx(5000.0 + 300.0005 / (1 + 40e-6), abs=2e-4)


def test_millis_start_again_within_the_session() -> None:
    fit = fit_clock(
        probes(count=600, drift_ppm=-30.0, start_ms=MILLIS_RANGE - 300_000.0, seed=2, jitter=0.01, out_share=0.5)
    )
    assert fit.drift_ppm == pytest.approx(-30.0, abs=1.0)
    before, after = fit.to_host(MILLIS_RANGE - 1), fit.to_host(0)
    assert after - before == pytest.approx(0.001, abs=1e-6)


@pytest.mark.parametrize("count", [1, 2, 5, 9])
def test_few_probes_give_an_offset_without_drift(count: int) -> None:
    fit = fit_clock(probes(count=count, drift_ppm=50.0, start_ms=7000.0, seed=3, jitter=0.001, out_share=0.5))
    assert fit.drift_ppm == 0.0
    assert fit.to_host(7000) == pytest.approx(5000.0, abs=0.005)


def test_a_long_session_has_bounded_windows() -> None:
    fit = fit_clock(probes(count=20_000, drift_ppm=12.0, start_ms=0.0, seed=4, jitter=0.03, out_share=1.0))
    assert fit.drift_ppm == pytest.approx(12.0, abs=0.1)
    assert fit.used <= 301


def test_what_cannot_be_fitted() -> None:
    with pytest.raises(InfrastructureError, match="no probe was answered"):
        fit_clock([])
    one, two = probes(count=2, drift_ppm=0, start_ms=0, seed=0, jitter=0.001, out_share=0.5)
    with pytest.raises(InfrastructureError, match="started again"):
        fit_clock([one, ClockSample(9, Stamp("12345678", 0, 5), two.sent, two.received, 0)])


def test_probes_out_of_raw_events() -> None:
    data = {"probe": "7", "boot_id": BOOT, "seq": "3", "t_ms": "1234"}
    mine = {"data": data, "sent": 1.0, "received": 1.5, "sent_position": 160}
    events = [
        RawEvent("clock", 1.5, 160, mine),
        RawEvent("clock", 1.5, 160, mine | {"sent": None, "received": None, "sent_position": None}),
        RawEvent("clock", 1.5, 160, mine | {"data": data | {"boot_id": "12345678"}}),
        RawEvent("clock", 1.5, 160, mine | {"data": data | {"t_ms": "x"}}),
        RawEvent("clock", 1.5, 160, {}),
        RawEvent("note", 1.5, 160),
    ]
    (sample,) = clock_samples(events, BOOT)
    assert sample == ClockSample(7, Stamp(BOOT, 3, 1234), 1.0, 1.5, 160)
    assert sample.round_trip == 0.5
