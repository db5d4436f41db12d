"""Exporting a trained run: convert, check against the contract, choose the cutoff on validation data, write model and
manifest; or a float32 model.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.config.loader import config_hash, write_config
from trainer.config.sections import TrainerConfig
from trainer.data.dataset import refuse_changed
from trainer.data.ingest import Label, SampleRecord
from trainer.data.parallel import Stages
from trainer.data.speech.engine import DEFAULT_LANGUAGE
from trainer.data.split import Split
from trainer.data.spoken import SpokenTables
from trainer.export.convert import SAVED_MODEL, convert, convert_float
from trainer.export.onnx import convert_onnx, require_onnx
from trainer.export.package import FLOAT_SUFFIX, ONNX_SUFFIX, ModelPackage, package_paths, write_package
from trainer.export.representative import representative_features, representative_records
from trainer.inference.models import FloatModel, Int8Model
from trainer.inference.quantisation_loss import ModelForm, compared, refuse_loss
from trainer.inference.runs import run_folder
from trainer.inference.splits import SplitRecords, present_split
from trainer.inference.trained import RunCheckpoint, open_checkpoint
from trainer.networks.models import refuse_off_devices
from trainer.networks.weights import BEST_WEIGHTS, CHECKPOINTS, QUANTIZATION_AWARE
from wakeword import contract
from wakeword.corpus.feature_cache import FeatureCache, default_cache_folder
from wakeword.corpus.recordings import hash_file
from wakeword.errors import ConfigError, MeasurementFailure
from wakeword.files import PARTIAL_SUFFIX, check_writable, write_atomically
from wakeword.model.flatbuffer import parse_model
from wakeword.model.float_model import Agreement, ExportRecord, FormFigures, write_record
from wakeword.model.manifest import Manifest, MicroSection
from wakeword.scoring.operating_point import CutoffChoice

ONNX_TOLERANCE = 1e-4
"""Largest difference of a probability between ONNX Runtime and Keras: some thousand times float32's rounding, and a
fortieth of a step of the device's output."""


@dataclass(frozen=True)
class Exported:
    """What was written, and what is known of it. Everything here was measured on validation data."""

    package: ModelPackage
    choice: CutoffChoice | None
    """None when the configuration gives the cutoff."""
    probability_cutoff: float
    agreement: Agreement
    forms: tuple[FormFigures, ...]
    """What the float model finds, and what int8 arithmetic makes of it; see `quantisation_loss`."""
    arena_bytes: int
    """As the manifest states it: computed, unless the configuration gives it."""


@dataclass(frozen=True)
class ExportedFloat:
    """A float32 model that was written; no device runs it, so it has no manifest."""

    model: Path
    agreement: Agreement


def default_name(wake_word: str) -> str:
    """The name of the files of a wake word: "Café, bitte!" becomes cafe_bitte. Raises `ConfigError` where no letter or
    digit is left.
    """
    plain = unicodedata.normalize("NFKD", wake_word.lower()).encode("ascii", "ignore").decode()
    name = "_".join(re.findall("[a-z0-9]+", plain))
    if not name:
        raise ConfigError(f"the wake word {wake_word!r} gives no file name; name the files with --model-name")
    return name


def export_run(
    checkpoint: Path, config: TrainerConfig, output: Path, name: str, progress: Stages, jobs: int | None = None
) -> Exported:
    """Export the weights of a run that `mww-train` made.

    Beside model and manifest it writes the float streaming model, the configuration and, last, what was measured.

    Args:
        checkpoint: The weights, in a run's folder.
        config: The run's, with what is said of the manifest.
        output: Folder for the files.
        name: Of the files, without their endings.
        progress: Told what is done.
        jobs: Processes; None: one a core.

    Returns:
        The files, and what was measured of them.

    Raises `ConfigError` when the checkpoint, its run's folder and the configuration do not belong together, and
    `MeasurementFailure` when `mww-verify` would not pass model and manifest; then no file is written.
    """
    _check_target(config, output, name)
    trained = open_checkpoint(checkpoint, config)
    representative, seed = list(representative_records(trained.records, config.training.seed)), config.training.seed
    refuse_changed(representative, run_folder(checkpoint))
    clips = representative_features(representative, config.slices, seed, progress.counting, jobs)
    with _staging(output) as staging:
        progress.told("converting to int8")
        content = convert(trained.model, config.model, config.slices, clips, folder=staging, seed=seed)
        arena = _check_contract(content, config)
        progress.told("comparing the int8 with the float model")
        agreement = trained.agreement_of(content)
        progress.told("comparing what both find, and choosing the cutoff, on validation data")
        forms = _forms(trained, content, agreement, clips, jobs)
        window, target = config.export.sliding_window_size, config.training.target_minimization
        refuse_loss(forms[0], forms[-1], window, target, config.export.max_recall_drop)
        choice, cutoff = None, config.export.probability_cutoff
        if cutoff is None:
            choice = forms[-1].simulated.choice(window, target)
            cutoff = choice.probability_cutoff
        manifest = manifest_for(config, name, cutoff, arena, trained_languages(config, trained.records))
        origin = (
            f"chosen on validation data: {choice.counted}{f'; {choice.margin}' if choice.margin else ''}"
            if choice
            else "as configured"
        )
        _check_package(write_package(staging, name, content, manifest, origin))
        package = write_package(output, name, content, manifest, origin)
        _replace_saved_model(staging, output)
    figures = compared(forms, window, target)
    exported = Exported(package, choice, cutoff, agreement, figures, manifest.micro.tensor_arena_size)
    _write_records(trained, package.model, content, agreement, exported)
    return exported


def _forms(
    trained: RunCheckpoint, content: bytes, agreement: Agreement, clips: Sequence[NDArray[np.int8]], jobs: int | None
) -> list[ModelForm]:
    """The float model, what quantisation after the training makes of it, and, where `trained` was fine-tuned for int8
    arithmetic, what it has become; the last is the exported one.
    """
    config = trained.config
    cache = FeatureCache(default_cache_folder())
    data = present_split(cache, SplitRecords.of(trained.records, Split.VAL), lambda _: None)
    floating, aware = trained, trained.checkpoint.absolute().parent.name == QUANTIZATION_AWARE
    if aware:
        floating = open_checkpoint(run_folder(trained.checkpoint) / CHECKPOINTS / BEST_WEIGHTS, config)
    runner = FloatModel(config.model, config.slices, jobs)
    runner.load(floating.model)
    forms = [ModelForm("float", data.simulated(runner.run), None)]
    after = content
    if aware:
        after = convert(floating.model, config.model, config.slices, clips, seed=config.training.seed)
    for form, exported, differs in (
        ("int8", after, floating.agreement_of(after) if aware else agreement),
        *([("int8, quantisation-aware", content, agreement)] if aware else []),
    ):
        model = Int8Model(parse_model(exported, form), jobs)
        forms.append(ModelForm(form, data.simulated(model.run), differs))
    cache.prune()
    return forms


def export_float(checkpoint: Path, config: TrainerConfig, output: Path, name: str, progress: Stages) -> ExportedFloat:
    """Export the weights of a run as `<name>.float32.tflite`, with the float streaming model, the configuration and
    what was measured.

    There is no manifest and no check of the device contract: no device runs it. An int8 export of the same name is left
    as it is. Raises as `export_run` does.
    """
    _check_target(config, output, name)
    trained = open_checkpoint(checkpoint, config)
    with _staging(output) as staging:
        progress.told("converting to float32")
        content = convert_float(trained.model, config.model, config.slices, folder=staging)
        progress.told("comparing the float32 file with the model")
        agreement = trained.agreement_of(content)
        model = output / f"{name}{FLOAT_SUFFIX}"
        write_atomically(model, content)
        _replace_saved_model(staging, output)
    _write_records(trained, model, content, agreement)
    return ExportedFloat(model, agreement)


def export_onnx(checkpoint: Path, config: TrainerConfig, output: Path, name: str, progress: Stages) -> ExportedFloat:
    """Export the weights of a run as `<name>.streaming.onnx`, with the configuration and what was measured.

    Other exports of the same name are left as they are. Raises `InfrastructureError` where tf2onnx or ONNX Runtime is
    missing, `MeasurementFailure` where ONNX Runtime gives other probabilities than Keras (`ONNX_TOLERANCE`); then no
    file is written. Else raises as `export_run` does.
    """
    require_onnx()
    _check_target(config, output, name)
    trained = open_checkpoint(checkpoint, config)
    progress.told("converting to ONNX")
    content = convert_onnx(trained.model, config.model, config.slices, _about(config))
    progress.told("comparing the ONNX file with the model")
    agreement = trained.onnx_agreement_of(content)
    if agreement.maximum > ONNX_TOLERANCE:
        raise MeasurementFailure(
            f"ONNX Runtime gives other probabilities than Keras: the largest difference is {agreement.maximum:.2g},"
            f" allowed are {ONNX_TOLERANCE:g}; nothing was written. Report it with the model's configuration"
        )
    model = output / f"{name}{ONNX_SUFFIX}"
    output.mkdir(parents=True, exist_ok=True)
    write_atomically(model, content)
    _write_records(trained, model, content, agreement, software=("keras", "onnxruntime", "tensorflow", "tf2onnx"))
    return ExportedFloat(model, agreement)


def _about(config: TrainerConfig) -> dict[str, str]:
    """What a caller of the .onnx file must know."""
    return {
        "wake_word": config.export.wake_word,
        "stride": str(config.model.stride),
        "feature_step_ms": str(contract.STEP_MS),
        "features": "(q + 128) * 26 / 255, q being the device's int8 features of the TFLM micro frontend, 40 a slice",
        "rings": "zeros at the start; then each ..._ring is the ..._ring_next of the call before",
    }


def _check_target(config: TrainerConfig, output: Path, name: str) -> None:
    """What is wrong with the place or the network is said before minutes of work."""
    refuse_off_devices(config.model)
    package = package_paths(output, name)
    if output.exists() and not output.is_dir():
        raise ConfigError(f"{output}: is a file; name a folder for the exported model")
    check_writable(package.model)


@contextmanager
def _staging(output: Path) -> Iterator[Path]:
    """A folder beside the final files: only a model that passes its checks replaces an older one, and its float twin
    with it.
    """
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output, prefix=f".{SAVED_MODEL}.", suffix=PARTIAL_SUFFIX) as folder:
        yield Path(folder)


def _replace_saved_model(staging: Path, output: Path) -> None:
    if (output / SAVED_MODEL).exists():
        (output / SAVED_MODEL).rename(staging / "older")
    (staging / SAVED_MODEL).rename(output / SAVED_MODEL)


def _write_records(
    trained: RunCheckpoint,
    model: Path,
    content: bytes,
    agreement: Agreement,
    exported: Exported | None = None,
    software: Sequence[str] = ("keras", "tensorflow", "tflite-micro"),
) -> None:
    """The configuration and the export record beside a model; the record last, and it names what it belongs to."""
    write_config(trained.config, model.with_suffix(".config.yaml"))
    choice = exported.choice if exported else None
    record = ExportRecord(
        model=model.name,
        model_sha256=hashlib.sha256(content).hexdigest(),
        quantized=exported is not None,
        weights=str(trained.checkpoint),
        weights_sha256=hash_file(trained.checkpoint),
        config_sha256=config_hash(trained.config),
        probability_cutoff=exported.probability_cutoff if exported else None,
        chosen_on_validation=asdict(choice) if choice else None,
        tensor_arena_size=exported.arena_bytes if exported else None,
        agreement=agreement,
        forms=exported.forms if exported else (),
        software={package: version(package) for package in software},
    )
    write_record(record, model)


def _check_contract(content: bytes, config: TrainerConfig) -> int:
    """The arena that the manifest of a model which keeps the contract states, bytes: the configuration's, else what the
    device needs, with a margin.
    """
    from wakeword.model.arena import esp32s3_estimate, recommended_arena
    from wakeword.model.verify import check_manifest_arena, verify_model

    model = parse_model(content, config.export.wake_word)
    report = verify_model(model)
    if not report.passed:
        first = report.failures[0]
        raise MeasurementFailure(
            f"the exported model breaks the device contract: {first.name}: {first.detail}; nothing was written"
        )
    estimate = esp32s3_estimate(model)
    given = config.export.tensor_arena_size
    if given and not (check := check_manifest_arena(given, estimate)).passed:
        raise ConfigError(
            f"export.tensor_arena_size: {check.detail}; give 0, which writes {recommended_arena(estimate)}; nothing was"
            " written"
        )
    return given or recommended_arena(estimate)


def _check_package(package: ModelPackage) -> None:
    """What `mww-verify` says of the files that are about to be written."""
    from wakeword.deliverable import judge

    report = judge(package.manifest).report
    if not report.passed:
        first = report.failures[0]
        raise MeasurementFailure(
            f"what would be exported is not right: {first.name}: {first.detail}; nothing was written"
        )


def trained_languages(config: TrainerConfig, records: Sequence[SampleRecord]) -> tuple[str, ...]:
    """The languages that a manifest names: the configuration's, else those of the generated wake words, else
    English."""
    wake_words = (record.path for record in records if record.label is Label.POSITIVE)
    return config.export.trained_languages or SpokenTables().languages(wake_words) or (DEFAULT_LANGUAGE,)


def manifest_for(config: TrainerConfig, name: str, cutoff: float, arena: int, languages: tuple[str, ...]) -> Manifest:
    """The manifest that an export of this name writes; `cutoff` 0-1, `arena` in bytes, languages as tags of BCP 47."""
    export = config.export
    return Manifest(
        wake_word=export.wake_word,
        author=export.author,
        website=export.website or None,
        model=f"{name}.tflite",
        trained_languages=languages,
        micro=MicroSection(
            probability_cutoff=cutoff,
            sliding_window_size=export.sliding_window_size,
            tensor_arena_size=arena,
            minimum_esphome_version=export.minimum_esphome_version,
        ),
    )
