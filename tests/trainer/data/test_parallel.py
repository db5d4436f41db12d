"""Work on all cores: a worker that is interrupted while it starts says nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

_SCRIPT = """
import sys
import time
from pathlib import Path

from trainer.data.parallel import map_in_processes

folder = Path(sys.argv[1])
if __name__ != "__main__":  # a worker imports this file while it starts
    (folder / "started").touch()
    while not (folder / "go").exists():
        time.sleep(0.02)


def double(value: int) -> int:
    (folder / str(value)).touch()
    return 2 * value


if __name__ == "__main__":
    try:
        list(map_in_processes(double, range(3), jobs=1, isolate=True))
    except KeyboardInterrupt:
        sys.exit(130)
"""


def test_an_interrupt_while_a_worker_starts_prints_no_traceback(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT)
    running = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "started").exists():
        assert time.monotonic() < deadline, "the worker never started"
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGINT)
    (tmp_path / "go").touch()
    _, said = running.communicate(timeout=60)
    assert (running.returncode, said) == (130, "")
