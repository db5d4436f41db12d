"""Drawing batches: one pass of array arithmetic a batch, the same batch for the same seed and step."""

from __future__ import annotations

import copy
import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import accumulate
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.config.training_sections import TrainingSection
from trainer.data.batch_ratios import BatchRatios, drawn
from trainer.data.clip_rows import ClipRows
from trainer.data.drawn_sets import FeatureSet, clip_shares, places_of
from trainer.data.filter_augment import draw_filters, filter_augment
from trainer.data.quiet_augment import quiet_augment
from trainer.data.spec_augment import MaskSettings, draw_stretches, spec_augment, to_tensor
from wakeword import contract
from wakeword.errors import ConfigError

_ROWS_HASHED_AT_ONCE = 1 << 16
"""2.6 MB: a mapped file is never in memory as a whole."""

Augmenting = Callable[[], AbstractContextManager[None]]
"""Makes a context in which filters and masks are drawn, such as one that takes the time."""


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


@dataclass(frozen=True)
class Places:
    """Which windows a batch has."""

    clips: NDArray[np.int64]
    """As in `Batch`."""
    first: NDArray[np.int64]
    """Of each window the first row, of all sets' rows one after another, that holds its clip, `[batch]`. Where a window
    begins before its clip there are fewer rows than slices."""
    stop: NDArray[np.int64]
    """One past its last row, `[batch]`."""
    truth: NDArray[np.float32]
    """As in `Batch`."""
    weights: NDArray[np.float32]
    """As in `Batch`."""


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
        self._row_offsets = np.array(list(accumulate((len(rows) for rows in self._rows[:-1]), initial=0)), np.int64)
        self._set_of = np.repeat(np.arange(len(clips)), counts)
        self._lengths = np.concatenate([of_set.lengths for of_set in clips])
        self._starts = np.concatenate([of_set.starts for of_set in clips])
        self._truth = np.repeat(np.array([feature_set.truth for feature_set in sets], np.float32), counts)
        self._hard = np.repeat([feature_set.hard for feature_set in sets], counts)
        self._penalty = np.repeat(np.array([feature_set.penalty_weight for feature_set in sets], np.float32), counts)
        places = [
            places_of(feature_set, of_set.lengths, slices) for feature_set, of_set in zip(sets, clips, strict=True)
        ]
        self._first, self._step, self._places = (np.concatenate(values) for values in zip(*places, strict=True))
        shares = [
            clip_shares(feature_set, of_set.lengths, slices) for feature_set, of_set in zip(sets, clips, strict=True)
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

    def without_rows(self) -> BatchSampler:
        """One that draws the same `numbers` and has no features, to be sent to another process."""
        other = copy.copy(self)
        other._rows = []
        del other._xp  # a module, which cannot be sent, and batches alone need
        return other

    def batch(self, step: int, augmenting: Augmenting = nullcontext) -> Batch:
        """The batch of a step, the same in every run: its random numbers depend on the seed and the step alone, its
        class weights and masks on the phase. Filters and masks are drawn within `augmenting`.
        """
        settings = self._settings
        places, masks, filters = self.places(step), self._masks(settings.phase_of(step)), settings.filter_augment
        features: Any = self.windows(places)
        with augmenting():
            features = self._quieted(features, step)
            if filters.is_on:
                features = filter_augment(features, filters, settings.seed, step, self._xp)
            if masks != MaskSettings():
                features = spec_augment(features, masks, settings.seed, step, self._xp)
            if self._xp is not np and (filters.is_on or masks != MaskSettings()):
                features = to_tensor(features, self._xp)
        return Batch(features, places.truth, places.weights, places.clips)

    def numbers(
        self,
        step: int,
        augmenting: Augmenting = nullcontext,
        *,
        with_features: bool = True,
    ) -> dict[str, NDArray[Any]]:
        """The batch of a step before filters and masks, and what these are to do, for `trainer.data.pure_batches`,
        which makes the same of it as `batch`.

        - `truth`, `weights`: as in `Batch`.
        - `features`: int8 `[batch, slices, 40]`; or, without them, `first` and `stop`, int32 `[batch]`, as in `Places`.
        - `added`: int16 `[batch, 40]`, where filters are on.
        - `time_starts`, `time_sizes`, `mel_starts`, `mel_sizes`: int16 `[batch, masks]`, where such masks are on.
        """
        settings, places = self._settings, self.places(step)
        given: dict[str, NDArray[Any]] = {"truth": places.truth, "weights": places.weights}
        if with_features:
            given["features"] = self.windows(places)
        else:
            given |= {"first": places.first.astype(np.int32), "stop": places.stop.astype(np.int32)}
        with augmenting():
            if with_features:
                given["features"] = self._quieted(given["features"], step)
            if settings.filter_augment.is_on:
                given["added"] = draw_filters(settings.filter_augment, settings.batch_size, settings.seed, step)
            masks = self._masks(settings.phase_of(step))
            drawn_masks = draw_stretches(masks, settings.batch_size, self._slices, settings.seed, step)
            for name, stretches in zip(("time", "mel"), drawn_masks, strict=True):
                if stretches:
                    given[f"{name}_starts"] = stretches.starts.astype(np.int16)
                    given[f"{name}_sizes"] = stretches.sizes.astype(np.int16)
        return given

    @property
    def slices(self) -> int:
        """Of a window."""
        return self._slices

    @property
    def made_on_host(self) -> bool:
        """Whether windows are changed in a way that the host alone can do."""
        return self._settings.quiet_augment.is_on

    @property
    def rows(self) -> Sequence[NDArray[np.int8]]:
        """The clips of each set, int8 `[slices of all clips, 40]`; `Places` counts through all of them."""
        return self._rows

    def places(self, step: int) -> Places:
        """The windows of a step's batch."""
        settings = self._settings
        chance = np.random.default_rng((settings.seed, step)).random((2, settings.batch_size))
        clips = drawn(self._cumulative, chance[0]) if self._ratios is None else self._ratios.clips(step, chance[0])
        before_end = self._first[clips] + self._step[clips] * (chance[1] * self._places[clips]).astype(np.int64)
        # No window begins before its clip, where the clip is as long as a window.
        before_end = np.where(
            self._step[clips] > 1,
            np.minimum(before_end, np.maximum(self._lengths[clips] - self._slices, 0)),
            before_end,
        )
        starts = self._starts[clips] + self._row_offsets[self._set_of[clips]]
        stop = starts + self._lengths[clips] - before_end
        truth = self._truth[clips]
        positive, negative, hard_negative = map(np.float32, self._class_weights(settings.phase_of(step)))
        weights = self._penalty[clips] * np.where(
            truth > 0, positive, np.where(self._hard[clips], hard_negative, negative)
        )
        return Places(clips, np.maximum(stop - self._slices, starts), stop, truth, weights)

    def windows(self, places: Places) -> NDArray[np.int8]:
        """The features of a batch as they were computed, int8 `[batch, slices, 40]`, silence where windows begin before
        their clips.
        """
        shape = (len(places.clips), self._slices, contract.FEATURE_CHANNELS)
        features = np.full(shape, contract.INPUT_ZERO_POINT, np.int8)
        sets = self._set_of[places.clips]
        offsets = self._row_offsets[sets]
        for window, of_set, start, stop in zip(
            features, sets, places.first - offsets, places.stop - offsets, strict=True
        ):
            window[self._slices - (stop - start) :] = self._rows[of_set][start:stop]
        return features

    def _quieted(self, features: NDArray[np.int8], step: int) -> NDArray[np.int8]:
        settings = self._settings
        if not settings.quiet_augment.is_on:
            return features
        return quiet_augment(features, settings.quiet_augment, settings.seed, step)

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


def prefetch[Key, Made](make: Callable[[Key], Made], keys: Iterable[Key], ahead: int) -> Generator[Made]:
    """Yield `make` of each key, such as a step, made in a background thread, up to `ahead` of them while the caller
    works on an earlier one.
    """
    pending: deque[Future[Made]] = deque()
    pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
    try:
        for key in keys:
            pending.append(pool.submit(make, key))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
