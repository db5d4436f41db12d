"""How fast the standard recipe trains and validates: with the step of JAX, with that of TensorFlow, and in a plain
Keras loop of the same network over the same batches.

They are timed in turns, so that other work on the machine disturbs all alike. Prints steps a second, ratios and peak
memory; it asserts nothing, since machines are shared.

    python benchmarks/training.py [--hours HOURS] [--rounds ROUNDS] [--batch-size SIZE]
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from trainer.config.batch_settings import FilterAugment
from trainer.config.lengths import window_slices
from trainer.config.network import NetworkConfig
from trainer.config.training_sections import PerformanceSection, TrainingSection
from trainer.data.batches import BatchSampler
from trainer.data.drawn_sets import FeatureSet
from trainer.data.split import Split
from trainer.inference.models import FloatModel
from trainer.inference.splits import PresentedSplit
from trainer.networks.runtime import start_tensorflow
from trainer.networks.scaling import dequantise
from trainer.training.loop import run_blocks
from trainer.training.progress import Silent
from trainer.training.recorder import Recorder
from trainer.training.step_engine import train_state
from trainer.training.validation import StreamingValidation
from wakeword import contract
from wakeword.corpus.feature_cache import CachedStream
from wakeword.presentation import SESSION, STREAM, Presentation
from wakeword.simulation.streams import PresentedStream

NETWORK = NetworkConfig(
    first_conv_filters=32, pointwise_filters=(64, 64, 64, 64), mixconv_kernel_sizes=((5,), (7, 11), (9, 15), (23,))
)
CLIP_MS, BATCH_SIZE = 1500, 128
AUGMENTED: dict[str, Any] = {
    "time_mask_max_size": (5,),
    "time_mask_count": (2,),
    "freq_mask_max_size": (4,),
    "freq_mask_count": (2,),
    "filter_augment": FilterAugment(gain=14, tilt=8, ripple=3),
}
"""As in the presets `standard` and `quick`."""
WARM_UP, STEPS = 5, 20
CUTOFF_STEPS = 101
EVAL_STEP_INTERVAL = 500
UTTERANCES, UTTERANCE_SAMPLES = 150, 16_000
WRITTEN_AT_ONCE = 60_000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=10.0, help="ambient validation recordings (default 10)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each loop (default 5)")
    parser.add_argument("--batch-size", type=int, default=BATCH_SIZE, help="windows a step (default 128)")
    arguments = parser.parse_args()
    start_tensorflow()
    import keras

    from trainer.networks.models import build_model

    slices = window_slices(NETWORK, CLIP_MS)
    keras.utils.set_random_seed(0)
    model, size = build_model(NETWORK, slices), arguments.batch_size
    print(
        f"{model.count_params()} parameters, {size} windows of {slices} slices a step; peak memory after TensorFlow's"
        f" start {_peak_mib()} MiB"
    )
    sampler = BatchSampler(_sets(slices), slices, TrainingSection(batch_size=size, seed=1, **AUGMENTED))
    loops: dict[str, Callable[[int], float]] = {}
    steps: tuple[Literal["jax"], Literal["tensorflow"]] = ("jax", "tensorflow")
    for step in steps:
        loops[f"{step} step"] = _our_loop(slices, sampler, step)
        loops[f"{step} step"](0)
        print(
            f"{step} step: first look {1 / loops[f'{step} step'](WARM_UP):.1f} steps/s, peak memory {_peak_mib()} MiB"
        )
    with tempfile.TemporaryDirectory(prefix="mww-bench-") as folder:
        _validation(model, slices, Path(folder), arguments.hours, loops["jax step"](WARM_UP))
    loops["plain Keras"] = _plain_keras_loop(slices, sampler)
    loops["plain Keras"](0)
    times: dict[str, list[float]] = {name: [] for name in loops}
    for turn in range(arguments.rounds):
        for name, loop in loops.items():
            times[name].append(loop(WARM_UP + (turn + 1) * STEPS))
    print(
        f"\n{'':16}{'ms a step':>11}{'best':>8}{'steps/s':>10}    median of {arguments.rounds} turns of {STEPS} steps,"
        " data included"
    )
    for name, seconds in times.items():
        middle = statistics.median(seconds)
        print(f"{name:16}{middle * 1000:11.1f}{min(seconds) * 1000:8.1f}{1 / middle:10.1f}")
    for slower, faster in (
        ("tensorflow step", "jax step"),
        ("plain Keras", "tensorflow step"),
        ("plain Keras", "jax step"),
    ):
        ratios = [theirs / mine for mine, theirs in zip(times[faster], times[slower], strict=True)]
        quarters = statistics.quantiles(ratios, n=4)
        print(
            f"{faster}, beside {slower}: {statistics.median(ratios):.2f}x (half of the turns from {quarters[0]:.2f}x to"
            f" {quarters[2]:.2f}x)"
        )
    print(f"peak memory of all {_peak_mib()} MiB")


def _sets(slices: int) -> list[FeatureSet]:
    """Noise as long as real clips: what a step takes does not depend on what is said."""
    rng = np.random.default_rng(0)

    def clips(count: int, length: int) -> list[NDArray[np.int8]]:
        return [rng.integers(-128, 128, (length, contract.FEATURE_CHANNELS)).astype(np.int8) for _ in range(count)]

    words = FeatureSet("words", True, clips(500, slices + 10), truncation_strategy="truncate_start")
    return [words, FeatureSet("negatives", False, clips(20, 60_000), sampling_weight=4)]


def _our_loop(slices: int, sampler: BatchSampler, step: Literal["jax", "tensorflow"]) -> Callable[[int], float]:
    from trainer.networks.models import build_model

    performance = PerformanceSection(step=step)
    state, _ = train_state(build_model(NETWORK, slices), NETWORK, TrainingSection(), performance)
    recorder = Recorder(None, performance, Silent())

    def run(first: int) -> float:
        began = time.perf_counter()
        steps = range(first, first + STEPS)
        for _, sums in run_blocks(state, sampler, steps, performance.prefetch_factor, recorder, lambda _: 1e-3):
            loss = sums
        np.asarray(loss)
        return (time.perf_counter() - began) / STEPS

    return run


def _plain_keras_loop(slices: int, sampler: BatchSampler) -> Callable[[int], float]:
    """What Keras offers: `train_on_batch` with counts of all four outcomes at 101 cutoffs, batch after batch."""
    import keras

    from trainer.networks.models import build_model

    cutoffs = np.linspace(0.0, 1.0, CUTOFF_STEPS).tolist()
    outcomes = (
        keras.metrics.TruePositives,
        keras.metrics.FalsePositives,
        keras.metrics.TrueNegatives,
        keras.metrics.FalseNegatives,
    )
    model = build_model(NETWORK, slices)
    model.compile(
        keras.optimizers.Adam(),
        keras.losses.BinaryCrossentropy(),
        metrics=[outcome(thresholds=cutoffs) for outcome in outcomes],
    )

    def run(first: int) -> float:
        began = time.perf_counter()
        for step in range(first, first + STEPS):
            batch = sampler.batch(step)
            model.train_on_batch(dequantise(batch.features), batch.truth[:, None], sample_weight=batch.weights)
        return (time.perf_counter() - began) / STEPS

    return run


def _validation(model: Any, slices: int, folder: Path, hours: float, step_s: float) -> None:
    words = _presented(folder / "words", SESSION, (UTTERANCE_SAMPLES,) * UTTERANCES)
    negatives = _presented(folder / "negatives", STREAM, (round(hours * 3600 * contract.SAMPLE_RATE_HZ),))
    data = PresentedSplit(Split.VAL, words, negatives)
    validation = StreamingValidation(FloatModel(NETWORK, slices), data, window=5, target_false_accepts_per_hour=0.5)
    validation(model)
    before = _peak_mib()
    began = time.perf_counter()
    validation(model)
    taken = time.perf_counter() - began
    share = taken / (taken + EVAL_STEP_INTERVAL * step_s)
    print(
        f"validation of {hours:g} h and {UTTERANCES} utterances: {taken:.2f} s, {hours * 3600 / taken:.0f}x real time, "
        f"{share:.1%} of the time when done every {EVAL_STEP_INTERVAL} steps; peak memory {before} MiB"
    )


def _presented(path: Path, presentation: Presentation, samples: tuple[int, ...]) -> PresentedStream:
    slices = contract.slice_count(presentation.silence(len(samples)) + sum(samples))
    rng = np.random.default_rng(slices)
    with path.open("wb") as file:
        for start in range(0, slices, WRITTEN_AT_ONCE):
            size = (min(WRITTEN_AT_ONCE, slices - start), contract.FEATURE_CHANNELS)
            file.write(rng.integers(-128, 128, size).astype(np.int8).tobytes())
    return PresentedStream.of(
        [path] * len(samples), [""] * len(samples), presentation, CachedStream(path, slices, samples)
    )


def _peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
