"""The leakage audit of a run: the same recording in two splits is told once, with names and a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from trainer.data.ingest import Label, SampleRecord
from trainer.data.parallel import Progress as CountProgress
from trainer.data.split import Split
from trainer.run import DUPLICATES_NAME, RunProgress, audit_recordings
from trainer.training.progress import Silent


class Listener(Silent, RunProgress):
    """Keeps the lines of a run."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def told(self, message: str) -> None:
        self.lines.append(message)

    def counting(self, stage: str) -> CountProgress:  # noqa: ARG002
        return lambda _done, _total: None


def record(path: Path, split: Split, seed: int) -> SampleRecord:
    soundfile.write(path, np.random.default_rng(seed).normal(0, 3000, 16_000).astype(np.int16), 16_000)
    return SampleRecord(path, Label.POSITIVE, split, path.stem, 1.0, 16_000)


def test_a_recording_in_two_splits_is_told_once(tmp_path: Path) -> None:
    records = [record(tmp_path / "a.wav", Split.TRAIN, 1), record(tmp_path / "b.wav", Split.TEST, 1), record(tmp_path / "c.wav", Split.VAL, 2)]
    listener = Listener()
    audit_recordings(records, tmp_path, listener, jobs=1)
    (line,) = listener.lines
    assert line.startswith(f"warning: 1 pair of recordings in different splits hold the same sound, first {tmp_path / 'a.wav'} (train) and ")
    assert line.endswith(f"{tmp_path / DUPLICATES_NAME} has all pairs")
    assert (tmp_path / DUPLICATES_NAME).read_text().splitlines()[1].startswith("yes,exact,1.000,0.00,")
    audit_recordings(records, tmp_path, listener, jobs=1)
    assert listener.lines == [line]


def test_recordings_that_differ_are_not_told_of(tmp_path: Path) -> None:
    listener = Listener()
    audit_recordings([record(tmp_path / "a.wav", Split.TRAIN, 1), record(tmp_path / "b.wav", Split.TEST, 2)], tmp_path, listener, jobs=1)
    assert listener.lines == []
    assert len((tmp_path / DUPLICATES_NAME).read_text().splitlines()) == 1
