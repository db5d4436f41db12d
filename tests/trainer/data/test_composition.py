"""What each split holds: kinds by folder, groups that are none, a table that is read as it was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainer.config.sections import PathsSection
from trainer.data.composition import (
    MOST_KINDS,
    TABLE_NAME,
    composition,
    length,
    of_split,
    read_composition,
    write_composition,
)
from trainer.data.ingest import Label, SampleRecord
from trainer.data.split import Split
from wakeword.corpus.recordings import GENERATED_TABLE
from wakeword.errors import ConfigError

ROOT = Path("/data/negative")
PATHS = PathsSection(
    negative_dir=(ROOT,), hard_negative_dir=(Path("/data/hard"),), generated_dir=(Path("/data/spoken"),)
)


def record(
    path: Path | str, split: Split, seconds: float = 60.0, label: Label = Label.NEGATIVE, speaker: str = ""
) -> SampleRecord:
    return SampleRecord(ROOT / path, label, split, speaker or f"negative/{path}", seconds, 16_000)


RECORDS = (
    record("speech/a.wav", Split.TRAIN),
    record("speech/b/c.wav", Split.VAL, 600),
    record("noise/evening.flac#t=0,420", Split.TRAIN, 420),
    record("noise/evening.flac#t=423,480", Split.TRAIN, 57),
    record("noise/evening.flac#t=483,600", Split.TEST, 117),
    record("loose.wav", Split.TEST),
    record("ann/talk.wav", Split.VAL, speaker="ann"),
    record("/data/hard/mined/x.wav", Split.TRAIN, 2, Label.HARD_NEGATIVE),
    record("/data/spoken/negative/en_us/1.wav", Split.TRAIN, 3, speaker="en_us"),
    record("a word.wav", Split.TRAIN, 1, Label.POSITIVE),
)


def test_kinds_are_folders_that_are_no_speakers() -> None:
    shares = composition(RECORDS, PATHS)
    assert (
        of_split(shares, Split.TRAIN)
        == "negative none, noise 0.13 h (1), speech 1.0 min (1), spoken/negative 0.1 min (1)"
    )
    assert of_split(shares, Split.VAL) == "negative 1.0 min (1), noise none, speech 0.17 h (1), spoken/negative none"
    assert of_split(shares, Split.TEST) == "negative 1.0 min (1), noise 1.9 min (1), speech none, spoken/negative none"
    assert of_split(shares, Split.TRAIN, Label.HARD_NEGATIVE) == "mined 0.0 min (1)"
    assert sum(share.hours for share in shares) == pytest.approx(
        sum(one.duration for one in RECORDS if one.label is not Label.POSITIVE) / 3600
    )


def test_generated_near_misses_are_counted_where_they_are_heard(tmp_path: Path) -> None:
    (tmp_path / GENERATED_TABLE).touch()
    near, other = tmp_path / "negative" / "near_miss" / "one", tmp_path / "negative" / "sentence" / "one"
    records = [
        record(folder / f"{split}.wav", split, speaker="one")
        for folder in (near, other)
        for split in (Split.VAL, Split.TEST)
    ]
    paths = PathsSection(negative_dir=(tmp_path / "negative",))
    shares = composition(records, paths)
    assert of_split(shares, Split.VAL) == "near_miss none, sentence 1.0 min (1)"
    assert of_split(shares, Split.TEST) == "near_miss 1.0 min (1), sentence 1.0 min (1)"
    # Where there is nothing else, validation hears them.
    assert of_split(composition(records[:1], paths), Split.VAL) == "near_miss 1.0 min (1)"


def test_of_many_kinds_those_with_most_hours_are_shown() -> None:
    shares = composition(
        [record(f"kind{number:02}/a.wav", Split.VAL, 60.0 * (number + 1)) for number in range(MOST_KINDS + 3)], PATHS
    )
    text = of_split(shares, Split.VAL)
    assert text.startswith("kind03 4.0 min (1), ")
    assert text.endswith(f"kind12 {length(13 * 60)} (1), 3 more kinds 0.10 h")


def test_the_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    shares = composition(RECORDS, PATHS)
    assert read_composition(tmp_path) == ()
    write_composition(shares, tmp_path)
    assert [(one.split, one.label, one.kind, one.recordings) for one in read_composition(tmp_path)] == [
        (one.split, one.label, one.kind, one.recordings) for one in shares
    ]
    assert [one.hours for one in read_composition(tmp_path)] == pytest.approx([one.hours for one in shares], abs=1e-6)
    (tmp_path / TABLE_NAME).write_text("split,label,kind,recordings,hours\nval,negative,x,many,1\n")
    with pytest.raises(ConfigError, match="damaged"):
        read_composition(tmp_path)


def test_folders_of_one_key_are_told_apart() -> None:
    paths = PathsSection(negative_dir=(ROOT, Path("/more/radio")))
    shares = composition(
        [
            record("speech/a.wav", Split.VAL),
            record("/more/radio/news/b.wav", Split.VAL),
            record("/more/radio/c.wav", Split.VAL),
        ],
        paths,
    )
    assert of_split(shares, Split.VAL) == "negative/speech 1.0 min (1), radio 1.0 min (1), radio/news 1.0 min (1)"
