"""Files, folders and lists of recordings."""

from __future__ import annotations

from pathlib import Path

import pytest

from wakeword.corpus.recordings import find_recordings, hash_corpus, hash_file
from wakeword.errors import ConfigError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b/2.wav", "b/1.FLAC", "a/deep/er/0.ogg", "a/notes.txt", "c.mp3"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def names(paths: list[Path], folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in paths]


def test_folders_are_searched_to_the_bottom_and_sorted(folder: Path) -> None:
    assert names(find_recordings([folder]), folder) == ["a/deep/er/0.ogg", "b/1.FLAC", "b/2.wav", "c.mp3"]


def test_each_recording_counts_once(folder: Path) -> None:
    assert names(find_recordings([folder / "b", folder / "b" / "2.wav"]), folder) == ["b/1.FLAC", "b/2.wav"]


def test_lists_are_relative_to_themselves(folder: Path) -> None:
    (folder / "list.txt").write_text("# evening\nb/2.wav\n\n a/deep/er/0.ogg \n")
    (folder / "list.csv").write_text("word,path\nx,c.mp3\n")
    assert names(find_recordings([folder / "list.txt", folder / "list.csv"]), folder) == ["a/deep/er/0.ogg", "b/2.wav", "c.mp3"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.txt", "# nothing\n", "names no recording"),
        ("missing.txt", "gone.wav\n", "does not exist"),
        ("column.csv", "file\nc.mp3\n", "no column 'path'"),
        ("binary.txt", "\udcff", "not a text file"),
    ],
)
def test_bad_lists_say_what_is_wrong(name: str, content: str, message: str, folder: Path) -> None:
    (folder / name).write_text(content, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(ConfigError, match=message):
        find_recordings([folder / name])


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no recordings in this folder"):
        find_recordings([tmp_path])


def test_a_missing_source_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        find_recordings([tmp_path / "gone"])


def test_a_corpus_hash_does_not_depend_on_order_or_names(folder: Path) -> None:
    hashes = [hash_file(path) for path in find_recordings([folder])]
    assert hash_corpus(hashes) == hash_corpus(reversed(hashes))
    assert hash_corpus(hashes) != hash_corpus(hashes[1:])
