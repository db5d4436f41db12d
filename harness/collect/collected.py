"""What `reconcile` makes of raw events: detections, void intervals, streams and counters of integrity."""

from __future__ import annotations

from dataclasses import dataclass

from firmware.answers import Stamp


@dataclass(frozen=True)
class CollectedDetection:
    """One detection, told once; `average` and `maximum` (0-1) are there when the log line was."""

    leg: int
    position: int | None
    """Samples of the stream at the decision; None where the board does not know, or its count cannot be trusted any
    more."""
    received_position: int
    """Position that the board had certainly heard when the event arrived."""
    t: float
    """`time.monotonic` seconds when the event arrived."""
    stamp: Stamp
    wake_word: str
    average: float | None
    maximum: float | None


@dataclass(frozen=True)
class CollectedVoid:
    """Samples [start, end) of a leg that are in no figure; an end of None is the end of the leg."""

    leg: int
    start: int
    end: int | None
    reason: str


@dataclass(frozen=True)
class CollectedLeg:
    """One stream as far as the log knows it."""

    index: int
    position: int
    """The highest position of any event in it, in samples."""
    confirmed: int
    """All detections before this position have arrived."""
    boot_id: str | None


@dataclass
class Integrity:
    """What went wrong, counted. A gap, reboot or stop between two streams, with nothing missing and nothing heard
    meanwhile, is none.
    """

    detections: int = 0
    duplicates: int = 0
    """Detections told twice, by (boot_id, seq)."""
    late: int = 0
    """Detections that arrived after a later one."""
    lost: int = 0
    """Detections that the board counted and never told."""
    seq_gaps: int = 0
    reboots: int = 0
    """The board's boot_id changed within a leg."""
    api_gaps: int = 0
    audio_lost: int = 0
    """Ring buffer overflows and pauses."""
    stops: int = 0
    inference_errors: int = 0
    events_without_log: int = 0
    logs_without_event: int = 0
    events_dropped: int = 0
    """The board said itself that it could not send an event."""
    malformed: int = 0
    misplaced: int = 0
    """Detections whose sample count cannot be trusted."""
    vad_blocked: int = 0
    entity_events: int = 0


@dataclass(frozen=True)
class Collected:
    """All that the raw events say."""

    detections: tuple[CollectedDetection, ...]
    voids: tuple[CollectedVoid, ...]
    """Sorted, not overlapping within a leg; where several things went wrong at once the reasons are joined."""
    legs: tuple[CollectedLeg, ...]
    integrity: Integrity
    arena_probed: tuple[int, ...]
    """Bytes, in the order of the log lines: one for each model that the board loaded."""
