"""The sound of one generated clip: trimmed, levelled, written."""

from __future__ import annotations

import io
import math
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.data.listening import Limits
from trainer.data.speech.engine import Speech
from wakeword import contract
from wakeword.audio import to_int16
from wakeword.corpus.utterances import speech_bounds
from wakeword.files import write_atomically

_LEAD_S = 0.01
SHORTEST_SAMPLES = math.ceil(Limits().min_seconds * contract.SAMPLE_RATE_HZ)
"""What `trainer.data.listening` takes for a recording."""


def finish_clip(speech: Speech, gain_db: float) -> NDArray[np.int16]:
    """Raw speech as a clip: trimmed to its speech (10 ms before it kept), 16 kHz, its peak at `gain_db` dB below full scale.

    Returns int16 `[samples]`, empty where the engine was silent. A shorter sound than ingestion takes is followed by silence up to that length.
    """
    import soxr

    start, end = speech_bounds(speech.samples, speech.sample_rate)
    start = max(0, start - round(_LEAD_S * speech.sample_rate))
    sound = speech.samples[start:end].astype(np.float32) / np.float32(32768)
    if not len(sound):
        return np.zeros(0, np.int16)
    if speech.sample_rate != contract.SAMPLE_RATE_HZ:
        sound = soxr.resample(sound, speech.sample_rate, contract.SAMPLE_RATE_HZ, quality="HQ")
    peak = np.abs(sound).max(initial=0)
    if not peak:
        return np.zeros(0, np.int16)
    samples = to_int16(sound * np.float32(10 ** (gain_db / 20) / peak))
    return np.pad(samples, (0, max(0, SHORTEST_SAMPLES - len(samples))))


def wav_bytes(samples: NDArray[np.int16]) -> bytes:
    """16 kHz mono 16-bit samples `[n]` as the content of a wav file."""
    content = io.BytesIO()
    with wave.open(content, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(contract.SAMPLE_RATE_HZ)
        writer.writeframes(samples.astype("<i2").tobytes())
    return content.getvalue()


def write_clip(path: Path, samples: NDArray[np.int16]) -> bytes:
    """Write a wav file whole or not at all; returns its content. Raises `OSError`."""
    content = wav_bytes(samples)
    write_atomically(path, content)
    return content
