"""`mww-simulate` that is stopped, or whose disk is full: no process, and no half file, is left."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.commands import Run, command, environment
from tests.once import made_once
from tests.spoken import listed
from wakeword.part import Part


@pytest.fixture(scope="session")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of an hour: long enough to be stopped within it."""

    def make(folder: Path) -> None:
        rng = np.random.default_rng(0)
        with soundfile.SoundFile(folder / "hour.flac", "w", 16000, 1, subtype="PCM_16") as file:
            for _ in range(60):
                file.write(rng.normal(0, 2000, 16000 * 60).astype(np.int16))

    return made_once(tmp_path_factory, "an hour", make) / "hour.flac"


def test_a_damaged_model_does_not_take_the_command_down(run_apart: Run, manifest: Path, clips: Path) -> None:
    # Behind the weights lie the operators; some of these models load, none may crash.
    path = manifest.with_suffix(".tflite")
    content = path.read_bytes()
    rng = np.random.default_rng(7)
    for engine in ("auto", "reference", "litert") * 3:
        damaged = np.frombuffer(content, np.uint8).copy()
        damaged[rng.integers(len(content) - 9000, len(content), 6)] = rng.integers(0, 256, 6)
        path.write_bytes(damaged.tobytes())
        done = run_apart("mww-simulate", manifest, clips, "--engine", engine)
        assert done.returncode in (0, 2), done.stderr
        assert done.stderr.count("\n") == (done.returncode != 0)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stop_leaves_no_process_behind(stop: signal.Signals, manifest: Path, hour: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    # Enough for processes, and minutes each, so that all are busy.
    minutes = listed(tmp_path / "minutes.txt", [Part(hour, start, start + 60).path for start in range(0, 3600, 60)])
    process = subprocess.Popen(
        command("mww-simulate", manifest, minutes, "--jobs", "2"),
        stderr=subprocess.PIPE,
        text=True,
        env=environment(cache),
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not list(cache.rglob("*.features")):
        assert time.monotonic() < deadline, "the simulation never began to write"
        assert process.poll() is None
    if stop == signal.SIGINT:
        os.killpg(process.pid, stop)  # as a terminal does
    else:
        process.send_signal(stop)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[stop]
    while _processes_of(process.pid):
        assert time.monotonic() < deadline, _processes_of(process.pid)
        time.sleep(0.05)
    if stop != signal.SIGKILL:
        assert len(errors.splitlines()) == 1, errors
        assert not list(cache.rglob("*.partial"))


def _processes_of(session: int) -> list[str]:
    """Command lines of the living processes of a session."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, owner = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            if owner == str(session) and state != "Z":
                found.append((folder / "cmdline").read_text())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def test_a_full_disk_is_void_and_leaves_no_half_file(manifest: Path, clips: Path, tmp_path: Path) -> None:
    # A limit on file size makes the kernel refuse the write in the middle, as a full disk does.
    output = tmp_path / "out.jsonl"
    program = shlex.join(command("mww-simulate", manifest, clips, "--json", output))
    script = f"trap '' XFSZ; ulimit -f 1; exec {program}"
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        env=environment(tmp_path / "cache"),
        timeout=60,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert not output.exists()
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_a_stop_in_the_middle_leaves_no_half_file(
    stop: signal.Signals, manifest: Path, hour: Path, tmp_path: Path
) -> None:
    cache, output = tmp_path / "cache", tmp_path / "out.jsonl"
    process = subprocess.Popen(
        command("mww-simulate", manifest, hour, "--mode", "stream", "--json", output),
        stderr=subprocess.PIPE,
        text=True,
        env=environment(cache),
    )
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size > 10000 for path in cache.rglob("*.partial")):
        assert time.monotonic() < deadline, "the simulation never began to write"
        assert process.poll() is None
    process.send_signal(stop)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == (130 if stop == signal.SIGINT else -signal.SIGKILL)
    assert not output.exists()
    assert not list(cache.rglob("*.features"))
    if stop == signal.SIGINT:
        assert errors.splitlines()[-1].startswith("error: interrupted")
        assert not list(cache.rglob("*.partial"))
