"""A model, the configuration and the run that it came from: what evaluation, mining and tuning are told on the command
line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.config.loader import CONFIG_NAME, CommandOption, load_config
from trainer.config.sections import TrainerConfig
from trainer.data.dataset import TABLE_NAME, read_recordings
from trainer.data.ingest import SampleRecord
from trainer.inference.models import FloatModel, Int8Model, WordModel
from wakeword.corpus.recordings import hash_file
from wakeword.errors import ConfigError
from wakeword.extras import require
from wakeword.model.flatbuffer import read_model
from wakeword.model.float_model import read_record
from wakeword.model.manifest import Manifest, read_manifest, refuse_other_step


@dataclass(frozen=True)
class ModelCandidate:
    """What is evaluated or mined with. Exactly one of `checkpoint` and `tflite` is given."""

    checkpoint: Path | None
    tflite: Path | None
    manifest: Manifest | None
    """Of an exported model, where it lies beside it."""
    config: TrainerConfig
    run: Path
    records: tuple[SampleRecord, ...]

    @property
    def path(self) -> Path:
        """The model's file."""
        path = self.checkpoint or self.tflite
        assert path is not None
        return path


def run_folder(checkpoint: Path) -> Path:
    """The folder of the run that a checkpoint belongs to."""
    return checkpoint.absolute().parent.parent


def run_config(
    checkpoint: Path, source: str | None = None, overrides: Sequence[Path] = (), settings: Sequence[str] = ()
) -> TrainerConfig:
    """The configuration of a checkpoint's run, or the `source` given instead.

    Raises `ConfigError` when checkpoint or run are not there.
    """
    if not checkpoint.is_file():
        raise ConfigError(
            f"{checkpoint}: does not exist; give the checkpoints/best_weights.weights.h5 of a run, or train first"
        )
    own = run_folder(checkpoint) / CONFIG_NAME
    if source is None and not own.is_file():
        raise ConfigError(f"{own}: does not exist; give a checkpoint within the folder of its run")
    return load_config(source or str(own), overrides, settings)


def find_candidate(
    checkpoint: Path | None,
    tflite: Path | None,
    config: str | None,
    overrides: Sequence[Path],
    settings: Sequence[str | CommandOption],
    run: Path | None,
) -> ModelCandidate:
    """Find the run of a model and read its configuration and its recordings.

    Args:
        checkpoint: Weights, which lie in their run. Either these or `tflite`.
        tflite: An exported model, or its manifest.
        config: A preset or file. None: the configuration of the run.
        overrides: Files that are laid over it.
        settings: Single values of it, each as `section.key=value` or an option of the command.
        run: The run of an exported model. None: the folder of the configuration's file, the run that the export record
            beside the model names, or a folder above the model: the first that holds a `recordings.csv`.

    Returns the model's file with its run.

    Raises `ConfigError` when something of this is missing or both kinds of model, or none, are given.
    """
    if (checkpoint is None) == (tflite is None):
        raise ConfigError("give either --checkpoint (weights of a run) or --tflite (an exported model)")
    manifest = None
    if tflite is not None:
        tflite, manifest = _with_manifest(tflite)
    path = checkpoint or tflite
    assert path is not None
    if not path.is_file():
        raise ConfigError(
            f"{path}: does not exist; give the checkpoints/best_weights.weights.h5 of a run or the .tflite of an export"
        )
    folder = run or _run_of(path, checkpoint is not None, config)
    own = folder / CONFIG_NAME
    if config is None and not own.is_file():
        raise ConfigError(f"{own}: does not exist; give the run's configuration with --config")
    return ModelCandidate(
        checkpoint,
        tflite,
        manifest,
        load_config(config or str(own), overrides, settings),
        folder,
        read_recordings(folder),
    )


def open_model(candidate: ModelCandidate, jobs: int | None = None) -> WordModel:
    """The model, ready to run. Raises `ConfigError` when its file is damaged or belongs to another configuration."""
    network = candidate.config.model
    if candidate.tflite is not None:
        model = read_model(candidate.tflite)
        if model.stride != network.stride:
            raise ConfigError(
                f"{candidate.tflite}: takes {model.stride} slices an inference, the configuration {network.stride};"
                " give the model's own --config"
            )
        return Int8Model(model, jobs)
    return open_float(candidate, jobs)


def open_float(candidate: ModelCandidate, jobs: int | None = None) -> FloatModel:
    """The float model of a checkpoint.

    Raises `ConfigError` when its file is damaged or belongs to another configuration, `InfrastructureError` without
    TensorFlow.
    """
    require_tensorflow()
    model = FloatModel(candidate.config.model, candidate.config.slices, jobs)
    model.load_file(candidate.path)
    return model


def _with_manifest(path: Path) -> tuple[Path, Manifest | None]:
    """A model and its manifest, given either."""
    given = path.suffix == ".json"
    beside = path if given else path.with_suffix(".json")
    if not given and not beside.is_file():
        return path, None
    manifest, model = read_manifest(beside)
    if not given and model.resolve() != path.resolve():
        return path, None
    refuse_other_step(beside, manifest, "a run's recordings are heard at")
    return model if given else path, manifest


def _run_of(path: Path, is_checkpoint: bool, config: str | None) -> Path:
    if is_checkpoint:
        return run_folder(path)
    places = [Path(config).absolute().parent] if config is not None and Path(config).is_file() else []
    for folder in (*places, *_recorded_runs(path), *path.absolute().parents):
        if (folder / TABLE_NAME).is_file():
            return folder
    raise ConfigError(
        f"{path}: neither an export record beside it names its run, nor does a folder above it hold a run's"
        f" {TABLE_NAME}; name the run that the model came from with --run"
    )


def _recorded_runs(model: Path) -> Iterator[Path]:
    """The run that a model was exported from, by the record beside it, wherever the project's folder lies now; none
    where model or weights have changed.
    """
    record = read_record(model)
    if record is None or record.model_sha256 != hash_file(model):
        return
    for folder in (Path(), *model.absolute().parents):
        weights = folder / record.weights
        if weights.is_file() and hash_file(weights) == record.weights_sha256:
            yield run_folder(weights)


def require_tensorflow() -> None:
    """Raise `InfrastructureError` where the extra with TensorFlow is not installed; an exported model needs none."""
    require("a checkpoint (an exported model, with --tflite, does not)", "tensorflow")
