"""Where the wake word lies in a recording of it: as a generated clip's own markers say, or by loudness."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.data.clips import Word, read_clip
from wakeword.corpus.utterances import utterance_bounds


@dataclass(frozen=True)
class WordPlace:
    """The first and one past the last sample of a word, and whether other speech of its recording is around it."""

    start: int
    end: int
    in_flow: bool = False


def word_place(path: Path, samples: NDArray[np.int16]) -> WordPlace:
    """The word in a recording of it, whose decoded samples are `[n]`: where its file has it marked, else its main
    utterance, by loudness.
    """
    word = _marked(path, len(samples))
    if word is None:
        return WordPlace(*utterance_bounds(samples))
    start = utterance_bounds(samples[: word.end])[0] if word.start is None else word.start
    return WordPlace(start, word.end, in_flow=True)


def _marked(path: Path, count: int) -> Word | None:
    """The markers of a wav file that was read as it is: 16 kHz mono, whole."""
    if path.suffix.lower() != ".wav" or not path.is_file():
        return None
    clip = read_clip(path.read_bytes())
    if clip is None or clip.word is None or len(clip.samples) != count:
        return None
    return clip.word if (clip.word.start or 0) < clip.word.end <= count else None
