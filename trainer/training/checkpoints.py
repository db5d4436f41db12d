"""Files of a run: the best weights, and the state from which an interrupted run goes on."""

from __future__ import annotations

import dataclasses
import json
import math
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from trainer.config.training_sections import TrainingSection
from trainer.networks.weights import WEIGHTS_SUFFIX, save_weights
from trainer.training.batch_scores import BatchScores
from trainer.training.patience import Patience
from trainer.training.scores import Checkpoint, ValidationScores
from wakeword.errors import ConfigError
from wakeword.files import PARTIAL_SUFFIX, partial_file

STATE = "training_state.npz"
KEPT_CHECKPOINTS = 3
"""Of each kind of numbered checkpoint; older ones are removed."""
CHECKPOINT, BEST_FAH = "checkpoint_step_", "best_fah_step_"


@dataclass
class RunState:
    """Where a run stands, besides the values of its variables. The loop moves it on."""

    run: str
    """Fingerprint of the configuration and the data; a state is of use to the same run only."""
    step: int = 0
    """Steps done."""
    evaluated_step: int = 0
    """The last step whose evaluation is done, 0 before the first."""
    elapsed_s: float = 0.0
    best: Checkpoint | None = None
    batches: BatchScores = field(default_factory=BatchScores)
    """Of the steps since the last evaluation."""
    patience: Patience = field(default_factory=Patience)
    best_rate: float = math.inf
    """The fewest false accepts an hour of all evaluations."""
    mined_step: int = 0
    """The last step after which hard negatives were mined, 0 before the first."""
    mined: str = ""
    """Names what had been mined then, so that a folder from which some is gone is noticed."""
    planned: int = 0
    """Steps of the whole run, as it was planned then; 0 in states of older versions."""
    skipped_in_a_row: int = 0
    """Steps just before this one that were not finite."""


def save_numbered(model: Any, folder: Path, kind: str, step: int) -> None:
    """Write `<kind><step>.weights.h5` (`CHECKPOINT` or `BEST_FAH`) and remove all but the newest of its kind.

    Of two sessions that pass the same step the later one's file stays, with the same weights.
    """
    save_weights(model, folder / f"{kind}{step}{WEIGHTS_SUFFIX}")
    names = [path.name[len(kind) : -len(WEIGHTS_SUFFIX)] for path in folder.glob(f"{kind}*{WEIGHTS_SUFFIX}")]
    steps = sorted(int(name) for name in names if name.isdigit())
    for old in steps[:-KEPT_CHECKPOINTS]:
        (folder / f"{kind}{old}{WEIGHTS_SUFFIX}").unlink(missing_ok=True)


def remove_partial(folder: Path) -> None:
    """Remove what a killed session was writing into a folder; nobody else may be writing there."""
    for path in folder.glob(f".*{PARTIAL_SUFFIX}*"):
        path.unlink(missing_ok=True)


def save_state(path: Path, state: RunState, variables: list[Any]) -> None:
    """Write where a run stands and the values of its variables (model and optimizer, in order)."""
    contents: dict[str, Any] = {f"variable{index}": variable.numpy() for index, variable in enumerate(variables)}
    contents["header"] = np.array(json.dumps(dataclasses.asdict(state)))
    with partial_file(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **contents)


def load_state(path: Path, run: str, variables: list[Any]) -> RunState | None:
    """Restore the variables of an interrupted run and say where it stood; None when there is nothing to go on from.

    Raises `ConfigError` when the file is damaged or belongs to a run with another configuration or other data.
    """
    if not path.is_file():
        return None
    remedy = "give another folder, or delete this one to train from the start"
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            state = _read_header(str(stored["header"]))
            if state.run != run:
                raise ConfigError(
                    f"{path}: left by a run with another configuration or other data, or by another version of this"
                    f" program; {remedy}"
                )
            values = [stored[f"variable{index}"] for index in range(len(variables))]
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{path}: damaged ({error}); {remedy}") from error
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return state


def steps_done(path: Path) -> int:
    """Steps that the run of a state has done; 0 where there is no state, or one that cannot be read."""
    state = _state_at(path)
    return state.step if state else 0


def stopped_early(path: Path, settings: TrainingSection) -> bool:
    """Whether the run of a state has ended before its last step, by `early_stopping_evaluations`."""
    state = _state_at(path)
    return state is not None and state.patience.is_over(settings)


def times_lowered(path: Path) -> int:
    """How often a plateau has lowered the rate of the run of a state; 0 where there is no state, or one that cannot be
    read.
    """
    state = _state_at(path)
    return state.patience.lowered if state else 0


def _state_at(path: Path) -> RunState | None:
    """None where there is no state, or one that cannot be read."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return _read_header(str(stored["header"]))
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None


def _read_header(text: str) -> RunState:
    header = json.loads(text)
    best, waiting = _checkpoint(header.pop("best")), header.pop("patience", {"best": None})
    batches = BatchScores(**header.pop("batches", {}))
    patience = Patience(**waiting | {"best": _checkpoint(waiting["best"])})
    return RunState(**header, best=best, batches=batches, patience=patience)


def _checkpoint(stored: dict[str, Any] | None) -> Checkpoint | None:
    return Checkpoint(stored["step"], ValidationScores(**stored["scores"])) if stored else None
