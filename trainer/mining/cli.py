"""`mww-mine`: parse, call, print."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from trainer.options import Checkpoint, ExportedModel, Jobs, Overrides, RunConfig, RunFolder, Settings
from wakeword.command_line import CommandApp, resumes

mine_app = CommandApp(rich_markup_mode=None)


@mine_app.command()
@resumes
def mine(
    audio: Annotated[
        list[Path], typer.Option(help="Recording, folder or list of recordings without the wake word; may be repeated.")
    ],
    checkpoint: Checkpoint = None,
    tflite: ExportedModel = None,
    config: RunConfig = None,
    override: Overrides = None,
    setting: Settings = None,
    run: RunFolder = None,
    output: Annotated[Path, typer.Option(help="Folder for the clips and mined.csv.")] = Path("dataset/hard_negative"),
    fp_threshold: Annotated[
        float | None,
        typer.Option(
            help="Probability above which a window is wrongly accepted. (default: hard_negative_mining.fp_threshold)",
            min=0,
            max=1,
        ),
    ] = None,
    max_samples: Annotated[
        int | None,
        typer.Option(help="Mined clips that the folder may hold. (default: hard_negative_mining.max_samples)", min=1),
    ] = None,
    jobs: Jobs = None,
) -> None:
    """Find what a model wrongly takes for the wake word, and save it to train on.

    Recordings that validate or test the run are left out, by path and by content, and so are those with the wake word.
    No sound is saved twice; an interrupted mining goes on when the same command runs again. Threshold and number come
    from the configuration of the run.

    Example:

      mww-mine --tflite runs/computer/exported/computer.tflite --audio podcasts --output dataset/hard_negative
    """
    from trainer.config.loader import CommandOption
    from trainer.inference.runs import find_candidate, open_model
    from trainer.mining.mine import mine_into
    from trainer.mining.sources import choose_sources, readable_headers
    from wakeword.corpus.recordings import find_recordings
    from wakeword.errors import ConfigError
    from wakeword.files import check_writable
    from wakeword.progress import audio_progress, working

    options = [
        CommandOption("--fp-threshold", "hard_negative_mining.fp_threshold", fp_threshold),
        CommandOption("--max-samples", "hard_negative_mining.max_samples", max_samples),
    ]
    candidate = find_candidate(checkpoint, tflite, config, override or (), [*(setting or ()), *options], run)
    mining = candidate.config.hard_negative_mining
    if output.exists() and not output.is_dir():
        raise ConfigError(f"{output}: is a file; name a folder for the clips")
    check_writable(output / "mined.csv")
    with working("comparing the recordings with those of the run"):
        sources = choose_sources(find_recordings(audio), candidate.records, output)
    for reason, count in Counter(
        refused.reason.partition(" (")[0].partition(" as ")[0] for refused in sources.refused
    ).items():
        typer.echo(f"left out, {reason}: {count}", err=True)
    model = open_model(candidate, jobs)
    seconds = sum(header.seconds for header in readable_headers(sources.usable))
    with audio_progress("listening", seconds) as progress:
        mined = mine_into(output, model, sources.usable, mining, candidate.config.slices, progress)
    for rejection in mined.rejections:
        typer.echo(f"not heard: {rejection.path}: {rejection.reason}", err=True)
    if mined.total >= mining.max_samples and not mined.clips:
        typer.echo(f"{output} holds {mined.total} mined clips already; raise --max-samples, or delete some")
        return
    sure = f", {mined.clips[0].probability:.3f} to {mined.clips[-1].probability:.3f}" if mined.clips else ""
    many = "clip" if len(mined.clips) == 1 else "clips"
    typer.echo(
        f"{len(mined.clips)} new {many} in {output}{sure}; {mined.total} in all, described in {output / 'mined.csv'}"
    )
