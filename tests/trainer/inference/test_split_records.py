"""Which recordings of a split are measured: of a validation not the near misses, which would choose the cutoff."""

from __future__ import annotations

from pathlib import Path

from trainer.data.dataset import validation_negatives
from trainer.data.ingest import Label, SampleRecord
from trainer.data.split import Split
from trainer.inference.splits import SplitRecords
from wakeword.corpus.recordings import GENERATED_TABLE

SENTENCE, NEAR, NOISE = "negative/sentence/kokoro_a/2.wav", "negative/near_miss/kokoro_a/3.wav", "noises/room/fan.wav"


def records(folder: Path, split: Split, *names: str) -> list[SampleRecord]:
    return [SampleRecord(folder / name, Label.NEGATIVE, split, "", 1.0, 16_000) for name in names]


def generated(folder: Path) -> Path:
    (folder / GENERATED_TABLE).write_text("path\n")
    return folder


def test_a_validation_leaves_generated_near_misses_out(tmp_path: Path) -> None:
    given = records(generated(tmp_path), Split.VAL, NOISE, SENTENCE, NEAR)
    assert [one.path for one in SplitRecords.of(given, Split.VAL).negatives] == [tmp_path / SENTENCE, tmp_path / NOISE]


def test_near_misses_of_a_person_validate(tmp_path: Path) -> None:
    given = records(tmp_path, Split.VAL, SENTENCE, NEAR)
    assert len(SplitRecords.of(given, Split.VAL).negatives) == 2


def test_a_test_has_all_negatives(tmp_path: Path) -> None:
    given = records(generated(tmp_path), Split.TEST, NOISE, SENTENCE, NEAR)
    assert len(SplitRecords.of(given, Split.TEST).negatives) == 3


def test_a_validation_without_other_negatives_has_its_near_misses(tmp_path: Path) -> None:
    given = records(generated(tmp_path), Split.VAL, NEAR)
    assert validation_negatives(given) == given
