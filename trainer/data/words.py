"""Where the wake word lies in a recording of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wakeword.corpus.utterances import utterance_bounds


@dataclass(frozen=True)
class WordPlace:
    """The first and one past the last sample of a word, and whether other speech of its recording is around it."""

    start: int
    end: int
    in_flow: bool = False


def word_place(_path: Path, samples: NDArray[np.int16]) -> WordPlace:
    """The word in a recording of it, 16 kHz `[n]`: its main utterance, by loudness."""
    return WordPlace(*utterance_bounds(samples))
