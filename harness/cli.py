"""`mww-simulate`, `mww-report` and `mww-bench`: parse, call, print."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from bench_audio.cli import calibrate
from wakeword.command_line import CommandApp, reports_errors
from wakeword.errors import ConfigError

simulate_app = CommandApp()
report_app = CommandApp()
bench_app = CommandApp(no_args_is_help=True)

TERMINAL_WIDTH = 120
"""Width of tables where the output is no terminal."""


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
    engine: Annotated[
        Literal["auto", "unrolled", "reference", "litert"],
        typer.Option(
            help=(
                "unrolled is exact and fast; reference is tflite-micro, invocation by invocation; litert is what a"
                " Raspberry Pi runs, not an ESP32."
            )
        ),
    ] = "auto",
    jobs: Annotated[int | None, typer.Option(help="Processes. (default: one per core)")] = None,
    cache_dir: Annotated[
        Path | None, typer.Option(help="Where features are kept. (default: $MWW_CACHE_DIR or ~/.cache/mww/features)")
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Compute all features anew and keep none.")] = False,
) -> None:
    """Run a model over recordings exactly as a device would, without a device.

    Features, probabilities and detections are those of ESPHome with TFLM's reference kernels, slice by slice: a
    simulation, no measurement on a device.

    Examples:

      mww-simulate alexa.json clips/ --truth wake --json alexa.jsonl

      mww-simulate alexa.json tv_evening.flac --mode stream --truth none --result evening.json
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
    from rich.console import Console

    from harness.simulated.lines import write_lines
    from harness.simulated.table import results_table
    from wakeword.corpus.feature_cache import default_cache_folder
    from wakeword.corpus.recordings import list_notes
    from wakeword.device_model import load_model
    from wakeword.progress import audio_progress
    from wakeword.simulation.board import choose_presentation, choose_recordings, hear
    from wakeword.simulation.simulate import Options

    model = load_model(manifest, cutoff, window)
    presentation = choose_presentation(mode, lead_in, tail, gap, model.manifest.micro.feature_step_size, noise_floor)
    recordings, seconds = choose_recordings(audio, resample)
    _check_outputs(
        [path for path in (json, result) if path is not None], [manifest, Path(model.model.source), *audio, *recordings]
    )
    notes = list_notes(audio)
    options = Options(engine, jobs, None if no_cache else cache_dir or default_cache_folder())
    with audio_progress(f"{model.manifest.wake_word}, {mode}", seconds) as progress:
        simulation = hear(model, recordings, presentation, options, progress)
    if json is not None:
        write_lines(simulation, json)
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
            ),
            result,
        )
    console = Console(width=None if sys.stdout.isatty() else TERMINAL_WIDTH)
    console.print(results_table(simulation, truth))
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
        list[Path], typer.Argument(help="result.json files of one model, or of two on the same recordings.")
    ],
    output: Annotated[Path, typer.Option(help="The HTML page to write.")] = Path("report.html"),
    max_clips: Annotated[int, typer.Option(help="Misses and false accepts shown, of each at most.")] = 12,
) -> None:
    """Make one self-contained HTML page from results of one model, or one that compares two models on the same
    recordings, pair by pair.

    Examples:

      mww-report wake.json speech.json noise.json --output report.html

      mww-report old_wake.json old_none.json new_wake.json new_none.json --output old_and_new.html
    """
    from harness.results.report import write_report
    from harness.results.schema import read_result
    from harness.results.versus import model_groups
    from harness.results.versus_page import write_comparison
    from wakeword.progress import working

    _check_outputs([output], results)
    with working("making the report"):
        read = [read_result(path) for path in results]
        groups = model_groups(read)
        if len(groups) > 2:
            raise ConfigError(
                f"results of {len(groups)} models or operating points; a page is about one, or compares two"
            )
        sentence = (
            write_comparison(groups, output)
            if len(groups) == 2
            else write_report(read, output, max_clips=max_clips).sentence
        )
    typer.echo(f"{sentence}\nReport: {output.absolute()}")


@bench_app.callback()
def bench() -> None:
    """Models measured on boards."""


bench_app.command()(calibrate)


@bench_app.command()
@reports_errors
def measure(
    board: Annotated[str, typer.Option(help="Name of the board in boards.yaml; 'virtual' is there without one.")],
    model: Annotated[Path, typer.Option(help="ESPHome V2 manifest (.json) of the model.")],
    wake: Annotated[
        list[Path] | None,
        typer.Option(help="Recordings of the wake word, one in each file: file, folder or list; may be repeated."),
    ] = None,
    none: Annotated[
        list[Path] | None, typer.Option(help="Recordings without it: file, folder or list; may be repeated.")
    ] = None,
    boards: Annotated[
        Path | None, typer.Option(help="The inventory. (default: $MWW_BOARDS, or boards.yaml where it exists)")
    ] = None,
    firmware: Annotated[
        Path | None,
        typer.Option(
            help=(
                "Folder of mww-firmware build; flashed where the board runs another model. (default for a virtual"
                " board: built)"
            )
        ),
    ] = None,
    flash: Annotated[
        bool,
        typer.Option(
            "--flash", help="Flash --firmware onto a board that is blank, or has firmware that is not the bench's."
        ),
    ] = False,
    output: Annotated[
        Path | None, typer.Option(help="Folder of the session. (default: runs/sessions/TIME-BOARD-MODEL)")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed plays in the same order.", min=0)] = 0,
    cutoff: Annotated[float | None, typer.Option(help="Probability cutoff instead of the manifest's, 0-1.")] = None,
    provenance: Annotated[
        Literal["recorded", "synthetic"] | None,
        typer.Option(help="What --wake and --none are, where you know; folders of mww-generate are known."),
    ] = None,
    realtime: Annotated[
        bool,
        typer.Option("--realtime", help="Let a virtual board hear at the speed of sound instead of as fast as it can."),
    ] = False,
    known_positive: Annotated[
        Path | None,
        typer.Option(
            help=(
                "Recording that the board must detect before anything is measured. (default: one of --wake that the"
                " simulation detects)"
            )
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the session in --output.")] = False,
    margin: Annotated[
        float, typer.Option(help="Difference in recall between device and simulation that matters.")
    ] = 0.03,
    min_recall: Annotated[
        float | None, typer.Option(help="Exit with 1 when the recall is below, 0-1.", min=0, max=1)
    ] = None,
    max_fah: Annotated[
        float | None, typer.Option(help="Exit with 1 when the false accepts per hour are above.", min=0)
    ] = None,
    reconnect_timeout: Annotated[float, typer.Option(help="Seconds to wait for a board that was lost.")] = 120.0,
    corpus: Annotated[
        Path | None,
        typer.Option(
            help="Description of a corpus (YAML): sources, levels, noise; beside or instead of --wake and --none."
        ),
    ] = None,
    speaker: Annotated[
        str | None,
        typer.Option(
            help="Playing device of this machine, or a part of its name. (default: the board's in boards.yaml)"
        ),
    ] = None,
    microphone: Annotated[
        str | None,
        typer.Option(
            help=(
                "Recording device: the ear of a virtual board, or the reference beside a real one. (default:"
                " boards.yaml)"
            )
        ),
    ] = None,
    gain_db: Annotated[
        float, typer.Option(help="Gain of all that is played through the air, dB.", min=-60, max=20)
    ] = 0.0,
    calibration: Annotated[
        Path | None,
        typer.Option(help="File of mww-bench calibrate; refused where it does not hold for these devices and gains."),
    ] = None,
    gain: Annotated[
        list[str] | None,
        typer.Option(help="A knob and its setting now, KNOB=SETTING; may be repeated. (default: as it was calibrated)"),
    ] = None,
    room_rt60: Annotated[
        float | None,
        typer.Option(
            help="Computed room in front of a virtual board's microphone: its RT60 in seconds.", min=0, max=10
        ),
    ] = None,
    room_noise: Annotated[float | None, typer.Option(help="Pink noise in that room, dBFS.", max=0)] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be played and how long it takes; play nothing.")
    ] = False,
    report: Annotated[bool, typer.Option("--report", help="Write report.html into the session's folder.")] = False,
) -> None:
    """Play recordings to a board, collect its detections, and show them beside the simulation of the same audio.

    Exit code 0: measured. 1: measured, and a given limit is missed. 2: wrong input. 3: the board or the machine failed;
    what was measured is kept, go on with --resume. 4: wrong key, or another board behind the address.

    Examples:

      mww-bench measure --board virtual --model alexa.json --wake clips/ --none tv_evening.flac --report

      mww-bench measure --board desk --model alexa.json --wake clips/ --firmware runs/firmware/desk --min-recall 0.9

      mww-bench measure --board desk --model alexa.json --corpus office.yaml --calibration calibration.json --dry-run
    """
    from rich.console import Console

    from harness.air.settings import AirOptions, SyntheticRoom
    from harness.session.measure import RequiredRates, plan_only
    from harness.session.measure import measure as measure_on_board
    from harness.session.request import SessionRequest
    from harness.session.table import duration_words, plan_table, session_table

    if room_noise is not None and room_rt60 is None:
        raise ConfigError(
            "--room-noise is noise in a computed room; give --room-rt60 too, 0 for a room without reverberation"
        )

    request = SessionRequest(
        board=board,
        model=model,
        wake=tuple(wake or ()),
        none=tuple(none or ()),
        boards=boards,
        firmware=firmware,
        flash=flash,
        output=output,
        seed=seed,
        cutoff=cutoff,
        provenance=provenance,
        realtime=realtime,
        known_positive=known_positive,
        resume=resume,
        margin=margin,
        reconnect_timeout=reconnect_timeout,
        corpus=corpus,
        air=AirOptions(
            speaker=speaker,
            microphone=microphone,
            gain_db=gain_db,
            room=None if room_rt60 is None else SyntheticRoom(rt60_seconds=room_rt60, noise_dbfs=room_noise, seed=seed),
            calibration=calibration,
            gains=tuple(gain or ()),
        ),
        command=("mww-bench", *sys.argv[1:]),
    )
    if dry_run:
        plan = plan_only(request, lambda text: print(text, file=sys.stderr))
        Console(width=None if sys.stdout.isatty() else TERMINAL_WIDTH).print(plan_table(plan))
        print(f"{duration_words(plan)}; nothing was played.")
        return
    measured = measure_on_board(request, lambda text: print(text, file=sys.stderr))
    Console(width=None if sys.stdout.isatty() else TERMINAL_WIDTH).print(session_table(measured.result))
    print(f"Result: {measured.result_path.absolute()}")
    if report:
        from harness.results.report import write_report
        from wakeword.progress import working

        page = measured.folder / "report.html"
        with working("making the report"):
            write_report([measured.result], page, max_clips=12)
        print(f"Report: {page.absolute()}")
    RequiredRates(min_recall, max_fah).check(measured.result)


@bench_app.command(name="boards")
@reports_errors
def list_boards(
    boards: Annotated[
        Path | None, typer.Option(help="The inventory. (default: $MWW_BOARDS, or boards.yaml where it exists)")
    ] = None,
) -> None:
    """List the boards of the inventory and who uses them."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from harness.session.measure import board_rows

    table = Table()
    for column in ("board", "kind", "target", "identity", "room", "in use by"):
        table.add_column(column, overflow="fold")
    for entry, holder in board_rows(boards):
        cells = (entry.name, entry.kind, entry.target, entry.mac or entry.usb_serial or "", entry.room or "", holder)
        table.add_row(*(Text(cell) for cell in cells))
    Console(width=None if sys.stdout.isatty() else TERMINAL_WIDTH).print(table)


def _check_outputs(outputs: Sequence[Path], inputs: Sequence[Path]) -> None:
    """Raise `ConfigError` for an output that cannot be written, or that is an input or another output: before the work,
    not after it.
    """
    from wakeword.files import check_writable

    taken = {path.resolve() for path in inputs}
    for output in outputs:
        check_writable(output)
        if output.resolve() in taken:
            raise ConfigError(
                f"{output}: would be overwritten, but it is also an input or another output; give it another name"
            )
        taken.add(output.resolve())


def _default_label(audio: list[Path]) -> str:
    return ", ".join(dict.fromkeys(path.stem if path.is_file() else path.resolve().name for path in audio))
