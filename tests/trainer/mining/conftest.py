"""Recordings in which what is loud is the wake word."""

from __future__ import annotations

import pytest

from tests.trainer.evaluation.loudness import RATE, write_bursts
from tests.trainer.mining.miners import SEED
from trainer.data.clip_rows import ClipRows
from trainer.data.drawn_sets import FeatureSet
from trainer.data.features import negative_features
from trainer.data.ingest import Label, SampleRecord
from trainer.data.split import Split
from trainer.mining.in_training import JoinedNegatives
from wakeword.audio import read_samples
from wakeword.corpus.recordings import hash_file
from wakeword.frontend import device_features


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[SampleRecord]:
    """Recordings with a loud burst now and then, which is what the wake word of these tests is."""
    root = tmp_path_factory.mktemp("audio")
    found = []
    for number in range(7):
        bursts = {0.4 + 0.9 * index: 0.3 + 0.1 * ((number + index) % 6) for index in range(3)}
        path = write_bursts(root / f"{number}.wav", 3 + 0.37 * number, bursts, seed=number)
        seconds = len(read_samples(path)) / RATE
        found.append(
            SampleRecord(path, Label.NEGATIVE, Split.TRAIN, f"n{number}", seconds, RATE, sha256=hash_file(path))
        )
    return found


@pytest.fixture(scope="module")
def negatives(records: list[SampleRecord]) -> JoinedNegatives:
    return JoinedNegatives.of(records, ClipRows.of(negative_features(records, seed=SEED, jobs=1).joined), SEED)


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> FeatureSet:
    folder = tmp_path_factory.mktemp("words")
    clips = [
        device_features(read_samples(write_bursts(folder / f"{number}.wav", 1.3, {0.9: 0.9}, seed=50 + number)))
        for number in range(6)
    ]
    return FeatureSet("words", True, clips, truncation_strategy="truncate_start")
