"""One rule for what a folder of recordings holds."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data.augment.sounds import find_sounds
from trainer.data.ingest import Label, find_files
from wakeword.corpus.recordings import find_recordings
from wakeword.corpus.walk import LeftOut, Walked, walk
from wakeword.errors import ConfigError


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode(errors="surrogateescape"))
    return root


def names(walked: Walked, root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in walked.recordings]


def reasons(walked: Walked, root: Path) -> dict[str, str]:
    return {one.path.relative_to(root).as_posix(): one.reason for one in walked.rejections}


def test_files_of_every_case_are_found_to_the_bottom(tmp_path: Path) -> None:
    touch(tmp_path, "b/2.wav", "b/1.FLAC", "a/deep/er/0.OGG", "c.Mp3")
    assert names(walk(tmp_path), tmp_path) == ["a/deep/er/0.OGG", "b/1.FLAC", "b/2.wav", "c.Mp3"]


def test_hidden_names_and_tables_are_counted(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "a.wav",
        "._a.wav",
        ".hidden/b.wav",
        "__MACOSX/a.wav",
        "@eaDir/a.wav/SYNO.wav",
        "mined.csv",
        "deep/list.JSON",
    )
    walked = walk(tmp_path)
    assert names(walked, tmp_path) == ["a.wav"]
    assert walked.left_out == LeftOut(hidden=4, tables=2)
    assert str(walked.left_out) == "left out: 4 hidden names, 2 tables"
    assert [path.name for path in walked.tables] == ["list.JSON", "mined.csv"]
    assert not walked.rejections
    assert not str(LeftOut())


def test_a_hidden_folder_that_is_given_is_searched(tmp_path: Path) -> None:
    touch(tmp_path, ".cache/a.wav")
    assert names(walk(tmp_path / ".cache"), tmp_path) == [".cache/a.wav"]


def test_whatever_is_no_recording_is_rejected_with_its_reason(tmp_path: Path) -> None:
    touch(tmp_path, "notes.txt", "LICENSE", "bad\udcff.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "gone.wav").symlink_to("nowhere.wav")
    (tmp_path / "itself.wav").symlink_to("itself.wav")
    walked = walk(tmp_path)
    assert not walked.recordings
    found = reasons(walked, tmp_path)
    assert found["notes.txt"] == ".txt is not a known kind of audio file"
    assert found["LICENSE"] == "no ending is not a known kind of audio file"
    assert found["pipe.wav"] == "is no regular file"
    assert found["gone.wav"] == "a broken link to nowhere.wav (No such file or directory)"
    assert found["itself.wav"].startswith("a broken link to itself.wav (")
    assert "not UTF-8" in found["bad\udcff.wav"]
    assert len(found) == 6


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may read everything, so it is somebody else for a moment."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_folder_that_cannot_be_read_is_rejected() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        root = touch(Path(scratch), "a.wav", "locked/b.wav")
        root.chmod(0o755)
        (root / "locked").chmod(0)
        try:
            with as_nobody():
                walked = walk(root)
                with pytest.raises(ConfigError, match=r"locked: cannot be read as a folder \(Permission denied\)"):
                    walk(root / "locked")
        finally:
            (root / "locked").chmod(0o700)
        assert names(walked, root) == ["a.wav"]
        assert reasons(walked, root) == {"locked": "the folder cannot be read (Permission denied)"}


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read as a folder"):
        walk(tmp_path / "none")


def test_links_to_folders_and_files_are_followed(tmp_path: Path) -> None:
    touch(tmp_path / "nas", "anna/1.wav", "anna/deep/2.wav", "loose.bin")
    root = touch(tmp_path / "root", "bert/3.wav")
    (root / "anna").symlink_to(tmp_path / "nas" / "anna")
    (root / "4.wav").symlink_to(tmp_path / "nas" / "loose.bin")
    assert names(walk(root), root) == ["4.wav", "anna/1.wav", "anna/deep/2.wav", "bert/3.wav"]


def test_a_file_counts_once_and_under_its_real_name(tmp_path: Path) -> None:
    root = touch(tmp_path, "zoe/1.wav")
    (root / "aaa").symlink_to(root / "zoe")
    (root / "0.wav").symlink_to(root / "zoe" / "1.wav")
    walked = walk(root)
    assert names(walked, root) == ["zoe/1.wav"]
    assert walked.left_out == LeftOut(repeated=2)
    assert str(walked.left_out) == "left out: 2 links to what is there already"
    assert not walked.rejections


def test_of_two_links_the_first_name_counts(tmp_path: Path) -> None:
    touch(tmp_path / "nas", "1.wav")
    root = tmp_path / "root"
    root.mkdir()
    for name in ("b", "a"):
        (root / name).symlink_to(tmp_path / "nas")
    walked = walk(root)
    assert names(walked, root) == ["a/1.wav"]
    assert walked.left_out == LeftOut(repeated=1)


def test_loops_end_and_are_told(tmp_path: Path) -> None:
    touch(tmp_path, "root/speaker/1.wav", "one/2.wav", "two/3.wav", "beside.wav")
    root = tmp_path / "root"
    (root / "speaker" / "up").symlink_to(tmp_path)
    (root / "self").symlink_to(root)
    (root / "one").symlink_to(tmp_path / "one")
    (tmp_path / "one" / "two").symlink_to(tmp_path / "two")
    (tmp_path / "two" / "one").symlink_to(tmp_path / "one")
    walked = walk(root)
    assert names(walked, root) == ["one/2.wav", "one/two/3.wav", "speaker/1.wav"]
    assert reasons(walked, root) == {
        "self": f"a link back to {root}, in which it lies itself",
        "speaker/up": f"a link back to {tmp_path}, in which it lies itself",
        "one/two/one": f"a link back to {tmp_path / 'one'}, in which it lies itself",
    }


def test_all_that_list_recordings_find_the_same(tmp_path: Path) -> None:
    touch(tmp_path / "nas", "1.wav")
    root = touch(tmp_path / "root", "a/b/2.WAV", "a/._2.wav", ".x/3.wav", "list.csv", "README")
    (root / "linked").symlink_to(tmp_path / "nas")
    (root / "gone").symlink_to(tmp_path / "nowhere")
    expected = [root / "a" / "b" / "2.WAV", root / "linked" / "1.wav"]
    assert find_recordings([root], lambda _: None) == expected
    assert list(find_sounds([root]).recordings) == expected
    found = find_files(root, Label.NEGATIVE)
    assert [file.path for file in found.files] == expected
    assert (
        {one.path.name for one in found.rejections}
        == {"README", "gone"}
        == {one.path.name for one in find_sounds([root]).rejections}
    )


NAMES = st.sampled_from(["a", "b", "c.wav", "d.FLAC", "e.csv", "f.txt", ".g", "._c.wav"])
PLACES = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


@settings(max_examples=60)
@given(st.lists(PLACES, max_size=8), st.lists(st.tuples(PLACES, PLACES), max_size=6))
def test_no_name_is_lost(files: list[str], links: list[tuple[str, str]]) -> None:
    """Whatever links a tree has, each recording that can be reached counts once, and each name that can be seen is told
    of.
    """
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch).resolve()
        for name in files:
            try:
                touch(root, name)
            except OSError:
                continue  # a file where a folder would have to be
        for name, target in links:
            try:
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).symlink_to(root / target)
            except OSError:
                continue
        walked = walk(root)
        real = [path.resolve() for path in walked.recordings]
        assert len(set(real)) == len(real)
        visible = [
            path for path in root.rglob("*") if not any(part.startswith(".") for part in path.relative_to(root).parts)
        ]
        taken = {*walked.recordings, *walked.tables, *(one.path for one in walked.rejections)}
        for path in visible:
            if path.is_symlink() or path.is_file():
                known = path in taken or path.resolve() in {*real, *(table.resolve() for table in walked.tables)}
                assert known or path.is_dir() or walked.left_out.repeated, path
        for path in visible:
            if path.is_file() and not path.is_symlink() and path.suffix.lower() in {".wav", ".flac"}:
                assert path in walked.recordings, path
