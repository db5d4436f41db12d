"""What a GPU makes of a training: a step, a whole training with its features on the device, several models at once.

It needs JAX and no TensorFlow. Prints what was measured and on which device; asserts nothing but that batches are the
same as on the host, bit for bit.

    python -m benchmarks.gpu [--steps 30000] [--models 8] [--store FEATURES.npz] [--result FILE.json]

`--store`: NumPy's `.npz` of the features of clips, `words` and `negatives` int8 [slices, 40], with `words_lengths` and
`negatives_lengths`; without it clips are noise.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from trainer.config.batch_settings import FilterAugment
from trainer.config.lengths import window_slices
from trainer.config.network import NetworkConfig
from trainer.config.training_sections import TrainingSection
from trainer.data.batches import BatchSampler, prefetch
from trainer.data.clip_rows import ClipRows
from trainer.data.drawn_sets import FeatureSet
from trainer.networks.layout import Layout
from trainer.networks.runtime import start_jax
from trainer.training.schedules import learning_rate
from wakeword import contract

NETWORK = NetworkConfig(
    first_conv_filters=32, pointwise_filters=(64, 64, 64, 64), mixconv_kernel_sizes=((5,), (7, 11), (9, 15), (23,))
)
SLICES = window_slices(NETWORK, 1500)
TURNS = 5
NOISE_WORDS, NOISE_NEGATIVES, NOISE_NEGATIVE_SLICES = 2000, 60, 60_000
STUDENT_SEED = 1000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=30_000, help="of a whole training (default 30000)")
    parser.add_argument("--models", type=int, default=8, help="trained at once (default 8)")
    parser.add_argument("--batches", type=int, default=200, help="compared with the host's (default 200)")
    parser.add_argument("--processes", type=int, help="that draw batches of several models (default: as many as pay)")
    parser.add_argument("--store", type=Path, help="features of real sounds")
    parser.add_argument("--result", type=Path, help="write the figures to this file too")
    arguments = parser.parse_args()
    device = start_jax()[0]
    import jax

    sampler = BatchSampler(_sets(arguments.store), SLICES, _settings(arguments.steps, 1))
    store_mib = sum(rows.nbytes for rows in sampler.rows) / 2**20
    figures: dict[str, Any] = {"device": str(device.device_kind), "jax": jax.__version__, "store_mib": store_mib}
    _tell(figures)
    for measure in (_same_batches, _steps, _training, _several):
        found = measure(sampler, arguments)
        _tell(found)
        figures |= found
        if arguments.result:
            arguments.result.write_text(json.dumps(figures, indent=1))


def _tell(figures: dict[str, Any]) -> None:
    for name, value in figures.items():
        print(f"{name:56}{value:12.4f}" if isinstance(value, float) else f"{name:56}{value!s:>12}", flush=True)


def _settings(steps: int, seed: int) -> TrainingSection:
    """Of the preset `standard`."""
    return TrainingSection(
        training_steps=(steps * 2 // 3, steps - steps * 2 // 3),
        seed=seed,
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


def _same_batches(sampler: BatchSampler, arguments: argparse.Namespace) -> dict[str, Any]:
    """How many batches, made on the device, are the host's in every value."""
    import jax

    from trainer.data.pure_batches import features_of
    from trainer.training.vector_steps import stored_on_device

    store, make = stored_on_device(sampler), jax.jit(features_of, static_argnums=1)
    same = {"from the store": 0, "from windows": 0}
    for step in range(arguments.batches):
        wanted = sampler.batch(step).features
        for name in same:
            windows = name == "from windows"
            made = make(sampler.numbers(step, with_features=windows), SLICES, None if windows else store)
            same[name] += np.array_equal(np.asarray(made), wanted)
    for name, count in same.items():
        assert count == arguments.batches, f"{arguments.batches - count} batches {name} differ from the host's"
    return {f"batches equal, {name}": f"{count}/{arguments.batches}" for name, count in same.items()}


def _steps(sampler: BatchSampler, _: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds a step, and to draw a batch."""
    import jax

    from trainer.training.vector_steps import VectorSteps

    figures: dict[str, Any] = {}
    settings = _step_settings()
    for name, at_once, count in (("one by one", False, 100), ("in one program", True, 100)):
        steps = VectorSteps(NETWORK, SLICES, settings, on_device=True)
        vectors = jax.device_put(_fresh(1))
        blocks = [range(count)] if at_once else [range(step, step + 1) for step in range(count)]
        made = [steps.made_ready(sampler, block, nullcontext) for block in blocks]
        began = time.perf_counter()
        vectors, sums = steps(vectors, made[0], [1e-3] * len(blocks[0]))
        sums.block_until_ready()
        figures[f"first call, {name}: s"] = time.perf_counter() - began

        def run(steps: Any = steps, made: Any = made, blocks: Any = blocks, kept: Any = None) -> None:
            nonlocal vectors
            for each, block in zip(made, blocks, strict=True):
                vectors, kept = steps(vectors, each, [1e-3] * len(block))
            kept.block_until_ready()

        figures |= _turns(f"a step, {name}: ms", run, count)
    figures |= _turns(
        "drawing a batch's numbers on the host: ms",
        lambda: [sampler.numbers(step, with_features=False) for step in range(100)],
        100,
    )
    return figures


def _training(sampler: BatchSampler, arguments: argparse.Namespace) -> dict[str, Any]:
    """A whole training: features on the device, numbers of batches ahead, the loss of all steps."""
    import jax

    from trainer.training.vector_steps import VectorSteps

    settings = _settings(arguments.steps, 1)
    steps, vectors = VectorSteps(NETWORK, SLICES, settings, on_device=True), jax.device_put(_fresh(1))
    blocks = [block for phase in _phases(settings) for block in steps.blocks(phase)]
    heard: list[Any] = []
    late = 0
    began = time.perf_counter()
    made_blocks = prefetch(lambda block: steps.made_ready(sampler, block, nullcontext), blocks, 3)
    for block, made in zip(blocks, made_blocks, strict=True):
        # The device has nothing to do where all steps before a block are done when it comes.
        late += bool(heard) and heard[-1].is_ready()
        vectors, sums = steps(vectors, made, [learning_rate(settings, step) for step in block])
        heard.append(sums)
        if len(heard) == 1:
            sums.block_until_ready()
            first = time.perf_counter() - began
    losses = np.concatenate([np.asarray(sums).reshape(-1, 5) for sums in heard])
    taken = time.perf_counter() - began
    steps.close()
    assert np.isfinite(losses).all()
    after_first = (taken - first) / (arguments.steps - len(blocks[0])) * 1000
    return {
        f"training of {arguments.steps} steps: s": taken,
        "of it compiling, and starting processes: s": first,
        "ms a step after that, all included": after_first,
        "blocks for which the device waited": f"{late}/{len(blocks)}",
        "mean loss of the first 100 steps": float(losses[:100, 0].mean()),
        "mean loss of the last 100 steps": float(losses[-100:, 0].mean()),
        "words accepted in the last 100 steps": float(losses[-100:, 1].sum() / losses[-100:, 3].sum()),
        "peak memory of the device: MiB": _peak_mib(),
    }


def _several(sampler: BatchSampler, arguments: argparse.Namespace) -> dict[str, Any]:
    """Several models at once, and a student of all of them."""
    from trainer.training.several import SeveralModels

    settings, count = _settings(arguments.steps, 1), arguments.models
    samplers = [BatchSampler(_sets(arguments.store), SLICES, _settings(arguments.steps, seed)) for seed in range(count)]
    figures: dict[str, Any] = {}
    ensemble = SeveralModels(NETWORK, settings, samplers, range(count), processes=arguments.processes)
    figures |= _trained(f"{count} models", ensemble, settings, count)
    taught = settings.model_copy(update={"teaching_share": 0.7})
    student = SeveralModels(NETWORK, taught, [sampler], [STUDENT_SEED], [ensemble.as_teachers()])
    figures |= _trained("their student", student, taught, 1)
    figures["peak memory of the device with all: MiB"] = _peak_mib()
    return figures


def _trained(what: str, models: Any, settings: TrainingSection, count: int) -> dict[str, Any]:
    heard: list[Any] = []
    began, late, first, done = time.perf_counter(), 0, 0.0, 0
    for block, sums in models.train(range(settings.steps), lambda step: learning_rate(settings, step)):
        late += len(heard) > 1 and heard[-1].is_ready()
        heard.append(sums)
        if len(heard) == 1:
            sums.block_until_ready()
            first, done = time.perf_counter() - began, len(block)
    losses = np.concatenate([np.asarray(sums) for sums in heard], axis=1)[:, :, 0]
    taken = time.perf_counter() - began
    models.close()
    assert np.isfinite(losses).all()
    return {
        f"{what}, {settings.steps} steps: s": taken,
        f"{what}: of it compiling, and starting processes: s": first,
        f"{what}: ms a step of a model after that": (taken - first) / (settings.steps - done) / count * 1000,
        f"{what}: blocks for which the device waited": f"{late}/{len(heard)}",
        f"{what}: mean loss of the last 100 steps": float(losses[:, -100:].mean()),
    }


def _phases(settings: TrainingSection) -> list[range]:
    first = settings.training_steps[0]
    return [range(first), range(first, settings.steps)]


def _fresh(seed: int) -> Any:
    from trainer.training.pure_step import fresh

    return fresh(*Layout.of(NETWORK, SLICES).initial(seed), averaging=True)


def _step_settings() -> TrainingSection:
    """Of the measurements of single steps."""
    return _settings(30_000, 1)


def _turns(name: str, run: Callable[[], object], count: int) -> dict[str, Any]:
    """The median of some turns, and their range."""
    times = []
    for _ in range(TURNS):
        began = time.perf_counter()
        run()
        times.append((time.perf_counter() - began) / count * 1000)
    return {name: statistics.median(times), f"{name} (from, to)": _range(times)}


def _range(times: Sequence[float]) -> str:
    return f"{min(times):.3f}-{max(times):.3f}"


def _peak_mib() -> float:
    import jax

    statistics_of = jax.devices()[0].memory_stats() or {}
    return float(statistics_of.get("peak_bytes_in_use", 0)) / 2**20


if __name__ == "__main__":
    main()
