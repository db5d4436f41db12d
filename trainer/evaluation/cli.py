"""`mww-evaluate`: parse, call, print."""

from __future__ import annotations

from typing import Annotated

import typer

from trainer.data.split import Split
from trainer.options import Checkpoint, ExportedModel, Jobs, Overrides, RunConfig, RunFolder, Settings
from wakeword.command_line import CommandApp, reports_errors

evaluate_app = CommandApp(rich_markup_mode=None)


@evaluate_app.command()
@reports_errors
def evaluate(
    checkpoint: Checkpoint = None,
    tflite: ExportedModel = None,
    config: RunConfig = None,
    override: Overrides = None,
    setting: Settings = None,
    run: RunFolder = None,
    split: Annotated[Split, typer.Option(help="Recordings to measure with.")] = Split.VAL,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    analyze: Annotated[
        bool, typer.Option("--analyze", help="Also the worst utterances, confusing negatives and histograms.")
    ] = False,
    temperature: Annotated[
        bool,
        typer.Option(
            "--temperature",
            help="Also the calibration error with a temperature that is fitted on validation; a figure, no change.",
        ),
    ] = False,
    robustness: Annotated[
        bool,
        typer.Option(
            "--robustness", help="Also recall of the words shifted by less than an inference, and at other levels."
        ),
    ] = False,
    jobs: Jobs = None,
) -> None:
    """Measure a trained or an exported model on one split of its run.

    First what a device would do with the recordings, then classic window metrics and calibration. The cutoff is the
    manifest's, else the configuration's, else the one that validation data chooses; test data is never used to choose,
    and nothing is written.

    Example:

      mww-evaluate --tflite runs/computer/exported/computer.tflite --split test --analyze
    """
    from rich.console import Console

    from trainer.evaluation.evaluate import as_json as written
    from trainer.evaluation.evaluate import evaluate as measure
    from trainer.evaluation.evaluate import seconds_to_hear
    from trainer.evaluation.table import rendered
    from trainer.inference.runs import find_candidate, open_model
    from trainer.inference.splits import split_records
    from wakeword.progress import audio_progress, working

    candidate = find_candidate(checkpoint, tflite, config, override or (), setting or (), run)
    with working("comparing the recordings with those of the run"):
        split_records(candidate.records, split, candidate.run)
    model = open_model(candidate, jobs)
    seconds = seconds_to_hear(candidate, split, temperature=temperature, robust=robustness)
    with audio_progress("listening", seconds) as progress:
        evaluation = measure(
            candidate,
            model,
            split,
            analysis=analyze,
            temperature=temperature,
            robust=robustness,
            jobs=jobs,
            progress=progress,
        )
    if as_json:
        typer.echo(written(evaluation))
    else:
        Console(highlight=False).print(rendered(evaluation))
