"""`mww-bench calibrate`: parse, call, print. The harness attaches it to its command."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from wakeword.command_line import reports_errors
from wakeword.errors import ConfigError


@reports_errors
def calibrate(
    speaker: Annotated[
        str | None, typer.Option(help="Name of the loudspeaker, or a part of it that only it has.")
    ] = None,
    microphone: Annotated[str | None, typer.Option(help="Name of the measuring microphone, or a part of it.")] = None,
    speaker_rate: Annotated[
        int | None, typer.Option(help="Native rate of the loudspeaker's converter, Hz. (default: what the system says)")
    ] = None,
    microphone_rate: Annotated[
        int | None, typer.Option(help="Native rate of the microphone's converter, Hz. (default: what the system says)")
    ] = None,
    output: Annotated[
        Path, typer.Option(help="The calibration file; its filter and impulse response are written beside it.")
    ] = Path("calibration.json"),
    steps: Annotated[
        str | None,
        typer.Option(
            help=(
                "What to do, of calibrator,noise,sweep,level. (default: all; with --sensitivity all but the calibrator)"
            )
        ),
    ] = None,
    calibrator_level: Annotated[
        float, typer.Option(help="Level that is printed on the calibrator, dB SPL at 1 kHz.")
    ] = 94.0,
    sensitivity: Annotated[
        float | None,
        typer.Option(
            help="dB SPL that full scale (an rms of 1.0) of the microphone stands for, where no calibrator measures it."
        ),
    ] = None,
    microphone_curve: Annotated[
        Path | None, typer.Option(help="The maker's response of the microphone: lines of Hz and dB.")
    ] = None,
    level: Annotated[float, typer.Option(help="Level at the board to set, dB SPL.")] = 65.0,
    weighting: Annotated[Literal["A", "C", "Z"], typer.Option(help="Frequency weighting of that level.")] = "A",
    sweep_level: Annotated[float, typer.Option(help="Level of the sweep, dBFS.")] = -20.0,
    eq: Annotated[
        bool, typer.Option("--eq/--no-eq", help="Flatten the loudspeaker by an inverse filter, or leave it as it is.")
    ] = True,
    max_boost: Annotated[float, typer.Option(help="Highest gain of the inverse filter, dB.")] = 10.0,
    gain: Annotated[
        list[str] | None,
        typer.Option(help="A knob and its setting, KNOB=SETTING; may be repeated. A session with others is refused."),
    ] = None,
    room: Annotated[str | None, typer.Option(help="Name of the room, as in boards.yaml.")] = None,
    geometry: Annotated[str | None, typer.Option(help="Where loudspeaker, board and microphone stand.")] = None,
    valid_days: Annotated[float, typer.Option(help="Days after which it has to be done again.")] = 30.0,
    report: Annotated[
        Literal["html", "plots", "none"], typer.Option(help="A page, pictures (SVG), or neither beside the file.")
    ] = "html",
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not wait for Enter: everything is in place. Not with a calibrator.")
    ] = False,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="Rehearse with a computed loudspeaker, room, microphone and calibrator.")
    ] = False,
) -> None:
    """Measure loudspeaker, room and microphone, set the level at the board, and write it all into a calibration file.

    Exit code 0: written. 2: wrong input, or a level that these gains do not reach. 3: a device failed, nothing was
    heard, or the microphone drifted. Nothing is written then.

    Examples:

      mww-bench calibrate --simulate --output rehearsal/calibration.json

      mww-bench calibrate --speaker "KH 80" --microphone UMIK --gain amplifier=-12dB --room office

      mww-bench calibrate --speaker "KH 80" --microphone UMIK --steps noise,sweep,level --sensitivity 121.3 --no-eq
    """
    if simulate == any(choice is not None for choice in (speaker, microphone, speaker_rate, microphone_rate)):
        raise ConfigError("give --speaker and --microphone, or --simulate alone")
    if not simulate and (speaker is None or microphone is None):
        raise ConfigError("give both --speaker and --microphone; `python -m sounddevice` lists the devices")
    from bench_audio.calibration.calibration_file import Circumstances
    from bench_audio.calibration.flow import CalibrationSettings
    from bench_audio.calibration.run import CalibrationRequest, chosen_steps, run, stated_gains
    from wakeword.progress import plain_lines, stderr

    settings = CalibrationSettings(
        steps=chosen_steps(steps, sensitivity is not None),
        calibrator_spl=calibrator_level,
        full_scale_spl=sensitivity,
        microphone_curve=microphone_curve,
        equalize=eq,
        max_boost_db=max_boost,
        level_spl=level,
        weighting=weighting,
        sweep_dbfs=sweep_level,
    )
    if yes and not simulate and "calibrator" in settings.steps:
        raise ConfigError("--yes: a calibrator is put on and taken off by hand; leave --yes out, or give --sensitivity")
    request = CalibrationRequest(
        settings=settings,
        speaker=speaker,
        microphone=microphone,
        speaker_rate=speaker_rate,
        microphone_rate=microphone_rate,
        output=output,
        circumstances=Circumstances(
            stated_gains(gain or []), room, geometry, valid_days, shlex.join(("mww-bench", *sys.argv[1:]))
        ),
        report=report,
    )
    with plain_lines(stderr()) as plain:
        plain.stands("calibrating")
        written = run(request, _tell if yes or simulate else _wait, _tell)
    for path in written:
        print(f"Written: {path.absolute()}")


def _wait(text: str) -> None:
    try:
        input(f"{text} Then press Enter. ")
    except EOFError:
        raise ConfigError("there is no terminal to press Enter on; put everything in place and give --yes") from None


def _tell(text: str) -> None:
    print(text, flush=True)  # a log shows each step when it happens
