"""What a run writes and says before it trains: its recordings, and those that stand in two splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.trainer.data.test_grouping import sound, words
from trainer.config.loader import CONFIG_NAME, load_config
from trainer.data.composition import TABLE_NAME as COMPOSITION_NAME
from trainer.data.dataset import REJECTED_NAME, TABLE_NAME
from trainer.data.ingest import Label, SampleRecord
from trainer.data.parallel import Progress as CountProgress
from trainer.data.split import Split
from trainer.training.progress import Silent
from trainer.training.run import DUPLICATES_NAME, RunProgress, audit_recordings, train_run


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
    records = [
        record(tmp_path / "a.wav", Split.TRAIN, 1),
        record(tmp_path / "b.wav", Split.TEST, 1),
        record(tmp_path / "c.wav", Split.VAL, 2),
    ]
    listener = Listener()
    audit_recordings(records, tmp_path, listener, jobs=1)
    (line,) = listener.lines
    assert line.startswith(
        f"warning: 1 pair of recordings in different splits hold the same sound, first {tmp_path / 'a.wav'} (train)"
        " and "
    )
    assert line.endswith(f"{tmp_path / DUPLICATES_NAME} has all pairs")
    assert (tmp_path / DUPLICATES_NAME).read_text().splitlines()[1].startswith("yes,exact,1.000,0.00,")
    audit_recordings(records, tmp_path, listener, jobs=1)
    assert listener.lines == [line]


def test_recordings_that_differ_are_not_told_of(tmp_path: Path) -> None:
    listener = Listener()
    audit_recordings(
        [record(tmp_path / "a.wav", Split.TRAIN, 1), record(tmp_path / "b.wav", Split.TEST, 2)],
        tmp_path,
        listener,
        jobs=1,
    )
    assert listener.lines == []
    assert len((tmp_path / DUPLICATES_NAME).read_text().splitlines()) == 1


class Gone(Listener):
    """Whoever reads has gone away, as in `mww-train ... 2>&1 | head -1`."""

    def told(self, message: str) -> None:
        raise BrokenPipeError(message)


def test_a_run_describes_itself_before_it_says_so(tmp_path: Path) -> None:
    words(tmp_path)
    sound(tmp_path / "negative" / "evening.wav", 301)
    settings = [
        "export.wake_word=x",
        "training.seed=0",
        *(f"paths.{label}_dir={tmp_path / label}" for label in ("positive", "negative")),
    ]
    with pytest.raises(BrokenPipeError):
        train_run(load_config("fast_test", settings=settings), tmp_path / "run", Gone(), jobs=1)
    assert {CONFIG_NAME, TABLE_NAME, REJECTED_NAME, COMPOSITION_NAME} <= {
        path.name for path in (tmp_path / "run").iterdir()
    }
