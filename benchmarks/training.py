"""How fast the standard recipe trains and validates, beside a plain Keras loop of the same network over the same
batches.

The two are timed in turns, so that other work on the machine disturbs both alike. Prints steps a second, ratios and
peak memory; it asserts nothing, since machines are shared.

    python benchmarks/training.py [--hours HOURS] [--rounds ROUNDS]
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.config.lengths import window_slices
from trainer.config.network import NetworkConfig
from trainer.config.training_sections import PerformanceSection, TrainingSection
from trainer.data.batches import BatchSampler, FeatureSet, prefetch
from trainer.data.split import Split
from trainer.inference.models import FloatModel
from trainer.inference.splits import PresentedSplit
from trainer.mixednet.runtime import start_tensorflow
from trainer.mixednet.scaling import dequantise
from trainer.training.step import TrainState
from trainer.training.validation import StreamingValidation
from wakeword import contract
from wakeword.corpus.feature_cache import CachedStream
from wakeword.presentation import SESSION, STREAM, Presentation
from wakeword.simulation.streams import PresentedStream

NETWORK = NetworkConfig(
    first_conv_filters=32, pointwise_filters=(64, 64, 64, 64), mixconv_kernel_sizes=((5,), (7, 11), (9, 15), (23,))
)
CLIP_MS, BATCH_SIZE = 1500, 128
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
    arguments = parser.parse_args()
    start_tensorflow()
    import keras

    from trainer.mixednet.models import build_model

    slices = window_slices(NETWORK, CLIP_MS)
    keras.utils.set_random_seed(0)
    model = build_model(NETWORK, slices)
    print(
        f"{model.count_params()} parameters, {BATCH_SIZE} windows of {slices} slices a step; peak memory after"
        f" TensorFlow's start {_peak_mib()} MiB"
    )
    sampler = BatchSampler(_sets(slices), slices, TrainingSection(batch_size=BATCH_SIZE, seed=1))
    ours = _our_loop(model, sampler)
    ours(0)
    step_s = ours(WARM_UP)
    print(f"this trainer: first look {1 / step_s:.1f} steps/s, peak memory {_peak_mib()} MiB")
    with tempfile.TemporaryDirectory(prefix="mww-bench-") as folder:
        _validation(model, slices, Path(folder), arguments.hours, step_s)
    reference = _plain_keras_loop(slices, sampler)
    reference(0)
    times: dict[str, list[float]] = {"this trainer": [], "plain Keras": []}
    for turn in range(arguments.rounds):
        first = WARM_UP + (turn + 1) * STEPS
        times["this trainer"].append(ours(first))
        times["plain Keras"].append(reference(first))
    print(
        f"\n{'':14}{'ms a step':>11}{'best':>8}{'steps/s':>10}    median of {arguments.rounds} turns of {STEPS} steps,"
        " data included"
    )
    for name, seconds in times.items():
        middle = statistics.median(seconds)
        print(f"{name:14}{middle * 1000:11.1f}{min(seconds) * 1000:8.1f}{1 / middle:10.1f}")
    ratios = [theirs / mine for mine, theirs in zip(*times.values(), strict=True)]
    print(
        f"{'ratio':14}{statistics.median(ratios):10.2f}x   (turns from {min(ratios):.2f}x to {max(ratios):.2f}x); peak"
        f" memory of all {_peak_mib()} MiB"
    )


def _sets(slices: int) -> list[FeatureSet]:
    """Noise as long as real clips: what a step takes does not depend on what is said."""
    rng = np.random.default_rng(0)

    def clips(count: int, length: int) -> list[NDArray[np.int8]]:
        return [rng.integers(-128, 128, (length, contract.FEATURE_CHANNELS)).astype(np.int8) for _ in range(count)]

    words = FeatureSet("words", True, clips(500, slices + 10), truncation_strategy="truncate_start")
    return [words, FeatureSet("negatives", False, clips(20, 60_000), sampling_weight=4)]


def _our_loop(model: Any, sampler: BatchSampler) -> Callable[[int], float]:
    state = TrainState(model, NETWORK, TrainingSection())

    def run(first: int) -> float:
        began = time.perf_counter()
        for batch in prefetch(sampler.batch, range(first, first + STEPS), PerformanceSection().prefetch_factor):
            loss = state.train_step(batch)
        loss.numpy()
        return (time.perf_counter() - began) / STEPS

    return run


def _plain_keras_loop(slices: int, sampler: BatchSampler) -> Callable[[int], float]:
    """What Keras offers: `train_on_batch` with counts of all four outcomes at 101 cutoffs, batch after batch."""
    import keras

    from trainer.mixednet.models import build_model

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
