"""How much tensor arena a model uses on this machine, measured with tflite-micro in child processes.

A child, because an arena that is too small raises at some sizes and crashes at others, and because what the interpreter
reports goes to the C library's stderr. Host figures understate an ESP32-S3 by 10-25 %: they never belong in a manifest.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from wakeword.errors import ConfigError, InfrastructureError
from wakeword.model.arena_kernels import BUFFER_ALIGNMENT, aligned

FIRST_GUESS_BYTES = 1 << 18
"""Larger than any arena of a microphone-sized model; doubled until the model loads."""
LARGEST_ARENA_BYTES = 1 << 24
CHILD_TIMEOUT_S = 60.0

_FIRST_STEP_BYTES = 512
_REFUSED_EXIT_CODE = 9
_CHILD = f"""
import sys
import numpy as np
from tflite_micro import runtime
try:
    interpreter = runtime.Interpreter.from_file(sys.argv[1], arena_size=int(sys.argv[2]))
    details = interpreter.get_input_details(0)
    interpreter.set_input(np.zeros(details["shape"], details["dtype"]), 0)
    interpreter.invoke()
    interpreter.invoke()
except (RuntimeError, ValueError) as error:
    print(error, file=sys.stderr)
    sys.exit({_REFUSED_EXIT_CODE})
interpreter.print_allocations()
"""
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


def host_arena(content: bytes) -> HostArena:
    """Measure a model's arena on this machine, in about ten child processes of a quarter of a second each.

    Raises `ConfigError` when tflite-micro cannot run the model in any arena, and `InfrastructureError` when a child
    could not be run at all.
    """
    with tempfile.TemporaryDirectory(prefix="mww-arena-") as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(content)
        used = _used_bytes(path)
        fails, fits, step = used - BUFFER_ALIGNMENT, used, _FIRST_STEP_BYTES
        # Planning needs room that the finished plan does not; it is seldom more than a kilobyte or two.
        while not _try_file(path, fits).passed:
            if fits > LARGEST_ARENA_BYTES:
                raise InfrastructureError(
                    f"the model ran in a large arena, then in none up to {fits} bytes; free memory and measure again"
                )
            fails, fits, step = fits, fits + step, 2 * step
        while fits - fails > BUFFER_ALIGNMENT:
            middle = (fits + fails) // 2 // BUFFER_ALIGNMENT * BUFFER_ALIGNMENT
            if _try_file(path, middle).passed:
                fits = middle
            else:
                fails = middle
    return HostArena(used, fits)


def try_model(content: bytes, arena_bytes: int = FIRST_GUESS_BYTES) -> Trial:
    """Load a model in tflite-micro with an arena of this size and run it twice, in a child process.

    Raises `InfrastructureError` when the child could not be run: it hung, or something other than the model broke it.
    """
    with tempfile.TemporaryDirectory(prefix="mww-arena-") as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(content)
        return _try_file(path, arena_bytes)


def _used_bytes(path: Path) -> int:
    size = FIRST_GUESS_BYTES
    while True:
        trial = _try_file(path, size)
        if trial.used is not None:
            return aligned(trial.used)
        size *= 4
        if size > LARGEST_ARENA_BYTES:
            raise ConfigError(f"tflite-micro cannot run the model ({trial.detail}); run mww-verify on it")


def _try_file(path: Path, arena_bytes: int) -> Trial:
    command = [sys.executable, "-c", _CHILD, str(path), str(arena_bytes)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=CHILD_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise InfrastructureError(
            f"tflite-micro did not finish within {CHILD_TIMEOUT_S:.0f} s; free the machine and run again"
        ) from error
    except OSError as error:
        raise InfrastructureError(
            f"cannot start {sys.executable} ({error.strerror}); free memory and run again"
        ) from error
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    if done.returncode == 0:
        found = _USED.search(done.stderr)
        if found is None:
            raise InfrastructureError(
                "tflite-micro reported no arena use; install the version that pyproject.toml pins"
            )
        return Trial(int(found.group(1)), "loaded and run twice")
    if done.returncode == _REFUSED_EXIT_CODE:
        return Trial(None, _most_telling(lines))
    if done.returncode < 0:
        return Trial(None, f"the interpreter crashed with signal {-done.returncode}")
    raise InfrastructureError(
        f"the child that runs tflite-micro failed: {lines[-1] if lines else f'exit code {done.returncode}'}"
    )


def _most_telling(lines: list[str]) -> str:
    """The interpreter's first complaint: what follows it is a consequence."""
    return lines[0].strip() if lines else "no reason given"
