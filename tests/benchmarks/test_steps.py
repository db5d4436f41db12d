from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from itertools import chain, repeat
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.ablation import steps as module
from benchmarks.ablation.steps import Steps
from wakeword.errors import ConfigError, InfrastructureError, MeasurementFailure


def python(code: str) -> list[object]:
    return [sys.executable, "-c", code]


def test_a_step_runs_in_its_folder_and_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = chain([10.0], repeat(12.5))
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    lines: list[str] = []
    command = python("open('made', 'a').write('x'); print('said')")
    Steps(tmp_path / "row").run("make", command, lines.append)
    again = Steps(tmp_path / "row")
    again.run("make", command, lines.append)
    assert lines == ["said"]
    assert (tmp_path / "row" / "made").read_text() == "x"
    assert "said" in (tmp_path / "row" / "make.log").read_text()
    assert again.done("make")
    assert (again.costs["make"].attempts, again.costs["make"].seconds) == (1, 2.5)


def test_what_another_command_has_done_is_refused(tmp_path: Path) -> None:
    Steps(tmp_path).run("make", python("1"), print)
    with pytest.raises(ConfigError, match="another command"):
        Steps(tmp_path).run("make", python("2"), print)


@pytest.mark.parametrize(
    ("code", "error"), [(1, MeasurementFailure), (2, ConfigError), (3, InfrastructureError), (9, InfrastructureError)]
)
def test_a_failed_step_raises_the_class_of_its_exit_code_and_is_run_again(
    code: int, error: type[Exception], tmp_path: Path
) -> None:
    command = python(
        "import pathlib, sys; p = pathlib.Path('tried'); first = not p.exists(); p.touch(); print('why');"
        f" sys.exit({code} if first else 0)"
    )
    with pytest.raises(error, match=rf"exit code {code}: why; all of it stands in .*make\.log"):
        Steps(tmp_path).run("make", command, print)
    assert not Steps(tmp_path).done("make")
    Steps(tmp_path).run("make", command, print)
    assert Steps(tmp_path).costs["make"].attempts == 2


def test_memory_of_all_processes_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.02)
    child = "b = bytearray(64 << 20); b[::4096] = b'x' * len(b[::4096]); import sys; sys.stdin.read()"
    # The parent ends its child as soon as somebody has seen it, or after ten seconds.
    code = f"""
import json, pathlib, subprocess, sys, time
process = subprocess.Popen([sys.executable, "-c", {child!r}], stdin=subprocess.PIPE)
until = time.monotonic() + 10
while time.monotonic() < until:
    try:
        if json.loads(pathlib.Path("steps.json").read_text())["grow"]["peak_mib"] > 64:
            break
    except (OSError, ValueError):
        pass
process.communicate()
"""
    steps = Steps(tmp_path)
    steps.run("grow", python(code), print)
    assert 64 < steps.costs["grow"].peak_mib < 500


def test_a_killed_step_goes_on_and_its_account_too(tmp_path: Path) -> None:
    row = tmp_path / "row"
    code = (
        "import pathlib, time; p = pathlib.Path('half'); again = p.exists(); p.touch(); print('begun', flush=True);"
        " again or time.sleep(60)"
    )
    runner = f"""
import sys
from pathlib import Path
from benchmarks.ablation import steps
steps.LOOK_S = 0.05
steps.Steps(Path({str(row)!r})).run("train", [sys.executable, "-c", {code!r}], print)
"""
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", runner], env={**os.environ, "PYTHONPATH": str(root)}, stdout=subprocess.DEVNULL
    )
    try:
        _until(lambda: (row / "half").exists() and _seconds(row) > 0.1)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = _seconds(row)
    assert not Steps(row).done("train")
    Steps(row).run("train", python(code), print)
    cost = Steps(row).costs["train"]
    assert (cost.done, cost.attempts) == (True, 2)
    assert cost.seconds >= before
    _until(lambda: not _alive(code))


def _seconds(row: Path) -> float:
    try:
        return float(json.loads((row / "steps.json").read_text())["train"]["seconds"])
    except (OSError, ValueError):
        return 0.0


def _alive(code: str) -> bool:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().split(b"\0")[2:3] == [code.encode()]:
                return True
        except OSError:
            continue
    return False


def _until(holds: object, seconds: float = 60.0) -> None:
    assert callable(holds)
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.02)
