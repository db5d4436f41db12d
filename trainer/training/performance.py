"""How a run uses the machine, and what it records of itself beside the weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wakeword.errors import ConfigError


@dataclass(frozen=True)
class PerformanceSettings:
    """Settings that change the speed and the record of a run. Raises `ConfigError` for a value that means nothing."""

    gpu_only: bool = False
    """Refuse to train without a GPU, instead of training on the CPU."""
    mixed_precision: bool = False
    """Multiply in 16 bits, with weights in 32: for GPUs; refused on a CPU, where it is slower."""
    inter_op_parallelism: int = 0
    """Threads that run TensorFlow operations side by side; 0 is TensorFlow's own choice."""
    intra_op_parallelism: int = 0
    """Threads inside one TensorFlow operation; 0 is TensorFlow's own choice."""
    prefetch_factor: int = 3
    """Batches that are made ready ahead of the step."""
    enable_profiling: bool = False
    """Write a section profile every `profile_every_n_steps` steps into `profile_output_dir`."""
    profile_every_n_steps: int = 1000
    profile_output_dir: Path | None = None
    """None is `profiles` in the run's folder."""
    tensorboard_enabled: bool = True
    tensorboard_log_dir: Path | None = None
    """None is `tensorboard` in the run's folder."""

    def __post_init__(self) -> None:
        for name in ("inter_op_parallelism", "intra_op_parallelism"):
            if getattr(self, name) < 0:
                raise ConfigError(f"performance.{name} is {getattr(self, name)}; give a number of threads, or 0 for TensorFlow's own choice")
        if self.prefetch_factor < 1:
            raise ConfigError(f"performance.prefetch_factor is {self.prefetch_factor}; give 1 or more batches to make ready ahead")
        if self.profile_every_n_steps < 1:
            raise ConfigError(f"performance.profile_every_n_steps is {self.profile_every_n_steps}; give 1 or more")
