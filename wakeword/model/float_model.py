"""How far an exported model is from the float model that it was made of.

An export measures it on real features and writes it beside the model, `<name>.export.json`; the record names the model
by its hash. It can be measured again from the weights by whoever is installed to do so: that needs TensorFlow, which
this floor does not know, so the trainer offers its function as an entry point.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wakeword.complaints import first_fault
from wakeword.errors import ConfigError, InfrastructureError
from wakeword.extras import install
from wakeword.files import write_atomically
from wakeword.model.checks import Check
from wakeword.model.flatbuffer import TfliteModel
from wakeword.records import Record

RECORD_SUFFIX = ".export.json"
MEASURE_GROUP = "wakeword_bench.float_model"
"""Entry points that measure again: a function of a `TfliteModel` and the path of float weights that returns an
`Agreement`."""
MEAN_LIMIT = 0.02
"""A mean difference above this is worth a warning: quantisation has changed the model."""

Measure = Callable[[TfliteModel, Path], "Agreement"]


class Agreement(Record):
    """Absolute differences of probability, over all inferences of all recordings that were compared."""

    mean: float = Field(ge=0)
    maximum: float = Field(ge=0)
    inferences: int = Field(ge=1)

    @property
    def suspicious(self) -> bool:
        """Whether the mean is above the limit."""
        return self.mean > MEAN_LIMIT


class FormFigures(Record):
    """What one form of a model finds on validation data, at a number of false accepts that all forms share."""

    form: str
    """`float`, `int8` (quantised after the training) or `int8, quantisation-aware`."""
    cutoff: int = Field(ge=0, le=255)
    """The uint8 cutoff with which it finds most."""
    detected: int = Field(ge=0)
    utterances: int = Field(ge=0)
    false_accepts: int = Field(ge=0)
    hours: float = Field(ge=0)
    agreement: Agreement | None
    """With the float weights that it was made of; None of the float model."""

    @property
    def recall(self) -> float:
        """Share of the utterances found; 0 without any."""
        return self.detected / self.utterances if self.utterances else 0.0


class ExportRecord(BaseModel):
    """What an export knows of its model. Everything in it was measured on validation data."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: str
    """Name of the file beside the record."""
    model_sha256: str
    quantized: bool
    """False for a float32 model, which no device runs."""
    weights: str
    """The checkpoint, as the export was told."""
    weights_sha256: str
    config_sha256: str
    """Of the configuration beside the model, `<name>.config.yaml`."""
    probability_cutoff: float | None
    """As in the manifest; None without one."""
    chosen_on_validation: dict[str, Any] | None
    """How the cutoff came to be; None where it was given."""
    tensor_arena_size: int | None
    agreement: Agreement
    """With the float model, on validation recordings."""
    forms: tuple[FormFigures, ...] = ()
    """What the float model finds and what int8 arithmetic makes of it, on validation data; none of a float32 export and
    in records of older versions."""
    software: dict[str, str]
    """Versions of what converted the model."""


def record_path(model: Path) -> Path:
    """Where the record of a model's file lies."""
    return model.with_suffix(RECORD_SUFFIX)


def write_record(record: ExportRecord, model: Path) -> None:
    """Write a model's record beside it, whole or not at all."""
    write_atomically(record_path(model), record.model_dump_json(indent=2) + "\n")


def read_record(model: Path) -> ExportRecord | None:
    """The record beside a model's file, None where there is none. Raises `ConfigError` for a damaged one."""
    path = record_path(model)
    try:
        return ExportRecord.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}); check its permissions, or remove this file"
        ) from error
    except ValidationError as error:
        raise ConfigError(
            f"{path}: no record of an export ({first_fault(error)}); export the model again, or remove this file"
        ) from error


def recorded_agreement(model: Path, sha256: str) -> tuple[Agreement | None, Check | None]:
    """What the record beside a model says, and the line of a report; nothing without a record.

    A record of another model is a warning: its figures say nothing of this one. Raises `ConfigError` for a damaged
    record.
    """
    record = read_record(model)
    if record is None:
        return None, None
    if record.model_sha256 != sha256:
        detail = (
            f"not known: {record_path(model).name} was written for another model; export again, or give the weights"
            " with --checkpoint"
        )
        return None, Check("float model", "warning", detail)
    return record.agreement, check_agreement(record.agreement, f"at the export, from {record.weights}")


def measured_agreement(model: TfliteModel, weights: Path) -> tuple[Agreement, Check]:
    """Compare a model with float weights now. Raises `InfrastructureError` where nothing is installed that can, and
    what that raises.
    """
    for entry in entry_points(group=MEASURE_GROUP):
        measure: Measure = entry.load()
        agreement = measure(model, weights)
        return agreement, check_agreement(agreement, f"now, from {weights}")
    raise InfrastructureError(
        f"--checkpoint compares with the float model, and no trainer is installed that can; {install('train')}"
    )


def check_agreement(agreement: Agreement, measured: str) -> Check:
    """The line of a report. A warning above `MEAN_LIMIT`: the device runs the model, but not the one that was trained.
    `measured` says when and with what.
    """
    figures = (
        f"mean difference {agreement.mean:.4f}, largest {agreement.maximum:.3f}, over {agreement.inferences:,}"
        f" inferences (measured {measured})"
    )
    if agreement.suspicious:
        return Check(
            "float model",
            "warning",
            f"{figures}: above {MEAN_LIMIT} on average; quantisation has changed the model, or other weights were its"
            " origin",
        )
    return Check("float model", "passed", figures)
