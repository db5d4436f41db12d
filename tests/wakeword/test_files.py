"""A final name never holds half a file, and nothing that is no file is replaced by one."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from wakeword.errors import ConfigError
from wakeword.files import check_writable, partial_file, write_atomically


def test_a_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "new" / "result.json"
    write_atomically(path, "first")
    with pytest.raises(KeyboardInterrupt), partial_file(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "first"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder"):
        write_atomically(tmp_path, "x")
    assert tmp_path.is_dir()


def test_a_link_is_followed(tmp_path: Path) -> None:
    target, link = tmp_path / "kept" / "target.txt", tmp_path / "link.txt"
    target.parent.mkdir()
    link.symlink_to(target)
    write_atomically(link, "x")
    assert link.is_symlink()
    assert target.read_text() == "x"


def test_a_pipe_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    write_atomically(pipe, "through")
    reader.join(10)
    assert read == ["through"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_an_error_names_the_file_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 250)  # fits, but not with what a temporary name adds
    with pytest.raises(OSError, match="too long") as caught:
        write_atomically(path, "x")
    assert caught.value.filename == str(path)


def test_what_cannot_be_written_is_known_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    check_writable(tmp_path / "not" / "yet" / "there.json")
    assert not (tmp_path / "not").exists()
    with pytest.raises(ConfigError, match="is a folder"):
        check_writable(tmp_path)
    with pytest.raises(ConfigError, match="file is not a folder"):
        check_writable(tmp_path / "file" / "there.json")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    with pytest.raises(ConfigError, match="may not be written to"):
        check_writable(tmp_path / "there.json")
