"""The steps of a calibration, in their order: calibrator, noise, sweep, sweep through the inverse, level, calibrator
again.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bench_audio import signals
from bench_audio.calibration.equalizer import (
    MAX_BOOST_DB,
    Curve,
    InverseFilter,
    check_boost,
    design_inverse,
    response_curve,
    within,
)
from bench_audio.calibration.levels import (
    BandLevel,
    LevelAtBoard,
    NoiseFloor,
    Weighting,
    band_level,
    equivalent_level,
    third_octaves,
    time_weighted_level,
)
from bench_audio.calibration.microphone import MicrophoneCurve, read_microphone_curve
from bench_audio.calibration.recordings import at_rate, check_recording, laid_over
from bench_audio.calibration.reverberation import DecayCurve, Reverberation, reverberation
from bench_audio.calibration.sensitivity import CalibratorReading, Sensitivity, check_drift, read_calibrator
from bench_audio.calibration.sweep import Distortion, Response, measure_sweep
from bench_audio.duplex import Duplex
from wakeword.errors import ConfigError, InfrastructureError

Step = Literal["calibrator", "noise", "sweep", "level"]
STEPS: tuple[Step, ...] = get_args(Step)
Moment = Literal["calibrator on", "calibrator off", "quiet", "loud", "calibrator again"]
"""When the user has something to do."""
Prompt = Callable[[Moment, str], None]
"""Told what to do and returns when it is done."""

_PROBE_DBFS = -30.0
_LOUDEST_DBFS = -15.0
"""Pink noise peaks up to 14 dB above its rms."""
_MAX_LEVEL_ERROR_DB = 0.5
_MIN_SIGNAL_OVER_NOISE_DB = 10.0
_MAX_HOLE_DB = 40.0
"""Of the response over a sixth of an octave: no loudspeaker that is fit for this has one."""
_ATTEMPTS = 3
_SETTLING_SECONDS = 0.5
_SLOW_SETTLING_SECONDS = 5.0
"""Of the time weighting S: five time constants."""


@dataclass(frozen=True)
class CalibrationSettings:
    """What to do, and how loud."""

    steps: tuple[Step, ...] = STEPS
    calibrator_spl: float = 94.0
    full_scale_spl: float | None = None
    """The microphone's sensitivity where no calibrator measures it."""
    microphone_curve: Path | None = None
    equalize: bool = True
    max_boost_db: float = MAX_BOOST_DB
    level_spl: float = 65.0
    weighting: Weighting = "A"
    sweep_dbfs: float = -20.0
    sweep_seconds: float = 10.0
    noise_seconds: float = 20.0
    level_seconds: float = 20.0
    tail_seconds: float = 2.0
    """Recorded after each signal: latency and the room's decay."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise `ConfigError` for what cannot be done."""
        if not self.steps:
            raise ConfigError(f"--steps: no step to do; choose from {', '.join(STEPS)}")
        if ("calibrator" in self.steps) == (self.full_scale_spl is not None):
            raise ConfigError(
                "give either the step 'calibrator' or --sensitivity: the microphone's sensitivity is measured or"
                " stated, one of both"
            )
        if not 60 <= self.calibrator_spl <= 130:
            raise ConfigError(
                f"--calibrator-level {self.calibrator_spl:g}: give what is printed on it, dB SPL, mostly 94 or 114"
            )
        if self.full_scale_spl is not None and not 40 <= self.full_scale_spl <= 200:
            raise ConfigError(
                f"--sensitivity {self.full_scale_spl:g}: give 40 to 200 dB SPL at full scale, mostly about 120"
            )
        check_boost(self.max_boost_db)
        if not -60 <= self.sweep_dbfs <= -3.1:
            raise ConfigError(
                f"--sweep-level {self.sweep_dbfs:g}: give -60 to -3.1 dBFS: a sine clips above -3.01 dBFS"
            )
        if not 30 <= self.level_spl <= 100:
            raise ConfigError(f"--level {self.level_spl:g}: give 30 to 100 dB SPL at the board")
        for name, seconds, lowest in (
            ("sweep", self.sweep_seconds, 3),
            ("noise", self.noise_seconds, 5),
            ("level", self.level_seconds, 10),
        ):
            if not lowest <= seconds <= 600:
                raise ConfigError(f"{seconds:g} s for the step {name!r}; give {lowest} to 600 s")
        if not 0.5 <= self.tail_seconds <= 20:
            raise ConfigError(f"{self.tail_seconds:g} s after each signal; give 0.5 to 20 s")


@dataclass(frozen=True)
class Swept:
    """What the sweep told; `after` and `equalizer` are None where no inverse filter was wanted."""

    sweep: signals.Sweep
    spl: float
    """Equivalent level of the sweep at the microphone, C-weighted."""
    response: Response
    before: Curve
    after: Curve | None
    room: Reverberation
    decays: tuple[DecayCurve, ...]
    """Of the room's bands."""
    distortion: Distortion
    equalizer: InverseFilter | None


@dataclass(frozen=True)
class Measured:
    """Everything that a calibration found; None for what was not done."""

    sensitivity: Sensitivity
    noise: NoiseFloor | None
    swept: Swept | None
    level: LevelAtBoard | None


@dataclass(frozen=True)
class _Station:
    """Who and what takes part."""

    duplex: Duplex
    settings: CalibrationSettings
    prompt: Prompt
    say: Callable[[str], None]


def measure(duplex: Duplex, settings: CalibrationSettings, prompt: Prompt, say: Callable[[str], None]) -> Measured:
    """Do the steps with these devices. `prompt` asks the user for what only a person can do, `say` reports.

    Raises `InfrastructureError` where a device fails, where a signal is not heard or clips, and where the calibrator
    drifted by more than 0.5 dB: then nothing of it holds. Raises `ConfigError` where a level cannot be reached with
    these gains.
    """
    station, steps = _Station(duplex, settings, prompt, say), settings.steps
    curve, curve_sha256 = _microphone_curve(settings.microphone_curve)
    before = _calibrator(station, "calibrator on") if "calibrator" in steps else None
    full_scale_spl = before.full_scale_spl if before is not None else settings.full_scale_spl
    assert full_scale_spl is not None
    if before is not None:
        prompt("calibrator off", "Take the calibrator off and put the microphone where the board's microphone is.")
    noise, noise_in_band = _noise(station, full_scale_spl) if "noise" in steps else (None, -math.inf)
    if {"sweep", "level"} & set(steps):
        prompt(
            "loud",
            "The loudspeaker will play now: a sweep or noise, for about half a minute. Leave all gains as they are from"
            " here on.",
        )
    swept = _sweep(station, full_scale_spl, curve) if "sweep" in steps else None
    level = (
        _level(station, full_scale_spl, swept.equalizer if swept is not None else None, noise_in_band)
        if "level" in steps
        else None
    )
    sensitivity = Sensitivity(method="stated", full_scale_spl=full_scale_spl, microphone_curve=curve_sha256)
    if before is not None:
        after = _calibrator(station, "calibrator again")
        drift = check_drift(before, after)
        say(f"drift since the beginning: {drift:+.2f} dB")
        sensitivity = Sensitivity(
            method="calibrator",
            full_scale_spl=full_scale_spl,
            calibrator_spl=settings.calibrator_spl,
            before_dbfs=before.level_dbfs,
            after_dbfs=after.level_dbfs,
            drift_db=drift,
            microphone_curve=curve_sha256,
        )
    return Measured(sensitivity, noise, swept, level)


def _microphone_curve(path: Path | None) -> tuple[MicrophoneCurve | None, str | None]:
    return (
        (None, None) if path is None else (read_microphone_curve(path), hashlib.sha256(path.read_bytes()).hexdigest())
    )


def _calibrator(station: _Station, moment: Moment) -> CalibratorReading:
    calibrator_spl = station.settings.calibrator_spl
    again = " again" if moment == "calibrator again" else ""
    station.prompt(
        moment, f"Put the calibrator ({calibrator_spl:g} dB, 1 kHz) onto the microphone{again} and switch it on."
    )
    recording = station.duplex.record(5.0)
    check_recording(recording, "the calibrator's recording")
    reading = read_calibrator(recording, calibrator_spl)
    station.say(
        f"calibrator: {reading.level_dbfs:.2f} dBFS at {reading.frequency_hz:.1f} Hz; full scale is"
        f" {reading.full_scale_spl:.2f} dB SPL"
    )
    return reading


def _noise(station: _Station, full_scale_spl: float) -> tuple[NoiseFloor, float]:
    """The noise floor, and its unweighted level in dB SPL within the band of the level's signal."""
    station.prompt("quiet", "Make the room as quiet as it will be in a session, and stay still.")
    recording = station.duplex.record(station.settings.noise_seconds)
    check_recording(recording, "the noise's recording")
    samples, rate = recording.samples, recording.sample_rate
    bands = third_octaves(samples, rate)
    floor = NoiseFloor(
        seconds=recording.seconds,
        la_eq=full_scale_spl + equivalent_level(samples, rate, "A"),
        lc_eq=full_scale_spl + equivalent_level(samples, rate, "C"),
        bands=tuple(
            BandLevel(centre_hz=float(centre), spl=float(full_scale_spl + level))
            for centre, level in zip(bands.centres_hz, bands.levels, strict=True)
        ),
    )
    station.say(f"noise floor: {floor.la_eq:.1f} dBA, {floor.lc_eq:.1f} dBC over {floor.seconds:.0f} s")
    return floor, full_scale_spl + band_level(samples, rate, signals.SPEECH_BAND_HZ)


def _sweep(station: _Station, full_scale_spl: float, curve: MicrophoneCurve | None) -> Swept:
    duplex, settings, say = station.duplex, station.settings, station.say
    rate = duplex.speaker.sample_rate
    # Above half the microphone's rate nothing comes back.
    high = min(signals.SWEEP_BAND_HZ[1], signals.HIGHEST_SHARE * min(rate, duplex.microphone.sample_rate) / 2)
    if high < signals.SPEECH_BAND_HZ[1]:
        raise ConfigError(
            f"devices at {rate} and {duplex.microphone.sample_rate} Hz do not reach {signals.SPEECH_BAND_HZ[1]:g} Hz;"
            " use devices at 16 kHz or more"
        )
    sweep = signals.exponential_sweep(
        settings.sweep_seconds, rate, settings.sweep_dbfs, band_hz=(signals.SWEEP_BAND_HZ[0], high)
    )
    heard = _play(duplex, sweep.samples, settings, "the sweep")
    response, distortion = measure_sweep(heard, sweep)
    spl = full_scale_spl + equivalent_level(laid_over(sweep.samples, heard, "the sweep"), rate, "C")
    before = response_curve(response, curve)
    room, decays = reverberation(response)
    _check_whole(before)
    mid = "not to be told" if room.mid_seconds is None else f"{room.mid_seconds:.2f} s"
    say(f"sweep: {spl:.1f} dBC at the microphone, {_deviation(before)}, RT60 {mid}")
    swept = Swept(sweep, spl, response, before, None, room, decays, distortion, None)
    if not settings.equalize:
        return swept
    equalizer = design_inverse(response, curve, max_boost_db=settings.max_boost_db)
    # The filter may raise peaks above full scale; the check is made with less, as a response does not depend on its
    # level.
    filtered = equalizer.apply(np.pad(sweep.samples, (0, equalizer.taps.size)))
    lowered = min(1.0, 0.9 / float(np.abs(filtered).max()))
    after_response, _ = measure_sweep(
        _play(duplex, filtered * lowered, settings, "the sweep through the inverse filter"), sweep
    )
    after = response_curve(after_response, curve)
    say(f"sweep through the inverse filter: {_deviation(after)}")
    return replace(swept, after=after, equalizer=equalizer)


def _check_whole(curve: Curve) -> None:
    """A sweep whose end was lost looks like a loudspeaker without treble."""
    if curve.lowest_db < -_MAX_HOLE_DB:
        frequencies = np.array(curve.frequencies_hz)
        lowest = frequencies[np.argmin(np.where(within(frequencies), curve.levels_db, math.inf))]
        raise InfrastructureError(
            f"the response falls {-curve.lowest_db:.0f} dB below its mean at {lowest:.0f} Hz: sound was lost on its"
            " way, or the system resamples; see that both devices run at their native rates (--speaker-rate,"
            " --microphone-rate), then begin again"
        )


def _deviation(curve: Curve) -> str:
    return (
        f"{curve.highest_db:+.1f}/{curve.lowest_db:+.1f} dB from {signals.SPEECH_BAND_HZ[0]:g} Hz to"
        f" {signals.SPEECH_BAND_HZ[1] / 1000:g} kHz"
    )


def _level(
    station: _Station, full_scale_spl: float, equalizer: InverseFilter | None, noise_in_band: float
) -> LevelAtBoard:
    """Find the level to be played for the one asked for: a probe, then as often as it takes, at most three times.

    `noise_in_band` is the noise floor's unweighted level within the signal's band, dB SPL; minus infinity where it is
    not known.
    """
    settings, played = station.settings, _PROBE_DBFS
    for attempt in range(_ATTEMPTS + 1):
        probing = attempt == 0
        seconds = settings.level_seconds if not probing else _SLOW_SETTLING_SECONDS + 2
        level = _pink_noise(station, full_scale_spl, equalizer, played, seconds)
        station.say(
            f"pink noise of {played:.1f} dBFS: {level.measured_spl:.2f} dB{settings.weighting} at the microphone"
        )
        error = settings.level_spl - level.measured_spl
        if not probing and abs(error) <= _MAX_LEVEL_ERROR_DB:
            over_noise = level.speech_band_spl - noise_in_band
            if over_noise < _MIN_SIGNAL_OVER_NOISE_DB:
                raise InfrastructureError(
                    f"the noise floor lies only {over_noise:.1f} dB below the level at the board, and would be part of"
                    " it; make it quieter or raise --level"
                )
            return level
        played += error
        if played > _LOUDEST_DBFS:
            raise _too_soft(settings, played - _LOUDEST_DBFS)
    raise InfrastructureError(
        f"the level at the board does not settle within {_MAX_LEVEL_ERROR_DB} dB; switch off automatic gain control and"
        " effects, then begin again"
    )


def _too_soft(settings: CalibrationSettings, missing_db: float) -> ConfigError:
    return ConfigError(
        f"{settings.level_spl:g} dB{settings.weighting} needs {missing_db:.1f} dB more than these gains give without"
        " clipping; turn the amplifier up by more than that and begin again, or give a lower --level"
    )


def _pink_noise(
    station: _Station, full_scale_spl: float, equalizer: InverseFilter | None, played_dbfs: float, seconds: float
) -> LevelAtBoard:
    duplex, settings = station.duplex, station.settings
    rate = duplex.speaker.sample_rate
    sound = signals.pink_noise(seconds, rate, played_dbfs, seed=settings.seed)
    driven = sound if equalizer is None else equalizer.apply(sound)
    peak = float(np.abs(driven).max())
    if peak > 1:
        raise _too_soft(settings, 20 * math.log10(peak))
    heard = laid_over(driven, _play(duplex, driven, settings, "the pink noise"), "the pink noise")
    # The room fills up first; the hand of the meter needs longer.
    edge, slow_edge = round(_SETTLING_SECONDS * rate), round(_SLOW_SETTLING_SECONDS * rate)
    steady = heard[edge:-edge]
    slow = time_weighted_level(steady, rate, settings.weighting, "slow")[slow_edge:]
    return LevelAtBoard(
        target_spl=settings.level_spl,
        weighting=settings.weighting,
        signal_band_hz=signals.SPEECH_BAND_HZ,
        seconds=steady.size / rate,
        played_dbfs=played_dbfs,
        measured_spl=full_scale_spl + equivalent_level(steady, rate, settings.weighting),
        slow_min_spl=full_scale_spl + float(slow.min()),
        slow_max_spl=full_scale_spl + float(slow.max()),
        la_eq=full_scale_spl + equivalent_level(steady, rate, "A"),
        lc_eq=full_scale_spl + equivalent_level(steady, rate, "C"),
        full_scale_played_spl=full_scale_spl + band_level(steady, rate, signals.SPEECH_BAND_HZ) - played_dbfs,
    )


def _play(
    duplex: Duplex, samples: NDArray[np.float64], settings: CalibrationSettings, what: str
) -> NDArray[np.float64]:
    recording = duplex.play(signals.as_played(samples), settings.tail_seconds)
    check_recording(recording, what)
    return at_rate(recording, duplex.speaker.sample_rate)
