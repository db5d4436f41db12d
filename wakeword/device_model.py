"""A model as a device runs it: its manifest, its file and the operating point at which it decides."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wakeword import contract
from wakeword.errors import ArgumentError, ConfigError
from wakeword.model.flatbuffer import TfliteModel, read_model
from wakeword.model.manifest import Manifest, read_manifest
from wakeword.operators import foreign_operators


@dataclass(frozen=True)
class OperatingPoint:
    """The cutoff as a manifest states it (0-1), and the sliding window."""

    probability_cutoff: float
    window: int

    @property
    def cutoff(self) -> int:
        """As the device compares it, 0-255."""
        return contract.cutoff_to_uint8(self.probability_cutoff)

    @property
    def warning(self) -> str:
        """Why nothing can be detected at this cutoff, whatever is heard; empty for all others."""
        if self.cutoff == 0:
            return (
                "At cutoff 0/255 no probability is below it, so the hold-off after boot never ends: nothing can be"
                " detected."
            )
        if self.cutoff == contract.PROBABILITY_MAX:
            return "At cutoff 255/255 no average is above it: nothing can be detected."
        return ""


@dataclass(frozen=True)
class DeviceModel:
    """A model with all that a device is told of it."""

    manifest_path: Path
    manifest: Manifest
    model: TfliteModel
    point: OperatingPoint


def load_model(manifest: str | Path, cutoff: float | None = None, window: int | None = None) -> DeviceModel:
    """Read a manifest and its model, as the device runs it; `cutoff` (0-1) and `window` replace the manifest's.

    Raises `ConfigError` when a file cannot be read, the operating point is out of range, or the device would not load
    the model.
    """
    manifest_path = Path(manifest)
    read, model_path = read_manifest(manifest_path)
    probability_cutoff = read.micro.probability_cutoff if cutoff is None else cutoff
    size = read.micro.sliding_window_size if window is None else window
    if not 0 <= probability_cutoff <= 1:
        raise ArgumentError(
            "cutoff", f"{probability_cutoff:g}", "a probability is between 0 and 1; give for example 0.97"
        )
    if not 1 <= size <= contract.MAX_WINDOW:
        raise ArgumentError(
            "window", f"{size}", f"a sliding window has 1 to {contract.MAX_WINDOW} probabilities; give for example 5"
        )
    model = read_model(model_path)
    refuse_unloadable(model)
    return DeviceModel(manifest_path, read, model, OperatingPoint(probability_cutoff, size))


def refuse_unloadable(model: TfliteModel) -> None:
    """Raise `ConfigError` for a model that the device does not load: nothing simulated of it would be true.

    Only what the simulation itself depends on is asked here; `mww-verify` checks the whole contract.
    """
    if foreign := foreign_operators(model):
        raise ConfigError(
            f"{model.source}: uses {', '.join(foreign)}, which the device does not register, so it cannot load the"
            " model; run mww-verify on it"
        )
    source, output = (model.main.tensors[indices[0]] for indices in (model.main.inputs, model.main.outputs))
    if (
        source.type_name != "INT8"
        or len(source.shape) != 3
        or (source.shape[0], source.shape[2]) != (1, contract.FEATURE_CHANNELS)
        or source.shape[1] < 1
    ):
        raise ConfigError(
            f"{model.source}: input is {source.type_name} {list(source.shape)}, the device needs INT8 [1, stride, 40];"
            " run mww-verify on it"
        )
    if output.type_name != "UINT8" or output.shape != (1, 1):
        raise ConfigError(
            f"{model.source}: output is {output.type_name} {list(output.shape)}, the device needs UINT8 [1, 1]; run"
            " mww-verify on it"
        )
