"""A dataset with a clip of each kind, for tests of the gallery."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trainer.data.clips import write_clip


def tone(seconds: float = 0.5, frequency: float = 440.0) -> np.ndarray:
    """So many seconds of a tone, int16 at 16 kHz."""
    return (8000 * np.sin(np.arange(round(seconds * 16_000)) * frequency / 2546)).astype(np.int16)


def write_dataset(root: Path) -> Path:
    """The folder, with two speakers' wake words, a negative and a hard one."""
    for name in ("positive/anna/near_1.wav", "positive/ben/far_1.wav", "negative/radio.wav", "hard_negative/ab12.wav"):
        write_clip(root / name, tone(0.3 + 0.1 * len(name)))
    return root
