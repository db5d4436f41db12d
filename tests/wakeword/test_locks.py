"""Locks between real processes: a folder that a command writes to."""

from __future__ import annotations

import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.lock_holders import holding
from wakeword.errors import ConfigError, InfrastructureError
from wakeword.locks import FOLDER_LOCK, Holder, hold_folder, holder

REMEDY = "give another --output"
HOLDER = """
import sys
from pathlib import Path
from wakeword.locks import hold_folder
sys.argv = ["/usr/bin/mww-train", "--output", "run one"]
with hold_folder(Path(sys.stdin.readline().strip()), ""):
    print(flush=True)
    sys.stdin.readline()
"""
TAKER = """
import sys
from pathlib import Path
from wakeword.errors import InfrastructureError
from wakeword.locks import hold_folder
folder, count = Path(sys.argv[1]), 0
while count < 200:
    try:
        with hold_folder(folder, ""):
            inside = folder / "inside"
            inside.touch(exist_ok=False)
            inside.unlink()
            count += 1
    except InfrastructureError:
        pass
"""


def held(folder: Path) -> AbstractContextManager[tuple[subprocess.Popen[str], str]]:
    return holding(HOLDER, str(folder))


def test_a_folder_in_use_is_refused_with_its_holder_and_what_to_do(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "one"
    with held(folder) as (process, _):
        with pytest.raises(InfrastructureError) as refused, hold_folder(folder, REMEDY):
            pass
        assert (
            str(refused.value)
            == f"{folder}: in use by pid {process.pid} (mww-train --output 'run one'); wait until it has ended, or give"
            " another --output"
        )
        assert holder(folder / FOLDER_LOCK) == Holder(process.pid, "mww-train --output 'run one'")


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    with held(tmp_path) as (process, _):
        process.kill()
        process.wait()
        assert (tmp_path / FOLDER_LOCK).is_file()
        with hold_folder(tmp_path, REMEDY):
            pass
    assert not list(tmp_path.iterdir())


def test_nothing_is_left_of_a_lock(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), hold_folder(tmp_path / "a" / "b", REMEDY):
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    with hold_folder(tmp_path / "a" / "b", REMEDY):
        (tmp_path / "a" / "b" / "kept").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "b", "kept"]


def test_a_folder_that_was_there_stays(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with hold_folder(tmp_path / "mine", REMEDY):
        pass
    assert (tmp_path / "mine").is_dir()


def test_many_takers_of_one_folder_are_never_two_inside(tmp_path: Path) -> None:
    """A lock's file comes and goes with its owners: whoever locks one that was just removed must take another."""
    takers = [
        subprocess.Popen([sys.executable, "-c", TAKER, str(tmp_path / "one")], cwd=Path(__file__).parents[2])
        for _ in range(3)
    ]
    assert [taker.wait(120) for taker in takers] == [0, 0, 0]
    assert not list(tmp_path.rglob(FOLDER_LOCK))


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file: is a file; name a folder"), hold_folder(tmp_path / "file", REMEDY):
        pass
    with pytest.raises(ConfigError, match="not a folder"), hold_folder(tmp_path / "file" / "below", REMEDY):
        pass
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    for folder in (tmp_path / "nowhere", tmp_path / "nowhere" / "below"):
        with pytest.raises((ConfigError, OSError)), hold_folder(folder, REMEDY):
            pass
