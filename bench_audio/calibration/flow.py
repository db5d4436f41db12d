"""The steps of a calibration, in their order: calibrator, noise, sweep, sweep through the inverse, level, calibrator again."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bench_audio import signals
from bench_audio.calibration.equalizer import MAX_BOOST_DB, Curve, InverseFilter, check_boost, design_inverse, response_curve
from bench_audio.calibration.levels import Bands, Weighting, band_level, equivalent_level, third_octaves, time_weighted_level
from bench_audio.calibration.microphone import MicrophoneCurve, read_microphone_curve
from bench_audio.calibration.recordings import at_rate, check_recording, laid_over
from bench_audio.calibration.reverberation import Reverberation, reverberation
from bench_audio.calibration.sensitivity import CalibratorReading, check_drift, read_calibrator
from bench_audio.calibration.sweep import Distortion, Response, measure_sweep
from bench_audio.duplex import Duplex
from wakeword.errors import ConfigError, InfrastructureError

Step = Literal["calibrator", "noise", "sweep", "level"]
STEPS: tuple[Step, ...] = get_args(Step)
Moment = Literal["calibrator on", "calibrator off", "quiet", "loud", "calibrator again"]
"""When the user has something to do."""
Hands = Callable[[Moment, str], None]
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
class Settings:
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
            raise ConfigError(f"no step to do; choose from {', '.join(STEPS)}")
        if ("calibrator" in self.steps) == (self.full_scale_spl is not None):
            raise ConfigError("give either the step 'calibrator' or --sensitivity: the microphone's sensitivity is measured or stated, one of both")
        if not 60 <= self.calibrator_spl <= 130:
            raise ConfigError(f"a calibrator of {self.calibrator_spl:g} dB SPL; give what is printed on it, mostly 94 or 114")
        if self.full_scale_spl is not None and not 40 <= self.full_scale_spl <= 200:
            raise ConfigError(f"a sensitivity of {self.full_scale_spl:g} dB SPL at full scale; give 40 to 200 dB, mostly about 120")
        check_boost(self.max_boost_db)
        if not -60 <= self.sweep_dbfs <= -3.1:
            raise ConfigError(f"a sweep of {self.sweep_dbfs:g} dBFS; give -60 to -3.1 dBFS: a sine clips above -3.01 dBFS")
        if not 30 <= self.level_spl <= 100:
            raise ConfigError(f"a level of {self.level_spl:g} dB SPL at the board; give 30 to 100 dB")
        for name, seconds, lowest in (("sweep", self.sweep_seconds, 3), ("noise", self.noise_seconds, 5), ("level", self.level_seconds, 10)):
            if not lowest <= seconds <= 600:
                raise ConfigError(f"{seconds:g} s for the step {name!r}; give {lowest} to 600 s")
        if not 0.5 <= self.tail_seconds <= 20:
            raise ConfigError(f"{self.tail_seconds:g} s after each signal; give 0.5 to 20 s")


@dataclass(frozen=True)
class NoiseFloor:
    """The room without a signal, dBFS of the microphone."""

    seconds: float
    a_dbfs: float
    c_dbfs: float
    speech_band_dbfs: float
    """Unweighted, within the band of the level's signal."""
    bands: Bands


@dataclass(frozen=True)
class LevelAtBoard:
    """Pink noise at the board, dBFS of the microphone but for what was played."""

    played_dbfs: float
    seconds: float
    weighted_dbfs: float
    slow_min_dbfs: float
    slow_max_dbfs: float
    a_dbfs: float
    c_dbfs: float
    speech_band_dbfs: float
    """Unweighted, within the signal's band."""


@dataclass(frozen=True)
class Swept:
    """What the sweep told; `after` and `equalizer` are None where no inverse filter was wanted."""

    sweep: signals.Sweep
    c_dbfs: float
    """Equivalent level of the sweep, dBFS of the microphone."""
    response: Response
    before: Curve
    after: Curve | None
    room: Reverberation
    distortion: Distortion
    equalizer: InverseFilter | None


@dataclass(frozen=True)
class Measured:
    """Everything that a calibration found; None for what was not done."""

    settings: Settings
    full_scale_spl: float
    """The microphone's sensitivity: dB SPL of an rms of 1.0."""
    microphone_curve_sha256: str | None
    before: CalibratorReading | None
    after: CalibratorReading | None
    drift_db: float | None
    noise: NoiseFloor | None
    swept: Swept | None
    level: LevelAtBoard | None


def measure(duplex: Duplex, settings: Settings, hands: Hands, say: Callable[[str], None]) -> Measured:
    """Do the steps with these devices. `hands` asks the user for what only hands can do, `say` reports.

    Raises `InfrastructureError` where a device fails, where a signal is not heard or clips, and where the calibrator drifted by more than 0.5 dB:
    then nothing of it holds. Raises `ConfigError` where a level cannot be reached with these gains.
    """
    curve, curve_sha256 = _microphone_curve(settings.microphone_curve)
    before = _calibrator(duplex, settings, hands, say, "calibrator on") if "calibrator" in settings.steps else None
    full_scale_spl = before.full_scale_spl if before is not None else settings.full_scale_spl
    assert full_scale_spl is not None
    if before is not None:
        hands("calibrator off", "Take the calibrator off and put the microphone where the board's microphone is.")
    noise = _noise(duplex, settings, full_scale_spl, hands, say) if "noise" in settings.steps else None
    if {"sweep", "level"} & set(settings.steps):
        hands("loud", "The loudspeaker will play now: a sweep or noise, for about half a minute. Leave all gains as they are from here on.")
    swept = _sweep(duplex, settings, full_scale_spl, curve, say) if "sweep" in settings.steps else None
    equalizer = swept.equalizer if swept is not None else None
    level = _level(duplex, settings, full_scale_spl, equalizer, noise, say) if "level" in settings.steps else None
    after = _calibrator(duplex, settings, hands, say, "calibrator again") if before is not None else None
    drift = check_drift(before, after) if before is not None and after is not None else None
    if drift is not None:
        say(f"drift since the beginning: {drift:+.2f} dB")
    return Measured(settings, full_scale_spl, curve_sha256, before, after, drift, noise, swept, level)


def _microphone_curve(path: Path | None) -> tuple[MicrophoneCurve | None, str | None]:
    return (None, None) if path is None else (read_microphone_curve(path), hashlib.sha256(path.read_bytes()).hexdigest())


def _calibrator(duplex: Duplex, settings: Settings, hands: Hands, say: Callable[[str], None], moment: Moment) -> CalibratorReading:
    again = " again" if moment == "calibrator again" else ""
    hands(moment, f"Put the calibrator ({settings.calibrator_spl:g} dB, 1 kHz) onto the microphone{again} and switch it on.")
    recording = duplex.record(5.0)
    check_recording(recording, "the calibrator's recording")
    reading = read_calibrator(recording, settings.calibrator_spl)
    say(f"calibrator: {reading.level_dbfs:.2f} dBFS at {reading.frequency_hz:.1f} Hz; full scale is {reading.full_scale_spl:.2f} dB SPL")
    return reading


def _noise(duplex: Duplex, settings: Settings, full_scale_spl: float, hands: Hands, say: Callable[[str], None]) -> NoiseFloor:
    hands("quiet", "Make the room as quiet as it will be in a session, and stay still.")
    recording = duplex.record(settings.noise_seconds)
    check_recording(recording, "the noise's recording")
    samples, rate = recording.samples, recording.sample_rate
    floor = NoiseFloor(
        seconds=recording.seconds,
        a_dbfs=equivalent_level(samples, rate, "A"),
        c_dbfs=equivalent_level(samples, rate, "C"),
        speech_band_dbfs=band_level(samples, rate, signals.SPEECH_BAND_HZ),
        bands=third_octaves(samples, rate),
    )
    say(f"noise floor: {full_scale_spl + floor.a_dbfs:.1f} dBA, {full_scale_spl + floor.c_dbfs:.1f} dBC over {floor.seconds:.0f} s")
    return floor


def _sweep(duplex: Duplex, settings: Settings, full_scale_spl: float, curve: MicrophoneCurve | None, say: Callable[[str], None]) -> Swept:
    rate = duplex.speaker.sample_rate
    # Above half the microphone's rate nothing comes back.
    high = min(signals.SWEEP_BAND_HZ[1], signals.HIGHEST_SHARE * min(rate, duplex.microphone.sample_rate) / 2)
    if high < signals.SPEECH_BAND_HZ[1]:
        raise ConfigError(
            f"devices at {rate} and {duplex.microphone.sample_rate} Hz do not reach {signals.SPEECH_BAND_HZ[1]:g} Hz; use devices at 16 kHz or more"
        )
    sweep = signals.exponential_sweep(settings.sweep_seconds, rate, settings.sweep_dbfs, band_hz=(signals.SWEEP_BAND_HZ[0], high))
    heard = _play(duplex, sweep.samples, settings, "the sweep")
    response, distortion = measure_sweep(heard, sweep)
    c_dbfs = equivalent_level(laid_over(sweep.samples, heard, "the sweep"), rate, "C")
    before, room = response_curve(response, curve), reverberation(response)
    _check_whole(before)
    mid = "not to be told" if room.mid_seconds is None else f"{room.mid_seconds:.2f} s"
    say(f"sweep: {full_scale_spl + c_dbfs:.1f} dBC at the microphone, {_deviation(before)}, RT60 {mid}")
    if not settings.equalize:
        return Swept(sweep, c_dbfs, response, before, None, room, distortion, None)
    equalizer = design_inverse(response, curve, max_boost_db=settings.max_boost_db)
    # The filter may raise peaks above full scale; the check is made with less, as a response does not depend on its level.
    filtered = equalizer.apply(np.pad(sweep.samples, (0, equalizer.taps.size)))
    lowered = min(1.0, 0.9 / float(np.abs(filtered).max()))
    after_response, _ = measure_sweep(_play(duplex, filtered * lowered, settings, "the sweep through the inverse filter"), sweep)
    after = response_curve(after_response, curve)
    say(f"sweep through the inverse filter: {_deviation(after)}")
    return Swept(sweep, c_dbfs, response, before, after, room, distortion, equalizer)


def _check_whole(curve: Curve) -> None:
    """A sweep whose end was lost looks like a loudspeaker without treble."""
    lowest = float(curve.frequencies_hz[curve.inside][np.argmin(curve.levels_db[curve.inside])])
    if curve.lowest_db < -_MAX_HOLE_DB:
        raise InfrastructureError(
            f"the response falls {-curve.lowest_db:.0f} dB below its mean at {lowest:.0f} Hz: sound was lost on its way, or the system resamples; "
            "see that both devices run at their native rates (--speaker-rate, --microphone-rate), then begin again"
        )


def _deviation(curve: Curve) -> str:
    return f"{curve.highest_db:+.1f}/{curve.lowest_db:+.1f} dB from {curve.band_hz[0]:g} Hz to {curve.band_hz[1] / 1000:g} kHz"


def _level(
    duplex: Duplex, settings: Settings, full_scale_spl: float, equalizer: InverseFilter | None, noise: NoiseFloor | None, say: Callable[[str], None]
) -> LevelAtBoard:
    """Find the level to be played for the one asked for: a probe, then as often as it takes, at most three times."""
    played = _PROBE_DBFS
    for attempt in range(_ATTEMPTS + 1):
        probing = attempt == 0
        level = _pink_noise(duplex, settings, equalizer, played, settings.level_seconds if not probing else _SLOW_SETTLING_SECONDS + 2)
        spl = full_scale_spl + level.weighted_dbfs
        say(f"pink noise of {played:.1f} dBFS: {spl:.2f} dB{settings.weighting} at the microphone")
        error = settings.level_spl - spl
        if not probing and abs(error) <= _MAX_LEVEL_ERROR_DB:
            over_noise = math.inf if noise is None else level.speech_band_dbfs - noise.speech_band_dbfs
            if over_noise < _MIN_SIGNAL_OVER_NOISE_DB:
                raise InfrastructureError(
                    f"the noise floor lies only {over_noise:.1f} dB below the level at the board, and would be part of it; make it quieter or raise --level"
                )
            return level
        played += error
        if played > _LOUDEST_DBFS:
            raise _too_soft(settings, played - _LOUDEST_DBFS)
    raise InfrastructureError(
        f"the level at the board does not settle within {_MAX_LEVEL_ERROR_DB} dB; switch off automatic gain control and effects, then begin again"
    )


def _too_soft(settings: Settings, missing_db: float) -> ConfigError:
    return ConfigError(
        f"{settings.level_spl:g} dB{settings.weighting} needs {missing_db:.1f} dB more than these gains give without clipping; "
        "turn the amplifier up by more than that and begin again, or give a lower --level"
    )


def _pink_noise(duplex: Duplex, settings: Settings, equalizer: InverseFilter | None, played_dbfs: float, seconds: float) -> LevelAtBoard:
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
        played_dbfs=played_dbfs,
        seconds=steady.size / rate,
        weighted_dbfs=equivalent_level(steady, rate, settings.weighting),
        slow_min_dbfs=float(slow.min()),
        slow_max_dbfs=float(slow.max()),
        a_dbfs=equivalent_level(steady, rate, "A"),
        c_dbfs=equivalent_level(steady, rate, "C"),
        speech_band_dbfs=band_level(steady, rate, signals.SPEECH_BAND_HZ),
    )


def _play(duplex: Duplex, samples: NDArray[np.float64], settings: Settings, what: str) -> NDArray[np.float64]:
    recording = duplex.play(signals.as_played(samples), settings.tail_seconds)
    check_recording(recording, what)
    return at_rate(recording, duplex.speaker.sample_rate)
