"""From the recordings of the training split to the feature sets that batches are drawn from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.config.batch_settings import TruncationStrategy
from trainer.config.sections import TrainerConfig
from trainer.config.training_sections import TrainingSection
from trainer.data.augmented import augmented_clips, prepare_augmentation
from trainer.data.clip_rows import ClipRows
from trainer.data.dataset import MIN_HARD_NEGATIVES, select_records, sounds
from trainer.data.drawn_sets import FeatureSet
from trainer.data.feature_sets import representative_clips, stored_sets
from trainer.data.features import FeatureSettings, negative_features, positive_features
from trainer.data.ingest import Label, SampleRecord
from trainer.data.parallel import Progress, Stages
from trainer.data.split import Split
from trainer.data.store import FeatureStore
from wakeword.contract import STEP_MS
from wakeword.corpus.feature_cache import default_cache_folder
from wakeword.scoring.matching import TOLERANCE_SECONDS

Counting = Callable[[str], Progress]
"""Gives a counter for a stage that handles recordings."""

SLICES_AFTER_WORD = 20
"""With ten slices of random shift, windows end 110 to 200 ms after the word: so long after it the model learns to
fire."""

SLICES_TOO_LATE = round(TOLERANCE_SECONDS * 1000 / STEP_MS)
"""So long after the word a detection finds it no more; a model that has not learned that fires into the pause, and its
hold-off swallows the next word."""

MINED_SET = "hard_negative_mined"
"""What was mined in the training itself; it has the weights of `hard_negative`."""

_POSITIVE_SETS = ("positive", "after_positive")
_NEGATIVE_SETS = ("negative_joined", "negative_alone")


@dataclass(frozen=True)
class SetClips:
    """Features to train on, int8 `[slices, 40]` a clip, by the name of their set (the keys of
    `training.sampling_weights`).
    """

    positive: Sequence[NDArray[np.int8]]
    after_positive: Sequence[NDArray[np.int8]]
    negative_joined: Sequence[NDArray[np.int8]]
    negative_alone: Sequence[NDArray[np.int8]]
    hard_negative: Sequence[NDArray[np.int8]] = ()
    positive_augmented: Sequence[NDArray[np.int8]] = ()
    negative_augmented: Sequence[NDArray[np.int8]] = ()
    feature_sets: Mapping[str, Sequence[NDArray[np.int8]]] = field(default_factory=dict, kw_only=True)
    """By the name of each set."""

    def clips(self) -> list[NDArray[np.int8]]:
        """All of them, as the export measures ranges on them."""
        of_sets = chain.from_iterable(self.feature_sets.values())
        return [
            *(clip for kind in fields(self) if kind.name != "feature_sets" for clip in getattr(self, kind.name)),
            *of_sets,
        ]


def recorded_clips(
    records: Sequence[SampleRecord], slices: int, seed: int, counting: Counting, jobs: int | None = None
) -> SetClips:
    """Features of the training split as it was recorded, for windows of so many `slices`; of feature sets ten minutes
    each.

    The same records and seed give the same features.
    """
    positives, negatives, hard = (
        sounds(select_records(records, Split.TRAIN, label))
        for label in (Label.POSITIVE, Label.NEGATIVE, Label.HARD_NEGATIVE)
    )
    return SetClips(
        *_positives(positives, slices, seed, counting, jobs),
        *_negatives(negatives, seed, counting("features of negatives"), jobs),
        hard_negative=_hard_negatives(hard, seed, counting, jobs) if hard else (),
        feature_sets={"feature_sets": representative_clips(_of_sets(records))},
    )


def features_folder(config: TrainerConfig) -> Path:
    """Where features and decoded sounds are kept: `paths.processed_dir` or the user's cache."""
    return config.paths.processed_dir or default_cache_folder()


def stored_clips(
    config: TrainerConfig, records: Sequence[SampleRecord], slices: int, stages: Stages, jobs: int | None = None
) -> SetClips:
    """Features of the training split, augmented ones too, from `paths.processed_dir` or the user's cache; what is not
    there is computed first.

    Raises `ConfigError` for sounds or recordings that cannot be used, and `InfrastructureError` for a damaged store.
    """
    folder, counting = features_folder(config), stages.counting
    store, seed = FeatureStore(folder / "training"), config.training.seed
    positives, negatives, hard = (
        sounds(select_records(records, Split.TRAIN, label))
        for label in (Label.POSITIVE, Label.NEGATIVE, Label.HARD_NEGATIVE)
    )
    settings, word_places = FeatureSettings(), (slices, SLICES_AFTER_WORD, SLICES_TOO_LATE)
    clips: dict[str, ClipRows] = store.sets(
        store.key(positives, settings, seed, word_places),
        _POSITIVE_SETS,
        lambda: _positives(positives, slices, seed, counting, jobs),
    )
    clips |= store.sets(
        store.key(negatives, settings, seed),
        _NEGATIVE_SETS,
        lambda: _negatives(negatives, seed, counting("features of negatives"), jobs),
    )
    if hard:
        clips |= store.sets(
            store.key(hard, settings, seed), ("hard_negative",), lambda: (_hard_negatives(hard, seed, counting, jobs),)
        )
    if config.augmentation.copies:
        augmentation = prepare_augmentation(config, negatives, folder / "sounds", counting, jobs)
        for line in augmentation.told:
            stages.told(line)
        for label, records_of_it in ((Label.POSITIVE, positives), (Label.NEGATIVE, negatives)):
            counter = counting(f"augmenting {label}s")
            clips[f"{label}_augmented"] = augmented_clips(store, label, records_of_it, augmentation, jobs, counter)
    feature_sets = stored_sets(store, _of_sets(records))
    stages.told(
        f"{store.hits} of {store.hits + store.misses} sets of training features found in {folder}, {store.misses}"
        " computed"
    )
    return SetClips(**clips, feature_sets=feature_sets)


def _of_sets(records: Sequence[SampleRecord]) -> list[SampleRecord]:
    return [record for record in select_records(records, Split.TRAIN, Label.NEGATIVE) if not record.is_sound]


def training_sets(config: TrainerConfig, clips: SetClips, mined: ClipRows | None = None) -> list[FeatureSet]:
    """What batches are drawn from. Without augmented clips their share goes to those as they were recorded.

    `mined` are windows of the negatives that the model in training has wrongly accepted: they share weight and share
    with the hard negatives that were recorded, each in proportion to its length. Raises `ConfigError` for weights that
    are negative.
    """
    sampling = config.training.sampling_weights.model_dump()
    for kind, recorded in (
        ("positive_augmented", ("positive",)),
        ("negative_augmented", ("negative_joined", "negative_alone")),
    ):
        if not len(getattr(clips, kind)):
            there = [name for name in recorded if len(getattr(clips, name))]
            total = sum(sampling[name] for name in there)
            for name in there:
                sampling[name] += sampling[kind] * (sampling[name] / total if total else 1 / len(there))
    penalty = config.training.penalty_weights.model_dump()
    share_of_sets, penalty_of_sets = sampling.pop("feature_sets"), penalty.pop("feature_sets")
    by_name: dict[str, Sequence[NDArray[np.int8]]] = {name: getattr(clips, name) for name in sampling}
    by_name |= clips.feature_sets
    sampling |= dict.fromkeys(clips.feature_sets, share_of_sets / max(1, len(clips.feature_sets)))
    penalty |= dict.fromkeys(clips.feature_sets, penalty_of_sets)
    if mined is not None and len(mined):
        share = _mined_share(mined, clips.hard_negative)
        by_name[MINED_SET], penalty[MINED_SET] = mined, penalty["hard_negative"]
        sampling |= {
            MINED_SET: sampling["hard_negative"] * share,
            "hard_negative": sampling["hard_negative"] * (1 - share),
        }
    return [
        FeatureSet(
            name,
            name.startswith("positive"),
            of_set,
            sampling[name],
            penalty[name],
            _strategy(name, config.training),
            right_cutoff_slices=config.training.right_cutoff_slices,
            hard=name in ("hard_negative", MINED_SET),
        )
        for name, of_set in by_name.items()
        if len(of_set)
    ]


def _mined_share(mined: ClipRows, recorded: Sequence[NDArray[np.int8]]) -> float:
    """The part of the hard negatives' share that falls to mined ones: by length beside recorded ones. Alone, few of
    them get less than all of it, or they would be learned by heart.
    """
    if not len(recorded):
        return min(1.0, len(mined) / MIN_HARD_NEGATIVES)
    slices = int(mined.lengths.sum())
    return slices / (slices + sum(len(clip) for clip in recorded))


def _strategy(name: str, settings: TrainingSection) -> TruncationStrategy:
    """Of a set, by its key; mined windows are hard negatives, and what has no key of its own is a feature set."""
    key = "hard_negative" if name == MINED_SET else name
    strategies = settings.truncation_strategies
    strategy: TruncationStrategy = getattr(strategies, key, strategies.feature_sets)
    return strategy


type _Clips = list[NDArray[np.int8]]


def _positives(
    records: Sequence[SampleRecord], slices: int, seed: int, counting: Counting, jobs: int | None
) -> tuple[_Clips, _Clips]:
    """The words, and the pauses after them: every window of those ends when it is too late to detect the word, which
    may still be in it.
    """
    spoken = positive_features(records, seed=seed, jobs=jobs, progress=counting("features of positives"))
    return (
        [word.features[: word.word_end + SLICES_AFTER_WORD] for word in spoken],
        [word.features[max(0, word.word_end + SLICES_TOO_LATE - slices) :] for word in spoken],
    )


def _negatives(
    records: Sequence[SampleRecord], seed: int, progress: Progress, jobs: int | None
) -> tuple[_Clips, _Clips]:
    others = negative_features(records, seed=seed, jobs=jobs, progress=progress)
    return others.joined, others.alone


def _hard_negatives(records: Sequence[SampleRecord], seed: int, counting: Counting, jobs: int | None) -> _Clips:
    """Joined and alone: what is like the wake word stands in speech as well as after a pause."""
    joined, alone = _negatives(records, seed, counting("features of hard negatives"), jobs)
    return [*joined, *alone]
