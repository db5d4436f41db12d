"""A model over recordings, whichever form it has: float weights of a run, or the exported int8 file.

Both take the device's int8 features and give uint8 probabilities as the simulated board does, so everything behind them
is the same code. Features are cached by content; recordings of any length are read in ranges, so memory does not grow
with them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from trainer.config.network import NetworkConfig
from trainer.data.parallel import map_in_processes
from trainer.networks.scaling import FEATURE_MIN
from trainer.networks.sliding import BLOCK_POSITIONS, SlidingModel
from trainer.networks.weights import load_weights
from wakeword import contract
from wakeword.corpus.feature_cache import CachedStream, FeatureCache, default_cache_folder
from wakeword.corpus.recordings import hash_file
from wakeword.model.flatbuffer import TfliteModel
from wakeword.presentation import CLIPS
from wakeword.simulation.features import Progress, present
from wakeword.simulation.simulate import Options, run_stream, simulate, worth_processes
from wakeword.simulation.streams import PresentedStream, SimulatedStream

OUTPUT_STEPS = 256
"""The exported model's output scale is 1/256; a float probability is rounded to the same steps."""


class WordModel(Protocol):
    """What evaluation, export, mining and tuning ask of a model."""

    @property
    def form(self) -> str:
        """`float` or `int8`."""
        ...

    @property
    def sha256(self) -> str:
        """Names the model: of the exported file, or of the weights."""
        ...

    def run(self, stream: PresentedStream) -> SimulatedStream:
        """The probabilities of one stream, in bounded memory whatever its length."""
        ...

    def run_clips(self, recordings: Sequence[Path], progress: Progress) -> list[SimulatedStream]:
        """Each recording alone, on all cores: a stream each, as `CLIPS` presents it.

        Raises `ConfigError` for one that cannot be read.
        """
        ...


@dataclass(frozen=True)
class Int8Model:
    """An exported model on the simulated board: batched, exact, on all cores."""

    model: TfliteModel
    jobs: int | None = None
    form: str = "int8"

    @property
    def sha256(self) -> str:
        """Hash of the file."""
        return self.model.sha256

    def run(self, stream: PresentedStream) -> SimulatedStream:
        """The probabilities of one stream, its ranges on all cores where it is long."""
        return stream.simulated(self.model.stride, run_stream(self.model, stream.features, self._options))

    def run_clips(self, recordings: Sequence[Path], progress: Progress) -> list[SimulatedStream]:
        """Each recording alone, on all cores. Raises `ConfigError` for one that cannot be read."""
        return simulate(self.model, recordings, CLIPS, self._options, progress)

    @property
    def _options(self) -> Options:
        return Options(jobs=self.jobs, cache_folder=default_cache_folder())


class FloatModel:
    """A network in float, slid over recordings: in validation while training, in evaluation, in tuning and
    in mining."""

    form = "float"

    def __init__(
        self,
        network: NetworkConfig,
        slices: int,
        jobs: int | None = None,
        representative: NDArray[np.float32] | None = None,
    ) -> None:
        """Of windows of so many `slices`; it has no weights until some are loaded.

        With a `representative` stream the arithmetic is that of the int8 export; see `SlidingModel`.
        """
        from trainer.networks.runtime import start_tensorflow

        start_tensorflow()
        self.stride, self._slices, self._jobs = network.stride, slices, jobs
        self._sliding = SlidingModel(network, slices, representative)
        self.sha256 = ""

    def load(self, weights: Any, sha256: str = "") -> None:
        """Take over the weights of a `keras.Model` from `build_model`; later changes of it do not reach this one.

        `sha256` names them. Raises `ConfigError` when they belong to another network.
        """
        self._sliding.load(weights)
        self.sha256 = sha256

    def load_file(self, weights: Path) -> None:
        """Take over the weights of a file. Raises `ConfigError` as `load` does, and when it cannot be read."""
        load_weights(self._sliding.model, weights)
        self.sha256 = hash_file(weights)

    def run(self, stream: PresentedStream) -> SimulatedStream:
        """The probabilities of one stream in the steps of the exported model, range by range."""
        return self.rounded(stream, self.probabilities(stream.features))

    def run_clips(self, recordings: Sequence[Path], progress: Progress) -> list[SimulatedStream]:
        """Each recording alone. Raises `ConfigError` for one that cannot be read."""
        # The model itself runs on all cores by TensorFlow's threads; the frontend needs processes for that.
        jobs = self._jobs if worth_processes(recordings) else 1
        streams = []
        for stream in map_in_processes(_presented_alone, recordings, jobs=jobs):
            progress(stream.recordings[0].seconds)
            streams.append(self.run(stream))
        FeatureCache(default_cache_folder()).prune()
        return streams

    def rounded(self, stream: PresentedStream, probabilities: NDArray[np.float32]) -> SimulatedStream:
        """A stream with its probabilities in the steps of the exported model."""
        levels = np.clip(np.rint(probabilities * OUTPUT_STEPS), 0, contract.PROBABILITY_MAX).astype(np.uint8)
        return stream.simulated(self.stride, levels)

    def probabilities(self, features: CachedStream) -> NDArray[np.float32]:
        """One probability an inference since boot, float32 `[slices // stride]`, range by range; each window reaches
        back over the border of its range.
        """
        inferences = features.slices // self.stride
        reach = self._slices - self.stride
        parts = [np.zeros(0, np.float32)]
        for first in range(0, inferences, BLOCK_POSITIONS):
            start, stop = first * self.stride - reach, min(first + BLOCK_POSITIONS, inferences) * self.stride
            # The device has heard nothing but silence before boot.
            before = np.full((max(0, -start), contract.FEATURE_CHANNELS), FEATURE_MIN, np.int8)
            parts.append(self._sliding.run(np.concatenate([before, features.read(max(0, start), stop)])))
        return np.concatenate(parts)


def weights_sha256(weights: Any) -> str:
    """A name for the weights of a model in training, which is no file."""
    digest = hashlib.sha256()
    for values in weights.get_weights():
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def _presented_alone(path: Path) -> PresentedStream:
    """One recording; its features stay on disk, so that little goes from process to process."""
    presented = present(FeatureCache(default_cache_folder()), [path], CLIPS, lambda _: None)
    return replace(presented, features=replace(presented.features, held=None))
