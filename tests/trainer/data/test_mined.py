"""Mined clips train, whatever their speaker's split, and never when their source is held back."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.data.folders import folders
from trainer.data.dataset import load_recordings
from trainer.data.ingest import Ingestion, Label, SampleRecord, find_files
from trainer.data.mined import MinedClip, mined_among, place_mined, read_table, rows_below, write_table
from trainer.data.split import Split, split_of
from wakeword.corpus.recordings import hash_part
from wakeword.part import Part

SEED = 3


def sound(path: Path, pitch: float, seconds: float = 0.5) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, (np.sin(np.arange(int(16_000 * seconds)) / pitch) * 3000).astype(np.int16), 16_000)
    return path


def row(file: str, source: Path | str, sha256: str) -> MinedClip:
    return MinedClip(
        file, "c" * 64, str(source), sha256, 0, 8000, 0.9, 0.8, "m" * 64, "2026-01-01T00:00:00+00:00", 7000, 2500
    )


def content_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Speakers of both labels, all different, enough of them that no split is empty."""
    for speaker in range(12):
        for offset, label in enumerate(("positive", "negative")):
            sound(tmp_path / label / f"speaker{speaker}" / "a.wav", 10 + speaker + 20 * offset)
    return tmp_path


def load(root: Path) -> Ingestion:
    return load_recordings(
        folders([root / "positive"], [root / "negative"], hard_negative_dir=[root / "hard_negative"]), SEED, jobs=1
    )


def a_source(root: Path, label: str, split: Split) -> Path:
    return next(
        root / label / f"speaker{number}" / "a.wav"
        for number in range(12)
        if split_of(f"speaker{number}", SEED) is split
    )


def test_mined_clips_train_and_those_of_held_back_sources_are_told_of(dataset: Path) -> None:
    hard = dataset / "hard_negative"
    # Speakers of loose files are their names; these would fall to validation or test.
    names = [
        name
        for name in (f"n{number}" for number in range(200))
        if split_of(f"hard_negative/{name}", SEED) is not Split.TRAIN
    ]
    clips = [sound(hard / f"{name}.wav", 70 + index) for index, name in enumerate(names[:6])]
    assert len(clips) == 6
    taught, validates, tests, word = (
        a_source(dataset, label, split)
        for label, split in (
            ("negative", Split.TRAIN),
            ("negative", Split.VAL),
            ("negative", Split.TEST),
            ("positive", Split.TRAIN),
        )
    )
    rows = [
        row(clips[0].name, taught, content_of(taught)),
        row(clips[1].name, "/gone/elsewhere.wav", "0" * 64),
        row(clips[2].name, validates, "of an older version of the file"),
        row(clips[3].name, "/renamed.wav", content_of(tests)),
        row(clips[4].name, word, content_of(word)),
    ]
    write_table(hard, rows)
    (hard / "notes.json").write_text("{}")
    result = load(dataset)
    placed = {record.path: record.split for record in result.records if record.label is Label.HARD_NEGATIVE}
    assert placed.keys() == {clips[0], clips[1], clips[5]}
    assert (placed[clips[0]], placed[clips[1]]) == (Split.TRAIN, Split.TRAIN)
    assert placed[clips[5]] is not Split.TRAIN, "a hard negative that nobody mined is split as any other"
    assert {rejection.path: rejection.reason for rejection in result.rejections} == {
        clips[2]: f"mined from {validates}, which validates this run",
        clips[3]: "mined from /renamed.wav, which tests this run",
        clips[4]: f"mined from {word}, which holds the wake word in this run",
    }
    (warning,) = (one for one in result.warnings if "mined" in one)
    assert warning.startswith("3 mined hard negatives are not used, first ")
    assert warning.endswith(f"which {result.rejections[0].reason.rpartition('which ')[2]}")


def test_tables_are_no_recordings_and_other_files_are_still_told_of(dataset: Path) -> None:
    for name in ("mined.csv", "namelist.JSON", "log.jsonl", "notes.txt"):
        (dataset / "negative" / name).write_text("")
    found = find_files(dataset / "negative", Label.NEGATIVE)
    assert {file.path.suffix for file in found.files} == {".wav"}
    assert [one.path.name for one in found.rejections] == ["notes.txt"]
    assert str(found.left_out) == "left out: 3 tables"


def test_rows_of_deleted_clips_are_remembered(tmp_path: Path) -> None:
    kept = sound(tmp_path / "a" / "kept.wav", 9)
    rows = (row("kept.wav", "/x.wav", "1" * 64), row("deleted.wav", "/y.wav", "2" * 64))
    write_table(tmp_path / "a", rows)
    write_table(tmp_path / "b" / "c", rows[:1])
    assert read_table(tmp_path / "a") == rows
    assert rows_below([tmp_path]) == [*rows, rows[0]]
    assert mined_among([kept, tmp_path / "b" / "unlisted.wav"]) == {kept: rows[0]}
    link = tmp_path / "linked.wav"
    link.symlink_to(kept)
    assert mined_among([link]) == {link: rows[0]}


records_and_sources = st.lists(
    st.tuples(
        st.sampled_from(list(Split)),
        st.sampled_from([Label.POSITIVE, Label.NEGATIVE]),
        st.sampled_from(["by path", "by content", "not at all"]),
    ),
    min_size=1,
    max_size=12,
)


@given(sources=records_and_sources)
def test_what_was_mined_from_training_negatives_alone_is_kept(
    sources: list[tuple[Split, Label, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    hard = tmp_path_factory.mktemp("hard")
    recorded, mined, rows, expected = [], [], [], []
    for number, (split, label, known) in enumerate(sources):
        origin = SampleRecord(Path(f"/audio/{number}.wav"), label, split, "s", 1.0, 16_000, sha256=f"{number:064x}")
        clip = SampleRecord(hard / f"{number}.wav", Label.HARD_NEGATIVE, Split.TEST, "m", 1.0, 16_000, sha256="f" * 64)
        named = origin.path if known == "by path" else Path("/moved.wav")
        rows.append(row(clip.path.name, named, origin.sha256 if known == "by content" else "e" * 64))
        recorded.append(origin)
        mined.append(clip)
        if known == "not at all" or (split is Split.TRAIN and label is Label.NEGATIVE):
            expected.append(replace(clip, split=Split.TRAIN))
    write_table(hard, rows)
    placed, rejections = place_mined([*recorded, *mined])
    assert placed == [*recorded, *expected]
    assert len(rejections) == len(mined) - len(expected)


@pytest.mark.parametrize("known_by", ["path", "content", "stretch of a copy"])
def test_a_clip_from_a_long_recording_is_held_back_by_the_stretch_it_was_cut_from(
    tmp_path: Path, known_by: str
) -> None:
    evening = sound(tmp_path / "evening.wav", 30, 12)
    content, elsewhere = content_of(evening), tmp_path / "elsewhere.wav"
    parts = [
        (Part(evening, 0, 5), Split.TRAIN),
        (Part(evening, 6, 9), Split.TEST),
        (Part(evening, 10, 12), Split.TRAIN),
    ]
    records = [
        SampleRecord(
            part.path, Label.NEGATIVE, split, "negative/evening", part.end - part.start, 16_000, sha256=content
        )
        for part, split in parts
    ]
    clips = [sound(tmp_path / "hard" / f"{second}.wav", 40 + second) for second in (1, 7, 11)]
    rows = []
    for second, clip in zip((1, 7, 11), clips, strict=True):
        source, sha256, first = evening, content, second * 16_000
        if known_by != "path":
            source = elsewhere
        if known_by == "stretch of a copy":
            heard = Part(elsewhere, second - 1, second + 1)
            source, sha256, first = heard.path, hash_part(content, heard), 16_000
        rows.append(replace(row(clip.name, source, sha256), start_sample=first, end_sample=first + 8000))
    write_table(tmp_path / "hard", rows)
    mined = [
        SampleRecord(clip, Label.HARD_NEGATIVE, Split.TEST, clip.stem, 0.5, 16_000, sha256=content_of(clip))
        for clip in clips
    ]
    placed, rejected = place_mined([*records, *mined])
    assert [(entry.path.stem, entry.reason.split(", which ")[1]) for entry in rejected] == [("7", "tests this run")]
    assert {record.path.stem: record.split for record in placed if record.label is Label.HARD_NEGATIVE} == {
        "1": Split.TRAIN,
        "11": Split.TRAIN,
    }
