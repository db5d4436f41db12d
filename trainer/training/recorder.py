"""What a run records of itself beside its weights; each part is there only if it is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from trainer.config.training_sections import PerformanceSection
from trainer.data.batches import Batch
from trainer.training.profiling import Profiler, StepTimes, gpu_memory
from trainer.training.progress import TrainingProgress
from trainer.training.run_files import RunFiles
from trainer.training.scores import Checkpoint
from trainer.training.tensorboard import Curves


class Recorder:
    """The log, the table, the curves and the profiles of one run; without a folder it does nothing."""

    def __init__(self, folder: Path | None, settings: PerformanceSection, progress: TrainingProgress) -> None:
        self._files = RunFiles(folder, progress) if folder else None
        self.progress: TrainingProgress = self._files or progress
        """Where the run's events go."""
        self._curves_folder = (
            (settings.tensorboard_log_dir or folder / "tensorboard")
            if folder and settings.tensorboard_enabled
            else None
        )
        self._curves: Curves | None = None
        self._times = StepTimes() if self._curves_folder else None
        self._measured: dict[str, float] = {}
        self._preparation: Mapping[str, float] = {}
        profiles = settings.profile_output_dir or (folder / "profiles" if folder else None)
        self._profiler = (
            Profiler(profiles, settings.profile_every_n_steps) if settings.enable_profiling and profiles else None
        )

    def begin(self, evaluated_step: int, preparation: Mapping[str, float]) -> None:
        """Take up the records after an evaluation of an earlier session, 0 for a new run. `preparation` are figures of
        what came before this one's first step.
        """
        self._preparation = preparation
        if self._files:
            self._files.begin(evaluated_step, preparation)
        if self._curves_folder:
            self._curves = Curves(self._curves_folder, evaluated_step)

    def timed(self, section: str) -> AbstractContextManager[None]:
        """Count a block's time to a section."""
        return self._times.timed(section) if self._times else nullcontext()

    def beside_steps(self, section: str) -> AbstractContextManager[None]:
        """Count a block's time between steps to a section."""
        return self._times.beside_steps(section) if self._times else nullcontext()

    def before_steps(self, steps: range) -> None:
        """Steps begin that are done at once."""
        if self._profiler:
            self._profiler.before_steps(steps)

    def after_step(self, step: int) -> None:
        """A step was done."""
        if self._profiler:
            self._profiler.after_step(step)
        if self._times:
            self._times.step_done()

    def pause(self) -> None:
        """Steps end for now: an evaluation, a phase's end, an interrupt."""
        if self._profiler:
            self._profiler.stop()

    def before_evaluation(self) -> None:
        """Steps end and an evaluation begins: times since the one before are taken now."""
        if self._times:
            self._measured = self._times.report() | gpu_memory()

    def evaluated(
        self, checkpoint: Checkpoint, best: bool, training: Mapping[str, float], model: Any, batch: Batch
    ) -> None:
        """Write an evaluation down; comes before the run's state is saved. `training` are figures of the steps since
        the one before.
        """
        if self._files:
            self._files.tabulate(checkpoint, best, training)
        if self._curves:
            self._curves.evaluated(checkpoint, training, {**self._preparation, **self._measured}, model, batch)
        if self._times:
            self._times.restart()

    def close(self) -> None:
        """Write out what is left."""
        self.pause()
        if self._curves:
            self._curves.close()
