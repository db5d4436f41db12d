"""Drawing batches: one pass of array arithmetic a batch, the same batch for the same seed and step."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.mixednet.scaling import FEATURE_MIN
from trainer.training.feature_set import FeatureSet
from wakeword.errors import ConfigError

BATCHES_AHEAD = 3


@dataclass(frozen=True)
class Batch:
    """One batch."""

    features: NDArray[np.int8]
    """`[batch, slices, 40]`."""
    truth: NDArray[np.float32]
    """`[batch]`, 1 where the window holds the wake word."""
    weights: NDArray[np.float32]
    """`[batch]`, the set's penalty weight times the class weight."""
    clips: NDArray[np.int64]
    """`[batch]`, which clip each window is from, counted through all sets in order."""


class BatchSampler:
    """Draws batches from feature sets.

    The sets' clips are copied into one array, 40 bytes a slice (14 MB an hour of audio). Raises `ConfigError` when the sets
    hold no wake word, nothing but wake words, or no set has a sampling weight above 0.
    """

    def __init__(self, sets: Sequence[FeatureSet], slices: int, batch_size: int, seed: int) -> None:
        drawn = {feature_set.truth for feature_set in sets if feature_set.sampling_weight > 0}
        if drawn != {True, False}:
            missing = "wake words (truth: true)" if True not in drawn else "negatives (truth: false)"
            raise ConfigError(f"no feature set with a sampling weight above 0 has {missing}; training needs both")
        self._slices, self._batch_size, self._seed = slices, batch_size, seed
        self._data = np.concatenate([clip for feature_set in sets for clip in feature_set.clips])
        self._lengths = np.array([len(clip) for feature_set in sets for clip in feature_set.clips], np.int64)
        self._starts = np.cumsum(self._lengths) - self._lengths
        counts = [len(feature_set.clips) for feature_set in sets]
        self._truth = np.repeat(np.array([feature_set.truth for feature_set in sets], np.float32), counts)
        self._penalty = np.repeat(np.array([feature_set.penalty_weight for feature_set in sets], np.float32), counts)
        self._keeps_end = np.repeat([feature_set.truncation_strategy == "truncate_start" for feature_set in sets], counts)
        self._shifts = np.repeat([feature_set.end_shift_slices for feature_set in sets], counts)
        self._cumulative = np.cumsum(np.concatenate([_clip_shares(feature_set) for feature_set in sets]))

    def batch(self, step: int, positive_class_weight: float = 1.0, negative_class_weight: float = 1.0) -> Batch:
        """The batch of a step, the same in every run: its random numbers depend on the seed and the step alone."""
        chance = np.random.default_rng((self._seed, step)).random((2, self._batch_size))
        # The last clip's cumulative share may fall short of the total by rounding, so the total itself is the range.
        clips = np.minimum(np.searchsorted(self._cumulative, chance[0] * self._cumulative[-1], side="right"), len(self._lengths) - 1)
        starts, lengths = self._starts[clips], self._lengths[clips]
        # Number of places where the window may end: the clip's end and so many slices before it.
        ends = np.where(self._keeps_end[clips], np.minimum(self._shifts[clips], lengths), np.maximum(lengths - self._slices, 0) + 1)
        end = starts + lengths - (chance[1] * ends).astype(np.int64)
        rows = end[:, None] + np.arange(-self._slices, 0)
        before = rows < starts[:, None]
        features = self._data[np.where(before, 0, rows)]
        features[before] = FEATURE_MIN
        truth = self._truth[clips]
        weights = self._penalty[clips] * np.where(truth > 0, np.float32(positive_class_weight), np.float32(negative_class_weight))
        return Batch(features, truth, weights, clips)

    def fingerprint(self) -> str:
        """A hash of everything that decides what this sampler draws."""
        digest = hashlib.sha256(repr((self._slices, self._batch_size, self._seed)).encode())
        for values in (self._data, self._lengths, self._truth, self._penalty, self._keeps_end, self._shifts, self._cumulative):
            digest.update(values.tobytes())
        return digest.hexdigest()


def _clip_shares(feature_set: FeatureSet) -> NDArray[np.float64]:
    """The set's sampling weight, shared out between its clips."""
    by_length = feature_set.truncation_strategy == "random"
    shares = np.array([len(clip) if by_length else 1 for clip in feature_set.clips], np.float64)
    return feature_set.sampling_weight * shares / shares.sum()


def prefetch(make: Callable[[int], Batch], steps: range) -> Iterator[Batch]:
    """Yield `make(step)` for each step, made in a background thread while the caller works on earlier ones."""
    pending: deque[Future[Batch]] = deque()
    pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
    try:
        for step in steps:
            pending.append(pool.submit(make, step))
            if len(pending) > BATCHES_AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
