"""A model that is larger than its user allows is refused before it is trained, with the setting that would shrink it
most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pydantic import ValidationError

from trainer.analysis.analyse import ModelAnalysis, analyse_model
from trainer.analysis.boards import KIB
from trainer.config.network import NetworkConfig
from trainer.config.sections import TrainerConfig
from trainer.networks.runtime import start_tensorflow
from wakeword.errors import ConfigError

SHORTEST_CLIP_MS = 100


def check_size(config: TrainerConfig) -> None:
    """Raise `ConfigError` where the model is larger than `size_targets` allow, in flash or in memory. Builds and
    converts the untrained model, which takes seconds, and where it is too large also smaller ones; does nothing without
    targets.
    """
    targets = config.size_targets
    if targets.max_flash_kb is None and targets.max_ram_kb is None:
        return
    start_tensorflow(settings=config.performance)  # the first to start it decides the threads
    analysis = analyse_model(config.model, config.hardware.clip_duration_ms)
    for key, limit_kb, what, needed in (
        ("max_flash_kb", targets.max_flash_kb, "the int8 file", _flash_kb),
        ("max_ram_kb", targets.max_ram_kb, "the tensor arena with 1 KiB for ESPHome's variables", _ram_kb),
    ):
        if limit_kb is not None and needed(analysis) > limit_kb:
            smallest, setting = min(_halved(config, needed))
            raise ConfigError(
                f"size_targets.{key} is {limit_kb:g}, and {what} would take {needed(analysis):.1f} KiB; shrink"
                f" {setting}, which makes it {smallest:.1f}, or raise the target"
            )


def _flash_kb(analysis: ModelAnalysis) -> float:
    return analysis.model_bytes / KIB


def _ram_kb(analysis: ModelAnalysis) -> float:
    return analysis.ram_bytes / KIB


def _halved(config: TrainerConfig, needed: Callable[[ModelAnalysis], float]) -> Iterator[tuple[float, str]]:
    """What models need of which one setting is half as large, and that setting with its new value. What a layer takes
    in the arena cannot be read off its own sizes, so each model is built.
    """
    network, clip_ms = config.model, config.hardware.clip_duration_ms
    shorter_ms = max(SHORTEST_CLIP_MS, clip_ms // 2)
    yield needed(analyse_model(network, shorter_ms)), _named("clip_duration_ms", shorter_ms)
    widths, kernels = network.of.widths, network.of.kernels
    for key in (*widths, *kernels):
        value = _half(getattr(network, key), upwards=key in kernels)
        try:
            smaller = NetworkConfig.model_validate(network.model_dump() | {key: value})
        except ValidationError:  # fewer channels than kernels, say
            continue
        yield needed(analyse_model(smaller, clip_ms)), _named(key, smaller.model_dump()[key])


def _half(value: Any, *, upwards: bool) -> Any:
    """A number, or each of a list of them."""
    if isinstance(value, tuple):
        return tuple(_half(one, upwards=upwards) for one in value)
    return (value + upwards) // 2


def _named(key: str, value: object) -> str:
    section = "hardware" if key == "clip_duration_ms" else "model"
    return f"{section}.{key} to {value}"
