"""The calibration file: what was measured, with what, and for what it holds. JSON, versioned, frozen; an unknown key is an error.

Beside it lie the inverse filter and the impulse response as WAV (float), each named by its content, so that a file never points at another one's.
"""

from __future__ import annotations

import hashlib
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AwareDatetime, Field, model_validator

from bench_audio.calibration.equalizer import InverseFilter
from bench_audio.calibration.levels import Weighting
from bench_audio.duplex import DeviceFacts, Source
from wakeword.errors import ConfigError
from wakeword.files import partial_file
from wakeword.records import Record, read_record, write_record

SCHEMA_VERSION: Literal[1] = 1

Positive = Annotated[float, Field(gt=0)]
Band = tuple[Positive, Positive]


class DeviceRecord(Record):
    """A sound device at its native rate."""

    name: str
    host_api: str
    sample_rate: int = Field(gt=0)


class SensitivityRecord(Record):
    """What full scale of the microphone stands for."""

    method: Literal["calibrator", "stated"]
    full_scale_spl: float
    """Sound pressure level in dB of an rms of 1.0."""
    calibrator_spl: float | None = None
    before_dbfs: float | None = None
    after_dbfs: float | None = None
    drift_db: float | None = None
    """`after` minus `before`; above 0.5 dB there is no calibration."""
    microphone_curve: str | None = None
    """SHA-256 of the maker's response that was taken out of all responses, if one was."""


class BandRecord(Record):
    """One third-octave band."""

    centre_hz: Positive
    spl: float


class NoiseRecord(Record):
    """The room without a signal: equivalent levels in dB SPL."""

    seconds: Positive
    la_eq: float
    lc_eq: float
    bands: tuple[BandRecord, ...]
    """Third octaves, unweighted."""


class CurveRecord(Record):
    """A response from played to recorded samples, averaged over a fraction of an octave, in dB relative to its mean within the band."""

    frequencies_hz: tuple[Positive, ...]
    levels_db: tuple[float, ...]
    highest_db: float
    """Within the band, as are the next two."""
    lowest_db: float
    rms_db: float


class ResponseRecord(Record):
    """What the sweep told."""

    sweep_seconds: Positive
    sweep_dbfs: float
    sweep_spl: float
    """Equivalent level of the sweep at the microphone, C-weighted."""
    sweep_band_hz: Band
    band_hz: Band
    smoothing: int = Field(ge=1)
    """Averaged over one over this of an octave."""
    peak_over_noise_db: float
    before: CurveRecord
    after: CurveRecord | None = None
    """Of a second sweep, played through the inverse filter; None without one."""
    impulse_response: str
    """Name of the WAV beside this file."""
    impulse_response_sha256: str


class DecayRecord(Record):
    """Reverberation in one octave band."""

    centre_hz: Positive
    seconds: Positive | None
    evaluation: Literal["T30", "T20"] | None
    dynamic_range_db: float


class ReverberationRecord(Record):
    """Reverberation of the room."""

    mid_seconds: Positive | None
    """Mean of the octaves at 500 Hz and 1 kHz."""
    bands: tuple[DecayRecord, ...]


class DistortionRecord(Record):
    """Total harmonic distortion at the sweep's level, in third octaves of the fundamental."""

    frequencies_hz: tuple[Positive, ...]
    percent: tuple[float, ...]
    floor_percent: tuple[float, ...]
    """What noise alone would read as."""


class EqualizerRecord(Record):
    """The inverse filter beside this file."""

    file: str
    sha256: str
    taps: int = Field(ge=1)
    sample_rate: int = Field(gt=0)
    band_hz: Band
    max_boost_db: float
    highest_gain_db: float


class LevelRecord(Record):
    """How loud it is at the board: band-limited pink noise, through the inverse filter where there is one."""

    target_spl: float
    weighting: Weighting
    signal_band_hz: Band
    seconds: Positive
    played_dbfs: float
    """Before the inverse filter."""
    measured_spl: float
    """Equivalent level over `seconds`, with `weighting`."""
    slow_min_spl: float
    slow_max_spl: float
    """Lowest and highest level with the time weighting S (1 s)."""
    la_eq: float
    lc_eq: float
    full_scale_played_spl: float
    """Unweighted sound pressure level at the board that an rms of 1.0, played, stands for within the band."""


class Calibration(Record):
    """`calibration.json`."""

    schema_version: Literal[1] = SCHEMA_VERSION
    created: AwareDatetime
    expires: AwareDatetime
    source: Source
    command: str
    versions: dict[str, str]
    speaker: DeviceRecord
    microphone: DeviceRecord
    gains: dict[str, str]
    """Each knob and slider of the chain, as the user states it."""
    room: str | None = None
    geometry: str | None = None
    """Where loudspeaker, board and microphone stood."""
    sensitivity: SensitivityRecord
    noise: NoiseRecord | None = None
    response: ResponseRecord | None = None
    reverberation: ReverberationRecord | None = None
    distortion: DistortionRecord | None = None
    equalizer: EqualizerRecord | None = None
    level: LevelRecord | None = None

    @model_validator(mode="after")
    def _lasts(self) -> Calibration:
        if self.expires <= self.created:
            raise ValueError("it expires before it was made")
        return self


def write_wav(folder: Path, name: str, samples: NDArray[np.float64], sample_rate: int) -> tuple[str, str]:
    """Write float samples beside the calibration file; return the file's name, which holds its hash, and its SHA-256."""
    from scipy.io import wavfile

    # libsndfile would write the time into a float WAV, and the same samples would have another hash each time.
    content = io.BytesIO()
    wavfile.write(content, sample_rate, samples)
    digest = hashlib.sha256(content.getvalue()).hexdigest()
    path = folder / f"{name}-{digest[:12]}.wav"
    with partial_file(path) as temporary:
        temporary.write_bytes(content.getvalue())
    return path.name, digest


def write_calibration(calibration: Calibration, path: Path) -> None:
    """Write the file, whole or not at all."""
    write_record(calibration, path)


def read_calibration(path: Path) -> Calibration:
    """Read and check a calibration file, without looking at its age. Raises `ConfigError`: unreadable, another version, an unknown key, a wrong value."""
    return read_record(path, Calibration, "calibration", "give a file that mww-bench calibrate made", "calibrate anew")


def require_valid(
    calibration: Calibration,
    path: Path,
    *,
    speaker: DeviceFacts,
    microphone: DeviceFacts | None,
    gains: dict[str, str],
    source: Source,
    now: datetime | None = None,
) -> None:
    """Raise `ConfigError` unless the calibration holds for these devices at these rates and gains, now.

    `microphone` is None where none listens. Gains that either side does not name are a mismatch: a knob that nobody looked at is not frozen.
    """
    if calibration.source != source:
        raise ConfigError(f"{path}: a {calibration.source} calibration, and the session is {source}; calibrate these devices")
    moment = now or datetime.now(UTC)
    if moment >= calibration.expires:
        raise ConfigError(f"{path}: expired on {calibration.expires:%Y-%m-%d %H:%M} UTC; calibrate anew")
    pairs = [("loudspeaker", calibration.speaker, speaker)]
    if microphone is not None:
        pairs.append(("microphone", calibration.microphone, microphone))
    for word, known, used in pairs:
        if (known.name, known.host_api) != (used.name, used.host_api):
            raise ConfigError(f"{path}: holds for the {word} {known.name!r} ({known.host_api}), not for {used.name!r} ({used.host_api}); calibrate this one")
        if known.sample_rate != used.sample_rate:
            raise ConfigError(f"{path}: the {word} ran at {known.sample_rate} Hz and now runs at {used.sample_rate} Hz; set it back or calibrate anew")
    for name in sorted({*calibration.gains, *gains}):
        before, after = calibration.gains.get(name), gains.get(name)
        if before != after:
            raise ConfigError(f"{path}: gain {name!r} was {before or 'not stated'} and now is {after or 'not stated'}; set it back or calibrate anew")


def read_equalizer(calibration: Calibration, path: Path) -> InverseFilter | None:
    """The inverse filter of the calibration file at `path`; None where it has none.

    Raises `ConfigError` when the filter's file is missing or has changed.
    """
    record = calibration.equalizer
    if record is None:
        return None
    from scipy.io import wavfile

    beside = path.parent / record.file
    try:
        content = beside.read_bytes()
    except OSError as error:
        raise ConfigError(f"{beside}: {error.strerror}; the inverse filter belongs beside {path.name}: copy it there or calibrate anew") from error
    if hashlib.sha256(content).hexdigest() != record.sha256:
        raise ConfigError(f"{beside}: is not the inverse filter that {path.name} was written with; calibrate anew")
    rate, taps = wavfile.read(io.BytesIO(content))
    if (taps.shape, rate) != ((record.taps,), record.sample_rate):
        raise ConfigError(f"{beside}: {taps.shape} taps at {rate} Hz, and {path.name} says {record.taps} at {record.sample_rate} Hz; calibrate anew")
    return InverseFilter(taps, rate, record.band_hz, record.max_boost_db)
