"""A tiny run with recordings in all splits and weights that know nothing yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import networks
from tests.trainer.evaluation.loudness import RATE, SETTINGS, write_bursts
from trainer.config.loader import CONFIG_NAME, load_config, write_config
from trainer.data.dataset import write_recordings
from trainer.data.ingest import Ingestion, Label, SampleRecord
from trainer.data.split import Split
from wakeword.audio import read_samples
from wakeword.corpus.recordings import hash_file

WEIGHTS = Path("checkpoints", "best_weights.weights.h5")
OWN = [
    "augmentation.copies=0",
    "training.sampling_weights.negative_augmented=0",
    "training.sampling_weights.negative_alone=1",
    "training.time_mask_count=[0]",
    "training.freq_mask_count=[0]",
    "training.training_steps=[10]",
    "training.learning_rates=[0.01]",
    "training.positive_class_weight=[1.0]",
    "training.negative_class_weight=[2.0]",
    "training.batch_size=16",
    "model.dropout_rate=0.1",
]


def build_run(root: Path, odd: bool) -> Path:
    """A run in `root`: the wake word is a tone.

    With an `odd` validation utterance that holds none, no model finds all of them.
    """
    from trainer.networks.models import build_model
    from trainer.networks.weights import save_weights

    records: list[SampleRecord] = []

    def add(split: Split, label: Label, seconds: float, bursts: dict[float, float]) -> None:
        path = write_bursts(root / "audio" / split / f"{len(records)}.wav", seconds, bursts, seed=len(records))
        records.append(
            SampleRecord(
                path,
                label,
                split,
                f"{split} {len(records) % 3}",
                len(read_samples(path)) / RATE,
                RATE,
                sha256=hash_file(path),
            )
        )

    for split, utterances, negatives in ((Split.TRAIN, 6, 3), (Split.VAL, 4, 1), (Split.TEST, 4, 1)):
        for index in range(utterances):
            add(split, Label.POSITIVE, 1.2, {} if odd and split is Split.VAL and index == 0 else {0.6: 0.8})
        for _ in range(negatives):
            add(split, Label.NEGATIVE, 8, {3.0: 0.05})
    config = load_config("standard", (), [*SETTINGS, *OWN])
    write_recordings(Ingestion(tuple(records), (), ()), root)
    write_config(config, root / CONFIG_NAME)
    network = config.model
    model = build_model(network, config.slices)
    networks.randomise(model, seed=3)
    (root / WEIGHTS).parent.mkdir()
    save_weights(model, root / WEIGHTS)
    return root


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run; tests do not change it."""
    return build_run(tmp_path_factory.mktemp("tuned run"), odd=False)


@pytest.fixture(scope="session")
def odd_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run whose target of recall no model reaches."""
    return build_run(tmp_path_factory.mktemp("odd run"), odd=True)
