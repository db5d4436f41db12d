"""A recording of what a board's own microphone hears, and what is lost on the way of recordings played to it."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench_audio.playback.capture import GrowingWav
from firmware.boards.ear import EarFacts
from harness.diagnosis.reference import framed
from harness.ear.kept import FOLDERS, Holds, KeptRow, append_row, stamp
from harness.ear.listening import Listened, TimedDetection, listening
from harness.ear.loss import AcousticLoss, PlayedWord, acoustic_loss
from harness.ear.sounding import play_in_room
from wakeword.audio import read_samples
from wakeword.contract import SAMPLE_RATE_HZ
from wakeword.device_model import DeviceModel
from wakeword.errors import ConfigError

if TYPE_CHECKING:
    from firmware.boards.entry import BoardEntry
    from firmware.build import Firmware

BEHIND_SECONDS = 0.75
"""Heard behind each recording: a loudspeaker's delay, and the decision."""


@dataclass(frozen=True)
class RecordRequest:
    """What the user asked for."""

    folder: Path
    seconds: float
    holds: Holds
    consent: str
    play: tuple[Path, ...] = ()
    """Recordings of the wake word that are played to the board; it then records for as long as they take."""
    model: DeviceModel | None = None
    """What simulates both, where something is played."""
    speaker: str | None = None


@dataclass(frozen=True)
class Recorded:
    """A finished recording."""

    path: Path
    row: KeptRow
    loss: AcousticLoss | None


async def record(
    entry: BoardEntry, firmware: Firmware | None, request: RecordRequest, say: Callable[[str], None]
) -> Recorded:
    """Record, and keep. Raises as `listening`, and `ConfigError` where something is to be played and nothing plays."""
    # Many utterances in one file are no example of the wake word: mww-train takes a file for one.
    folder = request.folder / FOLDERS["unknown" if request.holds == "wake" else request.holds] / entry.name
    folder.mkdir(parents=True, exist_ok=True)
    growing = GrowingWav(folder / f"{stamp(datetime.datetime.now().astimezone())}.partial")
    digest, found, begun = hashlib.sha256(), list[TimedDetection](), list[datetime.datetime]()

    def take(samples: NDArray[np.int16]) -> None:
        if not begun:
            length = datetime.timedelta(seconds=len(samples) / SAMPLE_RATE_HZ)
            begun.append(datetime.datetime.now().astimezone() - length)
        growing.write(samples)
        digest.update(np.ascontiguousarray(samples, "<i2").tobytes())

    words, word = list[PlayedWord](), ""
    try:
        async with listening(entry, firmware, take, found.append) as board:
            if request.model is not None:
                board.require_model(request.model)
                word = board.wake_word(request.model)
            if request.play:
                words = await _played(board, request, say)
            else:
                await board.ear.hear(round(request.seconds * SAMPLE_RATE_HZ))
            await board.collector.flush()
            facts, identity, microphone = board.ear.facts, board.identity, board.microphone
    except BaseException:
        growing.close()
        if begun:
            say(f"cut off: what was heard until then is in {growing.path.absolute()}; remove it, or keep it knowingly")
        else:
            growing.path.unlink(missing_ok=True)
        raise
    growing.close()
    path = folder / f"{stamp(begun[0])}.wav"
    row = KeptRow(
        file=str(path.relative_to(request.folder)),
        sha256=digest.hexdigest(),
        recorded=begun[0].isoformat(timespec="milliseconds"),
        seconds=round(facts.samples / SAMPLE_RATE_HZ, 3),
        board=entry.name,
        target=identity.target,
        microphone=microphone,
        holds=request.holds,
        lost_samples=facts.lost + facts.slow,
        rate=None if facts.rate is None else round(facts.rate, 1),
        consent=request.consent,
    )
    # The row first: a file without one would be trained on, and nobody could say where it is from.
    append_row(request.folder, row)
    growing.path.rename(path)
    loss = None
    if words and request.model is not None:
        say("simulating what was played, and what was heard")
        loss = acoustic_loss(
            request.model, words, read_samples(path), [one.sample for one in found if one.wake_word == word]
        )
    return Recorded(path, row, loss)


async def _played(board: Listened, request: RecordRequest, say: Callable[[str], None]) -> list[PlayedWord]:
    """Play all recordings, one after the other, each with silence around it."""
    words = []
    for number, path in enumerate(request.play, 1):
        say(f"playing {path.name}, {number} of {len(request.play)}")
        start, before = board.ear.samples, board.ear.facts
        if not await play_in_room(board.board, board.room, framed(read_samples(path)), request.speaker):
            raise ConfigError("nothing plays: name a loudspeaker by --speaker, or in boards.yaml")
        await board.ear.hear(board.ear.samples + round(BEHIND_SECONDS * SAMPLE_RATE_HZ))
        # What was lost in the buffers of the board lies a second later at most.
        await board.ear.hear(board.ear.samples + SAMPLE_RATE_HZ // 2)
        words.append(PlayedWord(path, start, board.ear.samples, _void(before, board.ear.facts)))
    return words


def _void(before: EarFacts, after: EarFacts) -> str:
    """Why nothing can be said of what was heard between the two; empty where all of it was."""
    if after.unheard > before.unheard:
        return f"detection did not run for {(after.unheard - before.unheard) / SAMPLE_RATE_HZ:.2f} s"
    lost = after.lost + after.slow - before.lost - before.slow
    return f"{lost / SAMPLE_RATE_HZ:.2f} s of the sound were lost on the board" if lost else ""
