"""Sound for the report: a part of a stream, put together from its recordings, as a WAV that can be embedded.

Recordings are read from the paths in the result and only believed when their hash is still the measured one.
"""

from __future__ import annotations

import base64
import io
import wave
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.results.schema import FileRecord
from wakeword.audio import open_sound, stream_samples
from wakeword.contract import SAMPLE_RATE_HZ
from wakeword.corpus.recordings import hash_file
from wakeword.errors import ConfigError
from wakeword.part import file_of, part_of
from wakeword.stored_features import is_stored


@dataclass(frozen=True)
class Clip:
    """A part of a stream as sound, or the reason why there is none."""

    wav_base64: str | None
    problem: str | None


class ClipReader:
    """Reads parts of streams; remembers which recordings it has already compared with their hash."""

    def __init__(self) -> None:
        self._problems: dict[tuple[str, str], str | None] = {}

    def read(self, files: Sequence[FileRecord], begin: float, end: float) -> Clip:
        """The stream from `begin` to `end` seconds as 16 kHz mono 16-bit WAV; silence where no recording lies."""
        sound = np.zeros(max(round((end - begin) * SAMPLE_RATE_HZ), 0), np.int16)
        for file in files:
            start, stop = max(file.stream_start, begin), min(file.stream_start + file.seconds, end)
            if stop <= start:
                continue
            problem = self._problem(file)
            if problem is not None:
                return Clip(None, problem)
            first, last = (round((moment - file.stream_start) * SAMPLE_RATE_HZ) for moment in (start, stop))
            try:
                part = _read_part(Path(file.path), first, last)
            except (ConfigError, OSError) as error:
                return Clip(None, f"audio cannot be read ({error})")
            offset = round((start - begin) * SAMPLE_RATE_HZ)
            room = sound[offset : offset + len(part)]
            room[:] = part[: len(room)]
        return Clip(base64.b64encode(_wav(sound)).decode("ascii"), None)

    def _problem(self, file: FileRecord) -> str | None:
        key = (file.path, file.sha256)
        if key not in self._problems:
            self._problems[key] = _compare(Path(file.path), file.sha256)
        return self._problems[key]


def _compare(path: Path, sha256: str) -> str | None:
    """Why the file is not the one that was measured, or None when it is."""
    try:
        if is_stored(path):
            return "features, there is no audio"
        if not file_of(path).is_file():
            return "audio not found"
        changed = hash_file(path) != sha256
    except (ConfigError, OSError):
        return "audio cannot be read"
    return "audio changed since the measurement" if changed else None


def _read_part(path: Path, first: int, last: int) -> NDArray[np.int16]:
    """Samples `first` to `last` of a recording as the model heard them: int16 `[last - first]`, or fewer at its end.

    Raises `ConfigError` when the recording cannot be decoded.
    """
    sound = open_sound(path) if part_of(path) is None else None
    with nullcontext() if sound is None else sound:
        if (
            sound is not None
            and (sound.samplerate, sound.channels, sound.subtype) == (SAMPLE_RATE_HZ, 1, "PCM_16")
            and sound.seekable()
        ):
            # The same samples as below, without decoding hours to reach them.
            sound.seek(min(first, sound.frames))
            samples: NDArray[np.int16] = sound.read(last - first, dtype="int16")
            return samples
    parts: list[NDArray[np.int16]] = []
    position = 0
    for block in stream_samples(path):
        parts.append(block[max(first - position, 0) : max(last - position, 0)])
        position += len(block)
        if position >= last:
            break
    return np.concatenate(parts)


def _wav(sound: NDArray[np.int16]) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(SAMPLE_RATE_HZ)
        writer.writeframes(sound.astype("<i2").tobytes())
    return buffer.getvalue()
