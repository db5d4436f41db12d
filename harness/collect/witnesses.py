"""The board's log as a witness: which of its lines say something about a measurement.

Lines come by the native API as the board's console would show them: coloured, `[level][tag:line]`, and the name of the
task where it is not the main one. The words are those of `micro_wake_word.cpp`, `streaming_model.cpp` and
`api_server.cpp` of ESPHome 2026.10.0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_HEADER = re.compile(
    r"\[(?P<level>[A-Z]{1,2})\]\[(?P<tag>[^\]]*?)(?::\d+)?\](?:\[(?P<task>[^\]]*)\])?: ?(?P<message>.*)", re.DOTALL
)

# A wake word may hold any sign, a quote too: the words around it decide where it ends.
_DETECTED = re.compile(
    r"Detected '(.*)' with sliding average probability is ([0-9.]+) and max probability is ([0-9.]+)"
)
_BLOCKED = re.compile(r"Wake word model predicts '(.*)', but VAD model doesn't\.")
_STATE = re.compile(r"State changed from (\w+) to (\w+)")
_ARENA = re.compile(r"Probed tensor arena size: (\d+) bytes")
_ARENA_FAILED = re.compile(r"Arena size probe failed, using manifest size: (\d+) bytes")
_OVERFLOW = "Not enough free bytes in ring buffer"
_PAUSED = re.compile(r"Inference task paused for \d+ ms without being released")
_INFERENCE_ERRORS = (
    "Streaming interpreter invoke failed",
    "Encountered an error while performing an inference",
    "Encountered an error allocating buffers",
)
_ALREADY_RUNNING = "Wake word detection is already running"

RUNNING_STATE = "DETECTING_WAKE_WORD"
STOPPED_STATE = "STOPPED"


@dataclass(frozen=True)
class BoardLine:
    """A line of the board's log without its decoration."""

    level: str
    """E, W, I, C, D, V or VV; empty when the line has no header."""
    tag: str
    task: str
    """Name of the task that wrote it; empty for the main one."""
    message: str


@dataclass(frozen=True)
class Detected:
    """The second witness of a detection; probabilities 0-1 as printed, with two digits."""

    wake_word: str
    average: float
    maximum: float


@dataclass(frozen=True)
class BlockedByVad:
    """The wake word's model agreed, the voice activity model did not: no detection."""

    wake_word: str


@dataclass(frozen=True)
class StateChanged:
    """Detection started, runs, stops or stopped."""

    before: str
    after: str


@dataclass(frozen=True)
class ArenaProbed:
    """What a model's tensor arena needs on this board."""

    bytes: int


@dataclass(frozen=True)
class ArenaProbeFailed:
    """The board fell back on the manifest's size."""

    manifest_bytes: int


@dataclass(frozen=True)
class AudioLost:
    """The board threw audio away: its ring buffer was full, or the models were paused."""

    reason: str


@dataclass(frozen=True)
class InferenceFailed:
    """The detection's task met an error; it stops after it."""

    message: str


@dataclass(frozen=True)
class EventDropped:
    """The board says itself that it could not send an event."""

    message: str


@dataclass(frozen=True)
class AlreadyRunning:
    """A start was asked for while detection runs."""


type LogFact = (
    Detected
    | BlockedByVad
    | StateChanged
    | ArenaProbed
    | ArenaProbeFailed
    | AudioLost
    | InferenceFailed
    | EventDropped
    | AlreadyRunning
)


def parse_line(text: str) -> BoardLine:
    """Strip colours and header; a line without a header is all message."""
    plain = _COLOUR.sub("", text).strip()
    match = _HEADER.match(plain)
    if match is None:
        return BoardLine("", "", "", plain)
    return BoardLine(match["level"], match["tag"], match["task"] or "", match["message"].strip())


def parse_fact(text: str) -> LogFact | None:
    """What a log line says about the measurement; None for all others. Never raises, whatever the line holds."""
    line = parse_line(text)
    message = line.message
    if (
        line.tag.startswith("api")
        and "dropped" in message
        and ("Action request" in message or "Home Assistant event" in message)
    ):
        return EventDropped(message)
    if line.tag != "micro_wake_word":
        return None
    if match := _DETECTED.fullmatch(message):
        try:
            return Detected(match[1], float(match[2]), float(match[3]))
        except ValueError:  # "1.0.0"
            return None
    if match := _BLOCKED.fullmatch(message):
        return BlockedByVad(match[1])
    if match := _STATE.fullmatch(message):
        return StateChanged(match[1], match[2])
    if match := _ARENA.fullmatch(message):
        return ArenaProbed(int(match[1]))
    if match := _ARENA_FAILED.fullmatch(message):
        return ArenaProbeFailed(int(match[1]))
    if message.startswith(_OVERFLOW):
        return AudioLost("ring buffer overflow")
    if _PAUSED.match(message):
        return AudioLost("inference paused")
    if message.startswith(_INFERENCE_ERRORS):
        return InferenceFailed(message)
    if message.startswith(_ALREADY_RUNNING):
        return AlreadyRunning()
    return None
