"""The study: an SQLite file of Optuna's in the search's folder, shared by all processes that work on it.

SQLite, since a commit is whole or not there, and the kernel frees its locks when a process dies. Optuna's journal file
was tried beside it: a line that a full disk cut off makes the whole journal unreadable once the next one is written
behind it, and the lock of a killed process is waited for, half a minute, by all others.

A trial belongs to the process that holds its claim, a lock that ends with the process. So a trial that is still running
by the study, and whose claim nobody holds, was killed: the next process takes it up where its run was.
"""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from trainer.search.budget import ModelCost
from trainer.search.results import BASE, NEVER_TRAINED, Outcome, SeedRun, TrialRecord
from trainer.search.space import SearchSpace
from wakeword.errors import ConfigError, InfrastructureError
from wakeword.locks import hold, holder, wait_for

STUDY_NAME, DATABASE, LOCK, CLAIMS = "search", "study.db", ".study.lock", ".claims"
KEPT_PERCENT = 200 / 3
"""A trial is pruned when its best evaluation so far is below that of the worst third of the trials that are done, at
the same step: hopeless, where the best of the middle may yet win."""
_WAIT_S = 120
"""How long one process waits while another writes."""
_COST, _RUNS = TypeAdapter(ModelCost), TypeAdapter(tuple[SeedRun, ...])


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How a study draws and prunes. May change from one session to the next."""

    seed: int
    startup: int
    """So many trials are drawn at random, and end before any is pruned."""
    warmup_steps: int
    """No trial is pruned before this step."""
    pruning: bool = True


class SearchStudy:
    """A study that is open. Several processes may have it open."""

    def __init__(self, folder: Path, study: Any, sampling: Sampling) -> None:
        """`study` is Optuna's."""
        self._folder, self._study, self._sampling = folder, study, sampling
        self._at_work: dict[str, Any] = {}

    # --- what is known

    @property
    def identity(self) -> Mapping[str, Any]:
        """What all trials have in common."""
        return dict(self._study.user_attrs.get("identity", {}))

    def check_identity(self, identity: Mapping[str, Any]) -> None:
        """Note what the trials have in common, or raise `ConfigError` where the study began with something else."""
        earlier = self.identity
        if not earlier:
            self._study.set_user_attr("identity", dict(identity))
            return
        changed = [key for key in {**earlier, **identity} if earlier.get(key) != identity.get(key)]
        if changed:
            raise ConfigError(
                f"{self._folder}: holds a search with another {', '.join(changed)}; give another --output, or remove"
                " the folder"
            )

    def base(self) -> TrialRecord | None:
        """The configuration itself; None before it was begun."""
        kept = self._study.user_attrs.get(BASE)
        return None if kept is None else _record(BASE, Outcome(kept["outcome"]), {}, kept)

    def records(self) -> list[TrialRecord]:
        """All trials, the configuration itself first. What somebody has put into Optuna's queue is none yet."""
        from optuna.trial import TrialState

        base = self.base()
        drawn = [
            _record(
                name_of(trial.number),
                # By Optuna's state: a process may be killed between its outcome and its end.
                Outcome(trial.user_attrs["outcome"]) if trial.state.is_finished() else Outcome.RUNNING,
                trial.params,
                trial.user_attrs,
            )
            for trial in self._study.get_trials(deepcopy=False)
            if trial.state is not TrialState.WAITING
        ]
        return [*([base] if base else []), *drawn]

    def known_cost(self, network: str) -> ModelCost | None:
        """What a model with this hash takes, if a trial has had it."""
        kept = [trial.user_attrs for trial in self._study.get_trials(deepcopy=False)]
        kept.append(self._study.user_attrs.get(BASE, {}))
        return next((_COST.validate_python(one["cost"]) for one in kept if one.get("network") == network), None)

    def importances(self, quantile: float) -> dict[str, float]:
        """How much each parameter has to do with being among the best `quantile` of the trials that are done, in all 1
        (PED-ANOVA, Watanabe et al. 2023), highest first. Empty where nothing can be told apart.
        """
        from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

        with warnings.catch_warnings(), suppress(ValueError, RuntimeError, ZeroDivisionError, UserWarning):
            warnings.simplefilter("error", UserWarning)  # of few trials it says that all matter alike
            found = get_param_importances(self._study, evaluator=PedAnovaImportanceEvaluator(target_quantile=quantile))
            return {name: value for name, value in found.items() if math.isfinite(value)} if sum(found.values()) else {}
        return {}

    # --- a trial at work

    @contextmanager
    def lock(self) -> Iterator[None]:
        """One process at a time: whoever looks for a trial to take."""
        with wait_for(self._folder / LOCK, lambda: None):
            yield

    def claimed(self, name: str) -> bool:
        """Whether a living process works on a trial."""
        return holder(self._claim(name)) is not None

    def is_running(self, name: str) -> bool:
        """Whether a trial has not ended."""
        return any(record.name == name and record.outcome is Outcome.RUNNING for record in self.records())

    @contextmanager
    def claim(self, name: str) -> Iterator[None]:
        """Work on a trial while the block runs."""
        with hold(self._claim(name), f"trial {name}", "give another --output"):
            yield

    def _claim(self, name: str) -> Path:
        return self._folder / CLAIMS / name

    def draw(self, space: SearchSpace) -> TrialRecord:
        """A new trial with its settings."""
        from optuna.samplers import TPESampler

        # Another seed for each: all processes begin with the same one.
        number = len(self._study.get_trials(deepcopy=False))
        self._study.sampler = TPESampler(
            seed=(self._sampling.seed * 1_000_003 + number) % 2**32, n_startup_trials=self._sampling.startup
        )
        trial = self._study.ask(space.distributions())
        self._at_work[name_of(trial.number)] = trial
        return TrialRecord(name_of(trial.number), Outcome.RUNNING, trial.params)

    def note(self, name: str, **values: Any) -> None:
        """Keep values of a trial: `network`, `cost`, `runs`, `said`."""
        plain = {key: TypeAdapter(Any).dump_python(value, mode="json") for key, value in values.items()}
        with _telling_of(self._folder / DATABASE):
            if name == BASE:
                kept = self._study.user_attrs.get(BASE, {"outcome": Outcome.RUNNING.value})
                self._study.set_user_attr(BASE, kept | plain)
                return
            for key, value in plain.items():
                self._trial(name).set_user_attr(key, value)

    def report(self, name: str, step: int, figure: float, last: bool = False) -> str:
        """Keep an evaluation; say why the trial is hopeless, or nothing: after its `last` step it is done.

        Raises `ConfigError` and `InfrastructureError` as `open_study` does, so that the training which reports does not
        take them for its own.
        """
        with _telling_of(self._folder / DATABASE):
            return self._report(name, step, figure, last)

    def _report(self, name: str, step: int, figure: float, last: bool) -> str:
        import numpy as np
        from optuna.pruners import PercentilePruner
        from optuna.trial import TrialState

        if name == BASE:
            return ""
        trial = self._trial(name)
        earlier = self._frozen(name).intermediate_values
        if step not in earlier:
            trial.report(figure, step)
        sampling = self._sampling
        if last or not sampling.pruning:
            return ""
        pruner = PercentilePruner(
            KEPT_PERCENT, n_startup_trials=sampling.startup, n_warmup_steps=sampling.warmup_steps, n_min_trials=2
        )
        frozen = self._frozen(name)
        if not pruner.prune(self._study, frozen):
            return ""
        others = [
            other.intermediate_values[step]
            for other in self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
            if step in other.intermediate_values
        ]
        return (
            f"step {step}: at best {max(frozen.intermediate_values.values()):.4f} so far; two thirds of"
            f" {len(others)} trials had {np.percentile(others, 100 - KEPT_PERCENT):.4f} or more there"
        )

    def end(self, name: str, outcome: Outcome, said: str = "", value: float | None = None) -> None:
        """A trial has come to an end; one that has ended before stays as it is."""
        from optuna.trial import TrialState

        if not self.is_running(name):
            return
        self.note(name, outcome=outcome.value, said=said)
        if name == BASE:
            return
        # Trials that cost too much count as bad ones, so that others of their kind are drawn less often.
        states = {Outcome.DONE: TrialState.COMPLETE, Outcome.FAILED: TrialState.FAIL, Outcome.LOST: TrialState.FAIL}
        self._study.tell(int(name), value, state=states.get(outcome, TrialState.PRUNED))

    def unfinished(self, space: SearchSpace, base: bool = True) -> str | None:
        """The name of a trial whose process was killed, the configuration itself only with `base`; one that was killed
        while its settings were drawn is given up.

        For whoever has the lock.
        """
        for record in self.records():
            if record.name == BASE and not base:
                continue
            if record.outcome is Outcome.RUNNING and not self.claimed(record.name):
                if record.name == BASE or len(record.drawn) == len(space.parameters):
                    return record.name
                self.end(record.name, Outcome.LOST, "killed while its settings were drawn")
        return None

    def counted(self) -> int:
        """Trials that were trained, or are; the configuration itself is none."""
        return sum(record.name != BASE and record.outcome not in NEVER_TRAINED for record in self.records())

    def drawn_in_vain(self) -> list[TrialRecord]:
        """The latest trials of which none could be trained."""
        vain: list[TrialRecord] = []
        for record in reversed(self.records()):
            if record.name == BASE or record.outcome not in NEVER_TRAINED:
                break
            vain.append(record)
        return vain

    def _trial(self, name: str) -> Any:
        from optuna.trial import Trial

        if name not in self._at_work:
            # Of another process: `Study.ask` makes them in this way too.
            self._at_work[name] = Trial(self._study, self._frozen(name)._trial_id)
        return self._at_work[name]

    def _frozen(self, name: str) -> Any:
        return self._study.get_trials(deepcopy=False)[int(name)]

    # --- the test split

    def tested(self) -> list[dict[str, Any]]:
        """Every look at the test split, in order."""
        return list(self._study.user_attrs.get("tested", []))

    def note_tested(self, measured: Mapping[str, Any]) -> None:
        """Keep another one."""
        self._study.set_user_attr("tested", [*self.tested(), dict(measured)])


def name_of(number: int) -> str:
    """As a trial's folder is called."""
    return f"{number:03d}"


@contextmanager
def open_study(folder: Path, sampling: Sampling) -> Iterator[SearchStudy]:
    """The study in a folder that is there; a new one where it holds none.

    Raises `ConfigError` where the file is no study, `InfrastructureError` where it cannot be read or written.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path = folder / DATABASE
    with ExitStack() as stack, _telling_of(path):
        # Two processes must not make the same tables.
        with wait_for(folder / LOCK, lambda: None):
            storage = optuna.storages.RDBStorage(
                f"sqlite:///{path.absolute()}", engine_kwargs={"connect_args": {"timeout": _WAIT_S}}
            )
            stack.callback(storage.engine.dispose)
            stack.callback(storage.remove_session)
            study = optuna.create_study(
                storage=storage, study_name=STUDY_NAME, direction="maximize", load_if_exists=True
            )
        yield SearchStudy(folder, study, sampling)


@contextmanager
def _telling_of(path: Path) -> Iterator[None]:
    """Tell in one line what SQLite says of a study's file, as an error of this project."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import DatabaseError, OperationalError

    try:
        yield
    except (StorageInternalError, DatabaseError) as error:
        cause = error if isinstance(error, DatabaseError) else error.__cause__
        said = getattr(cause, "orig", None) or error
        if isinstance(cause, OperationalError):
            raise InfrastructureError(
                f"{path}: cannot be read or written ({said}); free space or check the disk, then run again"
            ) from error
        raise ConfigError(
            f"{path}: damaged, or no study ({said}); give another --output, or remove the folder"
        ) from error


def _record(name: str, outcome: Outcome, drawn: Mapping[str, Any], kept: Mapping[str, Any]) -> TrialRecord:
    cost = kept.get("cost")
    return TrialRecord(
        name,
        outcome,
        dict(drawn),
        None if cost is None else _COST.validate_python(cost),
        _RUNS.validate_python(kept.get("runs", ())),
        str(kept.get("said", "")),
    )
