"""Seconds around each detection of a board, as its microphone heard them."""

from __future__ import annotations

import asyncio
import datetime
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from harness.ear.kept import FOLDERS, Holds, KeptRow, keep, stamp
from harness.ear.listening import Listened, TimedDetection, listening
from harness.results.wording import number
from wakeword.contract import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from firmware.boards.entry import BoardEntry
    from firmware.build import Firmware

STEP_SECONDS = 0.5
SPARE_SECONDS = 30.0
"""A detection may be told so much later than it was decided."""
BUFFERED_SAMPLES = 3 * SAMPLE_RATE_HZ // 2
"""What the board holds before it is told at most: a loss is counted when it happens, so much before its place."""
FLUSH_SECONDS = 60.0


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
        self._losses: deque[tuple[int, int]] = deque([(0, 0)])
        self.end = 0
        """Samples that came since the stream began."""
        self._start = 0

    def take(self, samples: NDArray[np.int16], lost: int = 0) -> None:
        """The next block `[n]`; `lost` samples were thrown away until it came, since the stream began."""
        self._blocks.append(samples)
        self.end += len(samples)
        if lost != self._losses[-1][1]:
            self._losses.append((self.end, lost))
        while len(self._losses) > 1 and self._losses[1][0] <= self._start - BUFFERED_SAMPLES:
            self._losses.popleft()
        while self._blocks and self.end - self._start - len(self._blocks[0]) >= self._most:
            self._start += len(self._blocks.popleft())

    def part(self, start: int, end: int) -> NDArray[np.int16]:
        """Samples [start, end) of the stream, as far as they are there."""
        held = np.concatenate([np.zeros(0, np.int16), *self._blocks])
        return held[max(0, start - self._start) : max(0, end - self._start)].copy()

    def lost_before(self, position: int) -> int:
        """Samples that had been thrown away when this place of the stream came."""
        return max((lost for at, lost in self._losses if at <= position), default=self._losses[0][1])

    def lost_within(self, start: int, end: int) -> int:
        """Samples that were thrown away and may belong into [start, end)."""
        return self.lost_before(end) - self.lost_before(start - BUFFERED_SAMPLES)


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
    taking = _Taking(request, recent, waiting, say)
    last = None if request.seconds is None else round(request.seconds * SAMPLE_RATE_HZ)
    after = round(request.after * SAMPLE_RATE_HZ)
    try:
        async with listening(entry, firmware, taking.take, waiting.append, request.room) as board:
            taking.board = board
            began(board)
            while (last is None or recent.end < last) and not taking.enough:
                await board.ear.hear(recent.end + round(STEP_SECONDS * SAMPLE_RATE_HZ))
                taking.keep_due()
            if not taking.enough:
                # What was decided by now is told, and what belongs behind it is heard.
                await board.collector.flush(FLUSH_SECONDS)
                await board.ear.hear(max([recent.end, *(one.sample + after for one in waiting)]))
                taking.keep_due()
            facts, missing = board.ear.facts, board.log.missing
    except asyncio.CancelledError:
        say(f"interrupted; {number(len(taking.kept), 'detection')} kept")
        raise
    if facts.lost or facts.slow:
        say(f"the board lost {(facts.lost + facts.slow) / SAMPLE_RATE_HZ:.2f} s of the sound on its way")
    if facts.unheard:
        say(f"detection did not run for {facts.unheard / SAMPLE_RATE_HZ:.2f} s of it")
    if missing:
        say(f"{number(missing, 'detection')} of the board never told: its connection was broken meanwhile")
    return taking.kept


class _Taking:
    """What comes, and what is kept of it."""

    def __init__(
        self,
        request: CaptureRequest,
        recent: RecentSound,
        waiting: deque[TimedDetection],
        say: Callable[[str], None],
    ) -> None:
        self._request, self._recent, self._waiting, self._say = request, recent, waiting, say
        self.board: Listened | None = None
        self.kept: list[KeptRow] = []
        self._start: datetime.datetime | None = None
        """When the first sample was heard."""

    @property
    def enough(self) -> bool:
        """Whether all that was asked for is kept."""
        return self._request.most is not None and len(self.kept) >= self._request.most

    def take(self, samples: NDArray[np.int16]) -> None:
        """The next block `[n]`."""
        if self._start is None:
            length = datetime.timedelta(seconds=len(samples) / SAMPLE_RATE_HZ)
            self._start = datetime.datetime.now().astimezone() - length
        self._recent.take(samples, 0 if self.board is None else self.board.ear.block.lost)

    def keep_due(self) -> None:
        """Keep the detections whose sound is there."""
        after = round(self._request.after * SAMPLE_RATE_HZ)
        while self._waiting and self._recent.end >= self._waiting[0].sample + after and not self.enough:
            heard = self._waiting.popleft()
            row = self._keep(heard, max(0, heard.sample - round(self._request.before * SAMPLE_RATE_HZ)), after)
            if row is None:
                self._say(f"{heard.wake_word!r} was told too late: its sound is not there any more, and is not kept")
                continue
            self.kept.append(row)
            self._say(f"{row.wake_word!r} at {row.recorded}: {row.file}")

    def _keep(self, heard: TimedDetection, first: int, after: int) -> KeptRow | None:
        """Keep one; None where its sound is not whole."""
        request, board, recent = self._request, self.board, self._recent
        assert board is not None
        assert self._start is not None
        end = heard.sample + after
        samples = recent.part(first, end)
        if len(samples) != end - first:
            return None
        began = self._start + datetime.timedelta(seconds=(first + recent.lost_before(first)) / SAMPLE_RATE_HZ)
        name = board.board.entry.name
        # A detection says its wake word alone: of two models with one, nobody knows which it was.
        hashes = [model.sha256 for model in board.identity.models if model.wake_word == heard.wake_word]
        sha256 = hashes[0] if len(hashes) == 1 else ""
        row = KeptRow(
            file=str(Path(FOLDERS[request.holds]) / name / f"{stamp(began)}-{sha256[:8] or 'unknown'}.wav"),
            sha256="",
            recorded=began.isoformat(timespec="milliseconds"),
            seconds=round(len(samples) / SAMPLE_RATE_HZ, 3),
            board=name,
            target=board.identity.target,
            microphone=board.microphone,
            holds=request.holds,
            wake_word=heard.wake_word,
            model_sha256=sha256,
            detected_seconds=round((heard.sample - first) / SAMPLE_RATE_HZ, 3),
            probability=heard.probability,
            lost_samples=recent.lost_within(first, end),
            consent=request.consent,
        )
        return keep(request.folder, samples, row)
