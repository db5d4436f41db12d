"""Exporting a trained run: convert, check against the contract, choose the cutoff on validation data, write model and manifest."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from trainer.config.sections import TrainerConfig
from trainer.data.dataset import chosen, read_recordings
from trainer.data.ingest import Label
from trainer.data.split import Split
from trainer.export.agreement import Agreement, measure_agreement
from trainer.export.convert import convert
from trainer.export.cutoff import CutoffChoice, choose_cutoff, validation_curve
from trainer.export.package import Package, package_paths, write_package
from trainer.mixednet.lengths import window_slices
from trainer.run import RunProgress, training_data
from wakeword.audio import read_samples
from wakeword.corpus.feature_cache import default_cache_folder
from wakeword.errors import ConfigError, MeasurementFailure
from wakeword.files import write_atomically
from wakeword.frontend import device_features
from wakeword.model.flatbuffer import parse_model
from wakeword.model.manifest import Manifest, MicroSection
from wakeword.simulation.simulate import Options

AGREEMENT_CLIPS = 30
"""Validation recordings of each kind on which the int8 and the float model are compared."""


@dataclass(frozen=True)
class Exported:
    """What was written, and what is known of it. Everything here was measured on validation data."""

    package: Package
    choice: CutoffChoice | None
    """None when the configuration gives the cutoff."""
    probability_cutoff: float
    agreement: Agreement
    arena_bytes: int


def export_run(checkpoint: Path, config: TrainerConfig, output: Path, name: str, progress: RunProgress, jobs: int | None = None) -> Exported:
    """Export the weights of a run that `mww-train` made.

    Raises `ConfigError` when the checkpoint, its run's folder and the configuration do not belong together, and `MeasurementFailure`
    when the exported model breaks the device contract; then nothing is written.
    """
    package_paths(output, name)  # a bad name is said before minutes of work
    run_folder = checkpoint.parent.parent
    records = read_recordings(run_folder)
    network, seed = config.model.network(), config.training.seed
    slices = window_slices(network, config.hardware.clip_duration_ms)
    model = _load(checkpoint, config, slices)
    data = training_data(records, seed, progress, jobs)
    progress.told("converting to int8")
    content = convert(model, network, slices, [*data.positives, *data.joined], folder=output, seed=seed)
    arena_bytes = _check_contract(content, config)
    positives, negatives = (chosen(records, Split.VAL, label) for label in (Label.POSITIVE, Label.NEGATIVE))
    progress.told("comparing the int8 with the float model")
    compared = [record.path for kind in (positives, negatives) for record in kind[:AGREEMENT_CLIPS]]
    agreement = measure_agreement(content, model, network, slices, [device_features(read_samples(path)) for path in compared])
    choice: CutoffChoice | None = None
    cutoff = config.export.probability_cutoff
    if cutoff is None:
        progress.told("choosing the cutoff on validation data")
        curve = validation_curve(
            parse_model(content, name),
            [record.path for record in positives],
            [record.path for record in negatives],
            config.export.sliding_window_size,
            Options(jobs=jobs, cache_folder=default_cache_folder()),
        )
        choice = choose_cutoff(curve, config.training.target_minimization)
        cutoff = choice.probability_cutoff
    arena = config.export.tensor_arena_size or arena_bytes
    package = write_package(output, name, content, _manifest(config, name, cutoff, arena))
    exported = Exported(package, choice, cutoff, agreement, arena)
    write_atomically(output / f"{name}.export.json", _report(exported))
    return exported


def _load(checkpoint: Path, config: TrainerConfig, slices: int) -> object:
    from trainer.mixednet.models import build_model
    from trainer.training.checkpoints import load_weights
    from trainer.training.runtime import start_tensorflow

    if not checkpoint.is_file():
        raise ConfigError(f"{checkpoint}: does not exist; give the best_weights.weights.h5 of a run, or train first")
    start_tensorflow()
    model = build_model(config.model.network(), slices)
    load_weights(model, checkpoint)
    return model


def _check_contract(content: bytes, config: TrainerConfig) -> int:
    """The arena to write into the manifest, bytes, of a model that keeps the contract."""
    from wakeword.model.arena import esp32s3_estimate, recommended_arena
    from wakeword.model.verify import verify_model

    model = parse_model(content, config.export.wake_word)
    report = verify_model(model)
    if not report.passed:
        first = report.failures[0]
        raise MeasurementFailure(f"the exported model breaks the device contract: {first.name}: {first.detail}; nothing was written")
    return recommended_arena(esp32s3_estimate(model))


def _manifest(config: TrainerConfig, name: str, cutoff: float, arena: int) -> Manifest:
    export = config.export
    return Manifest(
        wake_word=export.wake_word,
        author=export.author,
        website=export.website,
        model=f"{name}.tflite",
        trained_languages=export.trained_languages,
        micro=MicroSection(
            probability_cutoff=cutoff,
            sliding_window_size=export.sliding_window_size,
            tensor_arena_size=arena,
            minimum_esphome_version=export.minimum_esphome_version,
        ),
    )


def _report(exported: Exported) -> str:
    values = {
        "probability_cutoff": exported.probability_cutoff,
        "chosen_on_validation": asdict(exported.choice) if exported.choice else None,
        "int8_against_float": asdict(exported.agreement),
        "tensor_arena_size": exported.arena_bytes,
    }
    return json.dumps(values, indent=2) + "\n"
