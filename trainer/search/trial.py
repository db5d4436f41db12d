"""One trial: taken, drawn, held against the budget, trained as a run of its own, given up where it is hopeless."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from trainer.config.checks import check_config
from trainer.config.loader import CONFIG_NAME, load_config
from trainer.config.sections import TrainerConfig
from trainer.data.dataset import TABLE_NAME
from trainer.networks.weights import CHECKPOINTS
from trainer.search.budget import Budget, ModelCost, least_cost, model_cost
from trainer.search.events import SearchEvents
from trainer.search.results import BASE, Outcome, SeedRun, TrialRecord, figure_over
from trainer.search.sentences import title
from trainer.search.space import Drawn, SearchSpace
from trainer.search.study import Sampling, SearchStudy
from trainer.training.checkpoints import STATE, steps_done, stopped_early
from trainer.training.gradients import LossNotFinite
from trainer.training.progress import MiningReport, StepReport
from trainer.training.run import DUPLICATES_NAME, checked_recordings, train_run
from trainer.training.scores import Checkpoint, figure, metric_of
from wakeword.errors import ConfigError, InfrastructureError
from wakeword.files import partial_file, write_atomically
from wakeword.locks import wait_for

TRIALS, SPACE = "trials", "space.yaml"
TRACEBACK = "traceback.txt"
"""In the run of a trial that has failed for a reason that nobody foresaw."""
FEATURES_LOCK = ".features.lock"
MOST_IN_VAIN = 50
"""Draws in a row that cannot be trained, before the search gives up: the space does not fit the budget."""
_STANDS_EVERY_S = 0.5


@dataclass(frozen=True)
class SearchPlan:
    """What all processes of a search are told. The configuration, resolved, lies in the folder."""

    folder: Path
    space: SearchSpace
    budget: Budget
    sampling: Sampling
    trials: int
    """That are trained, over all sessions; the configuration itself comes on top."""
    seeds: int = 1
    base: bool = True
    """Whether the configuration itself is trained first, to compare with."""
    jobs: int | None = None
    """Processes of one trial; None: one a core."""

    def config(self, drawn: Drawn) -> TrainerConfig:
        """The configuration of a trial. Raises `ConfigError` where what was drawn does not go together."""
        written = str(self.folder / CONFIG_NAME)
        config = load_config(written, (), self.space.options(load_config(written), drawn))
        check_config(config)
        return config

    def run_folder(self, name: str, seed: int = 0) -> Path:
        """The run of a trial; `seed` counts from 0."""
        return self.folder / TRIALS / (f"{name}-seed{seed}" if seed else name)


class Hopeless(Exception):  # not an error
    """A trial is given up; the text says why."""


def work_once(plan: SearchPlan, study: SearchStudy, events: SearchEvents) -> bool:
    """Take a trial and train it; of those that are drawn the first one that can be trained and keeps within the budget.
    False where no trial is left to take.

    Raises `ConfigError` where the space does not fit the budget or the configuration itself cannot be trained, and what
    concerns all trials: a full disk, a folder in use. What was trained until then is kept, and goes on with the next
    call.
    """
    while True:
        with ExitStack() as claim:
            with study.lock():
                taken = _take(plan, study)
                if taken is None:
                    return False
                claim.enter_context(study.claim(taken.name))
            events.began(taken.name)
            try:
                if _TrialAtWork(plan, study, events, taken).run():
                    return True
            finally:
                events.ended(taken.name)


def _take(plan: SearchPlan, study: SearchStudy) -> TrialRecord | None:
    if (name := study.unfinished(plan.space, base=plan.base)) is not None:
        return next(record for record in study.records() if record.name == name)
    if plan.base and study.base() is None:
        study.note(BASE)
        return study.base()
    if study.counted() >= plan.trials:
        return None
    if len(vain := study.drawn_in_vain()) >= MOST_IN_VAIN:
        raise ConfigError(
            f"none of the last {len(vain)} draws of {plan.space.origin} could be trained, at last: {vain[0].said};"
            " raise the budget, or narrow the space"
        )
    return study.draw(plan.space)


class _TrialAtWork:
    def __init__(self, plan: SearchPlan, study: SearchStudy, events: SearchEvents, record: TrialRecord) -> None:
        self._plan, self._study, self._events, self._record = plan, study, events, record
        self._name = record.name

    def run(self) -> bool:
        """Whether it was trained, if only in part."""
        try:
            return self._run()
        except Hopeless as hopeless:
            self._ended(Outcome.PRUNED, str(hopeless))
        except LossNotFinite as error:
            self._ended(Outcome.FAILED, str(error).partition(". ")[0])
        except ConfigError as error:
            self._refuse_faults_of_all(error)
            return self._never_trained(Outcome.REFUSED, str(error))
        except (OSError, InfrastructureError):
            raise  # of the machine: the next trial would meet it too
        except Exception as error:  # of whatever a trial's settings lead to, memory and TensorFlow among it
            path = self._plan.run_folder(self._name) / TRACEBACK
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, traceback.format_exc())
            first = next(iter(str(error).splitlines()), "")
            self._ended(Outcome.FAILED, f"{type(error).__name__}: {first}; {path} has the rest")
        return True

    def _run(self) -> bool:
        config = self._plan.config(self._record.drawn)
        cost = self._cost(config)
        if over := self._plan.budget.exceeded(cost):
            return self._never_trained(Outcome.OVER_BUDGET, over)
        self._events.told(f"trial {self._name}: {in_words(self._record.drawn)}; {cost}")
        runs = self._trained(config)
        value = figure_over(runs)
        self._study.end(self._name, Outcome.DONE, value=value)
        scores = runs[0].scores
        over_seeds = f" (mean of {len(runs)} seeds)" if len(runs) > 1 else ""
        self._events.told(
            f"trial {self._name}: {metric_of(scores, config.training).replace('_', ' ')} {value:.4f}{over_seeds};"
            f" recall {scores.recall:.1%}, {scores.false_accepts_per_hour:.2f} false accepts/h on validation"
        )
        return True

    def _refuse_faults_of_all(self, error: ConfigError) -> None:
        """Raise where not only what was drawn is to blame: the configuration itself cannot be trained either."""
        if self._name == BASE:
            raise error
        quiet = _TrialProgress(self._name, self._events, lambda: None, lambda _: "")
        checked_recordings(self._plan.config({}), self._plan.run_folder(BASE), quiet, self._plan.jobs)

    def _cost(self, config: TrainerConfig) -> ModelCost:
        cycles_per_mac = self._plan.budget.cycles_per_mac
        least = least_cost(config, cycles_per_mac)
        if self._plan.budget.exceeded(least):
            return least
        network = json.dumps([config.model.model_dump(mode="json"), config.hardware.clip_duration_ms], sort_keys=True)
        digest = hashlib.sha256(network.encode()).hexdigest()
        cost = self._study.known_cost(digest)
        if cost is None:
            self._events.stands(self._name, "building the model")
            cost = model_cost(config, cycles_per_mac)
        self._study.note(self._name, network=digest, cost=cost)
        return cost

    def _never_trained(self, outcome: Outcome, said: str) -> bool:
        self._ended(outcome, said)
        return False

    def _ended(self, outcome: Outcome, said: str) -> None:
        self._study.end(self._name, outcome, said)
        self._events.told(f"trial {self._name}: {outcome}: {said}")

    def _trained(self, config: TrainerConfig) -> list[SeedRun]:
        runs = list(self._record.runs)
        for number in range(len(runs), self._plan.seeds):
            folder = self._plan.run_folder(self._name, number)
            seeded = self._seeded(config, number)
            with ExitStack() as features:
                # Those that another trial has are not computed again: one trial after the other looks for its own.
                features.enter_context(
                    wait_for(
                        self._plan.folder / FEATURES_LOCK,
                        lambda: self._events.stands(self._name, "waits while another trial computes features"),
                    )
                )
                self._take_audit(folder)
                progress = _TrialProgress(self._name, self._events, features.close, self._judge(seeded, number))
                result = train_run(seeded, folder, progress, self._plan.jobs)
            value = figure(result.best, seeded.training)
            runs.append(
                SeedRun(
                    seeded.training.seed,
                    folder.name,
                    str(result.weights.relative_to(folder)),
                    result.best.step,
                    value,
                    result.best.scores,
                    result.elapsed_s,
                )
            )
            self._study.note(self._name, runs=tuple(runs))
        return runs

    def _take_audit(self, run: Path) -> None:
        """Recordings that stand in two splits were looked for before the first trial, whose splits all have."""
        found = self._plan.folder / DUPLICATES_NAME
        if found.is_file() and not (run / DUPLICATES_NAME).exists():
            run.mkdir(parents=True, exist_ok=True)
            with partial_file(run / DUPLICATES_NAME) as part:
                shutil.copyfile(found, part)

    def _seeded(self, config: TrainerConfig, number: int) -> TrainerConfig:
        """With another seed the same recordings validate: the splits are those of the first one."""
        if not number:
            return config
        training = config.training.model_copy(update={"seed": config.training.seed + number})
        paths = config.paths.model_copy(update={"splits": self._plan.run_folder(self._name) / TABLE_NAME})
        return config.model_copy(update={"training": training, "paths": paths})

    def _judge(self, config: TrainerConfig, number: int) -> Callable[[Checkpoint], str]:
        """What says of an evaluation why the trial is hopeless; only the first seed is asked."""
        if number:
            return lambda _: ""
        settings, state = config.training, self._plan.run_folder(self._name) / CHECKPOINTS / STATE

        def judge(checkpoint: Checkpoint) -> str:
            last = checkpoint.step >= settings.steps
            if settings.teacher != "none" and not steps_done(state):
                return ""  # of the teacher, which is trained before the model's first step
            # The steps of a fine-tuning begin again at 0, and its figures are of int8 arithmetic.
            if not last and (steps_done(state) >= settings.steps or stopped_early(state, settings)):
                return ""
            return self._study.report(self._name, checkpoint.step, figure(checkpoint, settings), last=last)

        return judge


class _TrialProgress:
    """Progress of one run within a search."""

    def __init__(
        self, name: str, events: SearchEvents, began: Callable[[], None], judge: Callable[[Checkpoint], str]
    ) -> None:
        """`began` is called once steps are done: all features are there."""
        self._name, self._events, self._began, self._judge = name, events, began, judge
        self._said = 0.0

    def told(self, message: str) -> None:
        """What concerns the recordings was told before the first trial."""

    def counting(self, stage: str) -> Callable[[int, int], None]:
        """A counter of recordings."""

        def count(done: int, total: int) -> None:
            self._stands(f"{stage}: {done} of {total}")

        return count

    def resumed(self, step: int, best: Checkpoint | None) -> None:  # noqa: ARG002
        """The run goes on after so many steps."""
        self._events.told(f"trial {self._name}: going on after step {step}")

    def extended(self, before: int, steps: int) -> None:
        """Never: a trial has the steps that it has drawn."""

    def stepped(self, report: StepReport) -> None:
        """Steps were done."""
        self._began()
        self._stands(f"loss {report.loss:.3f}{report.to_go}", report.step, report.steps)

    def skipped(self, step: int) -> None:
        """In the run's log."""

    def evaluated(self, checkpoint: Checkpoint, best: bool) -> None:  # noqa: ARG002
        """An evaluation ended. Raises `Hopeless`."""
        if why := self._judge(checkpoint):
            raise Hopeless(why)

    def mined(self, report: MiningReport) -> None:
        """In the run's log."""

    def _stands(self, line: str, done: int = 0, total: int = 0) -> None:
        if (now := time.monotonic()) - self._said >= _STANDS_EVERY_S:
            self._said = now
            self._events.stands(self._name, line, done, total)


def in_words(drawn: Drawn) -> str:
    """What a trial has drawn, in one line."""
    if not drawn:
        return title(BASE)
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in drawn.items()
    )
