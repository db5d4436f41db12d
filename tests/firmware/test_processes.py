"""Programs that are run: their lines, and that none outlives us."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from firmware import processes
from firmware.processes import run_program
from wakeword.errors import InfrastructureError

HOLD = """
import fcntl, subprocess, sys, time
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
# The grandchild holds the lock on: flock belongs to the open file, which it inherits.
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], pass_fds=[lock.fileno()])
print("holding", flush=True)
time.sleep(600)
"""


def wait_for_release(lock: Path) -> None:
    """Return when nobody holds the lock: every process that inherited it is gone."""
    with lock.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)


def run(program: str, *arguments: object, timeout: float | None = None) -> tuple[int, list[str]]:
    lines: list[str] = []
    code = run_program(
        [sys.executable, "-c", program, *map(str, arguments)], Path("/"), os.environ, lines.append, timeout=timeout
    )
    return code, lines


def test_lines_of_both_streams_come_in_order_without_colours() -> None:
    program = r"""
import sys
print("\x1b[32mgreen\x1b[0m", flush=True)
print("to stderr", file=sys.stderr, flush=True)
sys.stdout.buffer.write(b"10%\r20%\r\nbad \xff")
sys.exit(7)
"""
    assert run(program) == (7, ["green", "to stderr", "10%", "20%", "bad \ufffd"])


def test_nothing_can_be_read_from_us() -> None:
    assert run("import sys; print(repr(sys.stdin.read()))") == (0, ["''"])


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(InfrastructureError, match="no-such-program: cannot be started"):
        run_program(["no-such-program"], Path("/"), os.environ, print)


def test_an_answer_that_does_not_come(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match=r"no answer within 1 s"):
        run(HOLD, tmp_path / "lock", timeout=1)
    wait_for_release(tmp_path / "lock")


def test_an_error_ends_the_program_and_all_that_it_started(tmp_path: Path) -> None:
    def fail(line: str) -> None:
        assert line == "holding"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_program([sys.executable, "-c", HOLD, tmp_path / "lock"], Path("/"), os.environ, fail)
    wait_for_release(tmp_path / "lock")


def test_a_program_that_does_not_hear_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "TERMINATION_SECONDS", 0.2)
    deaf = HOLD.replace("import fcntl,", "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\nimport fcntl,")

    def fail(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_program([sys.executable, "-c", deaf, tmp_path / "lock"], Path("/"), os.environ, fail)
    wait_for_release(tmp_path / "lock")


def test_a_killed_parent_takes_them_along(tmp_path: Path) -> None:
    parent = f"""
import os, sys
from pathlib import Path
from firmware.processes import run_program
run_program([sys.executable, "-c", {HOLD!r}, sys.argv[1]], Path("/"), os.environ, lambda line: print(line, flush=True))
"""
    with subprocess.Popen(
        [sys.executable, "-c", parent, str(tmp_path / "lock")],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holding\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    wait_for_release(tmp_path / "lock")
