"""Features for `benchmarks/gpu.py`, of a folder that `mww-generate` has written: a machine with a GPU then needs
neither the sounds nor what reads them.

    python -m benchmarks.gpu_features SPEECH FEATURES.npz

Each wake word of `SPEECH/positive` is a clip behind two seconds of silence; everything in `SPEECH/negative` is one
stream.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wakeword.audio import read_samples
from wakeword.contract import SAMPLE_RATE_HZ, STEP_MS
from wakeword.corpus.walk import walk
from wakeword.files import partial_file
from wakeword.frontend import device_features

LEAD_S = 2
"""Silence before a word: more than a window has."""


def main() -> None:
    """Compute and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speech", type=Path, help="a folder with positive/ and negative/")
    parser.add_argument("features", type=Path, help="the .npz to write")
    arguments = parser.parse_args()
    lead = np.zeros(LEAD_S * SAMPLE_RATE_HZ, np.int16)
    words = [device_features(np.concatenate([lead, samples])) for samples in _sounds(arguments.speech / "positive")]
    negatives = device_features(np.concatenate(list(_sounds(arguments.speech / "negative"))))
    with partial_file(arguments.features) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            words=np.concatenate(words),
            words_lengths=np.array([len(word) for word in words]),
            negatives=negatives,
            negatives_lengths=np.array([len(negatives)]),
        )
    hours = len(negatives) * STEP_MS / 3_600_000
    print(f"{arguments.features}: {len(words)} wake words, {hours:.2f} h of negatives")


def _sounds(folder: Path) -> Iterable[NDArray[np.int16]]:
    return (read_samples(path) for path in walk(folder).recordings)


if __name__ == "__main__":
    main()
