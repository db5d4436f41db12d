"""The plugin where there is no board: in a user's own project."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SUITE = """
import pytest

@pytest.mark.hardware
def test_with_a_board(board):
    raise AssertionError("ran without a board")

def test_without():
    pass
"""


def pytest_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_mine.py").write_text(SUITE)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--strict-markers", "-rs", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_tests_of_boards_are_skipped_with_a_reason(tmp_path: Path) -> None:
    done = pytest_in(tmp_path)
    assert done.returncode == 0, done.stdout
    assert "no board is named; give --board NAME" in done.stdout
    assert "1 passed, 1 skipped" in done.stdout


def said_in_one_line(done: subprocess.CompletedProcess[str], line: str) -> None:
    assert done.returncode == 1
    assert line in done.stdout.splitlines()
    assert "pytest_plugin.py" not in done.stdout, "no traceback"


def test_an_unknown_board_is_named(tmp_path: Path) -> None:
    done = pytest_in(tmp_path, "--board", "virtul", "--manifest", "test_mine.py")
    said_in_one_line(
        done, "--board virtul: no such board and no boards.yaml here; give one with --boards; did you mean virtual?"
    )


def test_a_missing_model_is_asked_for(tmp_path: Path) -> None:
    said_in_one_line(
        pytest_in(tmp_path, "--board", "virtual"),
        "tests of boards need a model; give its manifest with --manifest FILE",
    )
    done = pytest_in(tmp_path, "--board", "virtual", "--manifest", "gone.json")
    said_in_one_line(done, "--manifest gone.json: no such file; give the manifest of the model under test")
