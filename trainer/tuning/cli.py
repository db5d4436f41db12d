"""`mww-autotune`: parse, call, print."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from trainer.options import Jobs, Overrides, RunConfig, Settings
from wakeword.command_line import CommandApp, resumes
from wakeword.errors import MeasurementFailure

autotune_app = CommandApp(rich_markup_mode=None)


@autotune_app.command()
@resumes
def autotune(
    checkpoint: Annotated[Path, typer.Option(help="Weights of a run: its checkpoints/best_weights.weights.h5.")],
    config: RunConfig = None,
    override: Overrides = None,
    setting: Settings = None,
    target_fah: Annotated[float, typer.Option(help="False accepts an hour to reach.")] = 0.3,
    target_recall: Annotated[float, typer.Option(help="Share of utterances to find, 0 to 1.")] = 0.92,
    max_iterations: Annotated[
        int, typer.Option(help="Iterations at most; 0 chooses cutoff and window alone.", min=0)
    ] = 100,
    patience: Annotated[int, typer.Option(help="End after so many iterations in a row without a gain.", min=1)] = 10,
    steps: Annotated[int, typer.Option(help="Training steps of an iteration.", min=1)] = 300,
    output_dir: Annotated[Path, typer.Option(help="Folder of the tuning; an interrupted one in it goes on.")] = Path(
        "tuning"
    ),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say where the model stands and what would be done; write nothing.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="A line of details an iteration.")] = False,
    jobs: Jobs = None,
) -> None:
    """Bring a trained model to its targets without training it anew.

    Chooses cutoff and sliding window on validation data. While a target is missed, iterations of a few hundred steps
    shift what weighs how much; what validation does not like is forgotten. The final figures are of the test split,
    which is not used to choose. The exit code is 1 when a target is missed on validation, or for certain on test.

    Example:

      mww-autotune --checkpoint runs/computer/checkpoints/best_weights.weights.h5 --target-fah 0.3 --target-recall 0.92
    """
    from rich.console import Console

    from trainer.inference.runs import find_candidate, require_tensorflow
    from trainer.tuning.folder import TuningFolder
    from trainer.tuning.operating_point import Targets
    from trainer.tuning.policy import TuningLimits
    from trainer.tuning.report import Narrator, missed, rendered, surveyed, unproven
    from trainer.tuning.tune import TuningTask, survey, tune

    targets = Targets(target_fah, target_recall)
    candidate = find_candidate(checkpoint, None, config, override or (), setting or (), None)
    task = TuningTask(candidate, targets, TuningLimits(max_iterations, patience, steps), jobs)
    require_tensorflow()
    with Narrator(targets, verbose) as narrator:
        if dry_run:
            folder = TuningFolder(output_dir, candidate, targets)
            folder.check()
            typer.echo(surveyed(survey(task, narrator), task, folder.peek()))
            return
        tuned = tune(task, output_dir, narrator)
    Console(highlight=False).print(rendered(tuned, targets))
    for line in unproven(tuned, targets):
        typer.echo(f"warning: {line}", err=True)
    export = shlex.join(["mww-export", "--checkpoint", str(tuned.weights), "--output", str(output_dir / "exported")])
    typer.echo(f"Weights: {tuned.weights}\nNext: {export}")
    if failure := missed(tuned, targets):
        raise MeasurementFailure(
            f"targets missed: {failure}; the best found is in {output_dir}, more or other data may bring it further"
        )
