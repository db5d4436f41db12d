"""A run's folder with recordings of known loudness."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.trainer.evaluation.loudness import RATE, SETTINGS, write_bursts
from trainer.config.loader import CONFIG_NAME, load_config, write_config
from trainer.data.dataset import write_recordings
from trainer.data.ingest import Ingestion, Label, SampleRecord
from trainer.data.split import Split
from wakeword.audio import read_samples


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """Val: two utterances and a quiet minute.

    Test: four utterances of two speakers, the softest missed, and negatives with one loud burst.
    """
    records: list[SampleRecord] = []

    def add(name: str, split: Split, label: Label, speaker: str, seconds: float, bursts: dict[float, float]) -> None:
        path = write_bursts(tmp_path / "audio" / split / f"{name}.wav", seconds, bursts, seed=len(records))
        records.append(SampleRecord(path, label, split, speaker, len(read_samples(path)) / RATE, RATE))

    add("v1", Split.VAL, Label.POSITIVE, "eve", 1.2, {0.6: 0.9})
    add("v2", Split.VAL, Label.POSITIVE, "eve", 1.2, {0.6: 0.8})
    add("noise", Split.VAL, Label.NEGATIVE, "tv", 20, {7.0: 0.5})
    add("t1", Split.TEST, Label.POSITIVE, "ada", 1.2, {0.6: 0.9})
    add("t2", Split.TEST, Label.POSITIVE, "ada", 1.2, {0.6: 0.95})
    add("t3", Split.TEST, Label.POSITIVE, "bob", 1.2, {0.6: 0.8})
    add("t4", Split.TEST, Label.POSITIVE, "bob", 1.2, {0.6: 0.4})
    add("quiet", Split.TEST, Label.NEGATIVE, "room", 12, {3.0: 0.3})
    add("loud", Split.TEST, Label.NEGATIVE, "tv", 18, {5.0: 0.85, 12.0: 0.5})
    folder = tmp_path / "run"
    write_recordings(Ingestion(tuple(records), (), ()), folder)
    write_config(load_config("standard", (), SETTINGS), folder / CONFIG_NAME)
    return folder
