"""Seconds around each detection of a board, as its microphone heard them."""

from __future__ import annotations

import datetime
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from harness.ear.kept import Holds, KeptRow, append_row, keep, stamp
from harness.ear.listening import Listened, TimedDetection, listening
from wakeword.contract import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from firmware.boards.entry import BoardEntry
    from firmware.build import Firmware

STEP_SECONDS = 0.5
SPARE_SECONDS = 30.0
"""A detection may be told so much later than it was decided."""


@dataclass(frozen=True)
class CaptureRequest:
    """What the user asked for."""

    folder: Path
    holds: Holds
    consent: str
    before: float = 2.0
    """Seconds before the decision; a wake word and its beginning lie in them."""
    after: float = 0.5
    seconds: float | None = None
    """How long it listens; None: until it is interrupted."""
    most: int | None = None
    """Detections after which it ends."""
    room: dict[str, float | int] | None = None
    """Of a board that is a program: settings of `VirtualRoom`."""


class RecentSound:
    """The last seconds of a stream."""

    def __init__(self, seconds: float) -> None:
        self._most = round(seconds * SAMPLE_RATE_HZ)
        self._blocks: deque[NDArray[np.int16]] = deque()
        self.end = 0
        """Samples that came since the stream began."""
        self._start = 0

    def take(self, samples: NDArray[np.int16]) -> None:
        """The next block `[n]`."""
        self._blocks.append(samples)
        self.end += len(samples)
        while self._blocks and self.end - self._start - len(self._blocks[0]) >= self._most:
            self._start += len(self._blocks.popleft())

    def part(self, start: int, end: int) -> NDArray[np.int16]:
        """Samples [start, end) of the stream, as far as they are still there."""
        held = np.concatenate([np.zeros(0, np.int16), *self._blocks])
        return held[max(0, start - self._start) : max(0, end - self._start)].copy()


async def capture(
    entry: BoardEntry,
    firmware: Firmware | None,
    request: CaptureRequest,
    say: Callable[[str], None],
    began: Callable[[Listened], None] = lambda _: None,
) -> list[KeptRow]:
    """Keep seconds around each detection until the time is over. What is kept is on the disk at once.

    Args:
        entry: The board.
        firmware: What it runs.
        request: What the user asked for.
        say: Takes a line for each that is kept.
        began: Told when the board is listened to.

    Raises as `listening`; `BoardGone` when the board goes away.
    """
    recent = RecentSound(request.before + request.after + SPARE_SECONDS)
    waiting: deque[TimedDetection] = deque()
    kept: list[KeptRow] = []
    last = None if request.seconds is None else round(request.seconds * SAMPLE_RATE_HZ)
    async with listening(entry, firmware, recent.take, waiting.append, request.room) as board:
        hashes = {model.wake_word: model.sha256 for model in board.identity.models}
        began(board)
        start = datetime.datetime.now().astimezone()
        while (last is None or recent.end < last) and not (request.most is not None and len(kept) >= request.most):
            await board.ear.hear(recent.end + round(STEP_SECONDS * SAMPLE_RATE_HZ))
            while waiting and recent.end >= waiting[0].sample + round(request.after * SAMPLE_RATE_HZ):
                row = _kept(request, board, recent, waiting.popleft(), hashes, start)
                kept.append(row)
                say(f"{row.wake_word!r} at {row.recorded}: {row.file}")
        facts = board.ear.facts
    if facts.lost:
        say(f"the board lost {facts.lost / SAMPLE_RATE_HZ:.2f} s of the sound on its way")
    return kept


def _kept(
    request: CaptureRequest,
    board: Listened,
    recent: RecentSound,
    heard: TimedDetection,
    hashes: dict[str, str],
    start: datetime.datetime,
) -> KeptRow:
    """Keep one.

    Args:
        request: What the user asked for.
        board: Where it was heard.
        recent: The sound.
        heard: The detection.
        hashes: Of the models by their wake words.
        start: When the first sample was heard.
    """
    first = max(0, heard.sample - round(request.before * SAMPLE_RATE_HZ))
    samples = recent.part(first, heard.sample + round(request.after * SAMPLE_RATE_HZ))
    began = start + datetime.timedelta(seconds=first / SAMPLE_RATE_HZ)
    name = board.board.entry.name
    path, sha256 = keep(request.folder, f"{stamp(began)}-{sha_prefix(hashes, heard)}", samples, request.holds, name)
    row = KeptRow(
        file=str(path.relative_to(request.folder)),
        sha256=sha256,
        recorded=began.isoformat(timespec="milliseconds"),
        seconds=round(len(samples) / SAMPLE_RATE_HZ, 3),
        board=name,
        target=board.identity.target,
        microphone=board.microphone,
        holds=request.holds,
        wake_word=heard.wake_word,
        model_sha256=hashes.get(heard.wake_word, ""),
        detected_seconds=round((heard.sample - first) / SAMPLE_RATE_HZ, 3),
        probability=heard.probability,
        lost_samples=board.ear.facts.lost,
        consent=request.consent,
    )
    append_row(request.folder, row)
    return replace(row)


def sha_prefix(hashes: dict[str, str], heard: TimedDetection) -> str:
    """What tells models apart in a file's name."""
    return hashes.get(heard.wake_word, "unknown")[:8]
