"""`mww-bench diagnose`: parse, call, print."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from wakeword.command_line import reports_errors
from wakeword.errors import InfrastructureError, MeasurementFailure

_COLOURS = {"fault": "bold red", "good": "green", "note": "yellow", "not looked at": "dim"}


@reports_errors
def diagnose(
    board: Annotated[str, typer.Option(help="Name of the board in boards.yaml; 'virtual' is there without one.")],
    model: Annotated[Path, typer.Option(help="ESPHome V2 manifest (.json) of the model that should wake.")],
    boards: Annotated[
        Path | None, typer.Option(help="The inventory. (default: $MWW_BOARDS, or boards.yaml where it exists)")
    ] = None,
    firmware: Annotated[
        Path | None,
        typer.Option(help="Folder of mww-firmware build, of what the board runs. (default for a virtual board: built)"),
    ] = None,
    probe: Annotated[
        Path | None,
        typer.Option(help="A recording of the wake word that the simulation detects. (default: one of --data)"),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help=(
                "What the model was trained on: the folder of its run, or recordings of the wake word (file, folder or"
                " list). Levels and spectrum are compared with it."
            )
        ),
    ] = None,
    speaker: Annotated[
        str | None,
        typer.Option(help="Playing device of this machine, for the probe. (default: the one in boards.yaml)"),
    ] = None,
    listen: Annotated[
        float, typer.Option(min=1, max=600, help="Seconds for your voice, where no loudspeaker plays the probe.")
    ] = 8.0,
    output: Annotated[
        Path | None, typer.Option(help="Folder of the page. (default: runs/diagnoses/TIME-BOARD)")
    ] = None,
    rehearse: Annotated[
        Literal["quiet", "noisy", "clipped", "empty-channel", "wrong-rate", "disabled", "stopped"] | None,
        typer.Option(help="Plant a fault into a virtual board, to see what is said of it."),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="All who can be heard have agreed; for scripts, which nobody can be asked in.")
    ] = False,
) -> None:
    """Why did it not wake? Ask a board, play to it, listen to what its microphone hears; one page says what is wrong.

    The page is diagnosis.html. What the board's microphone hears is told by a firmware that was built with --digital;
    of any other one only its answers are known. What was heard is not kept. It asks whether all who can be heard agree.

    Exit code 0: no fault was found. 1: one was; the last line names it. 3: the board does not answer, or nobody spoke.

    Examples:

      mww-bench diagnose --board desk --model okay_house.json --firmware runs/digital --data runs/okay_house

      mww-bench diagnose --board virtual --model okay_house.json --probe okay_house.wav --rehearse clipped
    """
    from rich.table import Table
    from rich.text import Text

    from firmware.boards.inventory import find_board, inventory_path
    from firmware.boards.registry import kind_of
    from harness.diagnosis.examination import MOST_TRIES, NOISE_SECONDS
    from harness.diagnosis.flow import diagnose as examine
    from harness.diagnosis.microphone import SILENCE
    from harness.diagnosis.record import make_diagnosis, sentence, write_diagnosis
    from harness.diagnosis.request import DiagnosisRequest
    from harness.ear.consent import ask_consent
    from harness.terminal import stdout

    kind = kind_of(find_board(board, inventory_path(boards)))
    if not kind.runs_here:
        heard = f"then while the probe is played, up to {MOST_TRIES} times, or for {listen:g} s without a loudspeaker"
        ask_consent(board, f"It is listened to for {NOISE_SECONDS:g} s, {heard}.", None, yes=yes)
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
    folder = output or Path("runs") / "diagnoses" / f"{stamp}-{board}"
    request = DiagnosisRequest(
        board, model, folder, boards, firmware, probe, data, listen_seconds=listen, speaker=speaker, rehearse=rehearse
    )
    diagnosis = make_diagnosis(examine(request, lambda text: print(text, file=sys.stderr)), kind.source, rehearse)
    page = write_diagnosis(diagnosis, folder)
    table = Table("", "What", "Found", title=Text(f"{board}, {diagnosis.wake_word}"), title_justify="left")
    for one in diagnosis.findings:
        more = f"\n{one.remedy}" if one.remedy else ""
        table.add_row(Text(one.status, _COLOURS[one.status]), Text(one.about), Text(f"{one.found}{more}"))
    stdout().print(table)
    print(f"Page: {page.absolute()}")
    if diagnosis.faults:
        raise MeasurementFailure(f"board {board!r}: {diagnosis.verdict}")
    if any(one.kind == SILENCE for one in diagnosis.findings):
        raise InfrastructureError(f"board {board!r}: nobody spoke, or its microphone is too quiet to tell")
    print(sentence(diagnosis))
