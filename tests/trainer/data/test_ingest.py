"""Ingestion: every file is a record or a rejection with its reason."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.trainer.data.folders import folders
from trainer.data.dataset import find_recorded
from trainer.data.ingest import FoundFiles, Label, find_files, ingest
from trainer.data.split import Split, Splitter, read_splits, split_of
from wakeword.errors import ConfigError


def tone(path: Path, seconds: float = 1.0, amplitude: float = 8000, rate: int = 16_000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = amplitude * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)
    soundfile.write(path, np.clip(wave, -32768, 32767).astype(np.int16), rate)
    return path


def found_in(root: Path) -> FoundFiles:
    hard = [root / "hard_negative"] if (root / "hard_negative").is_dir() else []
    return find_recorded(folders([root / "positive"], [root / "negative"], hard_negative_dir=hard))


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    for speaker in range(12):
        tone(tmp_path / "positive" / f"speaker{speaker}" / "a.wav", rate=44_100 if speaker == 0 else 16_000)
        tone(tmp_path / "negative" / "talk" / f"speaker{speaker}" / "b.flac")
    return tmp_path


def test_a_dataset_becomes_records(dataset: Path) -> None:
    tone(dataset / "hard_negative" / "x.wav")
    (dataset / "positive" / ".DS_Store").touch()
    result = ingest(found_in(dataset), Splitter(seed=2), require_splits=False, jobs=1)
    assert not result.rejections
    assert Counter(record.label.value for record in result.records) == {
        "positive": 12,
        "negative": 12,
        "hard_negative": 1,
    }
    first = result.records[0]
    assert (first.speaker, first.duration, first.sample_rate) == ("speaker0", 1.0, 44_100)
    assert all(record.split is split_of(record.speaker, 2) for record in result.records)
    by_speaker = {(record.speaker, record.split) for record in result.records}
    assert len(by_speaker) == 13, "a speaker of both labels is in one split"
    assert result.warnings == (
        "only 12 positive clips; at least 100 are recommended",
        "only 12 negative clips; at least 1000 are recommended",
        "left out: 1 hidden name",
    )


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        ("short.wav", lambda path: tone(path, 0.1), "too short: 0.10 s"),
        ("long.wav", lambda path: tone(path, 11), "too long for one utterance: 11.0 s"),
        ("silent.wav", lambda path: tone(path, 1, 20), "silent"),
        ("clipped.wav", lambda path: tone(path, 1, 80_000), "clipped"),
        ("broken.wav", lambda path: path.write_text("no sound"), "cannot be read as sound"),
        ("notes.txt", lambda path: path.write_text("x"), r"\.txt is not a known kind"),
    ],
)
def test_a_rejected_file_is_reported_with_its_reason(
    dataset: Path, name: str, make: Callable[[Path], object], reason: str
) -> None:
    path = dataset / "positive" / "speaker1" / name
    make(path)
    result = ingest(found_in(dataset), require_splits=False, jobs=1)
    (rejection,) = result.rejections
    assert rejection.path == path
    assert str(path) not in rejection.reason
    assert re.match(reason, rejection.reason)
    assert "1 of 25 files were rejected" in result.warnings


def test_a_loud_recording_with_normalised_peaks_is_not_clipped(dataset: Path) -> None:
    tone(dataset / "positive" / "speaker1" / "loud.wav", 1, 32_767)
    assert not ingest(found_in(dataset), require_splits=False, jobs=1).rejections


def test_loose_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        tone(tmp_path / "positive" / f"{name}.wav")
        tone(tmp_path / "negative" / f"{name}.wav", 12)
    result = ingest(found_in(tmp_path), require_splits=False, jobs=2)
    assert [record.speaker for record in result.records] == ["positive", "positive", "negative/a", "negative/b"]
    assert any("2 positives lie in no speaker's folder" in warning for warning in result.warnings)


def test_missing_folders_and_unusable_sets_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="positive: no such folder"):
        found_in(tmp_path)
    tone(tmp_path / "positive" / "a" / "a.wav")
    (tmp_path / "negative").mkdir()
    with pytest.raises(ConfigError, match="no usable negative"):
        ingest(found_in(tmp_path), jobs=1)


def test_a_label_that_misses_a_split_is_an_error(tmp_path: Path) -> None:
    tone(tmp_path / "positive" / "a" / "a.wav")
    tone(tmp_path / "negative" / "b" / "b.wav")
    with pytest.raises(
        ConfigError, match=r"none of 1 recordings is in .* give at least three recordings, or a splits table"
    ):
        ingest(found_in(tmp_path), jobs=1)


def test_the_corpus_is_accepted_whole(corpus: Path) -> None:
    words, others = (
        find_files(corpus / "computer", Label.POSITIVE),
        find_files(corpus / "speech_librispeech", Label.NEGATIVE),
    )
    files = FoundFiles(words.files[:60] + others.files[:30])
    result = ingest(files, Splitter(table=read_splits(corpus / "splits.csv")), require_splits=False, jobs=1)
    assert not result.rejections
    assert {record.split for record in result.records} == set(Split)
    groups: dict[str, set[Split]] = {}
    for record in result.records:
        groups.setdefault(record.speaker, set()).add(record.split)
    assert all(len(splits) == 1 for splits in groups.values())
