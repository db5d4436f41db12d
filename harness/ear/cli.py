"""`mww-bench record` and `mww-bench capture`: parse, ask for consent, call, print."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from wakeword.command_line import reports_errors
from wakeword.errors import ConfigError

Board = Annotated[str, typer.Option(help="Name of the board in boards.yaml; 'virtual' is there without one.")]
Boards = Annotated[
    Path | None, typer.Option(help="The inventory. (default: $MWW_BOARDS, or boards.yaml where it exists)")
]
RunningFirmware = Annotated[
    Path | None,
    typer.Option(help="Folder of mww-firmware build --digital, of what the board runs: its API key (or MWW_API_KEY)."),
]
HoldsOption = Annotated[
    Literal["wake", "none", "unknown"],
    typer.Option(
        help=(
            "What is said while it listens: the wake word and nothing else (of capture into positive/, of record into"
            " unsorted/: cut it first), anything but the wake word (into hard_negative/), or you cannot tell (into"
            " unsorted/)."
        )
    ),
]
Yes = Annotated[
    bool, typer.Option("--yes", help="All who can be heard have agreed; for scripts, which nobody can be asked in.")
]


@reports_errors
def record(
    board: Board,
    output: Annotated[Path, typer.Option(help="Dataset folder; recordings are added to it.")],
    boards: Boards = None,
    firmware: RunningFirmware = None,
    seconds: Annotated[float, typer.Option(min=1, max=86_400, help="How long, where nothing is played.")] = 60.0,
    holds: HoldsOption = "unknown",
    play: Annotated[
        list[Path] | None,
        typer.Option(
            help=(
                "Recordings of the wake word to play to the board: file, folder or list. What was played, what its"
                " microphone heard and what it detected are then compared; needs --model."
            )
        ),
    ] = None,
    model: Annotated[Path | None, typer.Option(help="ESPHome V2 manifest (.json), for --play.")] = None,
    speaker: Annotated[
        str | None, typer.Option(help="Playing device of this machine, for --play. (default: the one in boards.yaml)")
    ] = None,
    yes: Yes = False,
) -> None:
    """Record what a board's own microphone hears, as its detection hears it: with its channel and its gain.

    One WAV file, and a row in kept.csv: when, which board, how long, whether sound was lost, how consent was given.
    Nothing leaves this machine.

    Examples:

      mww-bench record --board desk --firmware runs/digital --output heard --seconds 300 --holds none

      mww-bench record --board desk --firmware runs/digital --output heard --play people/ --model okay_house.json
    """
    from firmware.boards.registry import kind_of
    from harness.ear.consent import ask_consent
    from harness.ear.listening import find_station, run_held
    from harness.ear.loss import LOSS_FILE, loss_lines
    from harness.ear.record import RecordRequest
    from harness.ear.record import record as record_sound
    from harness.session.measure import require_client
    from wakeword.corpus.recordings import find_recordings
    from wakeword.device_model import load_model
    from wakeword.records import write_record

    require_client()
    if play and model is None:
        raise ConfigError("--play needs --model: it is the model that tells what is lost")
    if model is not None and not play:
        raise ConfigError("--model has a meaning only with --play")
    entry, built = find_station(board, boards, firmware)
    loaded = None if model is None else load_model(model)
    played = tuple(find_recordings(play)) if play else ()
    what = (
        f"It is recorded for {seconds:g} s." if not played else f"It is recorded while {len(played)} words are played."
    )
    consent = "a program hears no room" if kind_of(entry).runs_here else ask_consent(board, what, output, yes=yes)
    request = RecordRequest(output, seconds, "wake" if played else holds, consent, played, loaded, speaker)

    def say(text: str) -> None:
        print(text, file=sys.stderr)

    done = run_held(entry, lambda: record_sound(entry, built, request, say))
    if done.loss is not None:
        words = output / f"{done.path.stem}_{LOSS_FILE}"
        write_record(done.loss, words)
        for line in loss_lines(done.loss):
            print(line)
        print(f"Words: {words.absolute()}")
    lost = f", {done.row.lost_samples} samples lost" if done.row.lost_samples else ""
    print(f"Recording: {done.path.absolute()}, {done.row.seconds:.1f} s{lost}")


@reports_errors
def capture(
    board: Board,
    output: Annotated[Path, typer.Option(help="Dataset folder; what is kept is added to it.")],
    boards: Boards = None,
    firmware: RunningFirmware = None,
    seconds: Annotated[
        float | None, typer.Option(min=1, help="How long it listens. (default: until it is interrupted)")
    ] = None,
    most: Annotated[int | None, typer.Option(min=1, help="End after so many detections.")] = None,
    before: Annotated[float, typer.Option(min=0.5, max=20, help="Seconds kept before each detection.")] = 2.0,
    after: Annotated[float, typer.Option(min=0, max=20, help="Seconds kept after it.")] = 0.5,
    holds: HoldsOption = "unknown",
    yes: Yes = False,
) -> None:
    """Keep the seconds around each detection of a board, as its own microphone heard them.

    They go into the folders of a dataset, with a row in kept.csv each: when, which board, which model, how sure it was,
    how consent was given. Sound without a detection is not kept. Nothing leaves this machine.

    Examples:

      mww-bench capture --board kitchen --firmware runs/digital --output heard --holds none --seconds 36000 --yes

      mww-bench capture --board desk --firmware runs/digital --output heard --holds wake --most 20
    """
    from firmware.boards.registry import kind_of
    from harness.ear.capture import CaptureRequest
    from harness.ear.capture import capture as capture_sound
    from harness.ear.consent import ask_consent
    from harness.ear.kept import TABLE_NAME
    from harness.ear.listening import find_station, run_held
    from harness.results.wording import number
    from harness.session.measure import require_client

    require_client()
    entry, built = find_station(board, boards, firmware)
    how_long = f"for {seconds:g} s" if seconds is not None else "until you interrupt it"
    what = (
        f"It is listened to {how_long}. Of it, {before:g} s before and {after:g} s after each detection are kept,"
        " nothing else."
    )
    consent = "a program hears no room" if kind_of(entry).runs_here else ask_consent(board, what, output, yes=yes)
    request = CaptureRequest(output, holds, consent, before, after, seconds, most)
    kept = run_held(entry, lambda: capture_sound(entry, built, request, print))
    print(f"{number(len(kept), 'detection')} kept in {output.absolute()}; {TABLE_NAME} says where each is from")
