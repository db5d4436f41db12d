"""One calibration from devices' names to files."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench_audio.calibration.document import DEFAULT_VALID_DAYS, Circumstances, save
from bench_audio.calibration.flow import STEPS, Hands, Moment, Settings, Step, measure
from bench_audio.calibration.plots import draw_plots
from bench_audio.calibration.report import write_page, write_plots
from bench_audio.duplex import Duplex
from wakeword.errors import ConfigError
from wakeword.files import check_writable


@dataclass(frozen=True)
class Request:
    """What the user asks for. Without `speaker` and `microphone` everything is simulated."""

    settings: Settings
    speaker: str | None
    microphone: str | None
    output: Path
    gains: dict[str, str]
    room: str | None = None
    geometry: str | None = None
    speaker_rate: int | None = None
    """Native rate in Hz; None for the one that the system says."""
    microphone_rate: int | None = None
    valid_days: float = DEFAULT_VALID_DAYS
    report: Literal["html", "plots", "none"] = "html"
    command: str = ""


def run(request: Request, wait: Callable[[str], None], say: Callable[[str], None]) -> list[Path]:
    """Calibrate and write the files; return those a user opens. `wait` shows a text and returns when the user has done it.

    Raises as `flow.measure` does, and `ConfigError` for a device that is not there or an output that cannot be written: before any sound is made.
    """
    check_writable(request.output)
    page = request.output.with_suffix(".html")
    if request.report == "html":
        if page == request.output:
            raise ConfigError(f"{page}: the report's page has this name; give the calibration file another one, such as {page.with_suffix('.json')}")
        check_writable(page)
    circumstances = Circumstances(request.gains, request.room, request.geometry, request.valid_days, request.command)
    duplex, hands = _rig(request, wait)
    measured = measure(duplex, request.settings, hands, say)
    calibration = save(measured, duplex, circumstances, request.output)
    written = [request.output]
    if request.report != "none":
        plots = draw_plots(calibration, None if measured.swept is None else measured.swept.room)
        if request.report == "plots":
            written += write_plots(plots, request.output.parent, request.output.stem)
        else:
            write_page(calibration, plots, page)
            written.append(page)
    return written


def chosen_steps(text: str | None, sensitivity_stated: bool) -> tuple[Step, ...]:
    """Steps from a list with commas, in the order in which they are done; without one all that make sense.

    Raises `ConfigError` for a step that there is not.
    """
    if text is None:
        return tuple(step for step in STEPS if step != "calibrator" or not sensitivity_stated)
    words = [word.strip() for word in text.split(",") if word.strip()]
    for word in words:
        if word not in STEPS:
            near = difflib.get_close_matches(word, STEPS, 1)
            raise ConfigError(f"--steps {word}: no such step; {f'did you mean {near[0]}?' if near else 'choose from ' + ', '.join(STEPS)}")
    return tuple(step for step in STEPS if step in words)


def stated_gains(texts: Sequence[str]) -> dict[str, str]:
    """Gains from texts `KNOB=SETTING`. Raises `ConfigError` for one of another form, or a knob stated twice."""
    gains: dict[str, str] = {}
    for text in texts:
        knob, sign, setting = (part.strip() for part in text.partition("="))
        if not (knob and sign and setting):
            raise ConfigError(f"--gain {text}: give KNOB=SETTING, such as amplifier=-12dB")
        if knob in gains:
            raise ConfigError(f"--gain {knob}: stated twice")
        gains[knob] = setting
    return gains


def _rig(request: Request, wait: Callable[[str], None]) -> tuple[Duplex, Hands]:
    if request.speaker is None or request.microphone is None:
        from bench_audio.simulated_rig import Rig, SimulatedRig

        simulated = SimulatedRig(Rig())

        def computed_hands(moment: Moment, text: str) -> None:
            wait(text)
            simulated.calibrator_spl = request.settings.calibrator_spl if moment in ("calibrator on", "calibrator again") else None

        return simulated, computed_hands
    from bench_audio.devices import find_device
    from bench_audio.sound_card import SoundCard

    speaker = find_device(request.speaker, "output", request.speaker_rate)
    microphone = find_device(request.microphone, "input", request.microphone_rate)
    return SoundCard(speaker, microphone), lambda _, text: wait(text)
