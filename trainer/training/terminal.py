"""Progress of a training on stderr: its steps as a bar, its evaluations as a table."""

from __future__ import annotations

from rich.console import Console
from rich.progress import TaskID

from trainer.terminal import Terminal
from trainer.training.progress import MiningReport, StepReport, skipped_line
from trainer.training.scores import Checkpoint

_COLUMNS = ("   step", "recall", "false accepts/h", "average viable recall", "recall at no false accepts")
_OF_WINDOWS = ("  loss", "accuracy", "precision", "   F1", "   AUC")
"""Where there is room for them: single windows, no device."""


class TrainingTerminal(Terminal):
    """Evaluations are rows of a table on a terminal, and lines that name their figures where the output is kept."""

    def __init__(self, console: Console | None = None) -> None:
        """`console` None is stderr."""
        super().__init__(console)
        self._steps: TaskID | None = None
        self._headed = False

    def told(self, message: str) -> None:
        """A line that stays."""
        super().told(message)
        self._headed = False  # below another line the table needs its head again

    def resumed(self, step: int, best: Checkpoint | None) -> None:
        """The run goes on after so many steps."""
        self.told(f"going on after step {step}" + (f", best so far: step {best.step}" if best else ""))

    def extended(self, before: int, steps: int) -> None:
        """It was planned with another number of steps in all."""
        self.told(f"{steps} steps in all; {before} were planned before")

    def stepped(self, report: StepReport) -> None:
        """Steps were done."""
        line = f"phase {report.phase}/{report.phases}, loss {report.loss:.3f}, learning rate {report.learning_rate:g}"
        if self._steps is None:
            self._steps = self._bars.add_task(line, total=report.steps, completed=report.step, left_s=None)
        self._bars.update(self._steps, completed=report.step, description=line, left_s=report.remaining_s)
        self._plain.stands(f"step {report.step} of {report.steps}, {line}{report.to_go}")

    def skipped(self, step: int) -> None:
        """A step was not finite."""
        self.told(skipped_line(step))

    def evaluated(self, checkpoint: Checkpoint, best: bool) -> None:
        """An evaluation ended."""
        if not self._console.is_terminal:
            self.told(checkpoint.line(best))
            return
        scores = checkpoint.scores
        columns: tuple[str, ...] = _COLUMNS
        values = [
            f"{checkpoint.step}",
            f"{scores.recall:.1%}",
            f"{scores.false_accepts_per_hour:.2f}",
            f"{scores.average_viable_recall:.3f}",
            f"{scores.recall_at_no_faph:.1%}",
        ]
        if scores.loss is not None and self._console.width >= len("  ".join((*_COLUMNS, *_OF_WINDOWS, "best"))):
            columns += _OF_WINDOWS
            figures = (scores.loss, scores.accuracy, scores.precision, scores.f1, scores.auc)
            values += ["" if figure is None else f"{figure:.4f}" for figure in figures]
        if not self._headed:
            self._print("  ".join(columns), "bold")
            self._headed = True
        row = "  ".join(value.rjust(len(column)) for value, column in zip(values, columns, strict=True))
        self._print(f"{row}{'  best' if best else ''}", "green" if best else None)

    def mined(self, report: MiningReport) -> None:
        """Hard negatives were mined."""
        self.told(str(report))
