"""Any recording as 16 kHz mono int16, block by block, in bounded memory.

libsndfile decodes what it knows (wav, flac, ogg, opus, mp3, aiff, ...); anything else goes through the `ffmpeg` program
where that is installed. Samples that already are 16 kHz mono 16-bit pass through unchanged. All others are averaged
over their channels, resampled by soxr (HQ) and rounded once, at the end.

A path may name a part of a recording (`wakeword.part`): the sound of the file between two times, converted by itself.

A recording is whole or an error: a file that ends early, holds damaged data or holds nothing raises `ConfigError`,
because a clip that is silently short would move every figure that is computed from it.
"""

from __future__ import annotations

import functools
import importlib.metadata
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wakeword import contract
from wakeword.errors import ConfigError
from wakeword.part import Part, file_of, part_of
from wakeword.stored_features import is_stored, stored_seconds

if TYPE_CHECKING:
    from wakeword.container import Sound

_SNDFILE_SUFFIXES = frozenset(
    {".aif", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".rf64", ".w64", ".wav"}
)
_FFMPEG_SUFFIXES = frozenset({".3gp", ".aac", ".amr", ".m4a", ".mka", ".mkv", ".mov", ".mp4", ".webm", ".wma"})
AUDIO_SUFFIXES = _SNDFILE_SUFFIXES | _FFMPEG_SUFFIXES
"""Lower-case file name endings that are looked for in folders of recordings."""

_NOT_DECODED = 7
"""libsndfile's code for an MP3 in which its decoder finds nothing; its text says that there is no such file."""

BLOCK_SAMPLES = contract.SAMPLE_RATE_HZ * 4

_READ_FRAMES = 1 << 16
"""Frames decoded at a time. Fixed, so that what a caller asks for as block size cannot touch the resampler's input."""
_INT16_SCALE = np.float32(32768)


@dataclass(frozen=True)
class AudioInfo:
    """What a file's header, or a folder of features, says of its sound. `seconds` is 0 where the container does not
    state a length.
    """

    seconds: float
    sample_rate: int
    channels: int
    format: str
    """Container and sample format, as the decoder names them, e.g. "WAV PCM_16"."""
    decoder: str
    """"libsndfile", "ffmpeg", or "mmap_ninja" of a folder of features."""


@functools.cache
def conversion_id() -> str:
    """Names what turns files into samples, for cache keys: another release may decode or resample to other bits."""
    import soundfile

    return f"libsndfile {soundfile.__libsndfile_version__}, soxr {importlib.metadata.version('soxr')}"


def stream_samples(path: Path, block_samples: int = BLOCK_SAMPLES) -> Iterator[NDArray[np.int16]]:
    """Yield a recording as 16 kHz mono int16 blocks `[block_samples]`; the last one may be shorter, none is empty.

    The joined result does not depend on `block_samples`. Raises `ConfigError` when the file is missing, cannot be
    decoded, is truncated, damaged in the middle or empty; damage may show only after blocks were yielded.
    """
    if block_samples < 1:
        raise ValueError(f"block_samples must be positive, got {block_samples}")
    pending: list[NDArray[np.int16]] = []
    held = 0
    total = 0
    for part in _decode(path):
        pending.append(part)
        held += len(part)
        if held < block_samples:
            continue
        joined = np.concatenate(pending)
        whole = held - held % block_samples
        for start in range(0, whole, block_samples):
            yield joined[start : start + block_samples]
        pending = [joined[whole:]]
        total += whole
        held -= whole
    if total + held == 0:
        raise ConfigError(f"{path}: holds no sound; remove or replace the file")
    if held:
        yield np.concatenate(pending)


def read_samples(path: Path) -> NDArray[np.int16]:
    """Read a whole recording as 16 kHz mono int16 `[samples]`. Raises `ConfigError` as `stream_samples` does."""
    return np.concatenate(list(stream_samples(path)))


def probe(path: Path) -> AudioInfo:
    """Read a recording's header without decoding it, or the tables of a folder of features.

    Raises `ConfigError` when the file is missing or no decoder knows it.
    """
    if is_stored(path):
        return AudioInfo(stored_seconds(path), contract.SAMPLE_RATE_HZ, 1, "features", "mmap_ninja")
    part, file = part_of(path), file_of(path)
    sound = open_sound(file)
    if sound is None:
        info = _probe_with_ffmpeg(file)
    else:
        with sound:
            info = AudioInfo(
                (sound.known_frames or 0) / sound.samplerate,
                sound.samplerate,
                sound.channels,
                f"{sound.format} {sound.subtype}",
                "libsndfile",
            )
    return (
        info if part is None else replace(info, seconds=max(0.0, min(part.end, info.seconds or part.end) - part.start))
    )


def _decode(path: Path) -> Iterator[NDArray[np.int16]]:
    """Blocks of any length, possibly empty ones, from whichever decoder knows the file."""
    part, file = part_of(path), file_of(path)
    sound = open_sound(file)
    if sound is None:
        yield from _decode_with_ffmpeg(file, part)
        return
    with sound:
        sound.check_whole()
        frames = None if part is None else _go_to(part, sound)
        if (sound.samplerate, sound.channels, sound.subtype) == (contract.SAMPLE_RATE_HZ, 1, "PCM_16"):
            yield from _read_frames(path, sound, "int16", frames)
        else:
            yield from _convert(path, sound, frames)


def _go_to(part: Part, sound: Sound) -> int:
    """Set an open file to the first frame of a part, and return the number of frames of the part. Raises `ConfigError`
    where the file ends before it.
    """
    frames, rate = int(sound.frames), int(sound.samplerate)  # of an unknown length: more than any part has
    first, end = round(part.start * rate), round(part.end * rate)
    if first >= frames or end > frames + rate:
        raise ConfigError(
            f"{part.path}: the file is only {frames / rate:.2f} s long; it has changed, or the times are wrong"
        )
    sound.seek(first)
    return min(end, frames) - first


def open_sound(path: Path) -> Sound | None:
    """The open file, mended where its header was never finished, or None when libsndfile does not know its format and
    ffmpeg may.

    Raises `ConfigError` when there is nothing to read, or only what is damaged.
    """
    import soundfile

    from wakeword.container import Sound

    if is_stored(path):
        raise ConfigError(
            f"{path}: holds features, not sound: models can be trained and simulated on it, but nothing can be heard or"
            " played"
        )
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; check the path")
    if path.stat().st_size == 0:
        raise ConfigError(f"{path}: the file is empty; remove or replace it")
    try:
        return Sound(path)
    except soundfile.LibsndfileError as error:
        if path.suffix.lower() in _SNDFILE_SUFFIXES:
            why = "no MP3 frame in it" if error.code == _NOT_DECODED else error.error_string
            raise ConfigError(f"{path}: cannot be read as sound ({why}); remove or replace the file") from error
        return None


def _read_frames(path: Path, sound: Sound, dtype: str, part: int | None) -> Iterator[NDArray[Any]]:
    """All frames in blocks, or the next ones of a part, and proof that there were as many as the header states or the
    part has.
    """
    import soundfile

    frames, expected = 0, sound.known_frames if part is None else part
    try:
        while len(block := sound.read(_READ_FRAMES if part is None else min(_READ_FRAMES, part - frames), dtype=dtype)):
            frames += len(block)
            yield block
    except soundfile.LibsndfileError as error:
        raise ConfigError(
            f"{path}: damaged after {frames / sound.samplerate:.2f} s ({error.error_string}); replace the file"
        ) from error
    if expected is not None and frames != expected:
        raise ConfigError(
            f"{path}: damaged or truncated, {frames} of {expected} frames could be decoded; replace the file"
        )


def _convert(path: Path, sound: Sound, frames: int | None) -> Iterator[NDArray[np.int16]]:
    import soxr

    resampler = None
    if sound.samplerate != contract.SAMPLE_RATE_HZ:
        resampler = soxr.ResampleStream(sound.samplerate, contract.SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
    for block in _read_frames(path, sound, "float32", frames):
        mono = block if block.ndim == 1 else block.mean(axis=1, dtype=np.float32)
        if not np.isfinite(mono).all():
            raise ConfigError(f"{path}: holds sample values that are not numbers; export the recording again")
        yield to_int16(mono if resampler is None else resampler.resample_chunk(mono))
    if resampler is not None:
        yield to_int16(resampler.resample_chunk(np.zeros(0, np.float32), last=True))


def to_int16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """Full scale ±1 float32 `[n]` to int16 `[n]`, rounded to nearest and clipped."""
    return np.clip(np.rint(samples * _INT16_SCALE), -32768, 32767).astype(np.int16)


def _decode_with_ffmpeg(path: Path, part: Part | None) -> Iterator[NDArray[np.int16]]:
    times = [] if part is None else ["-ss", f"{part.start:.3f}", "-t", f"{part.end - part.start:.3f}"]
    output = ["-map", "0:a:0", "-ac", "1", "-ar", str(contract.SAMPLE_RATE_HZ), "-f", "s16le", "-"]
    with _pipe(
        [_program("ffmpeg", path), "-nostdin", "-v", "error", *times, "-i", _as_url(path), *output], path
    ) as pipe:
        while data := pipe.read(_READ_FRAMES * 2):
            yield np.frombuffer(data, "<i2").astype(np.int16)


@contextmanager
def _pipe(command: list[str], path: Path) -> Iterator[IO[bytes]]:
    """The standard output of a program. Its error messages count as failure: ffmpeg exits 0 after a partly decoded
    file.
    """
    with tempfile.TemporaryFile() as messages:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=messages)
        assert process.stdout is not None
        try:
            yield process.stdout
            code = process.wait()
        finally:
            process.kill()
            process.stdout.close()
            process.wait()
        messages.seek(0)
        said = " ".join(messages.read().decode(errors="replace").split())
    if code or said:
        raise ConfigError(
            f"{path}: ffmpeg cannot decode all of it ({said[-300:] or f'exit code {code}'}); replace or convert the"
            " file"
        )


def _probe_with_ffmpeg(path: Path) -> AudioInfo:
    entries = "stream=sample_rate,channels,codec_name:format=duration,format_name"
    command = [
        _program("ffprobe", path),
        "-v",
        "error",
        "-select_streams",
        "a:0",
        "-show_entries",
        entries,
        "-of",
        "json",
        _as_url(path),
    ]
    with _pipe(command, path) as pipe:
        answer = json.loads(pipe.read() or b"{}")
    if not answer.get("streams"):
        raise ConfigError(f"{path}: holds no sound; remove or replace the file")
    stream, container = answer["streams"][0], answer.get("format", {})
    return AudioInfo(
        seconds=float(container.get("duration", 0)),
        sample_rate=int(stream["sample_rate"]),
        channels=int(stream["channels"]),
        format=f"{container.get('format_name', '?')} {stream.get('codec_name', '?')}",
        decoder="ffmpeg",
    )


def _as_url(path: Path) -> str:
    """A name that ffmpeg cannot take for an option, a pipe or an address."""
    return f"file:{path}"


def _program(name: str, path: Path) -> str:
    found = shutil.which(name)
    if found is None:
        raise ConfigError(
            f"{path}: libsndfile does not know this format and {name} is not installed; install ffmpeg, or convert the"
            " file to wav or flac"
        )
    return found
