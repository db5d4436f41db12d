"""Engines that are programs, run once a clip or kept running, and the pitch that they cannot move.

Few engines move the pitch of all its voices, so there pitch is a change of speed: the speech is made slower or faster
by the factor that playing it at another sample rate takes back. That moves the formants too, as a shorter or longer
vocal tract would.
"""

from __future__ import annotations

import io
import json
import os
import select
import signal
import subprocess
import tempfile
import wave
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np

from trainer.data.speech.engine import Speech
from wakeword.errors import InfrastructureError

_TIMEOUT_S = 120.0


def pitch_factor(semitones: float) -> float:
    """Frequency ratio of an interval: 12 semitones double the frequency."""
    return float(2 ** (semitones / 12))


def run_to_wav(command: list[str], factor: float) -> Speech:
    """Run a program that writes the wav file named after its last argument; play the result `factor` times as fast.

    Raises `InfrastructureError` when the program fails, hangs or writes something else.
    """
    name = command[0]
    with tempfile.TemporaryDirectory(prefix="speech-") as folder:
        wav = Path(folder) / "speech.wav"
        try:
            done = subprocess.run(
                [*command, str(wav)], stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise InfrastructureError(f"{name} did not finish in {_TIMEOUT_S:.0f} s") from error
        if done.returncode or not wav.is_file():
            said = " ".join(done.stderr.decode(errors="replace").split())[-200:]
            raise InfrastructureError(f"{name} failed (exit code {done.returncode}: {said})")
        return _read_wav(wav, name, factor)


class SpeakingProgram:
    """A program that reads a request a line, writes the wav file that the request names, and answers with a line that
    is empty or says what went wrong.

    It starts with the first request, and again after it died. It ends when this process does, since its input ends
    then.
    """

    def __init__(self, command: Sequence[str], name: str) -> None:
        self._command, self._name = list(command), name
        self._process: subprocess.Popen[str] | None = None
        self._errors: IO[bytes] | None = None

    def speak(self, request: Mapping[str, object]) -> Speech:
        """Send a request, to which the key `path` is added. Raises `InfrastructureError` when the program fails, hangs
        or writes something else.
        """
        with tempfile.TemporaryDirectory(prefix="speech-") as folder:
            wav = Path(folder) / "speech.wav"
            if (said := self._answer(json.dumps({**request, "path": str(wav)}))) or not wav.is_file():
                raise InfrastructureError(f"{self._name} failed ({said[-200:] or 'it wrote nothing'})")
            return _read_wav(wav, self._name, 1.0)

    def _answer(self, line: str) -> str:
        if self._process is None:
            # In a session of its own, so that its own processes end with it, and Ctrl-C does not end it in the middle
            # of a clip.
            self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed with the program
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                start_new_session=True,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return self._ended()
        # One line is answered to one line, so nothing lies in the reader's buffer when this waits.
        if not select.select([self._process.stdout], [], [], _TIMEOUT_S)[0]:
            self.close()
            return f"no answer in {_TIMEOUT_S:.0f} s"
        answer = self._process.stdout.readline()
        return answer.strip() if answer else self._ended()

    def _ended(self) -> str:
        assert self._process is not None
        assert self._errors is not None
        code = self._process.wait()
        self._errors.seek(0)
        said = " ".join(self._errors.read().decode(errors="replace").split())
        self.close()
        return f"exit code {code}: {said}" if said else f"exit code {code}"

    def close(self) -> None:
        """End the program and its own processes, whatever they do."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.communicate()
            self._process = None
        if self._errors is not None:
            self._errors.close()
            self._errors = None


def _read_wav(path: Path, name: str, factor: float) -> Speech:
    with wave.open(io.BytesIO(path.read_bytes())) as reader:
        if (reader.getsampwidth(), reader.getnchannels()) != (2, 1):
            raise InfrastructureError(f"{name} did not write 16-bit mono")
        samples = np.frombuffer(reader.readframes(reader.getnframes()), "<i2").astype(np.int16)
        return Speech(samples, round(reader.getframerate() * factor))
