"""Starting TensorFlow: its threads, and its start-up chatter kept off the terminal."""

from __future__ import annotations

import logging
import os
from typing import Any

from trainer.config.training_sections import PerformanceSection
from wakeword.errors import ConfigError
from wakeword.extras import MODULES, install, require
from wakeword.native_output import stderr_on_failure
from wakeword.processes import environment

MAX_THREADS = 8
"""A model of 25,000 parameters gains nothing from more threads, and other work on the machine loses."""
BFLOAT16_CAPABILITY, FLOAT16_CAPABILITY = (8, 0), (7, 0)
"""Of NVIDIA's GPUs whose tensor cores multiply such numbers: Ampere, Volta."""
INSTALL_GPU = f"install NVIDIA's driver, and {install('gpu')}"


def require_tensorflow() -> None:
    """Raise `InfrastructureError` where what trains is not installed, which the bench does without; said before minutes
    of work.
    """
    require("a training or an export", *MODULES["train"])


def start_tensorflow(threads: int | None = None, settings: PerformanceSection | None = None) -> Any:
    """Import TensorFlow with so many threads (default: the settings', else the processors this process may use, at most
    8) and return it.

    Only the first call of a process sets the threads. Messages that TensorFlow prints while it starts (no GPU found,
    oneDNN is on) are dropped unless it fails to start; its later warnings and errors are shown. Raises `ConfigError`
    when the settings ask for a GPU and TensorFlow finds none.
    """
    settings = settings or PerformanceSection()
    tf = _start(
        threads or settings.intra_op_parallelism or min(MAX_THREADS, len(os.sched_getaffinity(0))),
        settings.inter_op_parallelism or 2,
    )
    if settings.gpu_only and not tf.config.list_logical_devices("GPU"):
        raise ConfigError(
            f"performance.gpu_only is true, but TensorFlow finds no GPU; {INSTALL_GPU}; or set it to false to train on"
            " the CPU"
        )
    return tf


def start_jax(settings: PerformanceSection | None = None) -> list[Any]:
    """Import JAX, with as many threads as `start_tensorflow` has, and return its devices: its GPUs where it has some,
    else the CPU. It takes a GPU's memory as it needs it, since TensorFlow evaluates on the same one.

    Only the first call of a process sets the threads. What JAX raises where it does not start is of any class: a part
    that is not installed (`ImportError`), a plugin without its driver, a processor that it refuses.
    """
    global _jax_devices
    settings = settings or PerformanceSection()
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    # A CUDA plugin that finds no driver complains, as does JAX where there is a GPU and no plugin.
    logging.getLogger("jax._src.xla_bridge").setLevel(logging.ERROR)
    threads = settings.intra_op_parallelism or min(MAX_THREADS, len(os.sched_getaffinity(0)))
    # NPROC is what XLA's client for CPUs takes for the number of processors, when it is made.
    with environment({"NPROC": str(threads)}), stderr_on_failure():
        import jax

        _jax_devices = list(jax.devices())
    return _jax_devices


def jax_devices() -> list[Any]:
    """Those of `start_jax`; none before its first call, which this is not: JAX takes threads, and a GPU's memory.
    `import tensorflow` imports JAX where it is installed, so that it is imported says nothing.
    """
    return _jax_devices


def compute_dtype(settings: PerformanceSection) -> str:
    """What matrix products multiply in: `float32`, `bfloat16`, or `float16`, whose loss is scaled. Raises `ConfigError`
    for mixed precision where it does not pay, unless it is asked for by name.
    """
    if not settings.mixed_precision:
        return "float32"
    if isinstance(settings.mixed_precision, str):
        return settings.mixed_precision
    tf = start_tensorflow(settings=settings)
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        raise ConfigError(
            f"performance.mixed_precision is true, but TensorFlow finds no GPU; {INSTALL_GPU}; or set it to false, "
            "since CPUs multiply 16-bit numbers more slowly than 32-bit ones"
        )
    return sixteen_bits(
        min(tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0)) for gpu in gpus)
    )


def sixteen_bits(capability: tuple[int, int]) -> str:
    """What a GPU of this compute capability multiplies fast: `bfloat16`, which has float32's range, or `float16`.

    Raises `ConfigError` for one that multiplies neither faster than float32.
    """
    if capability < FLOAT16_CAPABILITY:
        raise ConfigError(
            f"performance.mixed_precision is true, but this GPU (compute capability {capability[0]}.{capability[1]})"
            " multiplies 16-bit numbers no faster: that takes 7.0 (Volta) or later; set it to false"
        )
    return "bfloat16" if capability >= BFLOAT16_CAPABILITY else "float16"


_started: Any = None
_jax_devices: list[Any] = []


def _start(intra: int, inter: int) -> Any:
    global _started
    if _started is None:
        _started = _import(intra, inter)
    return _started


def _import(intra: int, inter: int) -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with stderr_on_failure():
        import tensorflow as tf

        try:
            tf.config.threading.set_intra_op_parallelism_threads(intra)
            tf.config.threading.set_inter_op_parallelism_threads(inter)
            for gpu in tf.config.list_physical_devices("GPU"):
                tf.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError:
            # TensorFlow was used in this process before and keeps the threads that it has.
            return tf
        tf.config.list_logical_devices()
    return tf
