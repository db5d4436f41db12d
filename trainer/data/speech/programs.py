"""Engines that are programs: run once a clip, and the pitch that they cannot move.

Few engines move the pitch of all its voices, so there pitch is a change of speed: the speech is made slower or faster by the factor that
playing it at another sample rate takes back. That moves the formants too, as a shorter or longer vocal tract would.
"""

from __future__ import annotations

import io
import subprocess
import tempfile
import wave
from pathlib import Path

import numpy as np

from trainer.data.speech.engine import Speech
from wakeword.errors import InfrastructureError

_TIMEOUT_S = 120.0


def pitch_factor(semitones: float) -> float:
    """Frequency ratio of an interval: 12 semitones double the frequency."""
    return float(2 ** (semitones / 12))


def run_to_wav(command: list[str], factor: float, name: str | None = None) -> Speech:
    """Run a program that writes the wav file named after its last argument; play the result `factor` times as fast.

    `name` is what a message calls the program; None: its path.

    Raises `InfrastructureError` when the program fails, hangs or writes something else.
    """
    name = name or command[0]
    with tempfile.TemporaryDirectory(prefix="speech-") as folder:
        wav = Path(folder) / "speech.wav"
        try:
            done = subprocess.run([*command, str(wav)], stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired as error:
            raise InfrastructureError(f"{name} did not finish in {_TIMEOUT_S:.0f} s; name the other engines with --engine") from error
        if done.returncode or not wav.is_file():
            said = " ".join(done.stderr.decode(errors="replace").split())[-200:]
            raise InfrastructureError(f"{name} failed (exit code {done.returncode}: {said}); name the other engines with --engine")
        content = wav.read_bytes()
    with wave.open(io.BytesIO(content)) as reader:
        if (reader.getsampwidth(), reader.getnchannels()) != (2, 1):
            raise InfrastructureError(f"{name} did not write 16-bit mono; name the other engines with --engine")
        samples = np.frombuffer(reader.readframes(reader.getnframes()), "<i2").astype(np.int16)
        return Speech(samples, round(reader.getframerate() * factor))
