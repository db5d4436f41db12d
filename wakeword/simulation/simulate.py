"""Running a model over recordings: clips in parallel, streams of any length, on all cores, in bounded memory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wakeword.audio import probe
from wakeword.contract import STEP_MS
from wakeword.corpus.feature_cache import CachedStream, FeatureCache
from wakeword.engines import Engine, EngineChoice, open_engine
from wakeword.engines.unrolled import UnrolledEngine
from wakeword.errors import ConfigError
from wakeword.model.flatbuffer import TfliteModel, parse_model
from wakeword.presentation import Presentation
from wakeword.processes import process_map
from wakeword.simulation.features import Progress, present
from wakeword.simulation.streams import SimulatedStream
from wakeword.threads import one_blas_thread, thread_map
from wakeword.workers import elsewhere

SLICES_PER_RANGE, SLICES_PER_THREADS_RANGE = 60_000, 20_000
"""A stream is cut into ranges of ten minutes for a process, of three for a thread; the engine's memory before each
range makes the cut invisible."""
CLIPS_PER_TASK = 8
FEWEST_CLIPS_FOR_PROCESSES = 48
SECONDS_WORTH_PROCESSES = 900.0
SLICES_WORTH_PROCESSES = 24 * SLICES_PER_RANGE
"""Below these, starting processes costs more than they save."""


@dataclass(frozen=True)
class Options:
    """How to compute; none but the engine `litert` changes a result."""

    engine: EngineChoice = "auto"
    jobs: int | None = None
    """Processes, or threads where those start sooner; None is one per core."""
    cache_folder: Path | None = None
    """Where features are kept; None keeps them only for this call."""

    @property
    def processes(self) -> int:
        """The number of processes that `jobs` means."""
        return self.jobs or len(os.sched_getaffinity(0))


def unwatched(_: float) -> None:
    """Progress that nobody watches."""


def simulate(
    model: TfliteModel,
    recordings: Sequence[Path],
    presentation: Presentation,
    options: Options | None = None,
    progress: Progress = unwatched,
    step_ms: int = STEP_MS,
) -> list[SimulatedStream]:
    """Present recordings to a simulated board.

    Args:
        model: The flatbuffer.
        recordings: Files of 16 kHz mono or what converts to it, parts of files, folders of features.
        presentation: Their layout in time.
        options: How to compute.
        progress: Called with the seconds of recordings that were finished since its last call.
        step_ms: From feature slice to slice, the manifest's `feature_step_size`.

    Returns one stream per recording in `clips` mode, one stream of all recordings (in the given order) otherwise.
    Raises `ConfigError` for a recording or model that cannot be read, and `OSError` when the cache's disk is full.
    """
    options = options or Options()
    with _cache(options) as cache:
        if presentation.mode == "clips":
            return _simulate_clips(model, recordings, presentation, options, cache, progress, step_ms)
        presented = present(cache, recordings, presentation, progress, step_ms, options.processes)
        return [presented.simulated(model.stride, run_stream(model, presented.features, options))]


@contextmanager
def _cache(options: Options) -> Iterator[FeatureCache]:
    if options.cache_folder is None:
        with tempfile.TemporaryDirectory(prefix="mww-features-") as folder:
            yield FeatureCache(Path(folder), keep=False)
        return
    cache = FeatureCache(options.cache_folder)
    yield cache
    cache.prune()


# --- clips ------------------------------------------------------------------------------------------------------------


@dataclass
class _ClipWorker:
    """What a process needs to run clips; built once a process."""

    engine: Engine
    presentation: Presentation
    cache: FeatureCache
    step_ms: int

    def run(self, paths: Iterable[Path]) -> list[SimulatedStream]:
        return [self._run_clip(path) for path in paths]

    def _run_clip(self, path: Path) -> SimulatedStream:
        presented = present(self.cache, [path], self.presentation, unwatched, self.step_ms)
        self.engine.reset()
        return presented.simulated(self.engine.stride, _run_in_order(self.engine, presented.features))


def _simulate_clips(
    model: TfliteModel,
    paths: Sequence[Path],
    presentation: Presentation,
    options: Options,
    cache: FeatureCache,
    progress: Progress,
    step_ms: int,
) -> list[SimulatedStream]:
    # Of a few long recordings each is a task; of many short ones it would cost more to hand them out.
    per_task = CLIPS_PER_TASK if len(paths) >= FEWEST_CLIPS_FOR_PROCESSES else 1
    tasks = [paths[start : start + per_task] for start in range(0, len(paths), per_task)]
    results: list[SimulatedStream] = []

    def collect(batches: Iterable[list[SimulatedStream]]) -> None:
        for batch in batches:
            results.extend(batch)
            progress(sum(recording.seconds for stream in batch for recording in stream.recordings))

    if elsewhere() is None and (options.processes == 1 or not worth_processes(paths)):
        worker = _ClipWorker(open_engine(model, options.engine)[0], presentation, cache, step_ms)
        collect(map(worker.run, tasks))
    else:
        arguments = (model.content, model.source, options.engine, presentation, cache.folder, cache.keep, step_ms)
        with process_map(_ClipWorker.run, tasks, options.processes, _clip_worker, *arguments) as batches:
            collect(batches)
    return results


def worth_processes(recordings: Sequence[Path]) -> bool:
    """Whether starting processes costs less than it saves: many recordings, or long ones by their headers."""
    if len(recordings) >= FEWEST_CLIPS_FOR_PROCESSES:
        return True
    if len(recordings) < 2:
        return False
    with suppress(ConfigError):  # whoever reads its sound tells of it
        return sum(probe(path).seconds for path in recordings) > SECONDS_WORTH_PROCESSES
    return False


def _clip_worker(
    content: bytes,
    source: str,
    choice: EngineChoice,
    presentation: Presentation,
    folder: Path,
    keep: bool,
    step_ms: int,
) -> _ClipWorker:
    engine, _ = open_engine(parse_model(content, source), choice)
    return _ClipWorker(engine, presentation, FeatureCache(folder, keep=keep), step_ms)


# --- streams ----------------------------------------------------------------------------------------------------------


def run_stream(model: TfliteModel, features: CachedStream, options: Options) -> NDArray[np.uint8]:
    """Probabilities of one stream since boot, uint8 `[slices // stride]`: ranges in parallel where the engine's memory
    is known, in threads or, of a long stream, in processes; in order otherwise.
    """
    engine, _ = open_engine(model, options.engine)
    if not isinstance(engine, UnrolledEngine) or not features.slices // engine.stride:
        return _run_in_order(engine, features)
    if elsewhere() is None and (options.processes == 1 or features.slices < SLICES_WORTH_PROCESSES):
        ranges = _ranges(features, engine.stride, SLICES_PER_THREADS_RANGE)

        def run(bounds: tuple[int, int]) -> NDArray[np.uint8]:
            return run_range(engine.fresh(), features, *bounds)

        with one_blas_thread(), thread_map(run, ranges, options.processes) as parts:
            return np.concatenate(list(parts))
    ranges = _ranges(features, engine.stride, SLICES_PER_RANGE)
    with process_map(
        _RangeWorker.run, ranges, options.processes, _range_worker, model.content, model.source, features
    ) as parts:
        return np.concatenate(list(parts))


def _ranges(features: CachedStream, stride: int, slices: int) -> list[tuple[int, int]]:
    """The inferences of a stream in ranges of so many slices."""
    inferences, each = features.slices // stride, slices // stride
    return [(start, min(start + each, inferences)) for start in range(0, inferences, each)]


def _run_in_order(engine: Engine, features: CachedStream) -> NDArray[np.uint8]:
    """Probabilities of a whole stream from the engine's present state, read range by range so that its length does not
    matter.
    """
    parts = [
        engine.run(features.read(start, start + SLICES_PER_RANGE))
        for start in range(0, features.slices, SLICES_PER_RANGE)
    ]
    return np.concatenate([np.zeros(0, np.uint8), *parts])


@dataclass
class _RangeWorker:
    """What a process needs to run ranges of a stream; built once a process."""

    engine: UnrolledEngine
    features: CachedStream

    def run(self, bounds: tuple[int, int]) -> NDArray[np.uint8]:
        return run_range(self.engine, self.features, *bounds)


def _range_worker(content: bytes, source: str, features: CachedStream) -> _RangeWorker:
    return _RangeWorker(UnrolledEngine(parse_model(content, source)), features)


def run_range(engine: UnrolledEngine, features: CachedStream, start: int, stop: int) -> NDArray[np.uint8]:
    """Probabilities of inferences `start` to `stop` of a stream, uint8 `[stop - start]`.

    The engine is fed its memory's length of slices before the range, after which its state is that of the whole stream.
    """
    stride = engine.stride
    warm = min(start, -(-engine.memory_slices // stride))
    engine.reset()
    return engine.run(features.read((start - warm) * stride, stop * stride))[warm:]
