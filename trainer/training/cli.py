"""`mww-train`: parse, call, print."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trainer.options import Config, Jobs, Overrides, Settings
from wakeword.command_line import ClusterAddress, resumes
from wakeword.errors import ConfigError

if TYPE_CHECKING:
    from trainer.config.sections import TrainerConfig


@resumes
def train(
    config: Config = "standard",
    override: Overrides = None,
    setting: Settings = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Folder of the run; an interrupted run in it goes on. (default: paths.checkpoint_dir)"),
    ] = None,
    jobs: Jobs = None,
    cluster: ClusterAddress = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Check all, say what would be trained and what it costs on a board; write nothing."
        ),
    ] = False,
    find_lr: Annotated[
        bool,
        typer.Option(
            "--find-lr",
            help=(
                "Try rising learning rates on the run's own batches, draw the loss beside the run's folder, suggest a"
                " rate; train nothing that is kept."
            ),
        ),
    ] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of a configuration file, for editors, and end.")
    ] = False,
) -> None:
    """Train a wake word model.

    With --dry-run: the recordings that would be used, those that would not, and the model's MACs, flash and RAM against
    known boards.

    Example:

      mww-train --config fast_test --set export.wake_word=computer --set paths.positive_dir=dataset/positive --output
      runs/computer
    """
    from trainer.config.loader import load_config

    if schema:
        from trainer.config.schema import config_schema

        typer.echo(config_schema(), nl=False)
        return
    configuration = load_config(config, override or (), setting or ())
    output = output or configuration.paths.checkpoint_dir
    if dry_run and find_lr:
        raise ConfigError("--dry-run writes nothing, and --find-lr draws a plot; give one of the two")
    if cluster is not None and (dry_run or find_lr):
        raise ConfigError("--cluster computes the features of a training; leave it out with --dry-run and --find-lr")
    from trainer.networks.runtime import require_tensorflow

    require_tensorflow()
    if dry_run:
        _print_dry_run(configuration, output, jobs)
        return
    if find_lr:
        _print_rate(configuration, output, jobs)
        return
    from trainer.training.run import train_run
    from trainer.training.terminal import TrainingTerminal

    with TrainingTerminal() as terminal:
        result = train_run(configuration, output, terminal, jobs, cluster)
    scores = result.best.scores
    typer.echo(
        f"Best weights after step {result.best.step} of {result.steps}: recall {scores.recall:.1%},"
        f" {scores.false_accepts_per_hour:.2f} false accepts/h ({result.arithmetic}, validation data, which chose them)"
    )
    if result.before is not None:
        typer.echo(
            f"Before the fine-tuning, in the same arithmetic: recall {result.before.recall:.1%},"
            f" {result.before.false_accepts_per_hour:.2f} false accepts/h"
        )
    typer.echo(f"Weights: {result.weights}\nNext: {next_command(configuration, result.weights, output)}")


def next_command(configuration: TrainerConfig, weights: Path, output: Path) -> str:
    """The command after a training: a model that no device runs cannot be exported, and is evaluated."""
    if configuration.model.of.off_devices:
        return shlex.join(["mww-evaluate", "--checkpoint", str(weights), "--split", "test"])
    return shlex.join(["mww-export", "--checkpoint", str(weights), "--output", str(output / "exported")])


def _print_dry_run(configuration: TrainerConfig, output: Path, jobs: int | None) -> None:
    from rich.console import Console

    from trainer.terminal import Terminal
    from trainer.training.dry_run import dry_run, rendered

    with Terminal() as terminal:
        found = dry_run(configuration, output, terminal, jobs)
    Console(highlight=False).print(rendered(found))


def _print_rate(configuration: TrainerConfig, output: Path, jobs: int | None) -> None:
    from trainer.terminal import Terminal
    from trainer.training.rate_test import find_rate

    plot = output.with_name(f"{output.name}.find-lr.png")
    with Terminal() as terminal:
        test = find_rate(configuration, plot, terminal, jobs)
    typer.echo(f"{str(test)[0].upper()}{str(test)[1:]}\nPlot: {plot}")
    if test.suggestion is not None:
        phases = [
            f"{test.suggestion * rate / configuration.training.learning_rates[0]:g}"
            for rate in configuration.training.learning_rates
        ]
        typer.echo(
            f"To train with it: --set training.learning_rates=[{', '.join(phases)}] (all phases in the old proportion)"
        )
