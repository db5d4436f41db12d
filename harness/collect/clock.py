"""The board's clock against this machine's: offset and drift from probes.

A probe is a question sent at one time and answered at another; the board read its clock somewhere between. The shorter
the round trip, the less can be wrong, so of each window of time only the probe with the shortest round trip counts. A
line through those (Theil-Sen: the median of all slopes, so that single bad windows do not matter) gives offset and
drift.

Accuracy, by simulation in the tests: 600 probes, one a second, answers in whole milliseconds, one-sided delays of up to
30 ms: the drift is found within 2 ppm. The offset is wrong by at most half of the shortest round trips (`uncertainty`):
where out and back differ, no method can know it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import theilslopes

from firmware.answers import ClockSample, parse_stamp
from harness.collect.raw import RawEvent
from wakeword.errors import InfrastructureError

MILLIS_RANGE = 1 << 32
"""`millis()` has 32 bits: 49.7 days."""
WINDOW_SECONDS = 10.0
MAX_WINDOWS = 300
"""Theil-Sen looks at all pairs; a long session gets longer windows instead of more."""
_MIN_WINDOWS = 20
"""Short series get shorter windows: a line needs points more than it needs the best of them."""
_MIN_SPAN_SECONDS = 10.0
"""Below this a drift would be noise: 1 ms in 10 s is 100 ppm."""


@dataclass(frozen=True)
class ClockFit:
    """board seconds = `offset` + (1 + `drift_ppm` / 1e6) * (host seconds - `host_origin`)."""

    host_origin: float
    """`time.monotonic` seconds of the first probe."""
    offset: float
    """Board time at the origin, in seconds since its start (unwrapped from the first probe on)."""
    drift_ppm: float
    """Above 0: the board's clock is fast."""
    residual_rms: float
    """Seconds, over the probes used; whole milliseconds alone give 0.0003."""
    uncertainty: float
    """Seconds: half of the median round trip of the probes used, the bound of what unequal ways out and back can do to
    the offset."""
    probes: int
    used: int

    def to_host(self, t_ms: int, *, near: float | None = None) -> float:
        """Return the `time.monotonic` seconds of the board's `t_ms`.

        `near` (host seconds, say when the message arrived) chooses among the times that are 49.7 days apart; the origin
        without it.
        """
        near = self.host_origin if near is None else near
        expected_ms = self._to_board(near) * 1000
        turns = round((expected_ms - t_ms) / MILLIS_RANGE)
        board = (t_ms + turns * MILLIS_RANGE + 0.5) / 1000  # millis() rounds down
        return self.host_origin + (board - self.offset) / self._rate

    def _to_board(self, host: float) -> float:
        return self.offset + self._rate * (host - self.host_origin)

    @property
    def _rate(self) -> float:
        return 1 + self.drift_ppm * 1e-6


def clock_samples(events: Sequence[RawEvent], boot_id: str) -> list[ClockSample]:
    """Return the answered probes of one start of the board; damaged answers and those to other harnesses are
    left out."""
    samples = []
    for event in events:
        if event.kind != "clock":
            continue
        values = event.values
        try:
            stamp, probe = parse_stamp(values["data"]), int(values["data"]["probe"])
            sent, sent_position = float(values["sent"]), int(values["sent_position"])
            received = float(values["received"])
        except (KeyError, TypeError, ValueError):
            continue
        if stamp.boot_id == boot_id:
            samples.append(ClockSample(probe, stamp, sent, received, sent_position))
    return samples


def fit_clock(samples: Sequence[ClockSample]) -> ClockFit:
    """Fit offset and drift to the probes of one start of the board. With less than 10 s between them the drift is taken
    as 0.

    Raises `InfrastructureError` when there is no probe, or they come from several starts.
    """
    if not samples:
        raise InfrastructureError("clock of the board: no probe was answered; check the connection, then measure again")
    if len({sample.stamp.boot_id for sample in samples}) > 1:
        raise InfrastructureError("clock of the board: it was started again between the probes; fit each start alone")
    ordered = sorted(samples, key=lambda sample: sample.sent)
    sent = np.array([sample.sent for sample in ordered])
    round_trip = np.array([sample.received - sample.sent for sample in ordered])
    middle = sent + round_trip / 2
    board = (_unwrap([sample.stamp.t_ms for sample in ordered], middle) + 0.5) / 1000
    origin = float(middle[0])
    shortest = _shortest_of_each_window(middle, round_trip)
    host, board = middle[shortest] - origin, board[shortest]

    # Fitting board - host keeps the numbers small: the slope is the drift itself.
    difference = board - host
    slope = 0.0
    if len(shortest) > 1 and host[-1] - host[0] >= _MIN_SPAN_SECONDS:
        slope = float(theilslopes(difference, host)[0])
    offset = float(np.median(difference - slope * host))
    residuals = difference - slope * host - offset
    return ClockFit(
        host_origin=origin,
        offset=offset,
        drift_ppm=slope * 1e6,
        residual_rms=float(np.sqrt(np.mean(residuals**2))),
        uncertainty=float(np.median(round_trip[shortest])) / 2,
        probes=len(ordered),
        used=len(shortest),
    )


def _unwrap(
    t_ms: Sequence[int], host: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Undo the wraparound: each time is the one nearest to what the host's clock makes expect."""
    unwrapped = [t_ms[0]]
    for index in range(1, len(t_ms)):
        expected = unwrapped[-1] + (host[index] - host[index - 1]) * 1000
        unwrapped.append(t_ms[index] + round((expected - t_ms[index]) / MILLIS_RANGE) * MILLIS_RANGE)
    return np.array(unwrapped, np.float64)


def _shortest_of_each_window(
    host: np.ndarray[tuple[int], np.dtype[np.float64]], round_trip: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> list[int]:
    span = float(host[-1] - host[0])
    seconds = max(span / MAX_WINDOWS, min(WINDOW_SECONDS, span / _MIN_WINDOWS))
    # What begins at the very end belongs to the window before it: a window of one probe would have to take that one,
    # however late its answer.
    last = max(round(span / seconds) - 1, 0) if seconds > 0 else 0
    windows: dict[int, int] = {}
    for index, time in enumerate(host):
        window = min(int((time - host[0]) / seconds), last) if seconds > 0 else 0
        best = windows.get(window)
        if best is None or round_trip[index] < round_trip[best]:
            windows[window] = index
    return [windows[window] for window in sorted(windows)]
