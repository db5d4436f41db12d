"""Clips of a dataset: names that cannot leave it, moves that can be taken back, a list that is kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from studio.gallery import moves
from studio.gallery.index import ClipIndex
from studio.gallery.mined import mined_rows
from studio.gallery.places import checked_speaker, clip_path, free_path, plain_stem
from studio.gallery.shelf import shelf
from studio.gallery.waves import BARS, playable, wave_of
from studio.live.datasets import dataset_folder, dataset_names
from studio.workspace import Workspace
from tests.studio.gallery import tone, write_dataset
from trainer.data.clips import write_clip
from trainer.data.ingest import Label, find_files
from trainer.data.mined import MinedClip, write_table
from wakeword.errors import ConfigError


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "dataset")


@pytest.mark.parametrize(
    "name",
    [
        "../secret.wav",
        "positive/../../secret.wav",
        "positive/anna/../../../secret.wav",
        "/etc/passwd",
        "positive//../../secret.wav",
        "positive/anna\\..\\..\\secret.wav",
        "positive/./anna/near_1.wav",
        "positive/anna",
        "positive",
        "",
        "elsewhere/x.wav",
        "positive/anna/near_1.wav\0.wav",
        "recordings.csv",
        "positive/anna/notes.txt",
        "positive/out.wav",
        "negative/linked/secret.wav",
    ],
)
def test_a_name_cannot_leave_the_dataset(dataset: Path, name: str) -> None:
    write_clip(dataset.parent / "secret.wav", tone())
    (dataset / "positive/anna/notes.txt").write_text("no sound")
    (dataset / "positive/out.wav").symlink_to(dataset.parent / "secret.wav")
    (dataset / "negative/linked").symlink_to(dataset.parent)
    with pytest.raises(ConfigError, match="names no clip"):
        clip_path(dataset, name)


def test_a_clip_s_name_is_its_file(dataset: Path) -> None:
    assert clip_path(dataset, "positive/anna/near_1.wav") == dataset / "positive/anna/near_1.wav"


@pytest.mark.parametrize("speaker", ["..", ".hidden", "a/b", "", " ", "x" * 61, "a\\b", "-x"])
def test_a_speaker_is_the_name_of_a_folder(speaker: str) -> None:
    with pytest.raises(ConfigError, match="speaker"):
        checked_speaker(speaker)


def test_usual_names_are_speakers() -> None:
    assert [checked_speaker(name) for name in ("anna", " Jürgen  M. ", "x", "speaker_01")] == [
        "anna",
        "Jürgen M.",
        "x",
        "speaker_01",
    ]


def test_what_is_rejected_comes_back_and_nothing_is_deleted(dataset: Path) -> None:
    content = (dataset / "positive/anna/near_1.wav").read_bytes()
    move = moves.reject(dataset, "positive/anna/near_1.wav")
    assert (dataset / "rejected/positive/anna/near_1.wav").read_bytes() == content
    assert [file.speaker for file in find_files(dataset / "positive", Label.POSITIVE).files] == ["ben"]
    with pytest.raises(ConfigError, match="rejected already"):
        moves.reject(dataset, move.after)
    restored = moves.restore(dataset, move.after)
    assert restored.after == "positive/anna/near_1.wav"
    assert (dataset / restored.after).read_bytes() == content
    with pytest.raises(ConfigError, match="not rejected"):
        moves.restore(dataset, restored.after)


def test_two_rejected_clips_of_one_name_are_both_kept(dataset: Path) -> None:
    first = moves.reject(dataset, "negative/radio.wav")
    write_clip(dataset / "negative/radio.wav", tone(1.0))
    second = moves.reject(dataset, "negative/radio.wav")
    assert first.after != second.after
    assert all((dataset / one.after).is_file() for one in (first, second))


def test_another_label_keeps_the_speaker_s_folder(dataset: Path) -> None:
    """A negative in a speaker's folder belongs to that speaker, so that no split hears both sides of a person."""
    assert moves.relabel(dataset, "positive/anna/near_1.wav", Label.NEGATIVE, "").after == "negative/anna/near_1.wav"
    with pytest.raises(ConfigError, match="who speaks"):
        moves.relabel(dataset, "negative/radio.wav", Label.POSITIVE, "")
    assert moves.relabel(dataset, "negative/radio.wav", Label.POSITIVE, "carla").after == "positive/carla/radio.wav"
    assert moves.relabel(dataset, "positive/ben/far_1.wav", Label.POSITIVE, "dora").after == "positive/dora/far_1.wav"
    with pytest.raises(ConfigError, match="there already"):
        moves.relabel(dataset, "positive/dora/far_1.wav", Label.POSITIVE, "")


def test_each_move_can_be_taken_back_once(dataset: Path) -> None:
    move = moves.relabel(dataset, "negative/radio.wav", Label.POSITIVE, "carla")
    moves.undo(dataset, move.number)
    assert (dataset / "negative/radio.wav").is_file()
    with pytest.raises(ConfigError, match="taken back already"):
        moves.undo(dataset, move.number)
    with pytest.raises(ConfigError, match="no such move"):
        moves.undo(dataset, 99)
    again = moves.reject(dataset, "negative/radio.wav")
    write_clip(dataset / "negative/radio.wav", tone(1.1))
    with pytest.raises(ConfigError, match="something else lies there"):
        moves.undo(dataset, again.number)
    assert (dataset / again.after).is_file()


def test_a_line_that_a_kill_cut_off_is_passed_over(dataset: Path) -> None:
    moves.reject(dataset, "negative/radio.wav")
    with (dataset / moves.JOURNAL).open("a") as journal:
        journal.write('{"number": 2, "da')
    move = moves.reject(dataset, "hard_negative/ab12.wav")
    assert [one.number for one in moves.journal(dataset)] == [1, 2]
    moves.undo(dataset, move.number)
    assert (dataset / "hard_negative/ab12.wav").is_file()


def test_accepted_is_what_was_accepted_and_not_moved_since(dataset: Path) -> None:
    move = moves.accept(dataset, "hard_negative/ab12.wav")
    assert moves.accepted(moves.journal(dataset)) == {"hard_negative/ab12.wav"}
    moves.undo(dataset, move.number)
    assert moves.accepted(moves.journal(dataset)) == set()
    moves.accept(dataset, "hard_negative/ab12.wav")
    moves.reject(dataset, "hard_negative/ab12.wav")
    assert moves.accepted(moves.journal(dataset)) == set()


def test_a_move_that_was_not_made_hides_no_other(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two pages that reject the same clip one is refused; a disk that refuses, and a kill, leave nothing to undo."""
    first = moves.reject(dataset, "negative/radio.wav")
    with pytest.raises(ConfigError, match="names no clip"):
        moves.reject(dataset, "negative/radio.wav")
    assert [one.number for one in moves.journal(dataset)] == [1]

    def refuse(_: Path, __: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", refuse)
        with pytest.raises(OSError, match="No space"):
            moves.reject(dataset, "positive/ben/far_1.wav")
        with pytest.raises(OSError, match="No space"):
            moves.undo(dataset, first.number)
    assert shelf(dataset, 1).last == first
    killed = moves._write(dataset, "rejected", "positive/ben/far_1.wav", "rejected/positive/ben/far_1.wav")
    assert killed.number > first.number
    assert shelf(dataset, 1).last == first
    moves.undo(dataset, first.number)
    assert (dataset / "negative/radio.wav").is_file()
    assert shelf(dataset, 1).last is None


def test_moves_are_taken_back_one_after_the_other(dataset: Path) -> None:
    for name in ("negative/radio.wav", "positive/ben/far_1.wav"):
        moves.reject(dataset, name)
    moves.accept(dataset, "hard_negative/ab12.wav")
    took: list[str] = []
    while (last := shelf(dataset, 1).last) is not None:
        moves.undo(dataset, last.number)
        took.append(last.before)
    assert took == ["hard_negative/ab12.wav", "positive/ben/far_1.wav", "negative/radio.wav"]
    assert all((dataset / name).is_file() for name in took)


def names(index: ClipIndex, **asked: object) -> list[str]:
    return [clip.name for clip in index.page(1, 50, **asked).clips]  # type: ignore[arg-type]


def test_the_list_follows_what_happens_in_the_folder(dataset: Path) -> None:
    index = ClipIndex(dataset)
    assert names(index, order="name") == [
        "hard_negative/ab12.wav",
        "negative/radio.wav",
        "positive/anna/near_1.wav",
        "positive/ben/far_1.wav",
    ]
    moves.reject(dataset, "positive/anna/near_1.wav")
    write_clip(dataset / "positive/carla/near_1.wav", tone(9.0))
    (dataset / "negative/radio.wav").unlink()
    assert names(index, order="name") == [
        "hard_negative/ab12.wav",
        "positive/ben/far_1.wav",
        "positive/carla/near_1.wav",
    ]
    assert names(index, label="rejected") == ["rejected/positive/anna/near_1.wav"]
    assert names(index, speaker="carla") == ["positive/carla/near_1.wav"]
    assert names(index, text="FAR") == ["positive/ben/far_1.wav"]
    assert names(index, order="longest")[0] == "positive/carla/near_1.wav"
    assert index.counts().labels == {"positive": 2, "negative": 0, "hard_negative": 1, "rejected": 1}
    assert index.counts().speakers == {"ben": 1, "carla": 1}


def test_headers_of_clips_that_stay_are_read_once(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from studio.gallery import index as module

    read: list[str] = []
    real = module._header

    def told(path: Path) -> tuple[float, str]:
        read.append(path.name)
        return real(path)

    monkeypatch.setattr(module, "_header", told)
    index = ClipIndex(dataset)
    index.clips()
    assert len(read) == 4
    write_clip(dataset / "positive/anna/near_2.wav", tone())
    index.clips()
    index.clips()
    assert read[4:] == ["near_2.wav"]


def test_pages_are_in_order_and_the_last_is_whoever_asks_for_more(dataset: Path) -> None:
    for number in range(7):
        write_clip(dataset / f"negative/room/{number}.wav", tone())
    index = ClipIndex(dataset)
    pages = [index.page(number, 3, label="negative", order="name") for number in (1, 2, 3, 9)]
    assert [len(page.clips) for page in pages] == [3, 3, 2, 2]
    assert [page.number for page in pages] == [1, 2, 3, 3]
    assert (pages[0].pages, pages[0].total) == (3, 8)
    for size in (0, 10_000):
        with pytest.raises(ConfigError, match="clips a page"):
            index.page(1, size)
    with pytest.raises(ConfigError, match="order"):
        index.page(1, 10, order="loudest")  # type: ignore[arg-type]


def test_links_out_of_the_folder_are_counted_and_not_shown(dataset: Path) -> None:
    outside = dataset.parent / "outside"
    write_clip(outside / "a.wav", tone())
    (dataset / "negative/linked").symlink_to(outside)
    (dataset / "positive/anna/linked.wav").symlink_to(outside / "a.wav")
    index = ClipIndex(dataset)
    assert len(index.clips()) == 4
    assert index.counts().outside == 2


def test_a_broken_file_is_listed_with_its_reason(dataset: Path) -> None:
    (dataset / "negative/broken.wav").write_bytes(b"RIFF")
    clip = next(clip for clip in ClipIndex(dataset).clips() if "broken" in clip.name)
    assert "cannot be read" in clip.problem
    assert "cannot be read" in wave_of(dataset / clip.name, 0, 4).problem


def test_a_waveform_has_bars_and_a_level(dataset: Path) -> None:
    path = dataset / "negative/radio.wav"
    wave = wave_of(path, path.stat().st_mtime_ns, path.stat().st_size)
    assert len(wave.bars) == BARS
    assert max(wave.bars) == 49
    assert wave.peak_dbfs == pytest.approx(-12.2, abs=0.1)
    assert not wave.at_full_scale
    assert playable(path) == path.read_bytes()


def test_mined_clips_are_known_wherever_they_lie(dataset: Path) -> None:
    row = MinedClip("ab12.wav", "0" * 64, "/evening.flac", "1" * 64, 16_000, 32_000, 0.99, 0.8, "2" * 64, "2026-11-28")
    write_table(dataset / "hard_negative", [row])
    moves.reject(dataset, "hard_negative/ab12.wav")
    assert mined_rows(dataset) == {"ab12.wav": row}


def test_names_from_elsewhere_become_plain(tmp_path: Path) -> None:
    assert [plain_stem(name) for name in ("a b.wav", "..", "/x/y.wav", "...wav")] == ["a_b", "clip", "y", "clip"]
    (tmp_path / "a.wav").touch()
    assert free_path(tmp_path, "a", ".wav").name == "a-2.wav"


def test_the_dataset_that_was_changed_last_comes_first(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert dataset_names(workspace) == ["mine"]
    for number, name in enumerate(("b", "a", ".hidden", "c")):
        (workspace.datasets / name).mkdir(parents=True)
        os.utime(workspace.datasets / name, (number, number))
    assert dataset_names(workspace) == ["c", "a", "b"]
    assert dataset_folder(workspace, "") == workspace.datasets / "mine"
    for name in ("..", "a/b", "/etc", ".hidden", "x" * 80):
        with pytest.raises(ConfigError, match="dataset"):
            dataset_folder(workspace, name)


def test_a_dataset_that_lies_elsewhere_is_left_out_and_says_why(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    (workspace.root / "more").mkdir(parents=True)
    (tmp_path / "disk").mkdir()
    workspace.datasets.mkdir()
    (workspace.datasets / "far").symlink_to(tmp_path / "disk")
    assert dataset_names(workspace) == ["mine"]
    with pytest.raises(ConfigError, match="dataset 'far': leads out of the workspace"):
        dataset_folder(workspace, "far")
    (workspace.datasets / "near").symlink_to(workspace.root / "more")
    assert dataset_names(workspace) == ["near"]
    assert dataset_folder(workspace, "near") == workspace.datasets / "near"
