"""What a run takes of main memory, by estimate, and how `performance.max_memory_gb` keeps it below.

The estimate has two parts, which do not come at the same time. *Features:* each process that computes them, and what
this process holds of one kind of recordings until it is stored; the number of processes is lowered until that fits.
*Training:* TensorFlow with the validation, the batches made ready ahead, and a step's activations; where JAX's plugin
for GPUs is installed, also the processes that draw for one. Mapped features count as nothing: the system takes their
pages back at will. Nor is a GPU's memory meant. Where a limit is too low for
one process or one batch, the run is refused before any work.

The figures are of private memory, measured on CPUs with the `standard` network, and rounded up. Nothing stops a process
that takes more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from trainer.config.lengths import head_frames
from trainer.config.sections import PerformanceSection, TrainerConfig
from trainer.data.drawn_ahead import ENOUGH_FOR_ONE, LONGEST_BLOCK
from trainer.data.features import FeatureSettings
from trainer.data.ingest import Label, SampleRecord
from trainer.data.parallel import core_count
from trainer.data.split import Split
from wakeword.contract import FEATURE_CHANNELS, STEP_MS
from wakeword.errors import ConfigError

GIB, MIB = 1 << 30, 1 << 20
PARENT_BYTES = 100 * MIB
"""The command itself while others compute; 60 were measured."""
WORKER_BYTES = 80 * MIB
"""A process that checks recordings or computes features of 300 s; 78 were measured."""
WORKER_BYTES_PER_SECOND = 40_000
"""Of its longest recording: samples, features as the frontend gives them, and as they are kept."""
TRAINING_BYTES = 800 * MIB
"""TensorFlow, the compiled step and the validation. Without the validation, which adds blocks of some 50 MiB, and
without the batches, 700 were measured with TensorFlow's step and 490 with JAX's; JAX was installed."""
ACTIVATION_BYTES = 4 * 8
"""Float32 values that a step keeps of each output of each convolution: forward, backward, normalisation. 5 were
measured."""
GPU_PLUGINS = "jax_plugins"
"""The package that JAX's plugins for devices other than CPUs are part of."""
DRAWER_BYTES = 50 * MIB
"""A process that draws the numbers of batches for a GPU; 45 to 50 were measured."""
NUMBER_BYTES = 160
"""What is drawn of a sample for a GPU: its window, truth, weight, filter and masks."""
FEATURE_BYTES_PER_SECOND = 1000 // STEP_MS * FEATURE_CHANNELS
STORED_COPIES = 2
"""Features of a kind while they are written: as they were computed, and joined for the file."""


@dataclass(frozen=True)
class MemoryNeed:
    """What a run takes, bytes."""

    training: int
    features: int
    """Held until they are stored."""
    worker: int
    """Each process that computes them."""

    def jobs(self, limit: int, wanted: int) -> int:
        """The processes that fit, of so many that are wanted; at least one."""
        return max(1, min(wanted, (limit - PARENT_BYTES - self.features) // self.worker))

    @property
    def computing(self) -> int:
        """Computing features in one process."""
        return PARENT_BYTES + self.features + self.worker


def workers(performance: PerformanceSection, jobs: int | None = None) -> int | None:
    """Processes for work on short pieces of recordings: `jobs`, else `num_workers`, else None for one a core; fewer
    where memory is limited.
    """
    wanted = jobs or performance.num_workers or None
    if not performance.max_memory_gb:
        return wanted
    return MemoryNeed(0, 0, WORKER_BYTES).jobs(_limit(performance), wanted or core_count())


def feature_workers(config: TrainerConfig, records: Sequence[SampleRecord], jobs: int | None = None) -> int | None:
    """Processes for the features of these recordings, as `workers` says."""
    wanted = workers(config.performance, jobs)
    if not config.performance.max_memory_gb:
        return wanted
    return memory_need(config, records).jobs(_limit(config.performance), wanted or core_count())


def check_memory(config: TrainerConfig, records: Sequence[SampleRecord]) -> None:
    """Raise `ConfigError` when a run cannot stay below `performance.max_memory_gb`, whether or not its features are
    stored already.
    """
    if not config.performance.max_memory_gb:
        return
    limit, need, section = _limit(config.performance), memory_need(config, records), config.training
    where = f"performance.max_memory_gb is {config.performance.max_memory_gb:g}, but"
    if need.training > limit:
        raise ConfigError(
            f"{where} training takes about {need.training / GIB:.2f} GiB with batches of {section.batch_size} and"
            f" {config.performance.prefetch_factor} made ahead, {TRAINING_BYTES / GIB:.2f} of it whatever these are;"
            " lower training.batch_size or performance.prefetch_factor, or allow more"
        )
    if need.computing > limit:
        raise ConfigError(
            f"{where} computing features takes about {need.computing / GIB:.2f} GiB, {need.features / GIB:.2f} of it"
            f" for the largest kind of recordings and {need.worker / GIB:.2f} for the longest one; cut long recordings"
            " up, train with fewer, or allow more"
        )


def memory_need(config: TrainerConfig, records: Sequence[SampleRecord]) -> MemoryNeed:
    """The estimate for a configuration and its recordings."""
    network, performance, batch = config.model, config.performance, config.training.batch_size
    made = config.slices * FEATURE_CHANNELS
    training = TRAINING_BYTES
    if performance.step != "tensorflow" and find_spec(GPU_PLUGINS) is not None:
        made = max(made, NUMBER_BYTES * LONGEST_BLOCK)
        training += ENOUGH_FOR_ONE * DRAWER_BYTES
    training += batch * (
        ACTIVATION_BYTES * network.of.outputs(network, head_frames(network, config.slices))
        + made * (performance.prefetch_factor + 2)
    )
    trained = [record for record in records if record.split is Split.TRAIN and record.is_sound]
    longest = max((record.duration for record in trained), default=0.0)
    features = max(_kept_seconds(trained, label) for label in Label) * FEATURE_BYTES_PER_SECOND * STORED_COPIES
    return MemoryNeed(training, int(features), int(WORKER_BYTES + longest * WORKER_BYTES_PER_SECOND))


def _kept_seconds(records: Sequence[SampleRecord], label: Label) -> float:
    settings = FeatureSettings()
    durations = [record.duration for record in records if record.label is label]
    if label is Label.POSITIVE:
        return sum(durations) + len(durations) * (settings.lead_s + settings.positive_tail_s)
    return (sum(durations) + len(durations) * settings.gap_s) * (1 + settings.alone_share)


def _limit(performance: PerformanceSection) -> int:
    return int(performance.max_memory_gb * GIB)
