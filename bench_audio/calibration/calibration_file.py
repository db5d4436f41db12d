"""The calibration file: what was measured, with what, and for what it holds. JSON, versioned, frozen; an unknown key is
an error.

Each part is the record of the module that measures it. Beside the file lie the inverse filter and the impulse response
as WAV (float), each named by its content, so that a file never points at another one's.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AwareDatetime, Field, PositiveFloat, model_validator

from bench_audio.calibration.equalizer import SMOOTHING, Curve, InverseFilter, within
from bench_audio.calibration.flow import Measured, Swept
from bench_audio.calibration.levels import LevelAtBoard, NoiseFloor
from bench_audio.calibration.reverberation import Reverberation
from bench_audio.calibration.sensitivity import Sensitivity
from bench_audio.calibration.sweep import Distortion
from bench_audio.duplex import DeviceFacts, Duplex, Source
from bench_audio.signals import SPEECH_BAND_HZ
from wakeword.errors import ConfigError
from wakeword.files import partial_file
from wakeword.records import Record, read_record, write_record

DEFAULT_VALID_DAYS = 30.0

Band = tuple[PositiveFloat, PositiveFloat]


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
            raise ConfigError(f"--valid-days {self.valid_days:g}: give more than 0 and at most 366")


class SweepResponse(Record):
    """What the sweep told of loudspeaker and room, but for the distortion and the decays."""

    sweep_seconds: PositiveFloat
    sweep_dbfs: float
    sweep_spl: float
    """Equivalent level of the sweep at the microphone, C-weighted."""
    sweep_band_hz: Band
    band_hz: Band
    smoothing: int = Field(ge=1)
    """Averaged over one over this of an octave."""
    peak_over_noise_db: float
    before: Curve
    after: Curve | None = None
    """Of a second sweep, played through the inverse filter; None without one."""
    impulse_response: str
    """Name of the WAV beside this file."""
    impulse_response_sha256: str


class EqualizerRecord(Record):
    """The inverse filter beside this file."""

    file: str
    sha256: str
    taps: int = Field(ge=1)
    sample_rate: int = Field(gt=0)
    band_hz: Band
    max_boost_db: float
    highest_gain_db: float


class Calibration(Record):
    """`calibration.json`."""

    schema_version: Literal[1] = 1
    created: AwareDatetime
    expires: AwareDatetime
    source: Source
    command: str
    versions: dict[str, str]
    speaker: DeviceFacts
    microphone: DeviceFacts
    gains: dict[str, str]
    """Each knob and slider of the chain, as the user states it."""
    room: str | None = None
    geometry: str | None = None
    """Where loudspeaker, board and microphone stood."""
    sensitivity: Sensitivity
    noise: NoiseFloor | None = None
    response: SweepResponse | None = None
    reverberation: Reverberation | None = None
    distortion: Distortion | None = None
    equalizer: EqualizerRecord | None = None
    level: LevelAtBoard | None = None

    @model_validator(mode="after")
    def _lasts(self) -> Calibration:
        if self.expires <= self.created:
            raise ValueError("it expires before it was made")
        return self


def save(
    measured: Measured, duplex: Duplex, circumstances: Circumstances, path: Path, now: datetime | None = None
) -> Calibration:
    """Write inverse filter and impulse response beside `path`, then the calibration file itself; return what
    it holds."""
    created = (now or datetime.now(UTC)).replace(microsecond=0)
    swept = measured.swept
    path.parent.mkdir(parents=True, exist_ok=True)
    calibration = Calibration(
        created=created,
        expires=created + timedelta(days=circumstances.valid_days),
        source=duplex.source,
        command=circumstances.command,
        versions=_versions(),
        speaker=duplex.speaker,
        microphone=duplex.microphone,
        gains=dict(sorted(circumstances.gains.items())),
        room=circumstances.room,
        geometry=circumstances.geometry,
        sensitivity=measured.sensitivity,
        noise=measured.noise,
        response=None if swept is None else _response(swept, path),
        reverberation=None if swept is None else swept.room,
        distortion=None if swept is None else swept.distortion,
        equalizer=None if swept is None or swept.equalizer is None else _equalizer(swept.equalizer, swept.before, path),
        level=measured.level,
    )
    write_record(calibration, path)
    return calibration


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in ("numpy", "pyfar", "scipy", "soxr", "wakeword-bench"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            # A checkout that was never installed.
            continue
    return versions


def _response(swept: Swept, path: Path) -> SweepResponse:
    name, digest = _write_wav(path, "impulse-response", swept.response.samples, swept.response.sample_rate)
    return SweepResponse(
        sweep_seconds=swept.sweep.samples.size / swept.sweep.sample_rate,
        sweep_dbfs=swept.sweep.level_dbfs,
        sweep_spl=swept.spl,
        sweep_band_hz=swept.sweep.band_hz,
        band_hz=SPEECH_BAND_HZ,
        smoothing=SMOOTHING,
        peak_over_noise_db=swept.response.peak_over_noise_db,
        before=swept.before,
        after=swept.after,
        impulse_response=name,
        impulse_response_sha256=digest,
    )


def _equalizer(equalizer: InverseFilter, before: Curve, path: Path) -> EqualizerRecord:
    name, digest = _write_wav(path, "inverse", equalizer.taps, equalizer.sample_rate)
    frequencies = np.array(before.frequencies_hz)
    return EqualizerRecord(
        file=name,
        sha256=digest,
        taps=equalizer.taps.size,
        sample_rate=equalizer.sample_rate,
        band_hz=equalizer.band_hz,
        max_boost_db=equalizer.max_boost_db,
        highest_gain_db=float(equalizer.gains_db(frequencies[within(frequencies)]).max()),
    )


def _write_wav(calibration: Path, what: str, samples: NDArray[np.float64], sample_rate: int) -> tuple[str, str]:
    """Write float samples beside the calibration file; return the file's name, which holds its hash, and its
    SHA-256."""
    from scipy.io import wavfile

    # libsndfile would write the time into a float WAV, and the same samples would have another hash each time.
    content = io.BytesIO()
    wavfile.write(content, sample_rate, samples)
    digest = hashlib.sha256(content.getvalue()).hexdigest()
    path = calibration.with_name(f"{calibration.stem}-{what}-{digest[:12]}.wav")
    with partial_file(path) as temporary:
        temporary.write_bytes(content.getvalue())
    return path.name, digest


def read_calibration(path: Path) -> Calibration:
    """Read and check a calibration file, without looking at its age. Raises `ConfigError`: unreadable, another version,
    an unknown key, a wrong value.
    """
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

    Args:
        calibration: What the file holds.
        path: The file, for messages.
        speaker: The loudspeaker of the session.
        microphone: Its microphone; None where none listens.
        gains: The setting of each knob. One that either side does not name is a mismatch: a knob that nobody looked at
        is not frozen.
        source: Whether the session's sound goes through air.
        now: The time at which it must still hold; the present by default.
    """
    if calibration.source != source:
        raise ConfigError(
            f"{path}: a {calibration.source} calibration, and the session is {source}; calibrate these devices"
        )
    moment = now or datetime.now(UTC)
    if moment >= calibration.expires:
        raise ConfigError(f"{path}: expired on {calibration.expires:%Y-%m-%d %H:%M} UTC; calibrate anew")
    pairs = [("loudspeaker", calibration.speaker, speaker)]
    if microphone is not None:
        pairs.append(("microphone", calibration.microphone, microphone))
    for word, known, used in pairs:
        if (known.name, known.host_api) != (used.name, used.host_api):
            raise ConfigError(
                f"{path}: holds for the {word} {known.name!r} ({known.host_api}), not for {used.name!r}"
                f" ({used.host_api}); calibrate this one"
            )
        if known.sample_rate != used.sample_rate:
            raise ConfigError(
                f"{path}: the {word} ran at {known.sample_rate} Hz and now runs at {used.sample_rate} Hz; set it back"
                " or calibrate anew"
            )
    for name in sorted({*calibration.gains, *gains}):
        before, after = calibration.gains.get(name), gains.get(name)
        if before != after:
            raise ConfigError(
                f"{path}: gain {name!r} was {before or 'not stated'} and now is {after or 'not stated'}; set it back or"
                " calibrate anew"
            )


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
        raise ConfigError(
            f"{beside}: {error.strerror}; the inverse filter belongs beside {path.name}: copy it there or calibrate"
            " anew"
        ) from error
    if hashlib.sha256(content).hexdigest() != record.sha256:
        raise ConfigError(f"{beside}: is not the inverse filter that {path.name} was written with; calibrate anew")
    rate, taps = wavfile.read(io.BytesIO(content))
    if (taps.shape, rate) != ((record.taps,), record.sample_rate):
        raise ConfigError(
            f"{beside}: {taps.shape} taps at {rate} Hz, and {path.name} says {record.taps} at {record.sample_rate} Hz;"
            " calibrate anew"
        )
    return InverseFilter(taps, rate, record.band_hz, record.max_boost_db)
