"""What a GPU makes of a training: a step, a whole training with its features on the device, several models at once.

It needs JAX and no TensorFlow. Prints what was measured and on which device; asserts nothing but that batches are the
same as on the host, bit for bit, and losses finite. A figure is a median, with the middle half beside it: of turns, or
of the parts of a training (`loop.REPORT_INTERVAL_S`) without the first.

    python -m benchmarks.gpu [--steps 30000] [--models 8] [--store FEATURES.npz] [--result FILE.json]

`--store`: what `python -m benchmarks.gpu_features SPEECH FEATURES.npz` has made of recordings; without it clips are
noise.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.config.batch_settings import FilterAugment
from trainer.config.lengths import window_slices
from trainer.config.network import NetworkConfig
from trainer.config.training_sections import PerformanceSection, TrainingSection
from trainer.data.batches import BatchSampler
from trainer.data.clip_rows import ClipRows
from trainer.data.drawn_sets import FeatureSet
from trainer.networks.runtime import start_jax
from trainer.training.loop import REPORT_INTERVAL_S, run_blocks
from trainer.training.profiling import StepTimes
from trainer.training.progress import Silent
from trainer.training.recorder import Recorder
from trainer.training.schedules import learning_rate
from wakeword import contract

NETWORK = NetworkConfig(
    first_conv_filters=32, pointwise_filters=(64, 64, 64, 64), mixconv_kernel_sizes=((5,), (7, 11), (9, 15), (23,))
)
SLICES = window_slices(NETWORK, 1500)
PREFETCH = 3
BLOCK = 100
NOISE_WORDS, NOISE_NEGATIVES, NOISE_NEGATIVE_SLICES = 2000, 60, 60_000
STUDENT_SEED = 1000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=30_000, help="of a whole training (default 30000)")
    parser.add_argument("--batch-size", type=int, default=128, help="windows a step (default 128)")
    parser.add_argument("--models", type=int, default=8, help="trained at once (default 8)")
    parser.add_argument("--batches", type=int, default=200, help="compared with the host's (default 200)")
    parser.add_argument("--turns", type=int, default=20, help="of 100 steps (default 20)")
    parser.add_argument("--trainings", type=int, default=3, help="of one model (default 3)")
    parser.add_argument("--processes", type=int, help="that draw batches of several models (default: as many as pay)")
    parser.add_argument("--store", type=Path, help="features of real sounds")
    parser.add_argument("--result", type=Path, help="write the figures to this file too")
    arguments = parser.parse_args()
    device = start_jax()[0]
    import jax

    figures: dict[str, Any] = {}

    def tell(found: dict[str, Any]) -> None:
        figures.update(found)
        for name, value in found.items():
            print(f"{name:76}{value:12.4f}" if isinstance(value, float) else f"{name:76}{value!s:>12}", flush=True)
        if arguments.result:
            arguments.result.write_text(json.dumps(figures, indent=1))

    sets = _sets(arguments.store)
    settings = _settings(arguments.steps, arguments.batch_size)
    sampler = BatchSampler(sets, SLICES, settings)
    tell({"device": str(device.device_kind), "processors of the host": len(os.sched_getaffinity(0))})
    tell({"JAX": jax.__version__, "features: MiB": sum(rows.nbytes for rows in sampler.rows) / 2**20})
    tell(_same_batches(sampler, arguments.batches))
    step_ms = 0.0
    for found in _steps(sampler, settings, arguments.turns):
        tell(found)
        step_ms = found.get("a step, in one program: ms", step_ms)
    for found in _trainings(sampler, settings, arguments.trainings, step_ms):
        tell(found)
    for found in _several(sets, settings, arguments):
        tell(found)
    tell({"main memory of this process at most: MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024})


def _settings(steps: int, batch_size: int) -> TrainingSection:
    """Of the preset `standard`."""
    return TrainingSection(
        training_steps=(steps * 2 // 3, steps - steps * 2 // 3),
        batch_size=batch_size,
        seed=1,
        time_mask_max_size=(5,),
        time_mask_count=(2,),
        freq_mask_max_size=(4,),
        freq_mask_count=(2,),
        filter_augment=FilterAugment(gain=14, tilt=8, ripple=3),
    )


def _sets(store: Path | None) -> list[FeatureSet]:
    if store is None:
        rng = np.random.default_rng(0)
        lengths = {
            "words": np.full(NOISE_WORDS, SLICES + 10),
            "negatives": np.full(NOISE_NEGATIVES, NOISE_NEGATIVE_SLICES),
        }
        clips = {
            name: ClipRows(rng.integers(-128, 128, (each.sum(), contract.FEATURE_CHANNELS), np.int8), each)
            for name, each in lengths.items()
        }
    else:
        with np.load(store) as stored:
            clips = {name: ClipRows(stored[name], stored[f"{name}_lengths"]) for name in ("words", "negatives")}
    words = FeatureSet("words", True, clips["words"], truncation_strategy="truncate_start")
    return [words, FeatureSet("negatives", False, clips["negatives"], sampling_weight=6)]


def _same_batches(sampler: BatchSampler, batches: int) -> dict[str, Any]:
    """How many batches, made on the device, are the host's in every value."""
    import jax

    from trainer.data.pure_batches import features_of
    from trainer.training.vector_steps import stored_on_device

    (store, _), make = stored_on_device(sampler), jax.jit(features_of, static_argnums=1)
    same = {"from the store": 0, "from windows": 0}
    for step in range(batches):
        wanted = sampler.batch(step).features
        for name in same:
            windows = name == "from windows"
            made = make(sampler.numbers(step, with_features=windows), SLICES, None if windows else store)
            same[name] += np.array_equal(np.asarray(made), wanted)
    for name, count in same.items():
        assert count == batches, f"{batches - count} batches {name} differ from the host's"
    return {f"batches equal, {name}": f"{count}/{batches}" for name, count in same.items()}


class _One:
    """A model at work in `run_blocks`."""

    def __init__(self, steps: Any, vectors: Any) -> None:
        self._steps, self._vectors = steps, vectors
        self.blocks, self.made_ready = steps.blocks, steps.made_ready

    def train_block(self, made: Any, rates: Any) -> Any:
        self._vectors, sums = self._steps(self._vectors, made, rates)
        return sums


class _Late:
    """Counts blocks before which the device had nothing to do: all steps before them were done."""

    def __init__(self, model: Any) -> None:
        self.blocks, self.made_ready, self._train_block = model.blocks, model.made_ready, model.train_block
        self.late = self.all = 0
        self._last: Any = None

    def train_block(self, made: Any, rates: Any) -> Any:
        self.late += bool(self.all and self._last.is_ready())
        self.all += 1
        self._last = self._train_block(made, rates)
        return self._last


class _Watch(Recorder):
    """Times alone."""

    def __init__(self) -> None:
        super().__init__(None, PerformanceSection(), Silent())
        self.times = StepTimes()

    def timed(self, section: str) -> AbstractContextManager[None]:
        return self.times.timed(section)


def _steps(sampler: BatchSampler, settings: TrainingSection, turns: int) -> Iterator[dict[str, Any]]:
    """Milliseconds a step, and to draw a batch."""
    import jax

    from trainer.training.vector_steps import VectorSteps

    for name, at_once in (("each sent by itself", False), ("in one program", True)):
        steps = VectorSteps(NETWORK, SLICES, settings, on_device=True)
        steps.place(sampler)
        vectors = jax.device_put(_fresh(1))
        blocks = [range(BLOCK)] if at_once else [range(step, step + 1) for step in range(BLOCK)]
        made = [steps.made_ready(sampler, block, nullcontext) for block in blocks]
        began = time.perf_counter()
        vectors, sums = steps(vectors, made[0], [1e-3] * len(blocks[0]))
        sums.block_until_ready()
        yield {f"first call, {name}: s": time.perf_counter() - began}

        def run(steps: Any = steps, made: Any = made, blocks: Any = blocks, kept: Any = None) -> None:
            nonlocal vectors
            for each, block in zip(made, blocks, strict=True):
                vectors, kept = steps(vectors, each, [1e-3] * len(block))
            kept.block_until_ready()

        yield _turns(f"a step, {name}: ms", run, BLOCK, turns)
        steps.close()
    yield _turns(
        "drawing a batch's numbers, one process of the host: ms",
        lambda: [sampler.numbers(step, with_features=False) for step in range(BLOCK)],
        BLOCK,
        turns,
    )


def _trainings(
    sampler: BatchSampler, settings: TrainingSection, count: int, step_ms: float
) -> Iterator[dict[str, Any]]:
    """Whole trainings of one model: features on the device, numbers of batches ahead, the loss of all steps."""
    import jax

    from trainer.training.vector_steps import VectorSteps

    steps, times = VectorSteps(NETWORK, SLICES, settings, on_device=True), []
    for number in range(count):
        began = time.perf_counter()
        steps.place(sampler)
        found = _trained("one model", _One(steps, jax.device_put(_fresh(1))), sampler, settings, step_ms)
        steps.close()
        times.append(time.perf_counter() - began)
        yield {f"{name} ({number + 1})": value for name, value in found.items()}
    yield _spread(f"one model, {settings.steps} steps, with starting processes: s", times)
    yield {"one model: memory of the device at most: MiB": _peak_mib()}


def _several(
    sets: Sequence[FeatureSet], settings: TrainingSection, arguments: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """Several models at once, and a student of all of them."""
    from benchmarks.several import SeveralModels

    count, seeded = arguments.models, [settings.model_copy(update={"seed": seed}) for seed in range(arguments.models)]
    samplers = [BatchSampler(sets, SLICES, each) for each in seeded]
    taught = settings.model_copy(update={"teaching_share": 0.7})
    ensemble = SeveralModels(NETWORK, settings, samplers, range(count), processes=arguments.processes)
    yield from _at_once(f"{count} models", ensemble, settings, arguments.turns)
    student = SeveralModels(NETWORK, taught, samplers[:1], [STUDENT_SEED], [ensemble.as_teachers()])
    yield from _at_once("their student", student, settings, arguments.turns)
    yield {"memory of the device at most, with all: MiB": _peak_mib()}


def _at_once(what: str, models: Any, settings: TrainingSection, turns: int) -> Iterator[dict[str, Any]]:
    begun = models.vectors
    models.vectors = _copied(begun)  # steps may overwrite what they are given
    made = models.made_ready(None, range(BLOCK), nullcontext)

    def run() -> None:
        models.train_block(made, [1e-3] * BLOCK).block_until_ready()

    began = time.perf_counter()
    run()
    yield {f"{what}: first call: s": time.perf_counter() - began}
    step = _turns(f"{what}: a step of all, {BLOCK} in one program: ms", run, BLOCK, turns)
    yield step
    models.vectors = begun
    yield _trained(what, models, None, settings, next(iter(step.values())))
    models.close()


def _trained(what: str, model: Any, source: Any, settings: TrainingSection, step_ms: float) -> dict[str, Any]:
    """A training as the product's loop does it, which reads what steps give at intervals."""
    watched, recorder = _Late(model), _Watch()
    heard: list[Any] = []
    unread: list[Any] = []
    done, parts = 0, [(0, time.perf_counter())]
    first_phase = settings.training_steps[0]
    for phase in (range(first_phase), range(first_phase, settings.steps)):
        blocks = run_blocks(watched, source, phase, PREFETCH, recorder, lambda step: learning_rate(settings, step))
        for block, sums in blocks:
            unread.append(sums)
            done += len(block)
            if time.perf_counter() - parts[-1][1] >= REPORT_INTERVAL_S or done == settings.steps:
                heard += [_losses(each) for each in unread]
                parts.append((done, time.perf_counter()))
                unread = []
    losses = np.concatenate(heard, axis=1)
    assert losses.shape[1] == settings.steps
    assert np.isfinite(losses).all()
    taken = parts[-1][1] - parts[0][1]
    of_parts = [(b[1] - a[1]) / (b[0] - a[0]) * 1000 for a, b in pairwise(parts[1:])]
    waited_s = recorder.times.report()["waiting_for_batch_ms"]
    return {
        f"{what}, {settings.steps} steps: s": taken,
        f"{what}: of it up to the first losses: s": parts[1][1] - parts[0][1],
        **_spread(f"{what}: a step after that, all included: ms", of_parts),
        f"{what}: as many steps alone, by the program above,: s": step_ms * settings.steps / 1000,
        f"{what}: the loop waited for batches: s": waited_s / 1000,
        f"{what}: blocks that the device waited for": f"{watched.late}/{watched.all}",
        f"{what}: mean loss of the first and the last 100 steps": (
            f"{losses[:, :100].mean():.4f} {losses[:, -100:].mean():.4f}"
        ),
    }


def _losses(sums: Any) -> NDArray[np.float32]:
    """`[models, steps]`, of what the steps of one model or of several give."""
    values = np.asarray(sums)
    return values.reshape(len(values) if values.ndim == 3 else 1, -1, 5)[:, :, 0]


def _copied(vectors: Any) -> Any:
    import jax
    import jax.numpy as jnp

    return jax.tree.map(jnp.copy, vectors)


def _fresh(seed: int) -> Any:
    from benchmarks.several import begun

    return begun(NETWORK, SLICES, seed, averaging=True)


def _turns(name: str, run: Callable[[], object], count: int, turns: int) -> dict[str, Any]:
    """Of some turns of so many steps."""
    times = []
    for _ in range(turns):
        began = time.perf_counter()
        run()
        times.append((time.perf_counter() - began) / count * 1000)
    return _spread(name, times)


def _spread(name: str, values: Sequence[float]) -> dict[str, Any]:
    """The median and the middle half."""
    if not values:
        return {name: "nothing"}
    quarter, middle, three_quarters = np.percentile(values, (25, 50, 75))
    return {name: float(middle), f"{name} (middle half of {len(values)})": f"{quarter:.4f}-{three_quarters:.4f}"}


def _peak_mib() -> float:
    import jax

    return float((jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0)) / 2**20


if __name__ == "__main__":
    main()
