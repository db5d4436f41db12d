"""What a run leaves to read in its folder: `training.log` as the terminal said it, and `validation.csv` with every
evaluation once.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import time
from collections.abc import Mapping
from pathlib import Path

from trainer.training.progress import MiningReport, StepReport, TrainingProgress, skipped_line
from trainer.training.scores import Checkpoint, ValidationScores
from wakeword.files import write_atomically
from wakeword.time_left import in_words

LOG, TABLE = "training.log", "validation.csv"
LOG_INTERVAL_S = 15.0
"""Seconds between two lines of steps."""
_OF_STEPS = ("mined_hard_negatives", "gradient_norm_median", "gradient_norm_largest", "skipped_steps")
"""Figures of the steps since the evaluation before."""
_COLUMNS = ("step", *(field.name for field in dataclasses.fields(ValidationScores)), "best", "mined", *_OF_STEPS[1:])


class RunFiles:
    """Writes both files, and hands every event on to the run's own progress."""

    def __init__(self, folder: Path, progress: TrainingProgress) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log, self._table, self._progress = folder / LOG, folder / TABLE, progress
        self._said = 0.0

    def begin(self, evaluated_step: int, preparation: Mapping[str, float]) -> None:
        """Drop evaluations after this step: a killed run wrote them down before its state, and does them again. Note
        the figures of the `preparation`.
        """
        if preparation:
            self._say(", ".join(f"{name} {value:g}" for name, value in preparation.items()))
        rows = []
        if self._table.is_file():
            with self._table.open(newline="") as file:
                rows = [
                    row
                    for row in csv.DictReader(file)
                    if (row["step"] or "").isdigit() and row["best"] and int(row["step"]) <= evaluated_step
                ]
        text = io.StringIO()
        writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n", extrasaction="ignore", restval="")
        writer.writeheader()
        writer.writerows(rows)
        write_atomically(self._table, text.getvalue())

    def tabulate(self, checkpoint: Checkpoint, best: bool, training: Mapping[str, float]) -> None:
        """Add an evaluation to the table, with figures of the `training` since the one before."""
        with self._table.open("a", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow(
                [
                    checkpoint.step,
                    *dataclasses.astuple(checkpoint.scores),
                    int(best),
                    *(f"{training[name]:.6g}" for name in _OF_STEPS),
                ]
            )

    def resumed(self, step: int, best: Checkpoint | None) -> None:
        """The run goes on after so many steps."""
        self._say(f"going on after step {step}" + (f", best so far: step {best.step}" if best else ""))
        self._progress.resumed(step, best)

    def extended(self, before: int, steps: int) -> None:
        """It was planned with another number of steps in all."""
        self._say(f"{steps} steps in all; {before} were planned before")
        self._progress.extended(before, steps)

    def stepped(self, report: StepReport) -> None:
        """Steps were done."""
        if time.monotonic() - self._said >= LOG_INTERVAL_S or report.step == report.steps:
            self._said = time.monotonic()
            self._say(
                f"step {report.step} of {report.steps}, phase {report.phase}/{report.phases}, loss {report.loss:.4f}, "
                f"learning rate {report.learning_rate:g}, {in_words(report.elapsed_s)}{report.to_go}"
            )
        self._progress.stepped(report)

    def skipped(self, step: int) -> None:
        """A step was not finite."""
        self._say(skipped_line(step))
        self._progress.skipped(step)

    def evaluated(self, checkpoint: Checkpoint, best: bool) -> None:
        """An evaluation ended."""
        self._say(checkpoint.line(best))
        self._progress.evaluated(checkpoint, best)

    def told(self, message: str) -> None:
        """Something changes the run's course."""
        self._say(message)
        self._progress.told(message)

    def mined(self, report: MiningReport) -> None:
        """Hard negatives were mined."""
        self._say(str(report))
        self._progress.mined(report)

    def _say(self, line: str) -> None:
        with self._log.open("a") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {line}\n")
