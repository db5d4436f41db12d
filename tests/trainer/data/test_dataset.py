"""The recordings of a run: generated ones train only, nothing stands twice, and the tables tell the truth."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.trainer.data.folders import folders
from trainer.config.sections import PathsSection
from trainer.data.dataset import (
    LISTS_FOLDER,
    REJECTED_NAME,
    TABLE_NAME,
    load_recordings,
    read_recordings,
    refuse_changed,
    rejection_summary,
    same_recordings,
    select_records,
    write_recordings,
)
from trainer.data.ingest import Ingestion, Label, SampleRecord
from trainer.data.split import Split, split_of
from wakeword.corpus.recordings import find_recordings
from wakeword.corpus.walk import Rejection
from wakeword.errors import ConfigError

SEED = 3


def tone(path: Path, seconds: float = 0.5) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, (np.sin(np.arange(int(16_000 * seconds)) / 10) * 3000).astype(np.int16), 16_000)
    return path


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Speakers of both labels, enough of them that no split is empty."""
    for speaker in range(12):
        for label in ("positive", "negative"):
            tone(tmp_path / "real" / label / f"speaker{speaker}" / "a.wav")
    for speaker in range(6):
        for label in ("positive", "negative"):
            tone(tmp_path / "generated" / label / f"voice{speaker}" / "b.wav")
    return tmp_path


def sources(root: Path, *generated: Path) -> PathsSection:
    return folders([root / "real" / "positive"], [root / "real" / "negative"], generated)


def load(given: PathsSection) -> Ingestion:
    return load_recordings(given, SEED, jobs=1)


def test_the_seed_of_these_tests_fills_all_splits(dataset: Path) -> None:
    assert {record.split for record in load(sources(dataset)).records} == set(Split)


def test_generated_speech_trains_only(dataset: Path) -> None:
    assert {split_of(f"voice{number}", SEED) for number in range(6)} != {Split.TRAIN}, "the rule alone would not do"
    result = load(sources(dataset, dataset / "generated"))
    generated = [record for record in result.records if record.path.name == "b.wav"]
    assert len(generated) == 12
    assert {record.split for record in generated} == {Split.TRAIN}
    recorded = tuple(record for record in result.records if record.path.name == "a.wav")
    assert recorded == load(sources(dataset)).records
    assert "generated speech: only 6 positive clips; at least 100 are recommended" in result.warnings
    assert "only 12 positive clips; at least 100 are recommended" in result.warnings


def test_generated_speech_does_not_fill_a_split(dataset: Path) -> None:
    given = folders(
        [dataset / "real" / "positive" / "speaker1"], [dataset / "real" / "negative"], [dataset / "generated"]
    )
    with pytest.raises(ConfigError, match="none of 1 sessions of one or two people is in"):
        load(given)


def test_a_file_in_two_folders_is_refused(dataset: Path) -> None:
    positive = dataset / "real" / "positive"
    for given in (
        folders([positive, positive / "speaker1"], [dataset / "real" / "negative"]),
        folders([positive], [dataset / "real" / "negative"], [dataset / "real"]),
    ):
        with pytest.raises(ConfigError, match=r"a\.wav: two of the given folders hold it"):
            load(given)
    (dataset / "real" / "negative" / "link.wav").symlink_to(positive / "speaker1" / "a.wav")
    with pytest.raises(ConfigError, match=r"link\.wav: is the same as .*positive/speaker1/a\.wav"):
        load(sources(dataset))


def test_a_missing_folder_is_named(dataset: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere: no such folder; it must hold the negative recordings"):
        load(folders([dataset / "real" / "positive"], [dataset / "nowhere"]))
    with pytest.raises(ConfigError, match=r"nowhere: no such folder; it must hold generated speech"):
        load(sources(dataset, dataset / "nowhere"))


def test_a_table_places_the_files_that_it_lists(dataset: Path) -> None:
    table = dataset / "splits.csv"
    rows = [
        f"real/{label}/speaker{number}/a.wav,group{number},{split}"
        for number, split in enumerate(("train", "val", "test"))
        for label in ("positive", "negative")
    ]
    table.write_text("\n".join(["path,group,split", *rows]) + "\n")
    placed = {
        record.path.parent.name: record
        for record in load(sources(dataset).model_copy(update={"splits": table})).records
    }
    assert [(placed[f"speaker{number}"].speaker, placed[f"speaker{number}"].split) for number in range(3)] == [
        ("group0", Split.TRAIN),
        ("group1", Split.VAL),
        ("group2", Split.TEST),
    ]


def test_tables_and_lists_of_a_run(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (dataset / "real" / "positive" / "speaker1" / "notes, and more.txt").write_text("x")
    tone(dataset / "real" / "negative" / "speaker2" / 'odd "name", ü.wav')
    monkeypatch.chdir(dataset)
    found = load(folders([Path("real/positive")], [Path("real/negative")], [Path("generated")]))
    folder = dataset / "run"
    write_recordings(found, folder)
    assert all(record.path.is_absolute() for record in found.records)
    assert read_recordings(folder) == found.records

    with (folder / REJECTED_NAME).open(newline="") as lines:
        (rejected,) = csv.DictReader(lines)
    assert rejected == {
        "path": str(dataset / "real" / "positive" / "speaker1" / "notes, and more.txt"),
        "reason": ".txt is not a known kind of audio file",
    }
    assert rejection_summary(found.rejections).startswith(f"first rejected: {rejected['path']}: .txt is not")

    for split in (Split.VAL, Split.TEST):
        for label in (Label.POSITIVE, Label.NEGATIVE):
            listed = find_recordings([folder / LISTS_FOLDER / f"{split}_{label}.txt"])
            assert listed == sorted(record.path for record in select_records(found.records, split, label))
    assert sorted(path.name for path in folder.iterdir()) == [LISTS_FOLDER, TABLE_NAME, REJECTED_NAME]


def test_chosen_keeps_order_and_takes_any_of_the_labels() -> None:
    def record(name: str, split: Split, label: Label) -> SampleRecord:
        return SampleRecord(Path(name), label, split, "x", 1.0, 16_000)

    records = [
        record("a", Split.TRAIN, Label.NEGATIVE),
        record("b", Split.TRAIN, Label.HARD_NEGATIVE),
        record("c", Split.VAL, Label.NEGATIVE),
    ]
    assert select_records(records, Split.TRAIN, Label.NEGATIVE, Label.HARD_NEGATIVE) == records[:2]
    assert select_records(records, Split.VAL, Label.POSITIVE) == []


def test_nothing_rejected_says_nothing() -> None:
    assert rejection_summary([]) == ""
    assert "silent" in rejection_summary([Rejection(Path("x"), "silent")])


def test_a_missing_or_damaged_table(dataset: Path) -> None:
    with pytest.raises(ConfigError, match=rf"{TABLE_NAME}: cannot be read .*mww-train"):
        read_recordings(dataset)
    write_recordings(load(sources(dataset)), dataset)
    table = dataset / TABLE_NAME
    content = table.read_text()
    for damaged in (
        content.replace("seconds", "minutes"),
        content.replace(",test,", ",exam,"),
        content + "half a li",
        content.replace("0.5", "long"),
        content[:-9],
    ):
        assert damaged != content
        table.write_text(damaged)
        with pytest.raises(ConfigError, match=r"recordings\.csv: (damaged|has no column) .*train again"):
            read_recordings(dataset)
    table.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is no text in UTF-8"):
        read_recordings(dataset)


def test_a_table_knows_what_its_files_held(dataset: Path) -> None:
    found = load(sources(dataset))
    write_recordings(found, dataset)
    records = read_recordings(dataset)
    assert [record.sha256 for record in records] == [
        hashlib.sha256(record.path.read_bytes()).hexdigest() for record in records
    ]
    refuse_changed(records, dataset)

    changed = records[3].path
    same_length = bytearray(changed.read_bytes())
    same_length[-1] ^= 1
    changed.write_bytes(same_length)
    with pytest.raises(
        ConfigError,
        match=rf"{changed.name}: holds something else than .*recordings\.csv \(1 of {len(records)} have changed\)",
    ):
        refuse_changed(records, dataset)
    assert not same_recordings(records, load(sources(dataset)).records)
    changed.unlink()
    with pytest.raises(
        ConfigError,
        match=rf"{changed.name}: listed in .*recordings\.csv, but not there \(1 of {len(records)} are gone\)",
    ):
        refuse_changed(records, dataset)


def test_a_table_of_an_older_run_is_read_without_hashes(dataset: Path) -> None:
    found = load(sources(dataset))
    write_recordings(found, dataset)
    table = dataset / TABLE_NAME
    table.write_text("".join(f"{line.rpartition(',')[0]}\n" for line in table.read_text().splitlines()))
    older = read_recordings(dataset)
    assert {record.sha256 for record in older} == {""}
    assert same_recordings(older, found.records)
    assert not same_recordings(older[1:], found.records)
    older[0].path.write_bytes(b"what was there is not known")
    refuse_changed(older, dataset)
