"""`mww-cluster-analyze` and `mww-cluster-apply`: parse, call, print."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from trainer.options import Config, Overrides, Settings
from wakeword.command_line import CommandApp, resumes
from wakeword.errors import ConfigError

if TYPE_CHECKING:
    from trainer.clustering.analysis import VoiceAnalysis
    from trainer.clustering.apply import Prepared
    from trainer.config.sections import TrainerConfig

analyze_app = CommandApp()
apply_app = CommandApp()

DatasetChoice = Literal["positive", "negative", "hard_negative", "all"]


@analyze_app.command()
@resumes
def analyze(
    config: Config = "standard",
    override: Overrides = None,
    setting: Settings = None,
    dataset: Annotated[DatasetChoice, typer.Option(help="Recordings to group; all groups them together.")] = "positive",
    n_clusters: Annotated[
        int | None,
        typer.Option(help="Number of speakers, 0 to let the threshold decide. (default: the configuration's)", min=0),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Least cosine similarity of one voice. (default: the configuration's)")
    ] = None,
    output_dir: Annotated[Path, typer.Option(help="Folder for namelists and reports.")] = Path("cluster_output"),
    max_files: Annotated[
        int | None, typer.Option(help="Analyse so many files of each dataset. (default: all)", min=1)
    ] = None,
) -> None:
    """Group recordings by voice. Nothing is moved; an interrupted analysis goes on where it was.

    Example:

      mww-cluster-analyze --config computer.yaml --dataset all --output-dir cluster_output
    """
    from trainer.clustering.analysis import analyse, datasets_of
    from trainer.clustering.embedder import load_speechbrain
    from trainer.clustering.report import write_outputs
    from trainer.config.loader import CommandOption, load_config
    from trainer.data.ingest import Label
    from trainer.terminal import Terminal
    from wakeword.locks import hold_folder

    options = [
        CommandOption("--n-clusters", "speaker_clustering.n_clusters", n_clusters),
        CommandOption("--threshold", "speaker_clustering.similarity_threshold", threshold),
    ]
    try:
        configuration = load_config(config, override or (), [*(setting or ()), *options])
    except ConfigError:
        # Where voices are not looked for, that is what to say, not what is wrong with an option.
        _refuse_disabled(load_config(config, override or (), setting or ()))
        raise
    _refuse_disabled(configuration)
    datasets = datasets_of(configuration, tuple(Label) if dataset == "all" else (Label(dataset),))
    for root in (root for entry in datasets for root in entry.roots):
        if output_dir.resolve().is_relative_to(root.resolve()):
            raise ConfigError(f"{output_dir}: lies in the dataset's folder {root}; give --output-dir another place")
    with hold_folder(output_dir, "give another --output-dir"):
        with Terminal() as terminal:
            analysis = analyse(
                configuration, datasets, load_speechbrain, max_files=max_files, progress=terminal.counting("listening")
            )
        written = write_outputs(analysis, output_dir)
    _print_analysis(analysis)
    for names, report in written:
        typer.echo(f"Report: {report}\nNamelist: {names}")
    typer.echo(f"Next: read the report, then mww-cluster-apply --namelist-dir {output_dir} --dry-run")


def _refuse_disabled(configuration: TrainerConfig) -> None:
    if not configuration.speaker_clustering.enabled:
        raise ConfigError(
            "speaker_clustering.enabled is false: the dataset's folders count as its speakers; set it to true to look"
            " for voices"
        )


def _print_analysis(analysis: VoiceAnalysis) -> None:
    alone = sum(group.size == 1 for group in analysis.quality.groups)
    typer.echo(
        f"{len(analysis.files)} files, {len(analysis.names)} voices, {alone} of them with one file;"
        f" {len(analysis.left_out)} files left out"
    )
    if not_counted := str(analysis.not_counted):
        typer.echo(not_counted)
    typer.echo(f"Separation of the voices: {analysis.quality.in_words}")
    if analysis.leaks is not None and analysis.leaks.now:
        typer.echo(
            f"warning: {len(analysis.leaks.now)} pairs of speakers on two sides of the splits sound alike; the report"
            " names them",
            err=True,
        )
    if analysis.leaks is not None and analysis.leaks.listed:
        typer.echo(
            f"warning: paths.splits lists {analysis.leaks.listed} files by a path that applying changes; write that"
            " table anew afterwards",
            err=True,
        )


@apply_app.command()
@resumes
def apply(
    namelist: Annotated[Path | None, typer.Option(help="A namelist of mww-cluster-analyze.")] = None,
    namelist_dir: Annotated[Path | None, typer.Option(help="Folder whose *_namelist.json are all applied.")] = None,
    undo: Annotated[Path | None, typer.Option(help="A backup manifest: bring every file back.")] = None,
    output_dir: Annotated[
        Path | None, typer.Option(help="Folder for the backup manifest. (default: the namelist's)")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, list the moves, move nothing.")] = False,
) -> None:
    """Move recordings into a folder a speaker, or undo that. Interrupted, it goes on when it is run again.

    Example:

      mww-cluster-apply --namelist cluster_output/positive_namelist.json
    """
    given = [option for option in (namelist, namelist_dir, undo) if option is not None]
    if len(given) != 1:
        raise ConfigError("give one of --namelist, --namelist-dir and --undo")
    if undo is not None:
        if output_dir is not None:
            raise ConfigError("--undo reads its manifest and writes nothing; leave --output-dir out")
        _undo(undo, dry_run)
        return
    from trainer.clustering.apply import prepare

    namelists = [namelist] if namelist is not None else _namelists(given[0])
    prepared = prepare(namelists, output_dir or namelists[0].parent)
    if dry_run:
        _print_moves(prepared)
    else:
        _apply(prepared)


def _namelists(folder: Path) -> list[Path]:
    from trainer.clustering.namelist import NAMELIST_SUFFIX

    found = sorted(folder.glob(f"*{NAMELIST_SUFFIX}"))
    if not found:
        raise ConfigError(f"{folder}: no *{NAMELIST_SUFFIX} in it; give the --output-dir of mww-cluster-analyze")
    return found


def _apply(prepared: Prepared) -> None:
    from trainer.clustering.apply import apply as move_files
    from trainer.terminal import Terminal

    if prepared.manifest is None:
        typer.echo("Every file lies in its speaker's folder already; nothing to move")
        return
    with Terminal() as terminal:
        # Said before the first move: whoever interrupts must know how to go on and how to go back.
        terminal.told(f"backup manifest: {prepared.path}; to go back: mww-cluster-apply --undo {prepared.path}")
        moved = move_files(prepared, terminal.counting("moving"))
    there = len(prepared.manifest.moves) - moved
    typer.echo(
        f"{moved} files moved" + (f", {there} were there already" if there else "") + f"\nManifest: {prepared.path}"
    )


def _undo(manifest: Path, dry_run: bool) -> None:
    from trainer.clustering.apply import undo as bring_back
    from trainer.clustering.manifest import read_manifest
    from trainer.terminal import Terminal

    if dry_run:
        content = read_manifest(manifest)
        for entry in reversed(content.moves):
            typer.echo(f"{content.path(entry.root, entry.target)} -> {content.path(entry.root, entry.source)}")
        typer.echo(f"{len(content.moves)} files would be back at their places; nothing was moved")
        return
    with Terminal() as terminal:
        done = bring_back(manifest, terminal.counting("moving back"))
    for path in done.edited:
        typer.echo(f"warning: {path} was edited since it was moved; it is back as it is now", err=True)
    for path in done.kept_folders:
        typer.echo(f"warning: {path} stays, it holds other files", err=True)
    typer.echo(f"{done.moved} files moved back; all files of {manifest} are at their old places")


def _print_moves(prepared: Prepared) -> None:
    manifest = prepared.manifest
    if manifest is not None:
        for entry in manifest.moves:
            if manifest.path(entry.root, entry.source).exists():
                typer.echo(f"{manifest.path(entry.root, entry.source)} -> {manifest.path(entry.root, entry.target)}")
    in_place = prepared.plan.in_place if prepared.plan else 0
    begun = " of an apply that was begun" if prepared.plan is None else ""
    count = len(manifest.moves) if manifest else 0
    typer.echo(f"{count} moves{begun}, {in_place} files in their speaker's folder already; nothing was moved")
