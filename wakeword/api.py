"""What the package offers to Python: the simulated board as the commands use it. docs/python.md shows it at work.

Conventions: no board takes part; features are the device's, probabilities those of TFLM's reference kernels, decisions
ESPHome's. Recordings are paths (files, folders, lists; also `evening.flac#t=600,1200`) or int16 samples at 16 kHz,
`[n]`, or a list of these. Features are int8 `[slices, 40]`, probabilities uint8 `[inferences]` (255 is probability 1),
times seconds since the stream began. What is wrong with an input is a `wakeword.errors.ConfigError` of one line.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wakeword.contract import SAMPLE_RATE_HZ, STEP_MS
from wakeword.detector import Detection, detect
from wakeword.device_model import DeviceModel, load_model
from wakeword.engines import open_engine
from wakeword.errors import ConfigError
from wakeword.frontend import device_features
from wakeword.presentation import SESSION, STREAM, Mode, Presentation
from wakeword.scoring.det import DetCurve, det_curve
from wakeword.simulation.board import Simulation, choose_presentation, choose_recordings, hear
from wakeword.simulation.simulate import Options
from wakeword.simulation.streams import SimulatedStream  # noqa: F401 - a public name

type Manifest = str | Path | DeviceModel
"""An ESPHome manifest (.json), or what `load_model` made of one."""
type Audio = str | Path | NDArray[np.int16] | Sequence[str | Path | NDArray[np.int16]]


def features(audio: NDArray[np.int16] | str | Path, *, step_ms: int = STEP_MS) -> NDArray[np.int8]:
    """What a model sees of one recording since boot: int8 `[slices, 40]`, a slice every `step_ms` (10 unless the
    manifest says otherwise).

    Raises `ConfigError` for samples that are not int16 `[n]` and for a file that cannot be read or is not 16 kHz mono.
    """
    from wakeword.audio import read_samples

    samples = _samples(audio) if isinstance(audio, np.ndarray) else read_samples(choose_recordings([Path(audio)], resample=False)[0][0])
    return device_features(samples, step_ms)


def probabilities(model: Manifest, features: NDArray[np.int8]) -> NDArray[np.uint8]:
    """What a model gives for features since boot: uint8 `[slices // stride]`. Raises `ConfigError` for a model that
    cannot be read or run.
    """
    engine, _ = open_engine(_model(model).model)
    return engine.run(features)


def detections(model: Manifest, probabilities: NDArray[np.uint8], slices: int | None = None) -> list[Detection]:
    """What a device decides on these probabilities, at the model's operating point.

    Args:
        model: Its operating point and its step.
        probabilities: Of one stream since boot, uint8 `[slices // stride]`.
        slices: Feature slices of the stream; by default as many as the inferences used. A detection can fall on a slice
        after the last inference.

    Returns the detections in order. Raises `ValueError` when lengths disagree.
    """
    known = _model(model)
    stride, point = known.model.stride, known.point
    count = len(probabilities) * stride if slices is None else slices
    return detect(probabilities, stride, count, point.cutoff, point.window, known.manifest.micro.feature_step_size)


def simulate(
    model: Manifest, audio: Audio, mode: Mode = "clips", *, resample: bool = False, jobs: int = 1, cache_folder: str | Path | None = None
) -> Simulation:
    """Run a model over recordings as a device would, without a device: what `mww-simulate` does.

    Args:
        model: A manifest, or what `load_model` made of it.
        audio: Recordings; those that are paths are sorted.
        mode: `clips`: each alone from boot, with silence around it; `stream`: joined, one state; `session`: joined with
        pauses.
        resample: Convert recordings that are not 16 kHz mono.
        jobs: Processes. With more than one, a script needs the usual `if __name__ == "__main__":`.
        cache_folder: Where features are kept; None keeps none.

    Raises `ConfigError` for a model or recording that cannot be used.
    """
    known = _model(model)
    presentation = choose_presentation(mode, None, None, None, known.manifest.micro.feature_step_size)
    return _simulated(known, audio, presentation, resample, _options(jobs, cache_folder))


def curve(model: Manifest, wake: Audio, none: Audio, *, resample: bool = False, jobs: int = 1, cache_folder: str | Path | None = None) -> DetCurve:
    """Words found and false accepts at each of the device's 256 cutoffs, counted as training, export and `mww-report`
    count them.

    Args:
        model: A manifest, or what `load_model` made of it; the sliding window is the model's.
        wake: Recordings of the wake word, presented as a session: a detection in a pause is a false accept.
        none: Recordings without it, presented as a stream.
        resample: As in `simulate`, and so are `jobs` and `cache_folder`.

    Returns counts and rates `[256]` by cutoff. Raises `ConfigError` as `simulate` does.
    """
    known, options = _model(model), _options(jobs, cache_folder)
    step_ms = known.manifest.micro.feature_step_size
    truths = [
        (stream, stream.truth(wake=presentation is SESSION))
        for audio, presentation in ((wake, SESSION), (none, STREAM))
        for stream in _simulated(known, audio, presentation.at_step(step_ms), resample, options).streams
    ]
    return det_curve(truths, known.point.window)


def _simulated(model: DeviceModel, audio: Audio, presentation: Presentation, resample: bool, options: Options) -> Simulation:
    with tempfile.TemporaryDirectory(prefix="mww-samples-") as folder:
        recordings, _ = choose_recordings(_paths(audio, Path(folder)), resample)
        return hear(model, recordings, presentation, options)


def _paths(audio: Audio, folder: Path) -> list[Path]:
    """Paths of recordings; samples are written to a folder, so that all go one way."""
    import soundfile

    given: Sequence[Any] = [audio] if isinstance(audio, str | Path | np.ndarray) else audio
    paths: list[Path] = []
    for number, each in enumerate(given):
        if isinstance(each, np.ndarray):
            paths.append(folder / f"samples-{number:06d}.wav")
            soundfile.write(paths[-1], _samples(each), SAMPLE_RATE_HZ, subtype="PCM_16")
        else:
            paths.append(Path(each))
    return paths


def _samples(samples: NDArray[Any]) -> NDArray[np.int16]:
    if samples.dtype != np.int16 or samples.ndim != 1:
        raise ConfigError(
            f"samples are {samples.dtype} {list(samples.shape)}; the device hears int16 [n] at {SAMPLE_RATE_HZ} Hz, "
            "for floats from -1 to 1 give (samples * 32767).astype(np.int16)"
        )
    return samples


def _model(model: Manifest) -> DeviceModel:
    return model if isinstance(model, DeviceModel) else load_model(model)


def _options(jobs: int, cache_folder: str | Path | None) -> Options:
    return Options(jobs=jobs, cache_folder=None if cache_folder is None else Path(cache_folder))
