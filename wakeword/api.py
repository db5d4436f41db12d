"""What the package offers to Python: the simulated board as the commands use it. docs/python.md shows it at work.

Conventions: no board takes part; features are the device's, probabilities those of TFLM's reference kernels, decisions
ESPHome's. Recordings are paths (files, folders, lists; also `evening.flac#t=600,1200`) or int16 samples at 16 kHz,
`[n]`, or a list of these; they are heard in the order in which they are given, as often as they are given. Features are
int8 `[slices, 40]`, probabilities uint8 `[inferences]` (255 is probability 1), times seconds since the stream began.
What is wrong with an input is a `wakeword.errors.ConfigError` of one line.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from wakeword.contract import FEATURE_CHANNELS, SAMPLE_RATE_HZ, STEP_MS
from wakeword.corpus.recordings import find_recordings
from wakeword.detector import Detection, detect
from wakeword.device_model import DeviceModel, load_model
from wakeword.engines import open_engine
from wakeword.errors import ConfigError
from wakeword.frontend import device_features
from wakeword.model.manifest_rules import MAX_STEP_MS
from wakeword.noise_floor import checked_noise_floor
from wakeword.presentation import SESSION, STREAM, Mode, Presentation
from wakeword.scoring.det import DetCurve, det_curve
from wakeword.simulation.board import Simulation, check_recordings, choose_presentation, hear
from wakeword.simulation.simulate import Options
from wakeword.simulation.streams import SimulatedStream  # noqa: F401 - a public name

type Manifest = str | Path | DeviceModel
"""An ESPHome manifest (.json), or what `load_model` made of one."""
type Audio = str | Path | NDArray[np.int16] | Iterable[str | Path | NDArray[np.int16]]


def features(audio: NDArray[np.int16] | str | Path, *, step_ms: int = STEP_MS) -> NDArray[np.int8]:
    """What a model sees of one recording since boot: int8 `[slices, 40]`, a slice every `step_ms` (10 unless the
    manifest says otherwise).

    Raises `ConfigError` for samples that are not int16 `[n]`, for a file that cannot be read or is not 16 kHz mono, and
    for a folder or list that names several recordings.
    """
    from wakeword.audio import read_samples

    _check_whole("step_ms", step_ms, 1, MAX_STEP_MS)
    if isinstance(audio, np.ndarray):
        return device_features(_samples(audio), step_ms)
    with tempfile.TemporaryDirectory(prefix="mww-samples-") as folder:
        paths = _paths("audio", audio, Path(folder))
        if len(paths) != 1:
            raise ConfigError(f"audio names {len(paths)} recordings; features are those of one, so give one at a time")
        check_recordings(paths, False, "convert it to that first")
        return device_features(read_samples(paths[0]), step_ms)


def probabilities(model: Manifest, features: NDArray[np.int8]) -> NDArray[np.uint8]:
    """What a model gives for features since boot: uint8 `[slices // stride]`. Raises `ConfigError` for features that
    are not int8 `[n, 40]` and for a model that cannot be read or run.
    """
    given: Any = features
    if not isinstance(given, np.ndarray) or given.dtype != np.int8 or given.shape[1:] != (FEATURE_CHANNELS,):
        raise ConfigError(
            f"features are {_kind(given)}; a model takes int8 [n, {FEATURE_CHANNELS}], as wakeword.features gives them"
        )
    engine, _ = open_engine(_model(model).model)
    return engine.run(features)


def detections(model: Manifest, probabilities: NDArray[np.uint8], slices: int | None = None) -> list[Detection]:
    """What a device decides on these probabilities, at the model's operating point.

    Args:
        model: Its operating point and its step.
        probabilities: Of one stream since boot, uint8 `[slices // stride]`.
        slices: Feature slices of the stream; by default as many as the inferences used. A detection can fall on a slice
        after the last inference.

    Returns the detections in order. Raises `ConfigError` for probabilities that are not uint8 `[n]` and when lengths
    disagree.
    """
    known = _model(model)
    stride, point = known.model.stride, known.point
    given: Any = probabilities
    if not isinstance(given, np.ndarray) or given.dtype != np.uint8 or given.ndim != 1:
        raise ConfigError(
            f"probabilities are {_kind(given)}; a device decides on uint8 [n], as wakeword.probabilities gives them"
        )
    fewest = len(given) * stride
    count = fewest if slices is None else slices
    if not fewest <= count < fewest + stride:
        raise ConfigError(
            f"slices {slices}: {len(given)} probabilities, one every {stride} slices, are those of {fewest} to"
            f" {fewest + stride - 1}"
        )
    return detect(probabilities, stride, count, point.cutoff, point.window, known.manifest.micro.feature_step_size)


def simulate(
    model: Manifest,
    audio: Audio,
    mode: Mode = "clips",
    *,
    noise_floor: float | None = None,
    resample: bool = False,
    jobs: int = 1,
    cache_folder: str | Path | None = None,
) -> Simulation:
    """Run a model over recordings as a device would, without a device: what `mww-simulate` does.

    Args:
        model: A manifest, or what `load_model` made of it.
        audio: Recordings, in the order in which they are heard; those of a folder or of a list file are sorted. Samples
        are named `samples-000002.wav` by their place in `audio`, from 0; no such file is kept.
        mode: `clips`: each alone from boot, with silence around it; `stream`: joined, one state; `session`: joined with
        pauses.
        noise_floor: Level of the white noise that a microphone adds to all that the device hears, -100 to -20 dBFS
        (rms; a sine that just does not clip has -3.01). None adds none.
        resample: Convert recordings that are not 16 kHz mono.
        jobs: Processes. With more than one, a script needs the usual `if __name__ == "__main__":`.
        cache_folder: Where features are kept; None keeps none.

    Returns the streams with their probabilities, uint8 `[slices // stride]`, and their detections.

    Raises `ConfigError` for a model, a recording or another argument that cannot be used.
    """
    known, options = _model(model), _options(jobs, cache_folder)
    if mode not in get_args(Mode):
        raise ConfigError(f"mode {mode!r}: give clips, session or stream")
    level = checked_noise_floor("noise_floor", noise_floor)
    presentation = choose_presentation(mode, None, None, None, known.manifest.micro.feature_step_size, level)
    return _simulated(known, "audio", audio, presentation, resample, options)


def curve(
    model: Manifest,
    wake: Audio,
    none: Audio,
    *,
    noise_floor: float | None = None,
    resample: bool = False,
    jobs: int = 1,
    cache_folder: str | Path | None = None,
) -> DetCurve:
    """Words found and false accepts at each of the device's 256 cutoffs, counted as training, export and `mww-report`
    count them.

    Args:
        model: A manifest, or what `load_model` made of it; the sliding window is the model's.
        wake: Recordings of the wake word, presented as a session: a detection in a pause is a false accept.
        none: Recordings without it, presented as a stream.
        noise_floor: Level of a microphone's noise in dBFS, as in `simulate`; None adds none.
        resample: Convert recordings that are not 16 kHz mono.
        jobs: Processes, as in `simulate`.
        cache_folder: Where features are kept; None keeps none.

    Returns counts and rates `[256]` by cutoff. Raises `ConfigError` as `simulate` does.
    """
    known, options = _model(model), _options(jobs, cache_folder)
    step_ms, level = known.manifest.micro.feature_step_size, checked_noise_floor("noise_floor", noise_floor)
    truths = [
        (stream, stream.truth(wake=usual is SESSION))
        for name, audio, usual in (("wake", wake, SESSION), ("none", none, STREAM))
        for presentation in (replace(usual.at_step(step_ms), noise_floor_dbfs=level),)
        for stream in _simulated(known, name, audio, presentation, resample, options).streams
    ]
    return det_curve(truths, known.point.window)


def _simulated(
    model: DeviceModel, name: str, audio: Audio, presentation: Presentation, resample: bool, options: Options
) -> Simulation:
    with tempfile.TemporaryDirectory(prefix="mww-samples-") as folder:
        recordings = _paths(name, audio, Path(folder))
        check_recordings(recordings, resample, "pass resample=True to convert such recordings")
        return hear(model, recordings, presentation, options)


def _paths(name: str, audio: Any, folder: Path) -> list[Path]:
    """The recordings that an argument names, in its order; samples are written to a folder, so that all go one way."""
    import soundfile

    one = isinstance(audio, str | Path | np.ndarray)
    if not one and not isinstance(audio, Iterable):
        raise ConfigError(f"{name} is {_kind(audio)}; {_GIVE_AUDIO}")
    paths: list[Path] = []
    for number, each in enumerate([audio] if one else audio):
        if isinstance(each, np.ndarray):
            paths.append(folder / f"samples-{number:06d}.wav")
            soundfile.write(paths[-1], _samples(each), SAMPLE_RATE_HZ, subtype="PCM_16")
        elif isinstance(each, str | Path):
            paths.extend(find_recordings([Path(each)]))
        else:
            raise ConfigError(f"{name}[{number}] is {_kind(each)}; {_GIVE_AUDIO}")
    if not paths:
        raise ConfigError(f"{name} names no recording; give at least one")
    return paths


_GIVE_AUDIO = "give paths, or int16 samples [n] as NumPy arrays"


def _samples(samples: NDArray[Any]) -> NDArray[np.int16]:
    if samples.dtype != np.int16 or samples.ndim != 1:
        raise ConfigError(
            f"samples are {_kind(samples)}; the device hears int16 [n] at {SAMPLE_RATE_HZ} Hz, for floats from -1 to 1"
            " give (samples * 32767).astype(np.int16)"
        )
    if not len(samples):
        raise ConfigError("samples are empty; give at least one")
    return samples


def _kind(given: Any) -> str:
    """What something is, in a complaint: `float32 [3, 40]`, or the name of its type."""
    return f"{given.dtype} {list(given.shape)}" if isinstance(given, np.ndarray) else type(given).__name__


def _model(model: Any) -> DeviceModel:
    if not isinstance(model, str | Path | DeviceModel):
        raise ConfigError(f"model is {_kind(model)}; give a manifest's path or what load_model made of it")
    return model if isinstance(model, DeviceModel) else load_model(model)


def _options(jobs: int, cache_folder: str | Path | None) -> Options:
    _check_whole("jobs", jobs, 1)
    return Options(jobs=jobs, cache_folder=None if cache_folder is None else Path(cache_folder))


def _check_whole(name: str, value: Any, lowest: int, highest: int | None = None) -> None:
    if not isinstance(value, int | np.integer) or value < lowest or (highest is not None and value > highest):
        raise ConfigError(
            f"{name} {value}: give a whole number from {lowest}" + (f" to {highest}" if highest is not None else " on")
        )
