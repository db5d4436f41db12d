"""Worker processes: in order, with their errors, and gone when the work is over however it ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from wakeword.errors import InfrastructureError
from wakeword.processes import process_map


def start(offset: int) -> int:
    return offset


def add(offset: int, value: int) -> int:
    return value + offset


def divide(_: int, value: int) -> float:
    return 1 / value


def die(_: int, __: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hold(_: int, folder: Path) -> None:
    """Hold a file until it is stopped."""
    path = folder / str(os.getpid())
    path.touch()
    try:
        time.sleep(600)
    finally:
        path.unlink()


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def test_results_come_in_order_from_initialised_processes() -> None:
    with process_map(add, range(20), 2, start, 100) as results:
        assert list(results) == list(range(100, 120))
    assert not multiprocessing.active_children()


def test_an_error_of_the_function_is_raised() -> None:
    with pytest.raises(ZeroDivisionError), process_map(divide, [1, 0, 2], 2, start, 0) as results:
        list(results)
    assert not multiprocessing.active_children()


def test_a_process_that_dies_makes_the_run_void() -> None:
    with (
        pytest.raises(InfrastructureError, match="worker process died"),
        process_map(die, [1, 2], 2, start, 0) as results,
    ):
        list(results)
    assert not multiprocessing.active_children()


def test_an_interrupt_stops_running_work_and_cleans_up_behind_it(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), process_map(hold, [tmp_path] * 8, 2, start, 0):
        wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    assert not multiprocessing.active_children()


def test_processes_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from tests.wakeword.test_processes import hold, start
from wakeword.processes import process_map
if __name__ == "__main__":
    with process_map(hold, [Path(sys.argv[1])] * 4, 2, start, 0) as results:
        list(results)
"""
    program = tmp_path / "program.py"
    program.write_text(script)
    (tmp_path / "held").mkdir()
    root = str(Path(__file__).parents[2])
    parent = subprocess.Popen(
        [sys.executable, program, tmp_path / "held"], env=os.environ | {"PYTHONPATH": root}, stderr=subprocess.DEVNULL
    )
    wait_for(lambda: len(list((tmp_path / "held").iterdir())) == 2)
    workers = [int(path.name) for path in (tmp_path / "held").iterdir()]
    parent.kill()
    parent.wait(30)
    wait_for(lambda: not any(is_alive(worker) for worker in workers))


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
