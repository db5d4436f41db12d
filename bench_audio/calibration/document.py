"""From what was measured to the files that are kept."""

from __future__ import annotations

import importlib.metadata
import platform
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench_audio import signals
from bench_audio.calibration import record
from bench_audio.calibration.equalizer import SMOOTHING, Curve
from bench_audio.calibration.flow import LevelAtBoard, Measured, NoiseFloor, Settings, Swept
from bench_audio.duplex import DeviceFacts, Duplex
from wakeword.errors import ConfigError

DEFAULT_VALID_DAYS = 30.0


@dataclass(frozen=True)
class Circumstances:
    """What only the user knows."""

    gains: dict[str, str] = field(default_factory=dict)
    room: str | None = None
    geometry: str | None = None
    valid_days: float = DEFAULT_VALID_DAYS
    command: str = ""
    """As it was typed."""

    def __post_init__(self) -> None:
        """Raise `ConfigError` for a validity that is none."""
        if not 0 < self.valid_days <= 366:
            raise ConfigError(f"valid for {self.valid_days:g} days; give more than 0 and at most 366")


def save(measured: Measured, duplex: Duplex, circumstances: Circumstances, path: Path, now: datetime | None = None) -> record.Calibration:
    """Write inverse filter and impulse response beside `path`, then the calibration file itself; return what it holds."""
    created = (now or datetime.now(UTC)).replace(microsecond=0)
    swept, folder = measured.swept, path.parent
    folder.mkdir(parents=True, exist_ok=True)
    calibration = record.Calibration(
        created=created,
        expires=created + timedelta(days=circumstances.valid_days),
        source=duplex.source,
        command=circumstances.command,
        versions=_versions(),
        speaker=_device(duplex.speaker),
        microphone=_device(duplex.microphone),
        gains=dict(sorted(circumstances.gains.items())),
        room=circumstances.room,
        geometry=circumstances.geometry,
        sensitivity=_sensitivity(measured),
        noise=None if measured.noise is None else _noise(measured.noise, measured.full_scale_spl),
        response=None if swept is None else _response(swept, measured.full_scale_spl, folder, path.stem),
        reverberation=None if swept is None else _reverberation(swept),
        distortion=None if swept is None else _distortion(swept),
        equalizer=None if swept is None else _equalizer(swept, folder, path.stem),
        level=None if measured.level is None else _level(measured.level, measured.settings, measured.full_scale_spl),
    )
    record.write_calibration(calibration, path)
    return calibration


def _versions() -> dict[str, str]:
    names = ("numpy", "pyfar", "scipy", "soxr", "wakeword-bench")
    versions = {"python": platform.python_version()}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            # A checkout that was never installed.
            continue
    return versions


def _device(facts: DeviceFacts) -> record.DeviceRecord:
    return record.DeviceRecord(**asdict(facts))


def _sensitivity(measured: Measured) -> record.SensitivityRecord:
    if measured.before is None:
        return record.SensitivityRecord(method="stated", full_scale_spl=measured.full_scale_spl, microphone_curve=measured.microphone_curve_sha256)
    return record.SensitivityRecord(
        method="calibrator",
        full_scale_spl=measured.full_scale_spl,
        calibrator_spl=measured.settings.calibrator_spl,
        before_dbfs=measured.before.level_dbfs,
        after_dbfs=None if measured.after is None else measured.after.level_dbfs,
        drift_db=measured.drift_db,
        microphone_curve=measured.microphone_curve_sha256,
    )


def _noise(noise: NoiseFloor, full_scale_spl: float) -> record.NoiseRecord:
    return record.NoiseRecord(
        seconds=noise.seconds,
        la_eq=full_scale_spl + noise.a_dbfs,
        lc_eq=full_scale_spl + noise.c_dbfs,
        bands=tuple(
            record.BandRecord(centre_hz=float(centre), spl=float(full_scale_spl + level))
            for centre, level in zip(noise.bands.centres_hz, noise.bands.levels, strict=True)
        ),
    )


def _response(swept: Swept, full_scale_spl: float, folder: Path, stem: str) -> record.ResponseRecord:
    name, digest = record.write_wav(folder, f"{stem}-impulse-response", swept.response.samples, swept.response.sample_rate)
    return record.ResponseRecord(
        sweep_seconds=swept.sweep.samples.size / swept.sweep.sample_rate,
        sweep_dbfs=swept.sweep.level_dbfs,
        sweep_spl=full_scale_spl + swept.c_dbfs,
        sweep_band_hz=swept.sweep.band_hz,
        band_hz=swept.before.band_hz,
        smoothing=SMOOTHING,
        peak_over_noise_db=swept.response.peak_over_noise_db,
        before=_curve(swept.before),
        after=None if swept.after is None else _curve(swept.after),
        impulse_response=name,
        impulse_response_sha256=digest,
    )


def _curve(curve: Curve) -> record.CurveRecord:
    return record.CurveRecord(
        frequencies_hz=tuple(curve.frequencies_hz.tolist()),
        levels_db=tuple(curve.levels_db.tolist()),
        highest_db=curve.highest_db,
        lowest_db=curve.lowest_db,
        rms_db=curve.rms_db,
    )


def _reverberation(swept: Swept) -> record.ReverberationRecord:
    bands = tuple(
        record.DecayRecord(centre_hz=band.centre_hz, seconds=band.seconds, evaluation=band.evaluation, dynamic_range_db=band.dynamic_range_db)
        for band in swept.room.bands
    )
    return record.ReverberationRecord(mid_seconds=swept.room.mid_seconds, bands=bands)


def _distortion(swept: Swept) -> record.DistortionRecord:
    distortion = swept.distortion
    return record.DistortionRecord(
        frequencies_hz=tuple(distortion.frequencies_hz.tolist()),
        percent=tuple(distortion.percent.tolist()),
        floor_percent=tuple(distortion.floor_percent.tolist()),
    )


def _equalizer(swept: Swept, folder: Path, stem: str) -> record.EqualizerRecord | None:
    if swept.equalizer is None:
        return None
    equalizer = swept.equalizer
    name, digest = record.write_wav(folder, f"{stem}-inverse", equalizer.taps, equalizer.sample_rate)
    inside = swept.before.frequencies_hz[swept.before.inside]
    return record.EqualizerRecord(
        file=name,
        sha256=digest,
        taps=equalizer.taps.size,
        sample_rate=equalizer.sample_rate,
        band_hz=equalizer.band_hz,
        max_boost_db=equalizer.max_boost_db,
        highest_gain_db=float(equalizer.gains_db(inside).max()),
    )


def _level(level: LevelAtBoard, settings: Settings, full_scale_spl: float) -> record.LevelRecord:
    return record.LevelRecord(
        target_spl=settings.level_spl,
        weighting=settings.weighting,
        signal_band_hz=signals.SPEECH_BAND_HZ,
        seconds=level.seconds,
        played_dbfs=level.played_dbfs,
        measured_spl=full_scale_spl + level.weighted_dbfs,
        slow_min_spl=full_scale_spl + level.slow_min_dbfs,
        slow_max_spl=full_scale_spl + level.slow_max_dbfs,
        la_eq=full_scale_spl + level.a_dbfs,
        lc_eq=full_scale_spl + level.c_dbfs,
        full_scale_played_spl=full_scale_spl + level.speech_band_dbfs - level.played_dbfs,
    )
