"""How long a training waits for a better evaluation, before its learning rate is lowered or it ends."""

from __future__ import annotations

from dataclasses import dataclass

from trainer.config.training_sections import TrainingSection
from trainer.training.scores import Checkpoint, is_better


@dataclass
class Patience:
    """What has been waited for; a part of a run's state.

    The evaluations at `eval_step_interval` alone count. One that comes after the last step would not be there in a run
    of more steps, which goes on as if it had had them from the start.

    With the schedule `phases` those of the last phase alone are counted: where synthetic words validate, a checkpoint
    of a later phase that is at or under the target replaces all of earlier phases, so an earlier end would leave out
    the one that is kept.
    """

    best: Checkpoint | None = None
    """The last one that was better than all before it."""
    waited: int = 0
    """Counted evaluations since then."""
    lowered: int = 0
    """How often the learning rate was lowered."""

    def evaluated(self, checkpoint: Checkpoint, settings: TrainingSection) -> bool:
        """Take an evaluation in, and say whether the learning rate goes down now: after each `plateau_patience`
        evaluations in a row that were no better. Equal ones are no better.
        """
        if checkpoint.step % settings.eval_step_interval:
            return False
        if self.best is None or not is_better(self.best, checkpoint, settings):
            self.best, self.waited = checkpoint, 0
            return False
        if settings.schedule == "phases" and checkpoint.step <= settings.steps - settings.training_steps[-1]:
            return False
        self.waited += 1
        if settings.schedule != "plateau" or self.waited % settings.plateau_patience or self.is_over(settings):
            return False
        self.lowered += 1
        return True

    def is_over(self, settings: TrainingSection) -> bool:
        """Whether the training ends, since `early_stopping_evaluations` in a row were no better."""
        return 0 < settings.early_stopping_evaluations <= self.waited
