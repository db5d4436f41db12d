"""Which library computes the steps of a training: JAX where it starts and has all that the training asks for, else
TensorFlow.

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

    Returns the state, and what computes its steps; nothing where that is TensorFlow because JAX is not installed or not
    wanted. Raises `ConfigError` where `performance.step` is jax and its step cannot do this training.
    """
    teachers = distillation.teachers if distillation else ()
    missing = lacking(network, settings, compute_dtype, [teacher.network for teacher in teachers])
    missing = _FINE_TUNING if representative is not None else missing
    wanted = performance.step != "tensorflow" and (performance.step == "jax" or is_installed())
    where, reason = _device(performance, missing) if wanted else ("", "")
    if where:
        from trainer.training.vector_state import VectorState

        slices = model.input_shape[1]
        return VectorState(model, network, settings, slices, taught_by(teachers, slices)), f"steps: JAX on {where}"
    if performance.step == "jax":
        raise _refusal(reason)
    told = f"steps: TensorFlow, since {reason}" if wanted else ""
    return TrainState(model, network, settings, compute_dtype, distillation, representative), told


def check_step(config: TrainerConfig, compute_dtype: str, teachers: Sequence[NetworkConfig]) -> None:
    """Raise `ConfigError` where `performance.step` is jax, and that does not start, or lacks something that a run or
    its teachers ask for: before the run, some of whose parts come after hours.
    """
    if config.performance.step != "jax":
        return
    missing = lacking(config.model, config.training, compute_dtype, teachers)
    if config.training.quantization_aware_steps:
        missing = missing or _FINE_TUNING
    where, reason = _device(config.performance, missing)
    if not where:
        raise _refusal(reason)


def _refusal(reason: str) -> ConfigError:
    return ConfigError(f"performance.step is jax, and {reason}; or set it to auto")


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


def is_installed() -> bool:
    """Whether JAX is; it may still not start."""
    return importlib.util.find_spec("jax") is not None


def _device(performance: PerformanceSection, missing: str) -> tuple[str, str]:
    """Where JAX computes, or nothing and why it does not. Where its step lacks something JAX is not started: it would
    take threads, and a GPU's memory, beside TensorFlow.
    """
    if not is_installed():
        return "", f"JAX is not installed; {install('jax')}"
    if missing:
        return "", f"JAX's steps have no {missing}"
    try:
        devices = start_jax(performance)
    except Exception as error:
        said = str(error).partition("\n")[0]
        return "", f"JAX does not start ({type(error).__name__}{f': {said}' if said else ''})"
    if devices[0].platform != "cpu":
        return str(devices[0].device_kind), ""
    if start_tensorflow().config.list_logical_devices("GPU"):
        return "", f"JAX finds no GPU, though TensorFlow does; {install('gpu')}"
    return "the CPU", ""
