"""A calibration in pictures: response, decay, distortion, noise. Drawn by matplotlib without its global state, the same
bytes for the same data.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench_audio.calibration.calibration_file import Calibration, SweepResponse
from bench_audio.calibration.equalizer import Curve
from bench_audio.calibration.levels import NoiseFloor
from bench_audio.calibration.reverberation import Decay, DecayCurve, Reverberation
from bench_audio.calibration.sweep import Distortion

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK, _MUTED, _RULE, _ACCENT, _SECOND, _WASH = "#1d2126", "#5a626c", "#c9ccd0", "#1f5f8b", "#a2522a", "#e3edf3"
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "calibration",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "axes.edgecolor": _RULE,
    "axes.labelcolor": _MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlepad": 12,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _RULE,
    "grid.linewidth": 0.4,
    "text.color": _INK,
    "xtick.color": _RULE,
    "ytick.color": _RULE,
    "xtick.labelcolor": _MUTED,
    "ytick.labelcolor": _MUTED,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}
_INCHES = (7.6, 3.9)
_HZ_TICKS = (50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000)


@dataclass(frozen=True)
class CalibrationPlot:
    """One picture."""

    name: str
    """For a file."""
    svg: str
    caption: str


def draw_plots(calibration: Calibration, decays: Sequence[DecayCurve]) -> list[CalibrationPlot]:
    """All pictures for which the calibration has something to show; `decays` are the curves of its reverberation, which
    a file does not keep.
    """
    plots: list[CalibrationPlot] = []
    if calibration.response is not None:
        plots.append(_response_plot(calibration.response))
    if calibration.reverberation is not None and any(curve.times.size for curve in decays):
        plots.append(_decay_plot(calibration.reverberation, decays))
    if calibration.distortion is not None and calibration.response is not None:
        plots.append(_distortion_plot(calibration.distortion, calibration.response))
    if calibration.noise is not None:
        plots.append(_noise_plot(calibration.noise))
    return plots


def _response_plot(response: SweepResponse) -> CalibrationPlot:
    def paint(axes: Axes) -> None:
        axes.axvspan(*response.band_hz, color=_WASH, linewidth=0, zorder=0)
        axes.axhline(0, color=_RULE, linewidth=1)
        _line(axes, response.before, _SECOND, "as it is" if response.after else "response")
        if response.after is not None:
            _line(axes, response.after, _ACCENT, "through the inverse filter")
            axes.legend(loc="lower center", ncols=2)
        _hertz(axes, response.before.frequencies_hz)
        shown = [level for curve in (response.before, response.after) if curve for level in curve.levels_db]
        axes.set_ylim(max(min(shown) - 5, -35), max(*shown, 4.0) + 3)
        axes.set_ylabel("level, dB")

    low, high = response.band_hz
    words = [f"As it is {response.before.highest_db:+.1f}/{response.before.lowest_db:+.1f} dB"]
    if response.after is not None:
        words.append(
            f"through the inverse filter {response.after.highest_db:+.1f}/{response.after.lowest_db:+.1f} dB, measured"
            " by a second sweep"
        )
    caption = (
        f"{'; '.join(words)}, from {low:g} Hz to {high / 1000:g} kHz (shaded). Averaged over 1/{response.smoothing}"
        " octave; 0 dB is the mean within the band."
    )
    return CalibrationPlot("response", _svg("Response of loudspeaker and room at the microphone", paint), caption)


def _line(axes: Axes, curve: Curve, color: str, label: str) -> None:
    axes.plot(curve.frequencies_hz, curve.levels_db, color=color, label=label)


def _decay_plot(room: Reverberation, decays: Sequence[DecayCurve]) -> CalibrationPlot:
    shown = [(band, curve) for band, curve in zip(room.bands, decays, strict=True) if curve.times.size]

    def paint(axes: Axes) -> None:
        for band, curve in shown:
            main = band.centre_hz in (500.0, 1000.0)
            color = {500.0: _SECOND, 1000.0: _ACCENT}.get(band.centre_hz, _MUTED)
            axes.plot(
                curve.times,
                curve.levels,
                color=color,
                linewidth=1.8 if main else 0.7,
                alpha=1 if main else 0.6,
                label=_octave(band) if main else None,
            )
            if main and band.seconds is not None:
                times = np.array([0.0, 65 / 60 * band.seconds])
                axes.plot(
                    times, curve.offset_db - 60 * times / band.seconds, color=color, linewidth=1, linestyle=(0, (4, 3))
                )
        axes.set_ylim(-65, 2)
        longest = max([band.seconds or 0 for band, _ in shown])
        axes.set_xlim(0, 1.15 * longest if longest else float(max(curve.times[-1] for _, curve in shown)))
        axes.set_xlabel("time since the direct sound, s")
        axes.set_ylabel("energy still to come, dB")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="upper right")

    mid = (
        "The mean of 500 Hz and 1 kHz could not be told above the noise"
        if room.mid_seconds is None
        else f"RT60 {room.mid_seconds:.2f} s (mean of 500 Hz and 1 kHz)"
    )
    caption = (
        f"{mid}. Lines: Schroeder's backward integration of each octave band, noise compensated; dashed: the fit that"
        " the time is read from."
    )
    return CalibrationPlot("decay", _svg("Decay of sound in the room", paint), caption)


def _octave(band: Decay) -> str:
    name = f"{band.centre_hz:g} Hz" if band.centre_hz < 1000 else f"{band.centre_hz / 1000:g} kHz"
    return f"{name}: not to be told" if band.seconds is None else f"{name}: {band.seconds:.2f} s ({band.evaluation})"


def _distortion_plot(distortion: Distortion, response: SweepResponse) -> CalibrationPlot:
    def paint(axes: Axes) -> None:
        axes.plot(
            distortion.frequencies_hz,
            distortion.percent,
            color=_ACCENT,
            marker="o",
            markersize=3.5,
            label="harmonics 2 to 5",
        )
        axes.plot(
            distortion.frequencies_hz,
            distortion.floor_percent,
            color=_MUTED,
            linewidth=1,
            linestyle=(0, (4, 3)),
            label="noise floor: what noise alone reads as",
        )
        axes.set_yscale("log")
        lowest = min(min(distortion.percent), min(distortion.floor_percent))
        axes.set_ylim(max(lowest / 2, 1e-4), max(*distortion.percent, 1.0) * 3)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        _hertz(axes, distortion.frequencies_hz)
        axes.set_xlabel("frequency of the fundamental, Hz")
        axes.set_ylabel("total harmonic distortion, %")
        axes.legend(loc="upper right", ncols=2)

    level = f"{response.sweep_dbfs:g} dBFS, {response.sweep_spl:.1f} dBC at the microphone"
    caption = f"At a sweep of {level}. Where both lines meet, no distortion was measured, only its bound."
    return CalibrationPlot("distortion", _svg("Distortion of the loudspeaker", paint), caption)


def _noise_plot(noise: NoiseFloor) -> CalibrationPlot:
    centres = [band.centre_hz for band in noise.bands]
    levels = [band.spl for band in noise.bands]

    def paint(axes: Axes) -> None:
        bottom = 5 * np.floor(min(levels) / 5) - 5
        top = max(max(levels) + 5, bottom + 30)
        edges = [centre * 10**0.05 - centre * 10**-0.05 for centre in centres]
        axes.bar(
            centres,
            [level - bottom for level in levels],
            width=[0.86 * edge for edge in edges],
            bottom=bottom,
            color=_ACCENT,
            linewidth=0,
        )
        _hertz(axes, centres)
        axes.set_ylim(bottom, top)
        axes.set_ylabel("level of the third octave, dB SPL")

    caption = (
        f"{noise.la_eq:.1f} dBA and {noise.lc_eq:.1f} dBC (equivalent levels over {noise.seconds:.0f} s). The bands are"
        " unweighted."
    )
    return CalibrationPlot("noise", _svg("Noise floor of the room", paint), caption)


def _hertz(axes: Axes, frequencies: Sequence[float]) -> None:
    low, high = min(frequencies) / 1.08, max(frequencies) * 1.08
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    ticks = [tick for tick in _HZ_TICKS if low <= tick <= high]
    axes.set_xticks(ticks, [f"{tick}" if tick < 1000 else f"{tick // 1000}k" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("frequency, Hz")


def _svg(title: str, paint: Callable[[Axes], None]) -> str:
    from matplotlib import style
    from matplotlib.figure import Figure

    buffer = io.StringIO()
    with style.context(["default", _STYLE]):
        figure = Figure(figsize=_INCHES, layout="constrained")
        axes = figure.subplots()
        axes.set_title(title)
        paint(axes)
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return buffer.getvalue()
