"""What batches are drawn from, and drawing them: one pass of array arithmetic a batch, the same batch for the same seed
and step.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import accumulate
from types import ModuleType
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from trainer.config.batch_settings import END_SHIFT_SLICES, TruncationStrategy
from trainer.config.training_sections import TrainingSection
from trainer.data.batch_ratios import BatchRatios, drawn
from trainer.data.clip_rows import ClipRows
from trainer.data.filter_augment import filter_augment
from trainer.data.quiet_augment import quiet_augment
from trainer.data.spec_augment import MaskSettings, spec_augment, to_tensor
from wakeword import contract
from wakeword.errors import ConfigError

_ROWS_HASHED_AT_ONCE = 1 << 16
"""2.6 MB: a mapped file is never in memory as a whole."""


@dataclass(frozen=True)
class FeatureSet:
    """Clips of one kind.

    - `random`: any window of the clip; a clip is drawn in proportion to its length, so every slice of audio is as
      likely as any other. For negatives.
    - `truncate_start`: the window ends with the clip, less a shift of 0 to `end_shift_slices - 1` slices; every clip is
      as likely as any other. For wake words, whose clips end about 200 ms after the word: with ten slices of shift the
      model learns to fire about 105 to 205 ms after it.
    - `truncate_end`: the window begins with the clip. For what happens at the onset of sound.
    - `fixed_right_cutoff`: the window ends `right_cutoff_slices` before the clip does: one moment after the word.
    - `split`: one of the windows that lie side by side from the clip's end to its beginning (the first of them reaches
      into its neighbour where they do not divide the clip). For ambient recordings.

    With `random` and `split` longer clips are drawn more often, with the others all are as likely. A clip shorter than
    the window is preceded by silence (-128), which no device hears in the middle of a stream: compute features with
    enough sound before the word that clips are at least as long as the training window. Raises `ConfigError` when there
    is nothing to draw from or a weight is negative.
    """

    name: str
    truth: bool
    """Whether the window holds the wake word."""
    clips: Sequence[NDArray[np.int8]]
    """Device features `[slices, 40]` a clip, of any length above 0."""
    sampling_weight: float = 1.0
    """Share of a batch, relative to the other sets."""
    penalty_weight: float = 1.0
    """Weight of a sample's loss, multiplied by the class weight of its phase."""
    truncation_strategy: TruncationStrategy = "random"
    end_shift_slices: int = END_SHIFT_SLICES
    """Number of shifts that `truncate_start` draws from: 10 is 100 ms; 1 keeps the clip's end."""
    right_cutoff_slices: int = 0
    """Slices at the end that `fixed_right_cutoff` leaves out."""
    hard: bool = False
    """Whether the negatives of this set have the class weight of hard negatives."""

    def __post_init__(self) -> None:
        where = f"feature set {self.name!r}"
        if not self.clips:
            raise ConfigError(f"{where} has no clips; give it recordings or leave the set out")
        for clip in [self.clips.rows] if isinstance(self.clips, ClipRows) else self.clips:
            if clip.dtype != np.int8 or clip.ndim != 2 or clip.shape[1] != contract.FEATURE_CHANNELS or not len(clip):
                raise ConfigError(
                    f"{where} has a clip of {clip.dtype} {list(clip.shape)}; clips are int8 [slices,"
                    f" {contract.FEATURE_CHANNELS}]"
                )
        if self.sampling_weight < 0 or self.penalty_weight < 0:
            raise ConfigError(
                f"{where}: sampling_weight {self.sampling_weight} and penalty_weight {self.penalty_weight} must not be"
                " negative"
            )
        if self.truncation_strategy not in get_args(TruncationStrategy):
            raise ConfigError(
                f"{where}: truncation_strategy is {self.truncation_strategy!r}; give one of"
                f" {', '.join(get_args(TruncationStrategy))}"
            )
        if self.end_shift_slices < 1:
            raise ConfigError(f"{where}: end_shift_slices is {self.end_shift_slices}; give 1 (no shift) or more")
        if self.right_cutoff_slices < 0:
            raise ConfigError(f"{where}: right_cutoff_slices is {self.right_cutoff_slices}; give 0 or more")
        if self.hard and self.truth:
            raise ConfigError(
                f"{where}: holds wake words and is marked hard, which negatives can be; choose one of the two"
            )


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

    Each set's clips lie in one array, 40 bytes a slice (14 MB an hour of audio); `ClipRows` are used where they lie, so
    those of a mapped file need no memory. Raises `ConfigError` when the sets hold no wake word, nothing but wake words,
    or no set has a sampling weight above 0.
    """

    def __init__(self, sets: Sequence[FeatureSet], slices: int, settings: TrainingSection, xp: ModuleType = np) -> None:
        """Windows of so many `slices`. `xp` is NumPy or CuPy, where masks are applied: with CuPy a batch's features are
        a tensor on the GPU.
        """
        kinds_drawn = {feature_set.truth for feature_set in sets if feature_set.sampling_weight > 0}
        if kinds_drawn != {True, False}:
            missing = "wake words (truth: true)" if True not in kinds_drawn else "negatives (truth: false)"
            raise ConfigError(f"no feature set with a sampling weight above 0 has {missing}; training needs both")
        self._slices, self._settings, self._xp = slices, settings, xp
        clips = [ClipRows.of(feature_set.clips) for feature_set in sets]
        counts = [len(of_set) for of_set in clips]
        self._rows = [of_set.rows for of_set in clips]
        self._set_of = np.repeat(np.arange(len(clips)), counts)
        self._lengths = np.concatenate([of_set.lengths for of_set in clips])
        self._starts = np.concatenate([of_set.starts for of_set in clips])
        self._truth = np.repeat(np.array([feature_set.truth for feature_set in sets], np.float32), counts)
        self._hard = np.repeat([feature_set.hard for feature_set in sets], counts)
        self._penalty = np.repeat(np.array([feature_set.penalty_weight for feature_set in sets], np.float32), counts)
        places = [_places(feature_set, of_set.lengths, slices) for feature_set, of_set in zip(sets, clips, strict=True)]
        self._first, self._step, self._places = (np.concatenate(values) for values in zip(*places, strict=True))
        shares = [
            _clip_shares(feature_set, of_set.lengths, slices) for feature_set, of_set in zip(sets, clips, strict=True)
        ]
        self._cumulative = np.cumsum(np.concatenate(shares))
        kinds = np.repeat([0 if each.truth else 2 if each.hard else 1 for each in sets], counts)
        self._ratios = (
            BatchRatios(settings.batch_ratios, settings.batch_size, kinds, np.concatenate(shares))
            if settings.batch_ratios
            else None
        )
        words = sum(one.sampling_weight for one in sets if one.truth) / sum(one.sampling_weight for one in sets)
        ratios = settings.batch_ratios
        self._word_share = ratios[0] / sum(ratios) if ratios else words

    def drawing_from(self, sets: Sequence[FeatureSet]) -> BatchSampler:
        """A sampler of the same window and settings for other sets. Raises `ConfigError` as a new one does."""
        return BatchSampler(sets, self._slices, self._settings, self._xp)

    def batch(self, step: int, augmenting: Callable[[], AbstractContextManager[None]] = nullcontext) -> Batch:
        """The batch of a step, the same in every run: its random numbers depend on the seed and the step alone, its
        class weights and masks on the phase. Filters and masks are drawn within `augmenting`.
        """
        settings, phase = self._settings, self._settings.phase_of(step)
        chance = np.random.default_rng((settings.seed, step)).random((2, settings.batch_size))
        clips = drawn(self._cumulative, chance[0]) if self._ratios is None else self._ratios.clips(step, chance[0])
        before_end = self._first[clips] + self._step[clips] * (chance[1] * self._places[clips]).astype(np.int64)
        # No window begins before its clip, where the clip is as long as a window.
        before_end = np.where(
            self._step[clips] > 1,
            np.minimum(before_end, np.maximum(self._lengths[clips] - self._slices, 0)),
            before_end,
        )
        features = self._windows(clips, self._starts[clips] + self._lengths[clips] - before_end)
        masks, filters, quiet = self._masks(phase), settings.filter_augment, settings.quiet_augment
        with augmenting():
            if quiet.is_on:
                features = quiet_augment(features, quiet, settings.seed, step)
            if filters.is_on:
                features = filter_augment(features, filters, settings.seed, step, self._xp)
            if masks != MaskSettings():
                features = spec_augment(features, masks, settings.seed, step, self._xp)
            if self._xp is not np and (filters.is_on or masks != MaskSettings()):
                features = to_tensor(features, self._xp)
        truth = self._truth[clips]
        positive, negative, hard_negative = map(np.float32, self._class_weights(phase))
        weights = self._penalty[clips] * np.where(
            truth > 0, positive, np.where(self._hard[clips], hard_negative, negative)
        )
        return Batch(features, truth, weights, clips)

    def _class_weights(self, phase: int) -> tuple[float, float, float]:
        """Of a wake word, a negative and a hard one.

        Balanced they are samples / (classes x samples of the class), as scikit-learn has it after King and Zeng,
        "Logistic Regression in Rare Events Data" (2001): the mean weight of a sample is 1, and each class has half of
        the whole. The samples of a class are those that a batch has on the average, by the sampling weights.
        """
        settings = self._settings
        if settings.class_weights == "balanced":
            negative = 0.5 / (1 - self._word_share)
            return 0.5 / self._word_share, negative, negative
        return (
            settings.positive_class_weight[phase],
            settings.negative_class_weight[phase],
            settings.hard_negative_class_weight[phase],
        )

    def _masks(self, phase: int) -> MaskSettings:
        settings = self._settings
        of_kind = (
            settings.time_mask_max_size,
            settings.time_mask_count,
            settings.freq_mask_max_size,
            settings.freq_mask_count,
        )
        return MaskSettings(*(values[phase] for values in of_kind))

    def _windows(self, clips: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.int8]:
        """The windows that end before the rows `end` of their sets, silence where they begin before their clips."""
        features = np.full((len(clips), self._slices, contract.FEATURE_CHANNELS), contract.INPUT_ZERO_POINT, np.int8)
        first = np.maximum(end - self._slices, self._starts[clips])
        for window, of_set, start, stop in zip(features, self._set_of[clips], first, end, strict=True):
            window[self._slices - (stop - start) :] = self._rows[of_set][start:stop]
        return features

    def fingerprint(self) -> str:
        """A hash of everything that decides what this sampler draws, but for the class weights that a sample's truth
        alone decides.
        """
        settings = self._settings
        # In the words of the version that wrote the first states: its runs go on.
        first_steps = accumulate((0, *settings.training_steps[:-1]))
        phases = [
            f"DrawPhase(first_step={first}, hard_negative_class_weight={settings.hard_negative_class_weight[phase]},"
            f" masks={self._masks(phase)})"
            for phase, first in enumerate(first_steps)
        ]
        of_phases = f"({', '.join(phases)}{',' if len(phases) == 1 else ''})"
        digest = hashlib.sha256(f"({self._slices}, {settings.batch_size}, {settings.seed}, {of_phases})".encode())
        for rows in self._rows:
            for start in range(0, len(rows), _ROWS_HASHED_AT_ONCE):
                digest.update(np.ascontiguousarray(rows[start : start + _ROWS_HASHED_AT_ONCE]).tobytes())
        for values in (
            self._lengths,
            self._truth,
            self._hard,
            self._penalty,
            self._first,
            self._step,
            self._places,
            self._cumulative,
        ):
            digest.update(values.tobytes())
        if settings.batch_ratios:
            digest.update(f"batch_ratios={settings.batch_ratios}".encode())
        for changed in (settings.filter_augment, settings.quiet_augment):
            if changed.is_on:
                digest.update(changed.model_dump_json().encode())
        return digest.hexdigest()


def _places(
    feature_set: FeatureSet, lengths: NDArray[np.int64], slices: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Where a window may end, `[clips]` each: slices before the clip's end at the first place, from one place to the
    next, number of places.
    """
    none, one = np.zeros_like(lengths), np.ones_like(lengths)
    spare = np.maximum(lengths - slices, 0)
    match feature_set.truncation_strategy:
        case "random":
            return none, one, spare + 1
        case "truncate_start":
            return none, one, np.minimum(feature_set.end_shift_slices, lengths)
        case "truncate_end":
            return spare, one, one
        case "fixed_right_cutoff":
            return np.minimum(feature_set.right_cutoff_slices, lengths - 1), one, one
        case "split":
            return none, one * slices, -(-lengths // slices)


def _clip_shares(feature_set: FeatureSet, lengths: NDArray[np.int64], slices: int) -> NDArray[np.float64]:
    """The set's sampling weight, shared out between its clips."""
    shares = np.ones(len(lengths))
    if feature_set.truncation_strategy == "random":
        shares = lengths.astype(np.float64)
    elif feature_set.truncation_strategy == "split":
        shares = np.ceil(lengths / slices)
    return feature_set.sampling_weight * shares / shares.sum()


def prefetch(make: Callable[[int], Batch], steps: range, ahead: int) -> Generator[Batch]:
    """Yield `make(step)` for each step, made in a background thread, up to `ahead` of them while the caller works on an
    earlier one.
    """
    pending: deque[Future[Batch]] = deque()
    pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
    try:
        for step in steps:
            pending.append(pool.submit(make, step))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
