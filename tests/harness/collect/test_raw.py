"""The raw log loses nothing that was written, and says where it is damaged."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.collect import raw as raw_module
from harness.collect.raw import RawLog, read_raw
from wakeword.errors import ConfigError, InfrastructureError


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "raw.jsonl"
    position = 160
    with RawLog(path, position=lambda: position) as log:
        log.write("log", message="ein\nzwei ä\ud800")
        position = 320
        log.write("leg", position=0, leg=3)
        log.write("detection", data={"seq": "1"})
        assert len(read_raw(path)) == 3  # before it is closed
    first, second, third = read_raw(path)
    assert (first.kind, first.position, first.values) == ("log", 160, {"message": "ein\nzwei ä\ud800"})
    assert (second.position, second.values) == (0, {"leg": 3})
    assert (third.position, third.values) == (320, {"data": {"seq": "1"}})
    assert first.t <= second.t <= third.t


@given(st.integers(0, 400), st.binary(max_size=200).filter(lambda tail: b"\n" not in tail))
def test_a_torn_line_is_cut_off_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, size: int, tail: bytes
) -> None:
    path = tmp_path_factory.mktemp("raw") / "raw.jsonl"
    with RawLog(path) as log:
        log.write("note", text="x" * size)
        log.write("note", text="second")
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    assert len(read_raw(path)) == 2
    with RawLog(path) as log:
        assert path.read_bytes() == whole
        log.write("note", text="third")
    assert [event.values["text"] for event in read_raw(path)][1:] == ["second", "third"]


@pytest.mark.parametrize("tail", [b"x" * (3 << 16), b'{"kind"', b""])
def test_a_log_of_one_torn_line_is_empty(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "raw.jsonl"
    path.write_bytes(tail)
    assert read_raw(path) == []
    RawLog(path).close()
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    "line",
    [
        b"no",
        b"[1]",
        b'{"kind":"log","t":0}',
        b'{"kind":1,"t":0,"position":0}',
        b'{"kind":"log","t":true,"position":0}',
        b'{"kind":"log","t":0,"position":0.5}',
    ],
)
def test_damage_in_the_middle_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "raw.jsonl"
    good = b'{"kind":"note","t":1.0,"position":0}'
    path.write_bytes(b"\n".join([good, line, good, b""]))
    with pytest.raises(ConfigError, match=r"raw\.jsonl: line 2 is damaged"):
        read_raw(path)


def test_files_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the raw events"):
        read_raw(tmp_path / "none")
    with pytest.raises(ConfigError, match="cannot write raw events there"):
        RawLog(tmp_path)
    with RawLog(tmp_path / "raw"), pytest.raises(ConfigError, match="another process is recording"):
        RawLog(tmp_path / "raw")


def test_a_kill_loses_nothing_that_was_written(tmp_path: Path) -> None:
    path = tmp_path / "raw.jsonl"
    script = (
        "import sys, pathlib, os, signal\nfrom harness.collect.raw import RawLog\nlog ="
        " RawLog(pathlib.Path(sys.argv[1]))\nfor number in range(500): log.write('note',"
        " number=number)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, path], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    assert [event.values["number"] for event in read_raw(path)] == list(range(500))


def test_a_disk_that_refuses_is_told_and_stays_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "raw.jsonl"
    with RawLog(path) as log:
        log.write("note")
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", lambda _descriptor, data: len(data) // 2)
            with pytest.raises(InfrastructureError, match="only a part of a line"):
                log.write("note")
        with pytest.raises(InfrastructureError, match="only a part of a line"):
            log.write("note")
    with pytest.raises(InfrastructureError, match="only a part of a line"):
        log.write("note")
    assert len(read_raw(path)) == 1


def test_it_is_synchronised_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = threading.Event()
    fsync = os.fsync

    def noticed(descriptor: int) -> None:
        fsync(descriptor)
        synced.set()

    monkeypatch.setattr(os, "fsync", noticed)
    monkeypatch.setattr(raw_module, "SYNC_SECONDS", 0.01)
    with RawLog(tmp_path / "raw.jsonl") as log:
        log.write("note")
        assert synced.wait(10)


def test_a_sync_that_fails_is_told_by_the_next_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = threading.Event()

    def refuse(_descriptor: int) -> None:
        failed.set()
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(raw_module, "SYNC_SECONDS", 0.01)
    log = RawLog(tmp_path / "raw.jsonl")
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", refuse)
        log.write("note")
        assert failed.wait(10)
        log._syncer.join(10)
    with pytest.raises(InfrastructureError, match="Input/output error"):
        log.write("note")
    log.close()
    log.close()


def test_what_belongs_to_the_log_is_not_given(tmp_path: Path) -> None:
    with RawLog(tmp_path / "raw.jsonl") as log:
        with pytest.raises(ValueError, match="t is the log's own"):
            log.write("note", t=1)
        with pytest.raises(ValueError, match="JSON"):
            log.write("note", value=float("nan"))
    with pytest.raises(InfrastructureError, match="closed"):
        log.write("note")
