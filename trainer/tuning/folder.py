"""A tuning's folder: what a run's folder has, so that every command takes it for one, and the record from which an
interrupted tuning goes on.

`tuning.json` is the truth; everything else follows from it and the weights. New best weights lie beside the old ones
until the record names them, so a kill at any point leaves a record and the weights that it means.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, TypeAdapter, ValidationError

from trainer.config.loader import CONFIG_NAME, write_config
from trainer.config.sections import TrainerConfig
from trainer.data.dataset import LISTS_FOLDER, REJECTED_NAME, TABLE_NAME
from trainer.inference.runs import ModelCandidate
from trainer.networks.weights import BEST_WEIGHTS, CHECKPOINTS, save_weights
from trainer.training.checkpoints import remove_partial
from trainer.training.run import DUPLICATES_NAME
from trainer.tuning.measurement import SplitMeasurement
from trainer.tuning.operating_point import PointChoice, Targets
from trainer.tuning.policy import Iteration, Move, best_of, trouble_of
from wakeword.complaints import first_fault
from wakeword.corpus.recordings import hash_file
from wakeword.errors import ConfigError
from wakeword.files import check_writable, write_atomically

RECORD_NAME, HISTORY_NAME = "tuning.json", "tuning.csv"
CANDIDATE = "candidate.weights.h5"
_COPIED = (TABLE_NAME, REJECTED_NAME, DUPLICATES_NAME)


def _counts(measurement: object) -> object:
    """A measurement without its rates, which follow from the counts and are written for readers."""
    return (
        {key: value for key, value in measurement.items() if key != "rates"}
        if isinstance(measurement, dict)
        else measurement
    )


@dataclass(frozen=True)
class TuningRecord:
    """Where a tuning stands. Every key is in the file, and no other."""

    __pydantic_config__ = ConfigDict(extra="forbid")
    """Also of the parts of a record, which have none of their own."""

    identity: Mapping[str, Any]
    """What its course depends on, besides the features; the same tuning has the same."""
    iterations: tuple[Iteration, ...]
    weights_sha256: str
    """Of the best weights."""
    ended: str | None
    """Why, once it did."""
    features_sha256: str | None
    """Of all that batches are drawn from; None before the first iteration.

    The sounds that clips are augmented with are part of it.
    """
    measurements: tuple[Annotated[SplitMeasurement, BeforeValidator(_counts)], ...]
    """On the test split: each look at it, the given model first."""


_RECORD = TypeAdapter(TuningRecord)


class TuningFolder:
    """The folder that a tuning writes to."""

    def __init__(self, folder: Path, candidate: ModelCandidate, targets: Targets) -> None:
        """Of a tuning of this model toward these targets."""
        self.path, self._config, self._run, self._targets = folder, candidate.config, candidate.run, targets
        self.weights = folder / CHECKPOINTS / BEST_WEIGHTS
        self.candidate = self.weights.with_name(CANDIDATE)

    def check(self) -> None:
        """Raise `ConfigError` unless a tuning of the model may write here: its run itself is never changed."""
        if self.path.exists() and not self.path.is_dir():
            raise ConfigError(f"{self.path}: is a file; name a folder with --output-dir")
        if self.path.resolve() == self._run.resolve():
            raise ConfigError(
                f"{self.path}: is the run of the checkpoint, which stays as it is; give another --output-dir"
            )
        if not (self.path / RECORD_NAME).is_file() and any(
            (self.path / name).exists() for name in (CONFIG_NAME, TABLE_NAME)
        ):
            raise ConfigError(f"{self.path}: holds a run that is no tuning; give another --output-dir")
        check_writable(self.path / RECORD_NAME)

    def peek(self) -> tuple[Iteration, ...]:
        """Iterations of whatever tuning the folder holds, for an estimate of times; none where it holds none that can
        be read.
        """
        try:
            return _RECORD.validate_json((self.path / RECORD_NAME).read_bytes()).iterations
        except (OSError, ValueError):
            return ()

    def read(self, identity: Mapping[str, Any]) -> TuningRecord | None:
        """The record of an earlier session of the same tuning, None without one.

        Raises `ConfigError` when it is damaged, belongs to another tuning, or the weights that it names are gone.
        """
        path = self.path / RECORD_NAME
        if not path.is_file():
            return None
        remedy = "give another --output-dir, or remove the folder"
        try:
            record = _RECORD.validate_json(path.read_bytes())
            best_of(record.iterations)
        except ValidationError as error:
            raise ConfigError(f"{path}: damaged ({first_fault(error)}); {remedy}") from error
        except (OSError, StopIteration) as error:
            raise ConfigError(f"{path}: damaged ({error or 'no iteration was kept'}); {remedy}") from error
        changed = [key for key in {**record.identity, **identity} if record.identity.get(key) != identity.get(key)]
        if changed:
            raise ConfigError(f"{self.path}: holds a tuning with another {', '.join(changed)}; {remedy}")
        if not any(
            weights.is_file() and hash_file(weights) == record.weights_sha256
            for weights in (self.weights, self.candidate)
        ):
            raise ConfigError(f"{self.weights}: not the weights that {path} names; {remedy}")
        return record

    def offer(self, model: Any) -> str:
        """Lay a model's weights beside the best ones, for a record to name them, and return their hash."""
        save_weights(model, self.candidate)
        return hash_file(self.candidate)

    def offer_file(self, weights: Path) -> str:
        """Lay a copy of a file of weights beside the best ones; otherwise as `offer`."""
        write_atomically(self.candidate, weights.read_bytes())
        return hash_file(self.candidate)

    def write(self, record: TuningRecord) -> None:
        """Write where the tuning stands, then all that follows from it.

        Weights that the record names lie at `candidate` or `weights`.
        """
        write_atomically(self.path / RECORD_NAME, _json(record))
        self.settle(record)

    def settle(self, record: TuningRecord) -> None:
        """Bring everything in line with the record, from whatever a kill has left."""
        for folder in (self.path, self.weights.parent):
            remove_partial(folder)
        if self.candidate.is_file():
            if hash_file(self.candidate) == record.weights_sha256:
                self.candidate.replace(self.weights)
            else:
                self.candidate.unlink()
        for name in (
            *_COPIED,
            *(f"{LISTS_FOLDER}/{path.name}" for path in sorted((self._run / LISTS_FOLDER).glob("*.txt"))),
        ):
            if (self._run / name).is_file() and not (self.path / name).is_file():
                write_atomically(self.path / name, (self._run / name).read_bytes())
        write_config(tuned_config(self._config, best_of(record.iterations).point), self.path / CONFIG_NAME)
        write_atomically(self.path / HISTORY_NAME, history_table(record.iterations, self._targets))


def tuned_config(config: TrainerConfig, point: PointChoice) -> TrainerConfig:
    """The configuration with the chosen cutoff and window, as an export states them in the manifest."""
    export = config.export.model_copy(
        update={"probability_cutoff": point.choice.probability_cutoff, "sliding_window_size": point.window}
    )
    return config.model_copy(update={"export": export})


def history_table(history: Sequence[Iteration], targets: Targets) -> str:
    """A row an iteration; figures are of validation."""
    text = io.StringIO()
    rows = [_row(iteration, targets) for iteration in history]
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _row(iteration: Iteration, targets: Targets) -> dict[str, object]:
    recipe, point, choice = iteration.recipe, iteration.point, iteration.point.choice
    trained = iteration.move is not Move.GIVEN
    return {
        "iteration": iteration.number,
        "move": iteration.move,
        "kept": int(iteration.kept),
        "learning_rate": f"{recipe.learning_rate:g}" if trained else "",
        "negative_class_weight": f"{recipe.negative_class_weight:g}" if trained else "",
        "hard_negative_class_weight": f"{recipe.hard_negative_class_weight:g}" if trained else "",
        "word_share": f"{recipe.word_share:.4f}" if trained else "",
        "accepted_negatives": iteration.mined if trained else "",
        "loss": "" if iteration.loss is None else f"{iteration.loss:.6f}",
        "val_recall": f"{point.recall:.4f}",
        "val_found": choice.detected,
        "val_utterances": choice.utterances,
        "val_fah": f"{point.false_accepts_per_hour:.4f}",
        "val_false_accepts": choice.false_accepts,
        "val_hours": f"{choice.hours:.4f}",
        "val_average_viable_recall": f"{point.average_viable_recall:.4f}",
        "probability_cutoff": choice.probability_cutoff,
        "sliding_window_size": point.window,
        "trouble": trouble_of(point, targets),
        "seconds": f"{iteration.seconds:.1f}",
    }


def _json(record: TuningRecord) -> str:
    """Counts, from which everything follows, and for readers the rates of each measurement with their 95 %
    intervals."""
    measured = [asdict(measurement) | {"rates": measurement.rates} for measurement in record.measurements]
    return json.dumps(asdict(record) | {"measurements": measured}, indent=2) + "\n"
