"""How much tensor arena a model uses on this machine, measured with tflite-micro in child processes (`arena_child`).

Host figures understate an ESP32-S3 by 10-25 %: they never belong in a manifest.
"""

from __future__ import annotations

import functools
import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from wakeword.errors import ConfigError, InfrastructureError
from wakeword.model.arena_child import REFUSED_EXIT_CODE
from wakeword.model.arena_kernels import BUFFER_ALIGNMENT, aligned
from wakeword.processes import THREAD_VARIABLES

FIRST_GUESS_BYTES = 1 << 18
"""Larger than any arena of a microphone-sized model; doubled until the model loads."""
LARGEST_ARENA_BYTES = 1 << 24
CHILD_TIMEOUT_S = 60.0

_FIRST_STEP_BYTES = 512
_CHILD = Path(__file__).with_name("arena_child.py")
_USED = re.compile(r"Arena allocation total (\d+) bytes")


@dataclass(frozen=True)
class HostArena:
    """Bytes of arena on this machine: what the interpreter uses, and the smallest arena with which it loads
    and runs."""

    used: int
    minimum: int


@dataclass(frozen=True)
class Trial:
    """One attempt to load a model and run it twice. `used` is None when that failed; `detail` says how."""

    used: int | None
    detail: str

    @property
    def passed(self) -> bool:
        """Whether the model was loaded and run."""
        return self.used is not None


class _Trials:
    """Trials of one model, in processes that a child forks: the interpreter is imported once. A context manager."""

    def __init__(self, content: bytes) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mww-arena-")
        model = Path(self._folder.name) / "model.tflite"
        model.write_bytes(content)
        self._errors = (Path(self._folder.name) / "errors").open("w+b")
        try:
            # In a session of its own: a trial that hangs ends with it. No threads, which a fork would not have.
            self._child = subprocess.Popen(
                [sys.executable, "-P", _CHILD, model],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=os.environ | dict.fromkeys(THREAD_VARIABLES, "1"),
                start_new_session=True,
            )
        except OSError as error:
            self._discard()
            raise InfrastructureError(
                f"cannot start {sys.executable} ({error.strerror}); free memory and run again"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.communicate()
        self._discard()

    def _discard(self) -> None:
        self._errors.close()
        self._folder.cleanup()

    def run(self, arena_bytes: int) -> Trial:
        """Load the model with an arena of this size and run it twice. Raises `InfrastructureError` as `try_model`."""
        code, printed = self._answer(arena_bytes)
        lines = [line for line in printed.splitlines() if line.strip()]
        if code == 0:
            found = _USED.search(printed)
            if found is None:
                raise InfrastructureError(
                    "tflite-micro reported no arena use; install the version that pyproject.toml pins"
                )
            return Trial(int(found.group(1)), "loaded and run twice")
        if code == REFUSED_EXIT_CODE:
            # The interpreter's first complaint: what follows it is a consequence.
            return Trial(None, lines[0].strip() if lines else "no reason given")
        if code < 0:
            return Trial(None, f"the interpreter crashed with signal {-code}")
        raise InfrastructureError(
            f"the child that runs tflite-micro failed: {lines[-1] if lines else f'exit code {code}'}"
        )

    def _answer(self, arena_bytes: int) -> tuple[int, str]:
        """Exit code and output of a trial; of the child where it is the child that ended."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        with suppress(BrokenPipeError):
            self._child.stdin.write(f"{arena_bytes}\n".encode())
            self._child.stdin.flush()
        # One line is answered to one line, so nothing lies in the reader's buffer when this waits.
        if not select.select([self._child.stdout], [], [], CHILD_TIMEOUT_S)[0]:
            raise InfrastructureError(
                f"tflite-micro did not finish within {CHILD_TIMEOUT_S:.0f} s; free the machine and run again"
            )
        if answer := self._child.stdout.readline():
            code, printed = json.loads(answer)
            return code, printed
        ended = self._child.wait()
        self._errors.seek(0)
        return ended, self._errors.read().decode(errors="replace")


@functools.lru_cache(maxsize=8)
def host_arena(content: bytes) -> HostArena:
    """Measure a model's arena on this machine, in about ten child processes that share what is slow to import; once for
    a model that is asked for again.

    Raises `ConfigError` when tflite-micro cannot run the model in any arena, and `InfrastructureError` when a child
    could not be run at all.
    """
    with _Trials(content) as trials:
        used = _used_bytes(trials)
        fails, fits, step = used - BUFFER_ALIGNMENT, used, _FIRST_STEP_BYTES
        # Planning needs room that the finished plan does not; it is seldom more than a kilobyte or two.
        while not trials.run(fits).passed:
            if fits > LARGEST_ARENA_BYTES:
                raise InfrastructureError(
                    f"the model ran in a large arena, then in none up to {fits} bytes; free memory and measure again"
                )
            fails, fits, step = fits, fits + step, 2 * step
        while fits - fails > BUFFER_ALIGNMENT:
            middle = (fits + fails) // 2 // BUFFER_ALIGNMENT * BUFFER_ALIGNMENT
            if trials.run(middle).passed:
                fits = middle
            else:
                fails = middle
    return HostArena(used, fits)


def try_model(content: bytes, arena_bytes: int = FIRST_GUESS_BYTES) -> Trial:
    """Load a model in tflite-micro with an arena of this size and run it twice, in a child process.

    Raises `InfrastructureError` when the child could not be run: it hung, or something other than the model broke it.
    """
    with _Trials(content) as trials:
        return trials.run(arena_bytes)


def _used_bytes(trials: _Trials) -> int:
    size = FIRST_GUESS_BYTES
    while True:
        trial = trials.run(size)
        if trial.used is not None:
            return aligned(trial.used)
        size *= 4
        if size > LARGEST_ARENA_BYTES:
            raise ConfigError(f"tflite-micro cannot run the model ({trial.detail}); run mww-verify on it")
