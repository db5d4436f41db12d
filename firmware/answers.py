"""What the board's events carry, parsed. The board sends every value as text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

DETECTION_EVENT = "esphome.mww_detection"
CLOCK_EVENT = "esphome.mww_clock"
OWN_MICROPHONE, BENCH_MICROPHONE = "own", "bench"
IDENTITY_EVENT = "esphome.mww_identity"

_BOOT_ID = re.compile(r"[0-9a-f]{8}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Stamp:
    """What every event of the board carries."""

    boot_id: str
    """8 hex digits, chosen at random when the board started."""
    seq: int
    """Detections since the start; of a detection its own number, from 1."""
    t_ms: int
    """The board's `millis()`: 32 bits, so it starts again from 0 after 49.7 days."""


@dataclass(frozen=True)
class DetectionAnswer:
    """A detection as the board's event tells it."""

    stamp: Stamp
    wake_word: str
    sample: int | None
    """Samples that the stream had when the detection was decided; None on a real board, which cannot know."""


@dataclass(frozen=True)
class ClockSample:
    """One round trip to the board's clock."""

    probe: int
    stamp: Stamp
    sent: float
    """`time.monotonic` seconds when the question left."""
    received: float
    sent_position: int
    """Samples of the stream that the board had certainly heard when the question left."""

    @property
    def round_trip(self) -> float:
        """Seconds between question and answer."""
        return self.received - self.sent


@dataclass(frozen=True)
class ModelIdentity:
    """A model in the board's own words: the hash is computed by the board over the bytes that it runs."""

    model_id: str
    wake_word: str
    sha256: str
    bytes: int
    cutoff: int
    """0-255, as in use."""
    window: int | None = None
    """Probabilities in its sliding window; None, as the next two, for a firmware that does not tell."""
    enabled: bool | None = None
    arena: int | None = None
    """Bytes of the tensor arena that it was found to need when it was loaded."""


@dataclass(frozen=True)
class Identity:
    """The board's answer to `mww_identify`."""

    stamp: Stamp
    target: str
    models: tuple[ModelIdentity, ...]
    microphone: str = ""
    """What detection listens to: `OWN_MICROPHONE` or `BENCH_MICROPHONE`; empty for a firmware that does not tell."""
    channel: int | None = None
    """Of the board's own microphone; None for a firmware that does not tell."""
    gain: int | None = None
    """The factor on what that microphone gives."""


def parse_stamp(data: Mapping[str, str]) -> Stamp:
    """Raise `KeyError` or `ValueError` when the event is not one of the bench's firmware."""
    if not _BOOT_ID.fullmatch(data["boot_id"]):
        raise ValueError("boot_id is not 8 hex digits")
    stamp = Stamp(data["boot_id"], int(data["seq"]), int(data["t_ms"]))
    if stamp.seq < 0 or not 0 <= stamp.t_ms < 1 << 32:
        raise ValueError("seq or t_ms is out of range")
    return stamp


def parse_detection(data: Mapping[str, str]) -> DetectionAnswer:
    """Raise `KeyError` or `ValueError` when the event is damaged."""
    stamp = parse_stamp(data)
    if stamp.seq < 1:
        raise ValueError("seq of a detection begins at 1")
    sample = int(data["sample"])
    return DetectionAnswer(stamp, data["wake_word"], sample if sample >= 0 else None)


def parse_identity(data: Mapping[str, str]) -> Identity:
    """Raise `KeyError` or `ValueError` when the event is damaged."""
    models = []
    for entry in filter(None, data["models"].split(";")):
        model_id, wake_word, sha256, size, cutoff, *more = entry.split("|")
        if not _SHA256.fullmatch(sha256) or not 0 <= int(cutoff) <= 255:
            raise ValueError(f"model {model_id}: hash or cutoff is no such thing")
        window, enabled, arena = map(int, more) if more else (None, None, None)
        models.append(
            ModelIdentity(
                model_id,
                wake_word,
                sha256,
                int(size),
                int(cutoff),
                window,
                None if enabled is None else enabled == 1,
                arena or None,
            )
        )
    channel, gain = (int(data[key]) if key in data else None for key in ("channel", "gain"))
    return Identity(
        parse_stamp(data), data["target"], tuple(models), data.get("microphone", ""), channel=channel, gain=gain
    )
