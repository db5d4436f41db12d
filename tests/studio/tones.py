"""A data set of tones and a training of it that takes seconds."""

from __future__ import annotations

from pathlib import Path

from tests.test_commands_agree import TRAINING
from tests.trainer.evaluation.loudness import SETTINGS, write_bursts

TINY = dict(setting.split("=", 1) for setting in (*SETTINGS, *TRAINING)) | {
    "export.wake_word": "tone",
    "paths.positive_dir": "datasets/tone/positive",
    "paths.negative_dir": "datasets/tone/negative",
    "training.split_fractions": "[0.4, 0.3, 0.3]",
}
"""Settings as a form has them."""


def write_tones(workspace: Path) -> None:
    """A speaker a clip: any split has words, and minutes without any."""
    folder = workspace / "datasets" / "tone"
    for index in range(12):
        write_bursts(folder / "positive" / f"speaker{index}" / "0.wav", 1.1, {0.5: 0.9 - 0.05 * index}, seed=index)
    for index in range(9):
        write_bursts(folder / "negative" / f"other{index}.wav", 14.0, {3.0: 0.05}, seed=100 + index)
