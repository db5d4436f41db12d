"""Which recordings of a split are measured: of a validation not the near misses, which would choose the cutoff."""

from __future__ import annotations

from pathlib import Path

from trainer.data.ingest import Label, SampleRecord
from trainer.data.split import Split
from trainer.inference.splits import SplitRecords


def record(path: str, label: Label, split: Split) -> SampleRecord:
    return SampleRecord(Path(path), label, split, "", 1.0, 16_000)


def records(split: Split) -> list[SampleRecord]:
    return [
        record("/made/negative/sentence/kokoro_a/2.wav", Label.NEGATIVE, split),
        record("/made/positive/kokoro_a/1.wav", Label.POSITIVE, split),
        record("/made/negative/near_miss/kokoro_a/3.wav", Label.NEGATIVE, split),
        record("/noises/fan.wav", Label.NEGATIVE, split),
    ]


def test_a_validation_leaves_near_misses_out() -> None:
    found = SplitRecords.of(records(Split.VAL), Split.VAL)
    assert [one.path.as_posix() for one in found.negatives] == [
        "/made/negative/sentence/kokoro_a/2.wav",
        "/noises/fan.wav",
    ]
    assert len(found.positives) == 1


def test_a_test_has_all_negatives() -> None:
    assert len(SplitRecords.of(records(Split.TEST), Split.TEST).negatives) == 3


def test_a_validation_without_other_negatives_has_its_near_misses() -> None:
    near = record("/made/negative/near_miss/kokoro_a/3.wav", Label.NEGATIVE, Split.VAL)
    assert SplitRecords.of([near], Split.VAL).negatives == (near,)
