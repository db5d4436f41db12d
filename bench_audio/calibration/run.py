"""One calibration from devices' names to files."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bench_audio.calibration.calibration_file import Calibration, Circumstances, save
from bench_audio.calibration.flow import STEPS, CalibrationSettings, Moment, Prompt, Step, measure
from bench_audio.calibration.plots import CalibrationPlot, draw_plots
from bench_audio.duplex import Duplex
from wakeword.complaints import nearest
from wakeword.errors import ConfigError
from wakeword.files import check_writable, write_atomically
from wakeword.pages import render_page


@dataclass(frozen=True)
class CalibrationRequest:
    """What the user asks for. Without `speaker` and `microphone` everything is simulated."""

    settings: CalibrationSettings
    speaker: str | None
    microphone: str | None
    output: Path
    circumstances: Circumstances = field(default_factory=Circumstances)
    speaker_rate: int | None = None
    """Native rate in Hz; None for the one that the system says."""
    microphone_rate: int | None = None
    report: Literal["html", "plots", "none"] = "html"


def run(request: CalibrationRequest, wait: Callable[[str], None], say: Callable[[str], None]) -> list[Path]:
    """Calibrate and write the files; return those a user opens. `wait` shows a text and returns when the user has done
    it.

    Raises as `flow.measure` does, and `ConfigError` for a device that is not there or an output that cannot be written:
    before any sound is made.
    """
    check_writable(request.output)
    page = request.output.with_suffix(".html")
    if request.report == "html":
        if page == request.output:
            raise ConfigError(
                f"{page}: the report's page has this name; give the calibration file another one, such as"
                f" {page.with_suffix('.json')}"
            )
        check_writable(page)
    duplex, prompt = _rig(request, wait)
    measured = measure(duplex, request.settings, prompt, say)
    calibration = save(measured, duplex, request.circumstances, request.output)
    if request.report == "none":
        return [request.output]
    plots = draw_plots(calibration, () if measured.swept is None else measured.swept.decays)
    if request.report == "html":
        write_page(calibration, plots, page)
        return [request.output, page]
    pictures = {request.output.with_name(f"{request.output.stem}-{plot.name}.svg"): plot.svg for plot in plots}
    for path, picture in pictures.items():
        write_atomically(path, picture)
    return [request.output, *pictures]


def write_page(calibration: Calibration, plots: Sequence[CalibrationPlot], path: Path) -> None:
    """Write the page: figures, pictures and what it all holds for. It loads nothing from anywhere."""
    pictures = [
        {
            "source": f"data:image/svg+xml;base64,{base64.b64encode(plot.svg.encode()).decode()}",
            "name": plot.name,
            "caption": plot.caption,
        }
        for plot in plots
    ]
    write_atomically(
        path,
        render_page(
            "bench_audio.calibration", "calibration.html.j2", {"calibration": calibration, "pictures": pictures}
        ),
    )


def chosen_steps(text: str | None, sensitivity_stated: bool) -> tuple[Step, ...]:
    """Steps from a list with commas, in the order in which they are done; without one all that make sense.

    Raises `ConfigError` for a step that there is not.
    """
    if text is None:
        return tuple(step for step in STEPS if step != "calibrator" or not sensitivity_stated)
    words = [word.strip() for word in text.split(",") if word.strip()]
    for word in words:
        if word not in STEPS:
            raise ConfigError(f"--steps {word}: no such step; {nearest(word, STEPS, 'choose from')}")
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


def _rig(request: CalibrationRequest, wait: Callable[[str], None]) -> tuple[Duplex, Prompt]:
    if request.speaker is None or request.microphone is None:
        from bench_audio.simulated_rig import Rig, SimulatedRig

        simulated = SimulatedRig(Rig())

        def computed_prompt(moment: Moment, text: str) -> None:
            wait(text)
            simulated.calibrator_spl = (
                request.settings.calibrator_spl if moment in ("calibrator on", "calibrator again") else None
            )

        return simulated, computed_prompt
    from bench_audio.devices import find_device
    from bench_audio.sound_card import SoundCard

    speaker = find_device(request.speaker, "output", request.speaker_rate)
    microphone = find_device(request.microphone, "input", request.microphone_rate)
    return SoundCard(speaker, microphone), lambda _, text: wait(text)
