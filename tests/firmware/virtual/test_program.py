"""The processes and the folder of a virtual board; stand-ins run here, the real program in tests/firmware/boards."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from firmware.virtual.program import VirtualProgram
from wakeword.errors import InfrastructureError

SECONDS = 20.0


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's temporary folder, for this test alone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def sleeper(tmp_path: Path) -> Path:
    """A program that runs and never listens."""
    program = tmp_path / "sleeper"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    return program


def boards(temporary: Path) -> list[Path]:
    return sorted(temporary.glob("mww-board-*"))


def test_the_folder_of_a_killed_owner_goes_when_the_next_board_comes(temporary: Path, sleeper: Path) -> None:
    code = "import sys, time; from pathlib import Path; from firmware.virtual.program import VirtualProgram"
    code += "; board = VirtualProgram(Path(sys.argv[1])); print(flush=True); time.sleep(60)"
    owner = subprocess.Popen(
        [sys.executable, "-c", code, sleeper], stdout=subprocess.PIPE, env={"TMPDIR": str(temporary)}
    )
    assert owner.stdout is not None
    owner.stdout.readline()
    (orphan,) = boards(temporary)
    mine = VirtualProgram(sleeper)
    assert boards(temporary) == sorted([orphan, mine.folder])  # its owner lives
    mine.remove()
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    mine = VirtualProgram(sleeper)
    assert boards(temporary) == [mine.folder]
    mine.remove()
    mine.remove()
    assert not boards(temporary)


def test_a_board_that_cannot_be_prepared_leaves_nothing_behind(temporary: Path) -> None:
    with pytest.raises(
        InfrastructureError,
        match=r"mww-board-.* cannot be put there \(No such file or directory\); free space, or set TMPDIR",
    ):
        VirtualProgram(temporary / "gone")
    assert not boards(temporary)


def test_a_board_that_is_being_started_can_be_stopped(
    temporary: Path, sleeper: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = VirtualProgram(sleeper)
    monkeypatch.setattr(program, "_start_server", lambda: None)
    # If it sat out the time that a board may take to listen, it would not have ended when the test looks.
    monkeypatch.setattr("firmware.virtual.program.START_SECONDS", 100 * SECONDS)
    failures: list[str] = []

    def start() -> None:
        try:
            program.start()
        except InfrastructureError as error:
            failures.append(str(error))

    starting = threading.Thread(target=start)
    starting.start()
    until = time.monotonic() + SECONDS
    while program.pid is None and time.monotonic() < until:
        time.sleep(0.01)
    pid = program.pid
    assert pid is not None
    program.remove()
    starting.join(SECONDS)
    assert not starting.is_alive()
    assert failures
    assert not Path(f"/proc/{pid}").exists()
    assert not boards(temporary)
