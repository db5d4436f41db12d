"""The earlier runs that a training learns from: that they fit it, and their weights.

A teacher that heard what validates or tests this run would carry it into the weights, so such a one is refused, whether
it was trained on it, mined it, or had its checkpoint chosen by what tests this run. A run's `recordings.csv` is a
splits table too: with it runs of several seeds share one split.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from trainer.config.sections import TrainerConfig
from trainer.data.dataset import TABLE_NAME, read_recordings, select_records
from trainer.data.ingest import Label, SampleRecord
from trainer.data.mined import SoundIndex, mined_among
from trainer.data.split import Split
from trainer.inference.runs import run_config, run_folder
from trainer.networks.weights import open_weights
from trainer.training.checkpoints import STATE, stopped_early
from trainer.training.losses import Distillation, Teacher
from trainer.training.run_files import TABLE as VALIDATION_NAME
from wakeword.corpus.recordings import hash_file
from wakeword.errors import ConfigError
from wakeword.reading import read_csv

_CHOOSE_OR_TEST = {Split.VAL, Split.TEST}


def check_teachers(config: TrainerConfig, records: Sequence[SampleRecord]) -> None:
    """Raise `ConfigError` for a teacher that cannot teach a run of these records.

    It must be there, finished and read the same window, know the same wake word, have had no teachers itself (what they
    heard is not in its table), and have heard nothing that validates or tests this run.
    """
    for checkpoint in config.training.teachers:
        taught = run_config(checkpoint)
        _check_file(checkpoint, taught)
        if taught.training.teachers:
            raise ConfigError(
                f"{checkpoint}: was itself taught, so what it heard is not known here; give the runs that taught it"
            )
        if taught.slices != config.slices:
            raise ConfigError(
                f"{checkpoint}: reads windows of {taught.slices} slices and this run has {config.slices}; "
                "give a teacher with the same hardware.clip_duration_ms and the same model but for its filters"
            )
        _check_recordings(checkpoint, records)


def open_teachers(config: TrainerConfig, own: tuple[Teacher, Path] | None = None) -> Distillation | None:
    """The teachers of a configuration with their weights, with one that its run has trained itself and the file of its
    weights; None without any. Raises `ConfigError` for weights that cannot be read.
    """
    teachers, hashes = ([own[0]], [hash_file(own[1])]) if own else ([], [])
    for checkpoint in config.training.teachers:
        taught = run_config(checkpoint)
        teachers.append(Teacher(open_weights(taught.model, taught.slices, checkpoint), taught.model))
        hashes.append(hash_file(checkpoint))
    return Distillation(tuple(teachers), hashlib.sha256(" ".join(hashes).encode()).hexdigest()) if teachers else None


def teachers_summary(config: TrainerConfig) -> str:
    """A line for the user of a configuration with teachers."""
    section = config.training
    count = len(section.teachers)
    earlier = f"{count} earlier models" if count > 1 else "an earlier model" if count else ""
    who = " and ".join(filter(None, (earlier, "its teacher" if section.teacher != "none" else "")))
    plural = count > 1 or " and " in who
    return f"{section.teaching_share:.0%} of the loss is what {who} {'say' if plural else 'says'}"


def _check_file(checkpoint: Path, taught: TrainerConfig) -> None:
    """Weights that cannot be those of a finished run; whether they are those of its model is seen when they
    are read."""
    import h5py

    table, steps = run_folder(checkpoint) / VALIDATION_NAME, taught.training.steps
    try:
        done = max((int(row["step"]) for row in read_csv(table, ("step",), "").rows), default=0)
    except (ConfigError, ValueError):
        done = 0
    if done < steps and not stopped_early(checkpoint.parent / STATE, taught.training):
        raise ConfigError(
            f"{checkpoint}: its run has done {done} of {steps} steps, by {table}; let it finish first (the same"
            " mww-train goes on with it)"
        )
    if not h5py.is_hdf5(checkpoint):
        raise ConfigError(f"{checkpoint}: holds no weights; give the checkpoints/best_weights.weights.h5 of a run")


def _check_recordings(checkpoint: Path, records: Sequence[SampleRecord]) -> None:
    table = run_folder(checkpoint) / TABLE_NAME
    known = read_recordings(run_folder(checkpoint))
    if not all(record.sha256 for record in known):
        raise ConfigError(f"{table}: of an older version, without the files' hashes; train this teacher again")
    label_of = {record.sha256: record.label for record in records}
    words = [
        label_of[record.sha256] is Label.POSITIVE
        for record in known
        if record.label is Label.POSITIVE and record.sha256 in label_of
    ]
    if not any(words) or not all(words):
        raise ConfigError(
            f"{checkpoint}: learned another wake word, by {table}: its positives are not those of this run; give a"
            " teacher of the same one"
        )
    held_back, tests = (
        SoundIndex((record, str(record.path)) for record in records if record.split in splits)
        for splits in (_CHOOSE_OR_TEST, {Split.TEST})
    )
    mined = mined_among(record.path for record in select_records(known, Split.TRAIN, Label.HARD_NEGATIVE)).values()
    found = [held_back.like(record) for record in known if record.split is Split.TRAIN]
    found += [held_back.with_source_of(clip, by_path=False) for clip in mined]
    found += [tests.like(record) for record in known if record.split is Split.VAL]
    leaking = [path for path in found if path]
    if leaking:
        raise ConfigError(
            f"{checkpoint}: heard {leaking[0]}, which validates or tests this run ({len(leaking)} such recordings); "
            f"split both runs alike: give each the same splits table, such as --set paths.splits={table}"
        )
