"""What a training would do, before it does anything: its recordings, its settings, and what its model will cost on a
board. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from trainer.analysis import table as analysis_table
from trainer.analysis.analyse import ModelAnalysis, analyse_model
from trainer.config.sections import TrainerConfig, TrainingSection
from trainer.data.composition import composition, length
from trainer.data.dataset import select_records, sounds
from trainer.data.duplicates import duplicate_summary, find_duplicates
from trainer.data.ingest import Ingestion, Label
from trainer.data.parallel import Stages, core_count
from trainer.data.split import Split
from trainer.networks.weights import CHECKPOINTS
from trainer.training.checkpoints import STATE
from trainer.training.memory import GIB, MemoryNeed, feature_workers, memory_need
from trainer.training.run import checked_recordings
from trainer.training.teacher_settings import teacher_summary
from trainer.training.teachers import open_teachers, teachers_summary
from wakeword.processes import threads_of_workers

SHOWN_REJECTIONS = 20


@dataclass(frozen=True)
class DryRun:
    """What is known of a run that has passed every check."""

    config: TrainerConfig
    folder: Path
    ingestion: Ingestion
    duplicates: str
    """A line on recordings in two splits, empty without any."""
    memory: MemoryNeed
    jobs: int | None
    analysis: ModelAnalysis | None
    """None for a network that no device runs."""


def dry_run(config: TrainerConfig, folder: Path, progress: Stages, jobs: int | None = None) -> DryRun:
    """Check all that `train_run` checks, compare the recordings, and build and convert the untrained model. Takes as
    long as listening to the recordings does.

    Raises `ConfigError` as `train_run` does.
    """
    ingestion = checked_recordings(config, folder, progress, jobs)
    jobs = feature_workers(config, ingestion.records, jobs)
    duplicates = ""
    if config.speaker_clustering.leakage_audit_enabled:
        counting = progress.counting("comparing recordings")
        with threads_of_workers(config.performance.num_threads_per_worker):
            duplicates = duplicate_summary(find_duplicates(sounds(ingestion.records), jobs=jobs, progress=counting))
    analysis = None
    if not config.model.of.off_devices:
        progress.told("building the model")
        analysis = analyse_model(config.model, config.hardware.clip_duration_ms)
    open_teachers(config)
    return DryRun(config, folder, ingestion, duplicates, memory_need(config, ingestion.records), jobs, analysis)


def rendered(dry: DryRun) -> Group:
    """A dry run as text for the terminal: recordings, run, model."""
    parts: list[RenderableType] = [Text("The recordings", "bold"), _recordings(dry.ingestion), Text(), *_kinds(dry)]
    warnings = (*dry.ingestion.warnings, *([dry.duplicates] if dry.duplicates else []))
    parts += [Text(f"warning: {warning}", "yellow") for warning in warnings]
    if dry.ingestion.rejections:
        parts += [
            Text(),
            Text(f"Files that would not be used: {len(dry.ingestion.rejections)}", "bold"),
            *_rejections(dry.ingestion),
        ]
    parts += [Text(), Text("The run", "bold"), *map(Text, _plan(dry)), Text()]
    parts.append(
        analysis_table.rendered(dry.analysis)
        if dry.analysis
        else Text(f"No device runs the model: {dry.config.model.of.off_devices}")
    )
    return Group(*parts, Text(), Text("All checks are passed, and nothing was written."))


def _recordings(ingestion: Ingestion) -> Table:
    table = Table("split", box=None, pad_edge=False)
    for column in ("wake words", "speakers", "length", "negatives", "length", "hard negatives", "length"):
        table.add_column(column, justify="right")
    for split in Split:
        cells = []
        for label in Label:
            records = select_records(ingestion.records, split, label)
            cells.append(f"{len(records):,}")
            if label is Label.POSITIVE:
                cells.append(f"{len({record.speaker for record in records}):,}")
            cells.append(length(sum(record.duration for record in records)))
        table.add_row(split.value, *cells)
    return table


def _kinds(dry: DryRun) -> Iterator[RenderableType]:
    """Hours by kind of sound."""
    shares = [share for share in composition(dry.ingestion.records, dry.config.paths) if share.label is Label.NEGATIVE]
    table = Table(
        "negatives by folder", *(Column(split.value, justify="right") for split in Split), box=None, pad_edge=False
    )
    for kind in dict.fromkeys(share.kind for share in shares):
        cells = {
            share.split: f"{length(share.hours * 3600)} ({share.recordings})" if share.recordings else "none"
            for share in shares
            if share.kind == kind
        }
        table.add_row(Text(kind), *(cells[split] for split in Split))
    yield table


def _rejections(ingestion: Ingestion) -> Iterator[Text]:
    for rejection in ingestion.rejections[:SHOWN_REJECTIONS]:
        yield Text(f"{rejection.path}: {rejection.reason}", overflow="fold")
    if len(ingestion.rejections) > SHOWN_REJECTIONS:
        yield Text(f"and {len(ingestion.rejections) - SHOWN_REJECTIONS} more")


def _plan(dry: DryRun) -> list[str]:
    section, performance = dry.config.training, dry.config.performance
    state = (
        "a run lies there, and what is left of it would be done"
        if (dry.folder / CHECKPOINTS / STATE).is_file()
        else "a new run"
    )
    copies = dry.config.augmentation.copies
    quantised = section.quantization_aware_steps
    evaluations = section.model_copy(update={"training_steps": (quantised,)}).evaluations_after(0)
    limit = f", limited to {performance.max_memory_gb:g}" if performance.max_memory_gb else ""
    memory = (
        f"main memory about {dry.memory.training / GIB:.1f} GiB for the training; before it"
        f" {dry.memory.features / GIB:.1f} GiB of features and {dry.memory.worker / GIB:.2f} GiB for each of"
        f" {dry.jobs or core_count()} processes{limit}"
    )
    return [
        f"folder {dry.folder}: {state}",
        (
            f"{' + '.join(f'{steps:,}' for steps in section.training_steps)} steps of {section.batch_size} windows,"
            f" {section.evaluations_after(0)} evaluations{_early_end(section)}"
        ),
        *([f"then {quantised:,} quantisation-aware steps, {evaluations} evaluations"] if quantised else []),
        f"{copies} augmented copies of each wake word" if copies else "no augmentation",
        *([teacher_summary(dry.config, dry.folder)] if section.teacher != "none" else []),
        *([teachers_summary(dry.config)] if section.is_taught else []),
        memory,
    ]


def _early_end(section: TrainingSection) -> str:
    evaluations = section.early_stopping_evaluations
    return f", and an early end after {evaluations} in a row that are no better" if evaluations else ""
