"""Test-time augmentation: recall of the same words a little later and at other levels, at the same cutoff.

A figure of robustness, never the device's: a device hears a word once, as it is said. Where the grid of inferences lies
over a word is chance, so a shift by less than a stride is what happens to it anyway; a level is what distance and a
microphone make of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.evaluation.device import Recall, recall_of
from trainer.inference.models import WordModel
from trainer.inference.splits import EvaluationPoint, SplitRecords
from wakeword.contract import STEP_MS
from wakeword.corpus.feature_cache import FeatureCache, default_cache_folder
from wakeword.presentation import SESSION
from wakeword.simulation.features import Change, Progress, present, present_changed
from wakeword.simulation.simulate import unwatched
from wakeword.simulation.streams import PresentedStream

SHIFT_MS = 5
GAINS_DB = (-30, -20, -10, 6, 12)
_FORMAT = 1
"""Part of the features' key."""
_INT16 = np.iinfo(np.int16)


@dataclass(frozen=True)
class Robustness:
    """Recall under one change of what is heard."""

    change: str
    recall: Recall


def robustness(
    model: WordModel, stride: int, records: SplitRecords, point: EvaluationPoint, progress: Progress
) -> tuple[Robustness, ...]:
    """Recall of the words of a split, each time all of them: later by less than the model's `stride` slices, and at
    other levels. `progress` is told their seconds after each change.

    Raises `ConfigError` for a recording that cannot be read.
    """
    cache = FeatureCache(default_cache_folder())
    found = []
    for change, stream in changed_words(cache, [record.path for record in records.positives], stride):
        heard = model.run(stream)
        outcome = heard.outcome(heard.detections(point.cutoff, point.window), wake=True)
        found.append(Robustness(change, recall_of(outcome.found, outcome.utterances)))
        progress(records.word_seconds)
    cache.prune()
    return tuple(found)


def change_count(stride: int) -> int:
    """How often `robustness` hears the words."""
    return len(_shifts_ms(stride)) + len(GAINS_DB)


def changed_words(cache: FeatureCache, words: Sequence[Path], stride: int) -> Iterator[tuple[str, PresentedStream]]:
    """The session of these words under each change, with its name. Raises `ConfigError` as `robustness` does."""
    for shift in _shifts_ms(stride):
        later = replace(SESSION, lead_in_seconds=SESSION.lead_in_seconds + shift / 1000)
        yield f"{shift} ms later", present(cache, words, later, unwatched)
    for gain_db in GAINS_DB:
        change = Change(f"{_FORMAT} gain of {gain_db} dB", partial(_amplified, gain_db))
        yield f"{gain_db:+d} dB", present_changed(cache, words, SESSION, change)


def _shifts_ms(stride: int) -> range:
    return range(SHIFT_MS, stride * STEP_MS, SHIFT_MS)


def _amplified(gain_db: float, sound: NDArray[np.int16], _starts: Sequence[int]) -> NDArray[np.int16]:
    """As loud as that, rounded and clipped to int16 `[n]`."""
    louder = np.rint(sound.astype(np.float32) * np.float32(10 ** (gain_db / 20)))
    return np.clip(louder, _INT16.min, _INT16.max).astype(np.int16)
