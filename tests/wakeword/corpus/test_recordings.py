"""Files, folders and lists of recordings."""

from __future__ import annotations

from pathlib import Path

import pytest

from wakeword.corpus.recordings import find_recordings, hash_corpus, hash_file, is_generated
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
    assert names(find_recordings([folder / "list.txt", folder / "list.csv"]), folder) == [
        "a/deep/er/0.ogg",
        "b/2.wav",
        "c.mp3",
    ]


def test_links_are_followed_and_no_file_counts_twice(folder: Path) -> None:
    (folder / "links").mkdir()
    (folder / "links" / "loop").symlink_to(folder / "links")
    (folder / "links" / "speaker").symlink_to(folder / "b")
    assert names(find_recordings([folder / "links"]), folder) == ["links/speaker/1.FLAC", "links/speaker/2.wav"]
    (folder / "again.wav").symlink_to(folder / "b" / "2.wav")
    assert names(
        find_recordings([folder / "b" / "2.wav", folder / "again.wav", folder / "a" / ".." / "b" / "2.wav"]), folder
    ) == ["b/2.wav"]


def test_names_in_lists_are_taken_as_they_are(folder: Path) -> None:
    for name in ("#1.wav", "two\nlines.wav", "sep\u2028arated.wav"):
        (folder / name).touch()
    (folder / "list.csv").write_bytes(b'path\r\n#1.wav\r\n"two\nlines.wav"\r\n')
    (folder / "list.txt").write_bytes("sep\u2028arated.wav\r\n".encode())
    found = find_recordings([folder / "list.csv", folder / "list.txt"])
    assert names(found, folder) == ["#1.wav", "sep\u2028arated.wav", "two\nlines.wav"]


def test_a_name_that_no_result_can_hold_is_refused(folder: Path) -> None:
    (folder / "bad\udcff.wav").touch()
    with pytest.raises(ConfigError, match="not UTF-8"):
        find_recordings([folder / "bad\udcff.wav"])


def test_what_a_folder_holds_and_nobody_hears_is_told_in_a_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "b" / "._2.wav").touch()
    (folder / "b" / "bad\udcff.wav").touch()
    told: list[str] = []
    assert len(find_recordings([folder, folder / "b" / "1.FLAC"], told.append)) == 4
    kind = ".txt is not a known kind of audio file"
    assert told == [f"{folder}: left out: 1 hidden name; not used: 2, first {folder}/a/notes.txt: {kind}"]
    find_recordings([folder])
    assert capsys.readouterr().err == f"{told[0]}\n"


def test_a_folder_with_nothing_to_hear_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "a.wav").symlink_to("gone.wav")
    with pytest.raises(
        ConfigError, match=r"no recordings in this folder .*not used: 1, first .*a\.wav: a broken link to gone\.wav"
    ):
        find_recordings([tmp_path])


def test_speech_of_a_synthesiser_is_known_through_a_link(tmp_path: Path) -> None:
    made = tmp_path / "made" / "positive" / "espeak" / "0.wav"
    made.parent.mkdir(parents=True)
    made.touch()
    (tmp_path / "made" / "generated.csv").touch()
    (tmp_path / "clips").symlink_to(tmp_path / "made" / "positive")
    assert is_generated(tmp_path / "clips" / "espeak" / "0.wav")
    assert not is_generated(tmp_path / "other.wav")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("huge.csv", "path\n" + "a" * 200_000, "not a CSV table"),
        ("empty.txt", "# nothing\n", "names no recording"),
        ("missing.txt", "gone.wav\n", "does not exist"),
        ("column.csv", "file\nc.mp3\n", "no column 'path'"),
        ("binary.txt", "\udcff", "is no text in UTF-8"),
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
