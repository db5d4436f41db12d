"""Which library computes the steps of a training: JAX where it is installed and has all that the training asks for,
else TensorFlow.

JAX's step is faster (`benchmarks/training.py` says by how much), and TensorFlow's has everything.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trainer.config.network import NetworkConfig
from trainer.config.sections import PerformanceSection, TrainerConfig, TrainingSection
from trainer.networks.layout import Layout
from trainer.networks.runtime import start_jax, start_tensorflow
from trainer.training import step
from trainer.training.losses import Distillation, Teacher
from trainer.training.step import TrainState
from wakeword.errors import ConfigError
from wakeword.extras import install

if TYPE_CHECKING:
    from trainer.training.pure_step import TaughtBy


def train_state(
    model: Any,
    network: NetworkConfig,
    settings: TrainingSection,
    performance: PerformanceSection,
    compute_dtype: str = "float32",
    distillation: Distillation | None = None,
    representative: NDArray[np.float32] | None = None,
) -> tuple[TrainState, str]:
    """The state of a training, with JAX's step where `performance.step` wants it and it has all that is asked for, and
    a line for the user, or none.

    Args:
        model: As `TrainState` has it.
        network: Likewise.
        settings: Likewise.
        performance: What of the machine is used.
        compute_dtype: As `TrainState` has it.
        distillation: Likewise.
        representative: Likewise.

    Returns the state, and what computes its steps; nothing where that is TensorFlow because JAX is not there.
    """
    teachers = distillation.teachers if distillation else ()
    missing = lacking(network, settings, compute_dtype, [teacher.network for teacher in teachers])
    missing = _FINE_TUNING if representative is not None else missing
    where, reason = _device(performance)
    if not reason and not missing:
        from trainer.training.vector_state import VectorState

        slices = model.input_shape[1]
        return VectorState(model, network, settings, slices, taught_by(teachers, slices)), f"steps: JAX on {where}"
    told = "" if reason else f"steps: TensorFlow, since JAX's have no {missing}"
    return TrainState(model, network, settings, compute_dtype, distillation, representative), told


def check_step(config: TrainerConfig, compute_dtype: str, teachers: Sequence[NetworkConfig]) -> None:
    """Raise `ConfigError` where `performance.step` is jax, and that is not there, or lacks something that a run or its
    teachers ask for: before the run, some of whose parts come after hours.
    """
    if config.performance.step != "jax":
        return
    _, reason = _device(config.performance)
    if reason:
        raise ConfigError(f"performance.step is jax, and {reason}; or set it to auto")
    missing = lacking(config.model, config.training, compute_dtype, teachers)
    if config.training.quantization_aware_steps:
        missing = missing or _FINE_TUNING
    if missing:
        raise ConfigError(f"performance.step is jax, whose step has no {missing}; set it to auto, or leave that out")


_FINE_TUNING = "quantisation-aware fine-tuning"


def lacking(
    network: NetworkConfig,
    settings: TrainingSection,
    compute_dtype: str = "float32",
    teachers: Sequence[NetworkConfig] = (),
) -> str:
    """What a training with such teachers asks for that JAX's step does not have; empty where it has all of it."""
    asked = {
        f"architecture {network.architecture}": network.architecture != "mixednet",
        "dropout (model.dropout_rate)": network.dropout_rate > 0,
        "regularisation (model.l2_regularization)": network.l2_regularization > 0,
        f"loss {settings.loss}": settings.loss != "binary_crossentropy",
        "triplet loss (training.triplet_weight)": any(settings.triplet_weight),
        f"optimizer {settings.optimizer}": settings.optimizer != "adam",
        "adaptive limit (training.gradient_clipping)": settings.gradient_clipping == "adaptive",
        "mixed precision (performance.mixed_precision)": compute_dtype != "float32",
        "teachers other than MixedNets": any(teacher.architecture != "mixednet" for teacher in teachers),
    }
    return next((name for name, wanted in asked.items() if wanted), "")


def taught_by(teachers: Sequence[Teacher], slices: int) -> list[TaughtBy]:
    """Teachers over windows of so many slices as vectors, those of one shape together. Imports JAX."""
    from trainer.training.pure_step import TaughtBy

    shapes: list[NetworkConfig] = []
    for teacher in teachers:
        if teacher.network not in shapes:
            shapes.append(teacher.network)
    found = []
    for shape in shapes:
        layout = Layout.of(shape, slices)
        vectors = [
            layout.of_keras({variable.path: variable.numpy() for variable in teacher.model.variables})
            for teacher in teachers
            if teacher.network == shape
        ]
        found.append(TaughtBy(shape, *(np.stack(kind) for kind in zip(*vectors, strict=True))))
    return found


def _device(performance: PerformanceSection) -> tuple[str, str]:
    """Where JAX computes, and why it does not."""
    if performance.step == "tensorflow" or (performance.step == "auto" and not step.COMPILED):
        return "", "it is not asked for"
    if importlib.util.find_spec("jax") is None:
        return "", f"JAX is not installed; {install('jax')}"
    devices = start_jax(performance)
    if devices[0].platform != "cpu":
        return str(devices[0].device_kind), ""
    if start_tensorflow().config.list_logical_devices("GPU"):
        return "", f"JAX finds no GPU, though TensorFlow does; {install('gpu')}"
    return "the CPU", ""
