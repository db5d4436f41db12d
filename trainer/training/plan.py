"""What one training run does: phases, batch size, evaluations, and the rule that chooses its checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from wakeword.errors import ConfigError

MaximizationMetric = Literal["auto", "average_viable_recall", "expected_recall", "recall"]


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ConfigError(message)


@dataclass(frozen=True)
class Phase:
    """So many steps at one learning rate and with one pair of class weights."""

    steps: int
    learning_rate: float
    positive_class_weight: float = 1.0
    negative_class_weight: float = 20.0

    def __post_init__(self) -> None:
        _require(self.steps >= 1, f"training.training_steps has a phase of {self.steps} steps; give 1 or more a phase")
        _require(self.learning_rate > 0, f"training.learning_rates has {self.learning_rate}; give a number above 0")
        _require(
            min(self.positive_class_weight, self.negative_class_weight) > 0,
            f"training: class weights are {self.positive_class_weight} and {self.negative_class_weight}; give numbers above 0",
        )


@dataclass(frozen=True)
class TrainingPlan:
    """One run. Raises `ConfigError` when a value is out of range."""

    phases: tuple[Phase, ...] = (Phase(20_000, 1e-3), Phase(10_000, 1e-4))
    batch_size: int = 128
    eval_step_interval: int = 500
    target_false_accepts_per_hour: float = 0.5
    """At or under it, checkpoints compete on `maximization_metric`."""
    maximization_metric: MaximizationMetric = "auto"
    seed: int = 0
    weight_averaging: float = 0.999
    """What the running mean of the weights keeps of itself a step; 0: no mean."""

    def __post_init__(self) -> None:
        _require(len(self.phases) >= 1, "training.training_steps is empty; give one number of steps a phase")
        _require(self.batch_size >= 1, f"training.batch_size is {self.batch_size}; give 1 or more")
        _require(self.eval_step_interval >= 1, f"training.eval_step_interval is {self.eval_step_interval}; give 1 or more")
        _require(self.target_false_accepts_per_hour >= 0, f"training.target_minimization is {self.target_false_accepts_per_hour}; give 0 or more")
        _require(
            self.maximization_metric in get_args(MaximizationMetric),
            f"training.maximization_metric is {self.maximization_metric!r}; give one of {', '.join(get_args(MaximizationMetric))}",
        )
        _require(self.seed >= 0, f"the seed is {self.seed}; give 0 or more")
        _require(0 <= self.weight_averaging < 1, f"training.weight_averaging is {self.weight_averaging}; give 0 or more and less than 1")

    @property
    def steps(self) -> int:
        """Steps of all phases together."""
        return sum(phase.steps for phase in self.phases)

    def evaluations_after(self, step: int) -> int:
        """Evaluations that are due from a step on, that of the step itself included; the last step always has one."""
        at_interval = self.steps // self.eval_step_interval - max(step - 1, 0) // self.eval_step_interval
        return at_interval + (self.steps % self.eval_step_interval > 0)

    def phase_of(self, step: int) -> tuple[int, range]:
        """The phase (from 0) of a step (from 0), and the run's steps that belong to it. Raises `ValueError` past the end."""
        first = 0
        for index, phase in enumerate(self.phases):
            if step < first + phase.steps:
                return index, range(first, first + phase.steps)
            first += phase.steps
        raise ValueError(f"step {step} is past the plan's {self.steps} steps")


FAST_TEST = TrainingPlan(phases=(Phase(2000, 1e-3), Phase(1000, 1e-4)), batch_size=32)
"""A model in under a minute on two cores, to see that data and settings are sound."""
