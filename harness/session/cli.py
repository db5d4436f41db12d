"""`mww-bench measure` and `mww-bench boards`: parse, call, print."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from wakeword.command_line import reports_errors
from wakeword.errors import ConfigError


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
    source: Annotated[
        Literal["air", "digital"],
        typer.Option(
            help=(
                "air: a loudspeaker (a virtual board may do without). digital: samples over the network, to a firmware"
                " that was built with --digital; no room and no microphone."
            )
        ),
    ] = "air",
    deliver: Annotated[
        bool,
        typer.Option(
            "--deliver",
            help=(
                "Bring the model to the running firmware over the network before each leg, and flash nothing: for"
                " --source digital, with --firmware for what the board runs."
            ),
        ),
    ] = False,
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

      mww-bench measure --board desk --model alexa.json --none evening.flac --source digital --firmware runs/digital

      mww-bench measure --board desk --model alexa.json --corpus office.yaml --calibration calibration.json --dry-run
    """
    from harness.air.settings import AirOptions, SyntheticRoom
    from harness.session.measure import RequiredRates, plan_only
    from harness.session.measure import measure as measure_on_board
    from harness.session.request import SessionRequest
    from harness.session.table import duration_words, plan_table, session_table
    from harness.terminal import stdout

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
        digital=source == "digital",
        deliver=deliver,
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
        stdout().print(plan_table(plan))
        print(f"{duration_words(plan)}; nothing was played.")
        return
    measured = measure_on_board(request, lambda text: print(text, file=sys.stderr))
    stdout().print(session_table(measured.result))
    print(f"Result: {measured.result_path.absolute()}")
    if report:
        from harness.results.report import write_report
        from wakeword.progress import working

        page = measured.folder / "report.html"
        with working("making the report"):
            write_report([measured.result], page, max_clips=12)
        print(f"Report: {page.absolute()}")
    RequiredRates(min_recall, max_fah).check(measured.result)


@reports_errors
def list_boards(
    boards: Annotated[
        Path | None, typer.Option(help="The inventory. (default: $MWW_BOARDS, or boards.yaml where it exists)")
    ] = None,
) -> None:
    """List the boards of the inventory and who uses them."""
    from rich.table import Table
    from rich.text import Text

    from harness.session.measure import board_rows
    from harness.terminal import stdout

    table = Table()
    for column in ("board", "kind", "target", "identity", "room", "in use by"):
        table.add_column(column, overflow="fold")
    for entry, holder in board_rows(boards):
        cells = (entry.name, entry.kind, entry.target, entry.mac or entry.usb_serial or "", entry.room or "", holder)
        table.add_row(*(Text(cell) for cell in cells))
    stdout().print(table)
