"""`mww-simulate`, `mww-report` and `mww-bench`: parse, call, print."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from bench_audio.cli import calibrate
from harness.diagnosis.cli import diagnose
from harness.ear.cli import capture, record
from harness.session.cli import list_boards, measure
from wakeword.command_line import ClusterAddress, CommandApp, reports_errors
from wakeword.errors import ConfigError

simulate_app = CommandApp()
report_app = CommandApp()
bench_app = CommandApp(no_args_is_help=True)


@simulate_app.command()
@reports_errors
def simulate(
    manifest: Annotated[Path, typer.Argument(help="ESPHome manifest (.json) of the model, version 2 or 1.")],
    audio: Annotated[
        list[Path],
        typer.Argument(
            help="Recordings, folders of them, or lists (.txt with a path a line, .csv with a column 'path')."
        ),
    ],
    mode: Annotated[
        Literal["clips", "session", "stream"],
        typer.Option(
            help=(
                "clips: each file alone from boot; stream: all files joined, one state; session: files of the wake word"
                " joined with pauses, as validation "
                "and evaluation present them."
            )
        ),
    ] = "clips",
    json: Annotated[Path | None, typer.Option(help="Write one JSON line per recording here.")] = None,
    lead_in: Annotated[
        float | None,
        typer.Option(help="clips: seconds of zeros before each file. (default 1.5; longer where the model's step is)"),
    ] = None,
    tail: Annotated[float | None, typer.Option(help="clips: seconds of zeros after each file. (default 0.75)")] = None,
    gap: Annotated[float | None, typer.Option(help="stream: seconds of zeros between files. (default 0.5)")] = None,
    noise_floor: Annotated[
        float | None,
        typer.Option(
            metavar="DBFS",
            help=(
                "White noise that a microphone adds to all that the device hears, silence and recordings: -100 to -20"
                " dBFS (rms; a sine that just does not clip has -3.01). (default: none)"
            ),
        ),
    ] = None,
    cutoff: Annotated[float | None, typer.Option(help="Probability cutoff instead of the manifest's, 0-1.")] = None,
    window: Annotated[int | None, typer.Option(help="Sliding window instead of the manifest's.")] = None,
    truth: Annotated[
        Literal["wake", "none", "unknown"], typer.Option(help="What the files hold: the wake word in each, or in none.")
    ] = "unknown",
    result: Annotated[Path | None, typer.Option(help="Write a result.json for mww-report here; needs --truth.")] = None,
    label: Annotated[
        str | None, typer.Option(help="Name of this run in the report. (default: the audio's folder)")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of the training or corpus, to be recorded in the result.")
    ] = None,
    provenance: Annotated[
        Literal["recorded", "synthetic"] | None,
        typer.Option(
            help="What the recordings are, where you know; folders of mww-generate are known. For the result."
        ),
    ] = None,
    resample: Annotated[bool, typer.Option("--resample", help="Convert recordings that are not 16 kHz mono.")] = False,
    judge: Annotated[
        list[Path] | None,
        typer.Option(
            help=(
                "A second stage that is asked about each detection: a model's manifest (.json) or the folder of a run;"
                " may be repeated, they answer together."
            )
        ),
    ] = None,
    judge_cutoff: Annotated[
        float | None, typer.Option(help="Score from which the judge says yes, 0-1. (default: its models' own cutoff)")
    ] = None,
    judge_before: Annotated[
        float | None, typer.Option(help="Seconds of sound before a detection that the judge hears. (default 2)")
    ] = None,
    judge_after: Annotated[
        float | None, typer.Option(help="Seconds of sound after a detection that it hears. (default 0.5)")
    ] = None,
    engine: Annotated[
        Literal["auto", "unrolled", "reference", "litert"],
        typer.Option(
            help=(
                "unrolled is exact and fast; reference is tflite-micro, invocation by invocation; litert is what a"
                " Raspberry Pi runs, not an ESP32."
            )
        ),
    ] = "auto",
    jobs: Annotated[int | None, typer.Option(help="Processes or threads. (default: one per core)")] = None,
    cluster: ClusterAddress = None,
    cache_dir: Annotated[
        Path | None, typer.Option(help="Where features are kept. (default: $MWW_CACHE_DIR or ~/.cache/mww/features)")
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Compute all features anew and keep none.")] = False,
) -> None:
    """Run a model over recordings exactly as a device would, without a device.

    Features, probabilities and detections are those of ESPHome with TFLM's reference kernels, slice by slice: a
    simulation, no measurement on a device. With --engine litert the kernels are LiteRT's.

    Examples:

      mww-simulate alexa.json clips/ --truth wake --json alexa.jsonl

      mww-simulate alexa.json tv_evening.flac --mode stream --truth none --result evening.json

      mww-simulate alexa.json clips/ --truth wake --judge larger.json --judge-cutoff 0.5 --result judged.json
    """
    if mode == "session" and truth != "wake":
        raise ConfigError(
            "--mode session presents words with pauses; give --truth wake with it, or --mode stream for recordings"
            " without the wake word"
        )
    if result is not None and truth == "unknown":
        raise ConfigError("--result needs --truth wake or --truth none: without it there is nothing to score")
    if jobs is not None and jobs < 1:
        raise ConfigError(f"--jobs {jobs}: give 1 or more processes, or leave it out for one per core")
    if cluster is not None and no_cache:
        raise ConfigError("--cluster needs the cache, in a folder that all machines see; leave --no-cache out")
    if cluster is not None and jobs is not None:
        raise ConfigError("--jobs is for processes of this machine, --cluster for workers of others; give one of them")
    if not judge and (judge_cutoff, judge_before, judge_after) != (None, None, None):
        raise ConfigError("--judge-cutoff, --judge-before and --judge-after are settings of a judge; give --judge too")
    from harness.simulated.judged import judge_simulation
    from harness.simulated.lines import write_lines
    from harness.simulated.table import results_table
    from harness.terminal import stdout
    from judge.deciding import AFTER_SECONDS, BEFORE_SECONDS, open_judge, refuse_other_word
    from wakeword.cluster.connection import working_on
    from wakeword.corpus.feature_cache import default_cache_folder
    from wakeword.corpus.recordings import list_notes
    from wakeword.device_model import load_model
    from wakeword.engines import open_engine
    from wakeword.files import check_outputs
    from wakeword.progress import audio_progress, working
    from wakeword.simulation.board import choose_presentation, choose_recordings, hear
    from wakeword.simulation.simulate import Options

    model = load_model(manifest, cutoff, window)
    presentation = choose_presentation(mode, lead_in, tail, gap, model.manifest.micro.feature_step_size, noise_floor)
    if cluster is not None and mode != "clips" and (found := open_engine(model.model, engine)[0].name) != "unrolled":
        raise ConfigError(
            f"--mode {mode} with the engine {found} runs in one piece, which no cluster makes faster; leave --cluster"
            " out, or simulate each recording alone: --mode clips"
        )
    asked = None
    if judge:
        before = BEFORE_SECONDS if judge_before is None else judge_before
        after = AFTER_SECONDS if judge_after is None else judge_after
        asked = open_judge(judge, judge_cutoff, before, after, "judge_cutoff")
        refuse_other_word(model.manifest.wake_word, asked.wake_word, str(asked.members[0].path))
    recordings, seconds = choose_recordings(audio, resample)
    check_outputs(
        [path for path in (json, result) if path is not None],
        [manifest, Path(model.model.source), *audio, *recordings, *(judge or ())],
    )
    notes = list_notes(audio)
    cache = None if no_cache else cache_dir or default_cache_folder()
    options = Options(engine, jobs, cache)
    with (
        working_on(cluster, read=recordings, written=[cache] if cache else []),
        audio_progress(f"{model.manifest.wake_word}, {mode}", seconds) as progress,
    ):
        simulation = hear(model, recordings, presentation, options, progress)
    judged = None
    if asked is not None:
        with working("asking the judge"):
            judged = judge_simulation(simulation, asked)
    if json is not None:
        write_lines(simulation, json, judged)
    if result is not None:
        from harness.results.schema import write_result
        from harness.simulated.simulated_result import make_result

        assert truth != "unknown"
        write_result(
            make_result(
                simulation,
                truth,
                label or _default_label(audio),
                ["mww-simulate", *sys.argv[1:]],
                seed,
                provenance,
                notes,
                judged,
            ),
            result,
        )
    console = stdout()
    console.print(results_table(simulation, truth))
    if judged is not None:
        console.print(results_table(judged.kept, truth, judged.title))
    for note in notes:
        console.print(f"{note[0].upper()}{note[1:]}.", markup=False)
    if simulation.note:
        console.print(f"Reference engine used: {simulation.note}.", markup=False)
    if model.point.warning:
        console.print(model.point.warning, markup=False)


@report_app.command()
@reports_errors
def report(
    results: Annotated[
        list[Path], typer.Argument(help="result.json files of one model, or of several models, ways or boards.")
    ],
    output: Annotated[Path, typer.Option(help="The HTML page to write.")] = Path("report.html"),
    max_clips: Annotated[int, typer.Option(help="Misses and false accepts shown, of each at most.")] = 12,
    card: Annotated[
        Path | None,
        typer.Option(
            help="Write a model card (.json) here and its badge (.svg) beside it, to stand beside a published model."
        ),
    ] = None,
) -> None:
    """Make one self-contained HTML page: of one model; of two on the same recordings, pair by pair; or of several
    models, ways of measuring and boards side by side.

    Examples:

      mww-report wake.json speech.json noise.json --output report.html

      mww-report old_wake.json old_none.json new_wake.json new_none.json --output old_and_new.html

      mww-report a/result.json b/result.json c/result.json --output three_boards.html

      mww-report wake.json none.json --card alexa.card.json
    """
    from harness.results.card import badge_path, make_card, write_card
    from harness.results.matrix import are_comparable, measurement_groups
    from harness.results.matrix_page import write_matrix
    from harness.results.merge import merge_results
    from harness.results.report import write_report
    from harness.results.schema import read_result
    from harness.results.versus import model_groups
    from harness.results.versus_page import write_comparison
    from wakeword.files import check_outputs
    from wakeword.progress import working

    check_outputs([output, *(() if card is None else (card, badge_path(card)))], results)
    with working("making the report"):
        read = [read_result(path) for path in results]
        groups = measurement_groups(read)
        if card is not None and len(groups) > 1:
            raise ConfigError("--card is of one model, measured in one way; give its results alone")
        made = None if card is None else make_card(merge_results(read))  # before anything is written
        if len(groups) == len(model_groups(read)) == 2 and are_comparable(groups[0][0], groups[1][0]):
            said = [write_comparison(groups, output)]
        elif len(groups) > 1:
            said = [write_matrix(groups, output)]
        else:
            verdict = write_report(read, output, max_clips=max_clips)
            said = [verdict.sentence, *filter(None, [verdict.with_judge])]
    for sentence in said:
        typer.echo(sentence)
    typer.echo(f"Report: {output.absolute()}")
    if card is not None and made is not None:
        written, picture = write_card(made, card)
        typer.echo(f"Card: {written.absolute()}, badge: {picture.absolute()}")


@bench_app.callback()
def bench() -> None:
    """Models measured on boards."""


bench_app.command()(calibrate)
bench_app.command()(measure)
bench_app.command()(diagnose)
bench_app.command()(record)
bench_app.command()(capture)
bench_app.command(name="boards")(list_boards)


def _default_label(audio: list[Path]) -> str:
    return ", ".join(dict.fromkeys(path.stem if path.is_file() else path.resolve().name for path in audio))
