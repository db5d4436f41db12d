"""One training run, from a configuration to the best weights in a run's folder.

The folder describes itself: the resolved configuration, the recordings with their splits, the rejected ones with their
reasons, the checkpoints. `exporting.py` goes on from it and the recordings alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trainer.analysis.targets import check_size
from trainer.config.checks import check_config
from trainer.config.loader import CONFIG_NAME, load_config, write_config
from trainer.config.sections import TrainerConfig
from trainer.data.clip_rows import ClipRows
from trainer.data.composition import Share, composition, of_split, write_composition
from trainer.data.dataset import (
    TABLE_NAME,
    load_recordings,
    read_recordings,
    rejection_summary,
    same_recordings,
    select_records,
    sounds,
    write_recordings,
)
from trainer.data.duplicates import duplicate_summary, find_duplicates, write_duplicates
from trainer.data.ingest import Ingestion, Label, SampleRecord
from trainer.data.mined import rows_below
from trainer.data.parallel import Stages
from trainer.data.spec_augment import choose_array_module
from trainer.data.split import Split
from trainer.data.training_sets import SetClips, features_folder, stored_clips, training_sets
from trainer.data.word_lengths import too_long_words
from trainer.evaluation.windows import WordEnd, word_ends_of
from trainer.export.representative import representative_features, representative_records, representative_stream
from trainer.inference.models import FloatModel
from trainer.inference.runs import run_config
from trainer.inference.splits import PresentedSplit, SplitRecords, are_synthetic_words, present_split, seconds_counted
from trainer.mining.in_training import FOLDER as MINED_FOLDER
from trainer.mining.in_training import JoinedNegatives, TrainingMiner
from trainer.mining.windows import stretch_of
from trainer.networks.runtime import compute_dtype, start_tensorflow
from trainer.networks.weights import CHECKPOINTS
from trainer.training.loop import TrainingResult, train
from trainer.training.memory import check_memory, feature_workers, workers
from trainer.training.progress import TrainingProgress
from trainer.training.quantization_aware import KEYS as QUANTIZATION_AWARE_KEYS
from trainer.training.quantization_aware import Phase, fine_tune, steps_before
from trainer.training.step_engine import check_step
from trainer.training.teacher_phase import train_teacher
from trainer.training.teacher_settings import FOLDER as TEACHER
from trainer.training.teacher_settings import steps_to_keep, teacher_config, teacher_summary
from trainer.training.teachers import check_teachers, open_teachers, teachers_summary
from trainer.training.training_run import TrainingRun
from trainer.training.validation import StreamingValidation
from wakeword.cluster.connection import working_on
from wakeword.corpus.feature_cache import FeatureCache, cache_limit_bytes, default_cache_folder
from wakeword.errors import ConfigError
from wakeword.files import check_writable
from wakeword.locks import hold_folder
from wakeword.processes import threads_of_workers

DUPLICATES_NAME = "duplicates.csv"
"""Recordings that hold the same sound, those in two splits first."""

_WHERE_NOT_WHAT = {"paths.processed_dir", "paths.checkpoint_dir", "paths.export_dir"}
"""Keys that may change between the sessions of a run, as those of `performance` but for `mixed_precision` and of
`size_targets` may."""


class RunProgress(TrainingProgress, Stages, Protocol):
    """Receives what a run does."""


_STEPS = "training.training_steps"
"""A run goes on with more steps of its last phase: what it has done until then is the same."""


def train_run(
    config: TrainerConfig, folder: Path, progress: RunProgress, jobs: int | None = None, cluster: str | None = None
) -> TrainingResult:
    """Train what a configuration asks for in `folder`; a run that was interrupted goes on where it was. Recordings are
    checked, and features computed, by the workers of the cluster at an address, where one is given.

    Raises `ConfigError` for recordings or settings that cannot be used, and when `folder` holds a run with another
    configuration or other recordings; `InfrastructureError` when another process trains in it.
    """
    with hold_folder(folder, "give another --output"):
        return _train_run(config, folder, progress, jobs, cluster)


def _train_run(
    config: TrainerConfig, folder: Path, progress: RunProgress, jobs: int | None, cluster: str | None
) -> TrainingResult:
    with working_on(cluster, read=_folders_heard(config), written=[features_folder(config)] if cluster else []):
        ingestion = checked_recordings(config, folder, progress, jobs)
        performance, jobs = config.performance, feature_workers(config, ingestion.records, jobs)
        clips = _prepared(config, ingestion, folder, progress, jobs)
    sets = training_sets(config, clips)
    miner = _miner(config, folder, ingestion.records, clips, progress) if config.hard_negative_mining.enabled else None
    cache = FeatureCache(default_cache_folder(), cache_limit_bytes(performance.feature_cache_gb))
    start_tensorflow(settings=performance)  # the first to start it decides the threads
    presented = _validation_features(ingestion.records, cache, progress)
    ends = word_ends_of([recording.path for recording in presented.positives.recordings], jobs)
    validation = _validation(config, presented, ends)
    progress.told(cache.summary(cache.prune(in_use=True)))
    run = TrainingRun(
        config.model,
        config.slices,
        sets,
        steps_before(config.training),
        folder / CHECKPOINTS,
        validation,
        progress,
        performance,
        records=folder,
        hard_negatives=miner,
        within_scale=validation.within_scale,
        preparation={"feature_cache_hits": cache.hits, "feature_cache_misses": cache.misses},
    )
    own = None
    if config.training.teacher != "none":
        progress.told(f"the teacher, in {folder / TEACHER}")
        own = train_teacher(
            run,
            config,
            folder,
            lambda taught: _validation(taught, presented, ends),
            lambda place: write_recordings(ingestion, place),
        )
        progress.told("the model, which learns from it")
    run = replace(run, distillation=open_teachers(config, own))
    trained = train(run)
    if not config.training.quantization_aware_steps:
        return trained
    progress.told(f"quantisation-aware fine-tuning: {config.training.quantization_aware_steps:,} steps")
    records = list(representative_records(ingestion.records, config.training.seed))
    features = representative_features(records, config.slices, config.training.seed, progress.counting, jobs)
    stream = representative_stream(features, config.model.stride, config.slices, config.training.seed)
    quantised = _validation(config, presented, ends, stream)
    drawn = miner.restore(trained.steps).sets if miner else sets
    phase = Phase(stream, quantised, quantised.within_scale, drawn)
    return fine_tune(replace(run, settings=config.training), trained, folder, phase)


def _folders_heard(config: TrainerConfig) -> list[Path]:
    keys = ("positive_dir", "negative_dir", "hard_negative_dir", "background_dir", "rir_dir", "generated_dir")
    folders = [folder for key in keys for folder in config.paths.folders(key)]
    return [*folders, *config.augmentation.background_paths, *config.augmentation.impulse_paths]


def _prepared(
    config: TrainerConfig, ingestion: Ingestion, folder: Path, progress: RunProgress, jobs: int | None
) -> SetClips:
    """What a run is given is written to its folder and told; then the features that it trains on."""
    shares = composition(ingestion.records, config.paths)
    # Before anything is told: who reads only the first lines finds the rest in the folder.
    write_config(config, folder / CONFIG_NAME)
    write_recordings(ingestion, folder)
    write_composition(shares, folder)
    for line in (*ingestion.warnings, rejection_summary(ingestion.rejections)):
        if line:
            progress.told(line)
    for line in split_summary(ingestion.records, shares):
        progress.told(line)
    if config.hard_negative_mining.enabled and config.paths.feature_sets:
        progress.told("feature sets train as they are: mining hears recordings alone")
    if config.training.teacher != "none":
        progress.told(teacher_summary(config, folder))
    if config.training.is_taught:
        progress.told(teachers_summary(config))
    with threads_of_workers(config.performance.num_threads_per_worker):
        if config.speaker_clustering.leakage_audit_enabled:
            audit_recordings(ingestion.records, folder, progress, jobs)
        return stored_clips(config, ingestion.records, config.slices, progress, jobs)


def _validation(
    config: TrainerConfig,
    data: PresentedSplit,
    word_ends: Sequence[WordEnd],
    representative: NDArray[np.float32] | None = None,
) -> StreamingValidation:
    """In float, or with the arithmetic of an int8 export whose ranges are those of a representative stream."""
    return StreamingValidation(
        FloatModel(config.model, config.slices, representative=representative),
        data,
        config.export.sliding_window_size,
        config.training.target_minimization,
        config.export.probability_cutoff,
        word_ends,
    )


def checked_recordings(
    config: TrainerConfig, folder: Path | None, progress: Stages, jobs: int | None = None
) -> Ingestion:
    """The recordings that a configuration trains with, once everything is checked that can be checked before the work
    begins. Writes nothing. `folder` None: of no run.

    Raises `ConfigError` as `train_run` does.
    """
    check_config(config)
    if folder is not None:
        _refuse_other_configuration(config, folder)
    taught = teacher_config(config, folder) if config.training.teacher != "none" else None
    performance = config.performance
    choose_array_module(performance.gpu_only)
    precision = compute_dtype(performance)  # both refuse what this machine cannot do
    check_size(config)
    with threads_of_workers(performance.num_threads_per_worker):
        counter, training = progress.counting("checking recordings"), config.training
        ingestion = load_recordings(
            config.paths,
            training.seed,
            workers(performance, jobs),
            counter,
            training.held_out_engines,
            training.split_fractions,
        )
        too_long = too_long_words(
            config, ingestion.records, workers(performance, jobs), progress.counting("measuring long wake words")
        )
    if training.maximization_metric == "expected_recall" and not are_synthetic_words(
        SplitRecords.of(ingestion.records, Split.VAL)
    ):
        raise ConfigError(
            "training.maximization_metric is expected_recall, which only synthetic words have, but other words"
            " validate; give auto"
        )
    if folder is not None:
        _refuse_other_recordings(ingestion.records, folder)
    check_teachers(config, ingestion.records)
    teachers = [run_config(checkpoint).model for checkpoint in config.training.teachers]
    check_step(config, precision, [*teachers, *([taught.model] if taught else [])])
    if taught:
        check_step(taught, precision, [])
    _check_ratios(config, ingestion.records)
    check_memory(config, ingestion.records)
    if taught:
        check_memory(taught, ingestion.records)
    return replace(ingestion, warnings=(*ingestion.warnings, too_long)) if too_long else ingestion


def _check_ratios(config: TrainerConfig, records: Sequence[SampleRecord]) -> None:
    ratios = config.training.batch_ratios
    if not ratios or not ratios[2] or config.hard_negative_mining.enabled:
        return
    if not select_records(records, Split.TRAIN, Label.HARD_NEGATIVE):
        raise ConfigError(
            f"training.batch_ratios {list(ratios)} want hard negatives, and none train; give paths.hard_negative_dir"
            " recordings, or hard_negative_mining.enabled=true, or 0 as the third number"
        )


def audit_recordings(records: Sequence[SampleRecord], folder: Path, progress: Stages, jobs: int | None = None) -> None:
    """Say which recordings stand in two splits, once a run, and write all pairs to its folder: a model that was trained
    on what it is tested with looks better than it is. Raises `OSError` when the table cannot be written.
    """
    table = folder / DUPLICATES_NAME
    if table.is_file():
        return
    report = find_duplicates(sounds(records), jobs=jobs, progress=progress.counting("comparing recordings"))
    write_duplicates(report, table)
    if summary := duplicate_summary(report):
        progress.told(f"warning: {summary}; {table} has all pairs")


def _miner(
    config: TrainerConfig, folder: Path, records: Sequence[SampleRecord], clips: SetClips, progress: RunProgress
) -> TrainingMiner:
    """Mines the negatives of the training split; what was mined by command and joined the dataset is not
    mined again."""
    features = ClipRows.of(clips.negative_joined)
    return TrainingMiner(
        config.model,
        config.slices,
        JoinedNegatives.of(
            sounds(select_records(records, Split.TRAIN, Label.NEGATIVE)), features, config.training.seed
        ),
        config.hard_negative_mining,
        folder / MINED_FOLDER,
        lambda mined: training_sets(config, clips, mined),
        taken=map(stretch_of, rows_below(config.paths.folders("hard_negative_dir"))),
        progress=progress.counting("seconds of negatives heard for mining"),
    )


def _validation_features(records: Sequence[SampleRecord], cache: FeatureCache, progress: Stages) -> PresentedSplit:
    validation = SplitRecords.of(records, Split.VAL)
    if are_synthetic_words(validation):
        progress.told(
            "validation hears synthetic words and the negatives in rooms, noise and quiet too; these sounds are"
            " computed once"
        )
    counted = seconds_counted(progress.counting("seconds of validation recordings"), validation.seconds)
    return present_split(cache, validation, counted).mapped()


def _refuse_other_configuration(config: TrainerConfig, folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: is a file; name a folder for the run")
    check_writable(folder / CONFIG_NAME)
    if not (folder / CONFIG_NAME).is_file():
        return
    earlier, wanted = load_config(str(folder / CONFIG_NAME)).model_dump(), config.model_dump()
    changed = [
        f"{section}.{key}"
        for section, values in wanted.items()
        for key, value in values.items()
        if value != earlier[section][key]
    ]
    changed = [
        key
        for key in changed
        if key not in _WHERE_NOT_WHAT
        and (not key.startswith(("performance.", "size_targets.")) or key == "performance.mixed_precision")
    ]
    # The phase comes after all the rest, and begins anew where it does not fit its settings.
    changed = [key for key in changed if key.removeprefix("training.") not in QUANTIZATION_AWARE_KEYS]
    if _STEPS in changed:
        before, now = earlier["training"]["training_steps"], wanted["training"]["training_steps"]
        done = steps_to_keep(config, folder)
        if config.training.schedule == "cosine" == earlier["training"]["schedule"]:
            raise ConfigError(
                f"{folder}: holds a run with another {', '.join(changed)}, and with training.schedule cosine all its"
                " learning rates depend on the number of steps; give another --output, or remove the folder"
            )
        if len(now) == len(before) and now[:-1] == before[:-1] and sum(now) >= done:
            changed.remove(_STEPS)
        else:
            hint = (
                f"; of {_STEPS} {list(before)} the last number alone may change, to {max(done - sum(before[:-1]), 1)}"
                " or more"
            )
            raise ConfigError(
                f"{folder}: holds a run with another {', '.join(changed)}{hint}; or give another --output"
            )
    if changed:
        raise ConfigError(
            f"{folder}: holds a run with another {', '.join(changed)}; give another --output, or remove the folder"
        )


def _refuse_other_recordings(records: Sequence[SampleRecord], folder: Path) -> None:
    """The weights of a run and its table of recordings must tell the same: an export chooses its cutoff by
    the table."""
    if (folder / TABLE_NAME).is_file() and not same_recordings(read_recordings(folder), records):
        raise ConfigError(
            f"{folder}: holds a run with other recordings than are found now; give another --output, or remove the"
            " folder"
        )


def split_summary(records: Sequence[SampleRecord], shares: Sequence[Share]) -> Iterator[str]:
    """What each split holds, a line a split: wake words, and the kinds of sound without it with their lengths and
    numbers of files.
    """
    for split in Split:
        positives = select_records(records, split, Label.POSITIVE)
        speakers = len({record.speaker for record in positives})
        hard = of_split(shares, split, Label.HARD_NEGATIVE)
        besides = f"; hard negatives: {hard}" if hard and split is Split.TRAIN else ""
        yield (
            f"{split.value}: {len(positives)} positives of {speakers} speaker{'' if speakers == 1 else 's'}; negatives:"
            f" {of_split(shares, split)}{besides}"
        )
