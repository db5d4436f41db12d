"""The sound of one generated clip: its manner, trimmed, levelled, written, with the word's place in it."""

from __future__ import annotations

import io
import math
import struct
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.data.listening import MIN_SECONDS
from trainer.data.speech.engine import Speech
from wakeword import contract
from wakeword.audio import to_int16
from wakeword.corpus.utterances import speech_bounds
from wakeword.files import write_atomically

_LEAD_S = 0.01
_FADE_S = 0.02
"""Of speech that is cut off: an end in the middle of a sound would click."""
SHORTEST_SAMPLES = math.ceil(MIN_SECONDS * contract.SAMPLE_RATE_HZ)
"""What `trainer.data.listening` takes for a recording."""

_WORD_STARTS, _WORD_ENDS = 1, 2
"""Names of the markers in a wav file's chunk "cue "."""
_CUE_POINT = struct.Struct("<II4sIII")
_CHUNK = struct.Struct("<4sI")
_COMMENT = b"INFO"


@dataclass(frozen=True)
class Word:
    """Where a word lies in a sound: its first sample (None where only its end is known) and one past its last."""

    start: int | None
    end: int


@dataclass(frozen=True)
class GeneratedClip:
    """A finished clip: 16 kHz mono int16 `[samples]`, and its word where there is more in it than that."""

    samples: NDArray[np.int16]
    word: Word | None = None
    note: str = ""
    """What was found out about it; the file keeps it."""


def finish_clip(
    speech: Speech,
    gain_db: float,
    *,
    formant: float = 1.0,
    manner: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = None,
    word: Word | None = None,
    tail_s: float | None = None,
) -> GeneratedClip:
    """Raw speech as a clip: trimmed to its speech (10 ms before it kept), 16 kHz mono.

    Args:
        speech: As the engine made it.
        gain_db: Peak of the clip, dB against full scale (below 0).
        formant: It is played so many times as fast.
        manner: What is done to it then: 16 kHz float32 `[n]`, as long as it was.
        word: Place of the wake word in the raw speech.
        tail_s: Seconds after the word beyond which speech is cut off; None: all is kept.

    Returns:
        The clip, without samples where the engine was silent. A sound that is shorter than ingestion takes is followed
        by silence up to that length.
    """
    import soxr

    rate = round(speech.sample_rate * formant)
    first, last = speech_bounds(speech.samples, speech.sample_rate)
    first = max(0, first - round(_LEAD_S * speech.sample_rate))
    cut = word is not None and tail_s is not None and word.end + round(tail_s * rate) < last
    if word is not None and cut:
        last = word.end + round((tail_s or 0) * rate)
    sound = speech.samples[first:last].astype(np.float32) / np.float32(32768)
    if not len(sound):
        return GeneratedClip(np.zeros(0, np.int16))
    if rate != contract.SAMPLE_RATE_HZ:
        sound = soxr.resample(sound, rate, contract.SAMPLE_RATE_HZ, quality="HQ")
    if cut:
        fade = round(_FADE_S * contract.SAMPLE_RATE_HZ)
        sound[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    if manner is not None:
        sound = manner(sound)
    peak = np.abs(sound).max(initial=0)
    if not peak:
        return GeneratedClip(np.zeros(0, np.int16))
    samples = to_int16(sound * np.float32(10 ** (gain_db / 20) / peak))

    def placed(sample: int) -> int:
        return min(max(0, round((sample - first) * contract.SAMPLE_RATE_HZ / rate)), len(samples))

    found = None if word is None else Word(None if word.start is None else placed(word.start), placed(word.end))
    return GeneratedClip(np.pad(samples, (0, max(0, SHORTEST_SAMPLES - len(samples)))), found)


def wav_bytes(samples: NDArray[np.int16], word: Word | None = None, note: str = "") -> bytes:
    """16 kHz mono 16-bit samples `[n]` as the content of a wav file; markers in it (chunk "cue ") say where its word
    begins and ends.

    A note is kept as the file's comment (ICMT in its chunk "LIST").
    """
    content = io.BytesIO()
    with wave.open(content, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(contract.SAMPLE_RATE_HZ)
        writer.writeframes(samples.astype("<i2").tobytes())
    whole = content.getvalue()
    if word is not None:
        marks = [(_WORD_STARTS, word.start)] * (word.start is not None) + [(_WORD_ENDS, word.end)]
        whole += _chunk(
            b"cue ",
            struct.pack("<I", len(marks))
            + b"".join(_CUE_POINT.pack(name, sample, b"data", 0, 0, sample) for name, sample in marks),
        )
    if note:
        whole += _chunk(b"LIST", _COMMENT + _chunk(b"ICMT", note.encode() + b"\0"))
    return whole[:4] + struct.pack("<I", len(whole) - _CHUNK.size) + whole[_CHUNK.size :]


def _chunk(name: bytes, content: bytes) -> bytes:
    return _CHUNK.pack(name, len(content)) + content + b"\0" * (len(content) % 2)


def read_clip(content: bytes) -> GeneratedClip | None:
    """The clip in the content of a wav file that `wav_bytes` made; None for other content, or a part of it."""
    chunks: dict[bytes, bytes] = {}
    place = 12
    while place + _CHUNK.size <= len(content):
        name, size = _CHUNK.unpack_from(content, place)
        chunks[name] = content[place + _CHUNK.size : place + _CHUNK.size + size]
        if len(chunks[name]) < size:
            return None
        place += _CHUNK.size + size + size % 2
    if content[:4] != b"RIFF" or b"data" not in chunks:
        return None
    samples = np.frombuffer(chunks[b"data"][: len(chunks[b"data"]) // 2 * 2], "<i2").astype(np.int16)
    points = chunks.get(b"cue ", b"")[4:]
    marks = {
        name: sample
        for name, sample, *_ in _CUE_POINT.iter_unpack(points[: len(points) // _CUE_POINT.size * _CUE_POINT.size])
    }
    start, end = marks.get(_WORD_STARTS), marks.get(_WORD_ENDS)
    # Other programs number their markers as they like.
    word = Word(start, end) if end is not None and set(marks) <= {_WORD_STARTS, _WORD_ENDS} else None
    comment = chunks.get(b"LIST", b"")
    note = (
        comment[len(_COMMENT) + _CHUNK.size :].rstrip(b"\0").decode(errors="replace")
        if comment.startswith(_COMMENT + b"ICMT")
        else ""
    )
    return GeneratedClip(samples, word, note)


def write_clip(path: Path, samples: NDArray[np.int16], word: Word | None = None, note: str = "") -> bytes:
    """Write `wav_bytes` whole or not at all; returns them. Raises `OSError`."""
    content = wav_bytes(samples, word, note)
    write_atomically(path, content)
    return content
