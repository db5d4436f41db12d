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
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from trainer.data.parallel import map_in_processes
from trainer.mixednet.config import MixedNetConfig
from trainer.mixednet.scaling import FEATURE_MIN
from trainer.mixednet.sliding import BLOCK_POSITIONS, SlidingModel
from wakeword import contract
from wakeword.audio import probe
from wakeword.corpus.feature_cache import CachedStream, FeatureCache, default_cache_folder
from wakeword.errors import ConfigError
from wakeword.model.flatbuffer import TfliteModel, parse_model
from wakeword.presentation import Presentation
from wakeword.processes import process_map
from wakeword.simulation.features import Progress, present
from wakeword.simulation.simulate import Options, run_stream, simulate
from wakeword.simulation.streams import PresentedStream, SimulatedStream

OUTPUT_STEPS = 256
"""The exported model's output scale is 1/256; a float probability is rounded to the same steps."""
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

    def hear(self, recordings: Sequence[Path], presentation: Presentation, progress: Progress) -> list[SimulatedStream]:
        """Recordings as they are presented: a stream each in `clips` mode, else one of all. Raises `ConfigError` for one that cannot be read."""
        ...

    def heard(self, presented: PresentedStream) -> SimulatedStream:
        """One stream whose features are there already."""
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

    def hear(self, recordings: Sequence[Path], presentation: Presentation, progress: Progress) -> list[SimulatedStream]:
        """See `WordModel`."""
        few = len(recordings) < FEWEST_CLIPS_FOR_PROCESSES
        if presentation.mode == "clips" and few and worth_processes(recordings) and self.jobs != 1:
            # A few long recordings: one core each. Of many short ones `simulate` itself makes tasks.
            function = partial(_simulate_one, self.model.content, self.model.source, self._options, presentation)
            with process_map(function, recordings, self._options.processes, _nothing) as streams:
                return list(_told(streams, progress))
        return simulate(self.model, recordings, presentation, self._options, progress)

    def heard(self, presented: PresentedStream) -> SimulatedStream:
        """See `WordModel`."""
        return presented.heard(self.model.stride, run_stream(self.model, presented.features, self._options))

    @property
    def _options(self) -> Options:
        return Options(jobs=self.jobs, cache_folder=self.cache_folder or default_cache_folder())


class FloatModel:
    """A MixedNet in float, slid over recordings: in validation while training, in evaluation, in tuning and in mining."""

    form = "float"

    def __init__(self, network: MixedNetConfig, slices: int, *, jobs: int | None = None, cache_folder: Path | None = None) -> None:
        """Of windows of so many `slices`; it has no weights until some are loaded."""
        from trainer.mixednet.runtime import start_tensorflow

        start_tensorflow()
        self.stride, self._slices, self._jobs = network.stride, slices, jobs
        self._cache = FeatureCache(cache_folder or default_cache_folder())
        self._sliding = SlidingModel(network, slices)
        self.sha256 = ""

    def load(self, weights: Any, sha256: str = "") -> None:
        """Take over the weights of a `keras.Model` from `build_model`; later changes of it do not reach this one.

        `sha256` names them. Raises `ConfigError` when they belong to another network.
        """
        self._sliding.load(weights)
        self.sha256 = sha256

    def hear(self, recordings: Sequence[Path], presentation: Presentation, progress: Progress) -> list[SimulatedStream]:
        """See `WordModel`."""
        if presentation.mode == "clips":
            # The model itself runs on all cores by TensorFlow's threads; the frontend needs processes for that.
            jobs = self._jobs if worth_processes(recordings) else 1
            presented: Iterator[PresentedStream] = map_in_processes(partial(_present_one, self._cache.folder, presentation), recordings, jobs=jobs)
        else:
            presented = iter([present(self._cache, recordings, presentation, progress)])
        streams = []
        for one in presented:
            if presentation.mode == "clips":
                progress(one.recordings[0].seconds)
            streams.append(self.heard(one))
        self._cache.prune()
        return streams

    def heard(self, presented: PresentedStream) -> SimulatedStream:
        """One stream whose features are there already, in bounded memory whatever its length."""
        return self.rounded(presented, self.probabilities(presented.features))

    def rounded(self, presented: PresentedStream, probabilities: NDArray[np.float32]) -> SimulatedStream:
        """A stream with its probabilities in the steps of the exported model."""
        levels = np.clip(np.rint(probabilities * OUTPUT_STEPS), 0, contract.PROBABILITY_MAX).astype(np.uint8)
        return presented.heard(self.stride, levels)

    def probabilities(self, features: CachedStream) -> NDArray[np.float32]:
        """One probability an inference since boot, float32 `[slices // stride]`, range by range; each window reaches back over the border of its range."""
        inferences = features.slices // self.stride
        reach = self._slices - self.stride
        parts = [np.zeros(0, np.float32)]
        for first in range(0, inferences, BLOCK_POSITIONS):
            start, stop = first * self.stride - reach, min(first + BLOCK_POSITIONS, inferences) * self.stride
            # The device has heard nothing but silence before boot.
            before = np.full((max(0, -start), contract.FEATURE_CHANNELS), FEATURE_MIN, np.int8)
            parts.append(self._sliding.run(np.concatenate([before, features.read(max(0, start), stop)])))
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


def _simulate_one(content: bytes, source: str, options: Options, presentation: Presentation, path: Path) -> SimulatedStream:
    return simulate(parse_model(content, source), [path], presentation, replace(options, jobs=1))[0]


def _present_one(cache_folder: Path, presentation: Presentation, path: Path) -> PresentedStream:
    """One recording; its features stay on disk, so that little goes from process to process."""
    presented = present(FeatureCache(cache_folder), [path], presentation, lambda _: None)
    return replace(presented, features=replace(presented.features, held=None))
