"""A corpus of tones and a configuration that learns them in seconds, for searches of a few trials."""

from __future__ import annotations

from pathlib import Path

from tests.trainer.evaluation.loudness import SETTINGS, write_bursts

TRAINING = [
    "training.target_minimization=60",
    "training.training_steps=[60]",
    "training.learning_rates=[0.02]",
    "training.positive_class_weight=[1.0]",
    "training.negative_class_weight=[1.0]",
    "training.eval_step_interval=15",
    "training.weight_averaging=0.5",
    "training.batch_size=16",
    "augmentation.copies=0",
    "training.sampling_weights.negative_augmented=0",
    "training.sampling_weights.negative_alone=1",
    "speaker_clustering.leakage_audit_enabled=false",
    "performance.tensorboard_enabled=false",
]
SPACE = """
training.learning_rates[0]: {log: [5.0e-3, 4.0e-2]}
model.pointwise_filters[*]: {int: [4, 8], step: 2}
"""


def write_corpus(root: Path) -> list[str]:
    """Recordings in all splits below `root`, and the settings that train with them."""
    rows = []
    for number, (split, count) in enumerate({"train": 8, "val": 5, "test": 5}.items()):
        for index in range(count):
            name = root / "dataset" / "positive" / f"{split}{index % 2}" / f"{index}.wav"
            write_bursts(name, 1.1, {0.5: 0.9 - 0.5 * index / count}, seed=100 * number + index)
            rows.append((name.relative_to(root), f"{split}{index % 2}", split))
        for index in range(2):
            name = root / "dataset" / "negative" / f"{split}{index}" / "0.wav"
            write_bursts(name, 10.0, {3.0: 0.02, 6.0: 0.06}, seed=900 + 10 * number + index)
            rows.append((name.relative_to(root), f"other {split}{index}", split))
    table = "".join(f"{path},{group},{split}\n" for path, group, split in rows)
    (root / "splits.csv").write_text(f"path,group,split\n{table}")
    paths = {
        "positive_dir": root / "dataset" / "positive",
        "negative_dir": root / "dataset" / "negative",
        "splits": root / "splits.csv",
    }
    return [*SETTINGS, *TRAINING, *(f"paths.{key}={path}" for key, path in paths.items())]


def arguments(settings: list[str], space: Path, output: Path, *more: object) -> list[object]:
    """Of `mww-search` on that corpus."""
    given = [part for setting in settings for part in ("--set", setting)]
    return ["--config", "standard", *given, "--space", space, "--output", output, *more]
