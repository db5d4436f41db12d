"""Exporting a trained run: convert, check against the contract, choose the cutoff on validation data, write model and manifest."""

from __future__ import annotations

import json
import re
import tempfile
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainer.config.loader import write_config
from trainer.config.sections import TrainerConfig
from trainer.data.dataset import TABLE_NAME, chosen, read_recordings
from trainer.data.ingest import Label, SampleRecord
from trainer.data.split import Split
from trainer.export.agreement import Agreement, measure_agreement
from trainer.export.convert import SAVED_MODEL, convert
from trainer.export.package import Package, package_paths, write_package
from trainer.export.validation_curve import validation_curve
from trainer.mixednet.lengths import window_slices
from trainer.run import RunProgress, training_data
from wakeword.audio import stream_samples
from wakeword.contract import SAMPLE_RATE_HZ
from wakeword.corpus.feature_cache import default_cache_folder
from wakeword.errors import ConfigError, MeasurementFailure
from wakeword.files import PARTIAL_SUFFIX, write_atomically
from wakeword.frontend import device_features
from wakeword.model.flatbuffer import TfliteModel, parse_model
from wakeword.model.manifest import Manifest, MicroSection
from wakeword.scoring.operating_point import CutoffChoice, choose_cutoff
from wakeword.simulation.simulate import Options

if TYPE_CHECKING:
    from numpy.typing import NDArray

AGREEMENT_CLIPS, AGREEMENT_SECONDS = 30, 10
"""Validation recordings of each kind on which the int8 and the float model are compared, and how much of each."""
REPRESENTATIVE_SECONDS = 1800
"""Training recordings of each kind, drawn by the seed, from which the converter's 500 windows are taken."""


@dataclass(frozen=True)
class Exported:
    """What was written, and what is known of it. Everything here was measured on validation data."""

    package: Package
    choice: CutoffChoice | None
    """None when the configuration gives the cutoff."""
    probability_cutoff: float
    agreement: Agreement
    arena_bytes: int
    """As the manifest states it: computed, unless the configuration gives it."""


def run_folder(checkpoint: Path) -> Path:
    """The folder of the run that a checkpoint belongs to."""
    return checkpoint.absolute().parent.parent


def default_name(wake_word: str) -> str:
    """The name of the files of a wake word: "Café, bitte!" becomes cafe_bitte. Raises `ConfigError` where no letter or digit is left."""
    plain = unicodedata.normalize("NFKD", wake_word.lower()).encode("ascii", "ignore").decode()
    name = "_".join(re.findall("[a-z0-9]+", plain))
    if not name:
        raise ConfigError(f"the wake word {wake_word!r} gives no file name; name the files with --model-name")
    return name


def export_run(checkpoint: Path, config: TrainerConfig, output: Path, name: str, progress: RunProgress, jobs: int | None = None) -> Exported:
    """Export the weights of a run that `mww-train` made.

    Beside model and manifest it writes the float streaming model, the configuration and what was measured. Raises `ConfigError` when the
    checkpoint, its run's folder and the configuration do not belong together, and `MeasurementFailure` when the exported model breaks
    the device contract; then no file is written.
    """
    package_paths(output, name)  # a bad name is said before minutes of work
    if output.exists() and not output.is_dir():
        raise ConfigError(f"{output}: is a file; name a folder for the exported model")
    records = read_recordings(run_folder(checkpoint))
    positives, negatives = (chosen(records, Split.VAL, label) for label in (Label.POSITIVE, Label.NEGATIVE))
    if not positives or not negatives:
        raise ConfigError(f"{run_folder(checkpoint) / TABLE_NAME}: holds no validation recordings of both kinds; train again")
    network, seed = config.model.network(), config.training.seed
    slices = window_slices(network, config.hardware.clip_duration_ms)
    model = _load(checkpoint, config, slices)
    data = training_data(list(_representative(records, seed)), slices, seed, progress, jobs)
    output.mkdir(parents=True, exist_ok=True)
    # Only a model that passes its checks replaces an older one, and its float twin with it.
    with tempfile.TemporaryDirectory(dir=output, prefix=f".{SAVED_MODEL}.", suffix=PARTIAL_SUFFIX) as staging:
        progress.told("converting to int8")
        content = convert(model, network, slices, data.clips(), folder=Path(staging), seed=seed)
        computed_arena = _check_contract(content, config)
        progress.told("comparing the int8 with the float model")
        compared = [_beginning(record.path) for kind in (positives, negatives) for record in kind[:AGREEMENT_CLIPS]]
        agreement = measure_agreement(content, model, network, slices, compared)
        choice, cutoff = None, config.export.probability_cutoff
        if cutoff is None:
            progress.told("choosing the cutoff on validation data")
            choice = _choose_cutoff(parse_model(content, name), positives, negatives, config, jobs)
            cutoff = choice.probability_cutoff
        manifest = _manifest(config, name, cutoff, config.export.tensor_arena_size or computed_arena)
        package = write_package(output, name, content, manifest)
        if (output / SAVED_MODEL).exists():
            (output / SAVED_MODEL).rename(Path(staging) / "older")
        (Path(staging) / SAVED_MODEL).rename(output / SAVED_MODEL)
    exported = Exported(package, choice, cutoff, agreement, manifest.micro.tensor_arena_size)
    write_config(config, output / f"{name}.config.yaml")
    write_atomically(output / f"{name}.export.json", _report(exported))
    return exported


def _representative(records: Sequence[SampleRecord], seed: int) -> Iterator[SampleRecord]:
    """Enough training recordings of each kind to draw the converter's windows from, the same for the same seed."""
    for labels in ((Label.POSITIVE,), (Label.NEGATIVE, Label.HARD_NEGATIVE)):
        kind = chosen(records, Split.TRAIN, *labels)
        seconds = 0.0
        for index in np.random.default_rng(seed).permutation(len(kind)):
            if seconds < REPRESENTATIVE_SECONDS:
                yield kind[index]
            seconds += kind[index].duration


def _beginning(path: Path) -> NDArray[np.int8]:
    """Device features of the first seconds of a recording."""
    blocks = islice(stream_samples(path, SAMPLE_RATE_HZ), AGREEMENT_SECONDS)
    return device_features(np.concatenate(list(blocks)))


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
    """The arena that a model which keeps the contract needs on the device, with its margin, bytes."""
    from wakeword.model.arena import esp32s3_estimate, recommended_arena
    from wakeword.model.verify import verify_model

    model = parse_model(content, config.export.wake_word)
    report = verify_model(model)
    if not report.passed:
        first = report.failures[0]
        raise MeasurementFailure(f"the exported model breaks the device contract: {first.name}: {first.detail}; nothing was written")
    return recommended_arena(esp32s3_estimate(model))


def _choose_cutoff(
    model: TfliteModel, positives: Sequence[SampleRecord], negatives: Sequence[SampleRecord], config: TrainerConfig, jobs: int | None
) -> CutoffChoice:
    options = Options(jobs=jobs, cache_folder=default_cache_folder())
    words, others = ([record.path for record in kind] for kind in (positives, negatives))
    curve = validation_curve(model, words, others, config.export.sliding_window_size, options)
    return choose_cutoff(curve, config.training.target_minimization)


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
