"""Which learning rate to begin with: Smith's range test.

Leslie N. Smith, "Cyclical Learning Rates for Training Neural Networks" (2015, arXiv 1506.01186) and "A disciplined
approach to neural network hyper-parameters" (2018, arXiv 1803.09820): a fresh network is trained for some hundred steps
while the rate rises exponentially. First the loss stays, then it falls, and from some rate on it rises: beyond it a
training diverges. What is suggested is a tenth of the rate at which the smoothed loss was lowest, which keeps clear of
that.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainer.config.sections import TrainerConfig
from trainer.data.batches import BatchSampler, prefetch
from trainer.data.parallel import Stages
from trainer.data.spec_augment import choose_array_module
from trainer.data.training_sets import stored_clips, training_sets
from trainer.networks.models import build_model
from trainer.networks.runtime import compute_dtype, start_tensorflow
from trainer.training.interrupt import delayed_interrupt
from trainer.training.memory import feature_workers
from trainer.training.run import checked_recordings
from trainer.training.step import TrainState
from trainer.training.teachers import open_teachers
from wakeword.files import check_writable, write_atomically
from wakeword.processes import threads_of_workers

STEPS = 300
LOWEST, HIGHEST = 1e-6, 1.0
"""The rates of the first and of the last step."""
SMOOTHING = 0.95
"""What the running mean of the loss keeps a step: a mean of about the last twenty."""
DIVERGED = 4.0
"""The test ends where the smoothed loss is so many times its lowest."""
BELOW_LOWEST = 10.0
"""The suggestion is the rate of the lowest loss divided by it."""
WARM_UP = 20
"""Steps whose mean is of too few losses to be the lowest."""
FALLEN = 0.9
"""The lowest loss is below this share of the first mean, or the network has learned nothing."""


@dataclass(frozen=True)
class RateTest:
    """The rates of the steps that were done, and the smoothed loss after each."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    diverged: bool
    """Whether it ended before the highest rate."""

    @property
    def lowest(self) -> int | None:
        """The step with the lowest smoothed loss; None where the loss has not fallen."""
        if len(self.losses) <= WARM_UP:
            return None
        place = WARM_UP + int(np.argmin(self.losses[WARM_UP:]))
        return place if self.losses[place] < FALLEN * self.losses[WARM_UP] else None

    @property
    def suggestion(self) -> float | None:
        """The learning rate to begin with, to two digits; None where the loss has not fallen."""
        return None if self.lowest is None else float(f"{self.rates[self.lowest] / BELOW_LOWEST:.1e}")

    def __str__(self) -> str:
        """What it found, and by which rule."""
        if self.lowest is None or self.suggestion is None:
            return (
                f"the loss has not fallen below {FALLEN:.0%} of what it was at any rate up to {self.rates[-1]:.1e}, so"
                " no learning rate is suggested; look at the plot, and at the recordings"
            )
        end = (
            f"beyond {self.rates[-1]:.1e} the training diverges"
            if self.diverged
            else f"it did not diverge up to {self.rates[-1]:g}"
        )
        return (
            f"suggested learning rate {self.suggestion:g}, a tenth of {self.rates[self.lowest]:.1e}, where the smoothed"
            f" loss was lowest ({self.losses[self.lowest]:.3g}); {end}"
        )


def rates() -> tuple[float, ...]:
    """The learning rate of each step."""
    return tuple(float(rate) for rate in np.geomspace(LOWEST, HIGHEST, STEPS))


def range_test(
    loss_at: Callable[[float], float], interrupted: Callable[[], bool], count: Callable[[int, int], None]
) -> RateTest:
    """Train a step at each rate until the loss diverges. `loss_at` does a step at a rate and says its loss.

    Raises `KeyboardInterrupt` between two steps once `interrupted` says so.
    """
    done: list[float] = []
    smoothed: list[float] = []
    mean, lowest, diverged = 0.0, math.inf, False
    count(0, STEPS)
    for rate in rates():
        loss = loss_at(rate)
        if interrupted():
            raise KeyboardInterrupt
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        # As in Adam: a young mean is still near the zero that it began with.
        value = mean / (1 - SMOOTHING ** (len(done) + 1))
        if not math.isfinite(value) or (len(done) >= WARM_UP and value > DIVERGED * lowest):
            diverged = True
            break
        done.append(rate)
        smoothed.append(value)
        lowest = min(lowest, value) if len(done) > WARM_UP else math.inf
        count(len(done), STEPS)
    return RateTest(tuple(done), tuple(smoothed), diverged)


def find_rate(config: TrainerConfig, plot: Path, progress: Stages, jobs: int | None = None) -> RateTest:
    """Test the rates on the batches that a run of this configuration would begin with, and draw the `plot`, a PNG.
    Nothing else is written, but for features, which a run then finds.

    Raises `ConfigError` as `train_run` does, `KeyboardInterrupt` after Ctrl-C, with nothing written.
    """
    check_writable(plot)
    performance, training = config.performance, config.training
    ingestion = checked_recordings(config, None, progress, jobs)
    with threads_of_workers(performance.num_threads_per_worker):
        clips = stored_clips(
            config, ingestion.records, config.slices, progress, feature_workers(config, ingestion.records, jobs)
        )
    if training.teacher != "none":
        progress.told("the test is without the teacher of training.teacher, which is not trained yet")
    if performance.step == "jax":
        progress.told("the steps of the test are TensorFlow's")
    start_tensorflow(settings=performance)
    import keras

    keras.utils.set_random_seed(training.seed)
    state = TrainState(
        build_model(config.model, config.slices),
        config.model,
        training,
        compute_dtype(performance),
        open_teachers(config),
    )
    sampler = BatchSampler(
        training_sets(config, clips), config.slices, training, choose_array_module(performance.gpu_only)
    )
    with (
        closing(prefetch(sampler.batch, range(STEPS), performance.prefetch_factor)) as batches,
        delayed_interrupt() as interrupted,
    ):

        def loss_at(rate: float) -> float:
            state.set_learning_rate(rate)
            return float(state.train_step(next(batches))[0])

        test = range_test(loss_at, interrupted, progress.counting("learning rates"))
    write_atomically(plot, drawn(test, config.export.wake_word))
    return test


def drawn(test: RateTest, about: str) -> bytes:
    """A PNG of the test: the smoothed loss over the rate, the suggestion, and a caption. `about` names the run."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(test.rates, test.losses, color="#1f5fa8", linewidth=1.8, label="smoothed loss")
    if test.lowest is not None and test.suggestion is not None:
        axes.plot(test.rates[test.lowest], test.losses[test.lowest], "o", color="#1f5fa8", label="lowest")
        axes.axvline(
            test.suggestion, color="#b3431e", linestyle="--", label=f"suggested: {test.suggestion:g}", linewidth=1.4
        )
    axes.set(xscale="log", xlabel="learning rate (log scale)", ylabel="mean weighted loss of a step (no unit)")
    axes.set_title(f"Learning rate range test: {about}", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, alpha=0.3)
    axes.legend(frameon=False)
    figure.supxlabel(
        f"{len(test.rates)} of {STEPS} steps of a fresh network, the rate rising exponentially from {LOWEST:g} to"
        f" {HIGHEST:g}.\nThe loss is a running mean that keeps {SMOOTHING:g} a step. Suggested is a tenth of the rate"
        " at which it is lowest.",
        fontsize=9,
        color="#555555",
        x=0.01,
        ha="left",
    )
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=110, metadata={"Software": None})
    return image.getvalue()
