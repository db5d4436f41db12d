"""A model at work over recordings, whichever form it has: float weights of a run, or the exported int8 file.

Both hear the device's int8 features and give uint8 probabilities as the simulated board does, so everything behind them is the same code.
Features are cached by content; recordings of any length are read in ranges, so memory does not grow with them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from trainer.data.parallel import map_in_processes
from trainer.mixednet.config import MixedNetConfig
from trainer.mixednet.scaling import FEATURE_MIN
from trainer.mixednet.sliding import SlidingModel
from wakeword import contract
from wakeword.audio import probe
from wakeword.corpus.feature_cache import CachedStream, FeatureCache, default_cache_folder
from wakeword.corpus.recordings import hash_file
from wakeword.errors import ConfigError
from wakeword.model.flatbuffer import TfliteModel, parse_model
from wakeword.processes import process_map
from wakeword.simulation.features import Progress, stream_features
from wakeword.simulation.presentation import CLIPS, STREAM, Presentation
from wakeword.simulation.simulate import Options, simulate
from wakeword.simulation.streams import Recording, SimulatedStream

OUTPUT_STEPS = 256
"""The exported model's output scale is 1/256; a float probability is rounded to the same steps."""
SLICES_PER_RANGE = 30_000
"""Five minutes of features are read and run at once, 1.2 MB as int8."""
FEWEST_CLIPS_FOR_PROCESSES = 48
SECONDS_WORTH_PROCESSES = 900.0


class WordModel(Protocol):
    """What mining and evaluation ask of a model."""

    @property
    def form(self) -> str:
        """`float` or `int8`."""
        ...

    @property
    def sha256(self) -> str:
        """Names the model: of the exported file, or of the weights."""
        ...

    def alone(self, recordings: Sequence[Path], progress: Progress) -> list[SimulatedStream]:
        """Each recording by itself, from boot, after the lead-in of `CLIPS`. Raises `ConfigError` for one that cannot be read."""
        ...

    def joined(self, recordings: Sequence[Path], progress: Progress) -> SimulatedStream:
        """All recordings in the given order as one stream, as `STREAM` says. Raises as `alone` does."""
        ...


@dataclass(frozen=True)
class Int8Model:
    """An exported model on the simulated board: batched, exact, on all cores."""

    model: TfliteModel
    jobs: int | None = None
    cache_folder: Path | None = None
    """None is the user's cache."""
    form: str = "int8"

    @property
    def sha256(self) -> str:
        """Hash of the file."""
        return self.model.sha256

    def alone(self, recordings: Sequence[Path], progress: Progress) -> list[SimulatedStream]:
        """See `WordModel`."""
        if worth_processes(recordings) and len(recordings) < FEWEST_CLIPS_FOR_PROCESSES and self.jobs != 1:
            # A few long recordings: one core each. Of many short ones `simulate` itself makes tasks.
            function = partial(_simulate_one, self.model.content, self.model.source, self._options)
            with process_map(function, recordings, self._options.processes, _nothing) as streams:
                return list(_told(streams, progress))
        return simulate(self.model, recordings, CLIPS, self._options, progress)

    def joined(self, recordings: Sequence[Path], progress: Progress) -> SimulatedStream:
        """See `WordModel`."""
        return simulate(self.model, recordings, STREAM, self._options, progress)[0]

    @property
    def _options(self) -> Options:
        return Options(jobs=self.jobs, cache_folder=self.cache_folder or default_cache_folder())


class FloatModel:
    """A MixedNet in float, slid over recordings as the validation of a training does."""

    form = "float"

    def __init__(self, network: MixedNetConfig, slices: int, weights: Any, sha256: str, *, jobs: int | None = None, cache_folder: Path | None = None) -> None:
        """`weights` is a model from `build_model` for windows of so many `slices`; later changes of it do not reach this one.

        `sha256` names the weights. Raises `ConfigError` when they belong to another network.
        """
        from trainer.training.runtime import start_tensorflow

        start_tensorflow()
        self._stride, self._slices, self._jobs = network.stride, slices, jobs
        self._cache = FeatureCache(cache_folder or default_cache_folder())
        self._sliding = SlidingModel(network, slices)
        self.load(weights, sha256)

    def load(self, weights: Any, sha256: str) -> None:
        """Take over later weights of the same network, as a training does at every mining. Raises `ConfigError` when they are another's."""
        self._sliding.load(weights)
        self.sha256 = sha256

    def alone(self, recordings: Sequence[Path], progress: Progress) -> list[SimulatedStream]:
        """See `WordModel`."""
        streams = [self.simulated([path], [digest], features, CLIPS) for path, digest, features in self._features(recordings, progress)]
        self._cache.prune()
        return streams

    def joined(self, recordings: Sequence[Path], progress: Progress) -> SimulatedStream:
        """See `WordModel`."""
        hashes = [hash_file(path) for path in recordings]
        stream = self.simulated(recordings, hashes, stream_features(self._cache, recordings, hashes, STREAM, progress), STREAM)
        self._cache.prune()
        return stream

    def _features(self, recordings: Sequence[Path], progress: Progress) -> list[tuple[Path, str, CachedStream]]:
        # The model itself runs on all cores by TensorFlow's threads; the frontend needs processes for that.
        jobs = self._jobs if worth_processes(recordings) else 1
        found = []
        for path, (digest, features) in zip(recordings, map_in_processes(partial(_clip_features, self._cache.folder), recordings, jobs=jobs), strict=True):
            progress(sum(features.samples) / contract.SAMPLE_RATE_HZ)
            found.append((path, digest, features))
        return found

    def simulated(self, paths: Sequence[Path], hashes: Sequence[str], features: CachedStream, presentation: Presentation) -> SimulatedStream:
        """The recordings of one stream whose features are there already; `presentation` says what silence lies between them."""
        starts = accumulate((samples + presentation.gap for samples in features.samples[:-1]), initial=presentation.lead_in)
        recordings = tuple(Recording(*fields) for fields in zip(paths, hashes, features.samples, starts, strict=True))
        return SimulatedStream(recordings, features.slices, self._stride, self._probabilities(features))

    def _probabilities(self, features: CachedStream) -> NDArray[np.uint8]:
        """One probability an inference since boot, range by range; each window reaches back over the border of its range."""
        per_range, inferences = SLICES_PER_RANGE // self._stride, features.slices // self._stride
        reach = self._slices - self._stride
        parts = [np.zeros(0, np.uint8)]
        for first in range(0, inferences, per_range):
            start, stop = first * self._stride - reach, min(first + per_range, inferences) * self._stride
            # The device has heard nothing but silence before boot.
            before = np.full((max(0, -start), contract.FEATURE_CHANNELS), FEATURE_MIN, np.int8)
            heard = self._sliding.run(np.concatenate([before, features.read(max(0, start), stop)]))
            parts.append(np.clip(np.rint(heard * OUTPUT_STEPS), 0, contract.PROBABILITY_MAX).astype(np.uint8))
        return np.concatenate(parts)


def worth_processes(recordings: Sequence[Path]) -> bool:
    """Whether starting processes costs less than it saves: many recordings, or long ones by their headers."""
    if len(recordings) >= FEWEST_CLIPS_FOR_PROCESSES:
        return True
    if len(recordings) < 2:
        return False
    with suppress(ConfigError):  # who hears it tells of it
        return sum(probe(path).seconds for path in recordings) > SECONDS_WORTH_PROCESSES
    return False


def weights_sha256(weights: Any) -> str:
    """A name for the weights of a model in training, which is no file."""
    digest = hashlib.sha256()
    for values in weights.get_weights():
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def _told(streams: Iterable[SimulatedStream], progress: Progress) -> Iterator[SimulatedStream]:
    for stream in streams:
        progress(sum(recording.seconds for recording in stream.recordings))
        yield stream


def _nothing() -> None:
    """What a process needs before its first recording."""


def _simulate_one(content: bytes, source: str, options: Options, path: Path) -> SimulatedStream:
    return simulate(parse_model(content, source), [path], CLIPS, replace(options, jobs=1))[0]


def _clip_features(cache_folder: Path, path: Path) -> tuple[str, CachedStream]:
    """Hash and features of one recording; the features stay on disk, so that little goes from process to process."""
    digest = hash_file(path)
    features = stream_features(FeatureCache(cache_folder), [path], [digest], CLIPS, lambda _: None)
    return digest, replace(features, held=None)
