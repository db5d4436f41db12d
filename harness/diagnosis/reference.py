"""What a model was trained on, as far as it can be asked: levels and spectra of recordings, and the quietest level at
which the simulation still detects them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench_audio.calibration.speech_level import active_speech_level
from harness.diagnosis.hearing import BANDS_HZ, Hearing, examine_sound
from harness.session.paired import simulate_audio
from wakeword.audio import read_samples
from wakeword.contract import SAMPLE_RATE_HZ, slice_count, slice_end_samples
from wakeword.corpus.recordings import find_recordings
from wakeword.detector import detect
from wakeword.device_model import DeviceModel
from wakeword.engines import open_engine
from wakeword.errors import ConfigError
from wakeword.reading import read_csv, read_yaml

RECORDINGS_TABLE = "recordings.csv"
"""Of a run's folder: path, label and split of each recording."""
CONFIGURATION = "config.yaml"
MOST_RECORDINGS = 60
LEVELS_TRIED = 5
"""Recordings that are simulated at lower and lower levels."""
QUIETEST_DB, STEP_DB = -84.0, 3.0
LEAD_SAMPLES, TAIL_SAMPLES = 3 * SAMPLE_RATE_HZ // 2, SAMPLE_RATE_HZ
"""Silence before a probe, longer than the hold-off after boot, and behind it."""
_FULL_SCALE = 32768.0


@dataclass(frozen=True)
class Reference:
    """Recordings of the wake word that the board's hearing is compared with."""

    source: str
    """Where they come from, in words."""
    recordings: int
    level_dbfs: float | None
    """Median of their active speech levels."""
    lowest_dbfs: float | None
    """The quietest and the loudest of 90 % of them, at the levels that training gave them where that is known."""
    highest_dbfs: float | None
    bands_db: tuple[float | None, ...] | None
    """Median spectrum."""


@dataclass(frozen=True)
class Probe:
    """A recording that the simulation detects."""

    path: Path
    samples: NDArray[np.int16]
    peak: int
    """Highest probability of the simulation, 0-255."""

    @property
    def speech_seconds(self) -> float | None:
        """How long it speaks, pauses left out; None for a recording that is too soft."""
        try:
            level = active_speech_level(self.samples / _FULL_SCALE, SAMPLE_RATE_HZ)
        except ConfigError:
            return None
        return level.activity * len(self.samples) / SAMPLE_RATE_HZ

    @property
    def sound(self) -> NDArray[np.int16]:
        """With the silence around it: what is played."""
        return framed(self.samples)


def framed(samples: NDArray[np.int16]) -> NDArray[np.int16]:
    """A recording with silence before and behind it."""
    return np.concatenate([np.zeros(LEAD_SAMPLES, np.int16), samples, np.zeros(TAIL_SAMPLES, np.int16)])


def reference_recordings(data: Path) -> list[Path]:
    """Recordings of the wake word: of a run's folder those that trained it, else those of a file, folder or list; at
    most `MOST_RECORDINGS`, spread over all. Raises `ConfigError` where there are none.
    """
    table = data / RECORDINGS_TABLE
    if table.is_file():
        rows = read_csv(table, ("path", "split", "label"), "give the folder of a run that mww-train made").rows
        wake = [Path(row.values["path"]) for row in rows if row.values["label"] == "positive"]
        trained = [
            Path(row.values["path"])
            for row in rows
            if row.values["label"] == "positive" and row.values["split"] == "train"
        ]
        found = [path for path in trained or wake if path.is_file()]
    else:
        found = find_recordings([data])
    if not found:
        raise ConfigError(f"--data {data}: holds no recordings of the wake word that are there; give others")
    return [found[index] for index in np.unique(np.linspace(0, len(found) - 1, MOST_RECORDINGS).round().astype(int))]


def examine_reference(data: Path, recordings: Sequence[Path]) -> Reference:
    """Levels and spectrum of recordings. Raises `ConfigError` for one that cannot be read."""
    heard = [examine_sound(read_samples(path)) for path in recordings]
    known = [(one.level_dbfs, one.peak_dbfs) for one in heard if one.level_dbfs is not None]
    levels = [level for level, _ in known]
    lowest, highest = _trained_levels(known, _augmentation(data)) if known else (None, None)
    return Reference(
        source=f"{len(recordings)} recordings of {data}",
        recordings=len(recordings),
        level_dbfs=float(np.median(levels)) if levels else None,
        lowest_dbfs=lowest,
        highest_dbfs=highest,
        bands_db=_median_bands(heard),
    )


@dataclass(frozen=True)
class _TrainedLevels:
    """What a run's augmentation does to levels; what its configuration leaves out has the schema's values."""

    Gain: float = 1.0
    min_gain_db: float = -45.0
    max_gain_db: float = 0.0
    Level: float = 1.0
    min_level_dbfs: float = -45.0
    max_level_dbfs: float = 0.0


def _augmentation(data: Path) -> _TrainedLevels | None:
    """Of a run's folder; None where nothing was augmented, or nobody knows."""
    path = data / CONFIGURATION
    if not path.is_file():
        return None
    section = read_yaml(path, "give the folder of a run that mww-train made").get("augmentation") or {}
    if section.get("copies") == 0:
        return None
    return _TrainedLevels(
        **{one.name: float(section[one.name]) for one in fields(_TrainedLevels) if one.name in section}
    )


def _trained_levels(known: Sequence[tuple[float, float]], made: _TrainedLevels | None) -> tuple[float, float]:
    """Lowest and highest active level in training, dBFS, of 90 % of recordings of (active level, peak) dBFS. `Gain`
    changes the recorded level; `Level` then sets the peak, whatever that was.
    """
    levels = np.array([level for level, _ in known])
    low, high = float(np.percentile(levels, 5)), float(np.percentile(levels, 95))
    if made is None:
        return low, high
    spans = []
    if made.Level > 0:
        below = np.array([level - peak for level, peak in known])
        spans.append(
            (
                float(np.percentile(below, 5)) + made.min_level_dbfs,
                float(np.percentile(below, 95)) + made.max_level_dbfs,
            )
        )
    if made.Level < 1:
        gain = made.Gain > 0
        spans.append((low + (made.min_gain_db if gain else 0), high + (made.max_gain_db if gain else 0)))
    return min(one for one, _ in spans), max(one for _, one in spans)


def _median_bands(heard: Sequence[Hearing]) -> tuple[float | None, ...] | None:
    spectra = [one.bands_db for one in heard if one.bands_db is not None]
    if not spectra:
        return None
    bands = []
    for index in range(len(BANDS_HZ)):
        values = [value for spectrum in spectra if (value := spectrum[index]) is not None]
        bands.append(float(np.median(values)) if 2 * len(values) >= len(spectra) else None)
    return tuple(bands)


def choose_probe(model: DeviceModel, given: Path | None, recordings: Sequence[Path]) -> Probe | None:
    """The recording given, or the first that the simulation detects; None without any.

    Raises `ConfigError` when the simulation does not detect the one given.
    """
    for path in [given] if given is not None else recordings:
        samples = read_samples(path)
        probabilities, found = heard_by(model, framed(samples))
        if found:
            return Probe(path, samples, int(probabilities.max(initial=0)))
    if given is not None:
        raise ConfigError(
            f"--probe {given}: the simulation does not detect it at cutoff {model.point.cutoff}/255, so the board need"
            " not; give another one"
        )
    return None


def heard_by(model: DeviceModel, sound: NDArray[np.int16]) -> tuple[NDArray[np.uint8], bool]:
    """Probabilities of sound from boot in the simulation, and whether the model detects in it."""
    probabilities, found = detected_in(model, sound)
    return probabilities, bool(found)


def detected_in(model: DeviceModel, sound: NDArray[np.int16]) -> tuple[NDArray[np.uint8], list[int]]:
    """Probabilities of sound from boot in the simulation, and behind how many samples the model detects in it."""
    engine, _ = open_engine(model.model)
    probabilities = simulate_audio(engine, [sound])
    point = model.point
    found = detect(probabilities, model.model.stride, slice_count(len(sound)), point.cutoff, point.window)
    return probabilities, [slice_end_samples(one.slice_index) for one in found]


def quietest_level(model: DeviceModel, recordings: Sequence[Path], noise: NDArray[np.int16]) -> float | None:
    """The active level below which the simulation no longer detects the wake word over `noise` `[n]`, which is what the
    board's microphone gave while nothing was played: the median of some recordings that it detects; None where it
    detects none.
    """
    levels = []
    for path in list(dict.fromkeys(one.absolute() for one in recordings))[:LEVELS_TRIED]:
        samples = read_samples(path)
        level = examine_sound(samples).level_dbfs
        if level is not None and (found := _quietest(model, framed(samples), level, noise)) is not None:
            levels.append(found)
    return float(np.median(levels)) if levels else None


def _quietest(model: DeviceModel, sound: NDArray[np.int16], level: float, noise: NDArray[np.int16]) -> float | None:
    """The lowest level that is detected together with the one above it; one miss on the way is chance."""
    under = np.resize(noise.astype(np.float64), len(sound))
    quietest: float | None = None
    last = [True, True]
    for wanted in np.arange(0.0, QUIETEST_DB, -STEP_DB):
        gain = 10 ** ((wanted - level) / 20)
        if np.abs(sound).max() * gain > _FULL_SCALE:  # it would clip
            continue
        mixed = np.clip(np.rint(sound * gain + under), -32768, 32767).astype(np.int16)
        last = [last[1], heard_by(model, mixed)[1]]
        if all(last):
            quietest = float(wanted)
        elif not any(last):
            break
    return quietest
