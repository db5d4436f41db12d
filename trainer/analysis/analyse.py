"""The cost of a model before it is trained.

Parameters, MACs and states are counted. The int8 file and the tensor arena are those of the untrained model, built and
converted as an export does: neither depends on the values of weights. What is estimated is said in `ESTIMATED`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from trainer.analysis.boards import BOARDS, BoardProfile
from trainer.analysis.layers import LayerCost, layer_costs
from trainer.config.lengths import receptive_field, window_slices
from trainer.config.network import NetworkConfig
from wakeword.contract import FEATURE_CHANNELS, STEP_MS

RESOURCE_VARIABLES_ARENA = 1024
"""ESPHome's second arena (`STREAMING_MODEL_VARIABLE_ARENA_SIZE`)."""
MOST_LOAD = 0.5
"""Share of a core that a model may take; the rest is the device's."""
_CONVERSION_WINDOWS = 2
"""Representative windows: enough to convert, and the ranges decide nothing that is measured here."""

ESTIMATED = (
    "estimated: the arena (an ESP32-S3's, from ESP-NN 1.1.2's and tflite-micro's rules, within 2 % of published ones;"
    " other chips have other kernels), the processor's load (10 cycles a MAC on an ESP32-S3, else 15 to 40: guesses on"
    " the safe side), and what the rest of the firmware leaves of flash and memory; counted: everything else"
)


@dataclass(frozen=True)
class ModelAnalysis:
    """What a model is and needs. Bytes, milliseconds, counts."""

    window_slices: int
    stride: int
    layers: tuple[LayerCost, ...]
    model_bytes: int
    """Of the exported int8 file."""
    arena_bytes: int
    """On an ESP32-S3, with the margin that a manifest gets."""

    @property
    def parameters(self) -> int:
        """As Keras counts them."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates an inference."""
        return sum(layer.macs for layer in self.layers)

    @property
    def macs_per_second(self) -> float:
        """An inference every `stride` slices of 10 ms."""
        return self.macs * 1000 / (self.stride * STEP_MS)

    @property
    def state_bytes(self) -> int:
        """All ring buffers; part of the arena."""
        return sum(layer.state_bytes for layer in self.layers)

    @property
    def weight_bytes(self) -> int:
        """Weights and biases; the rest of the file describes the graph."""
        return sum(layer.weight_bytes for layer in self.layers)

    @property
    def ram_bytes(self) -> int:
        """The arena, and the one that ESPHome makes for resource variables."""
        return self.arena_bytes + RESOURCE_VARIABLES_ARENA

    @property
    def window_ms(self) -> int:
        """Sound that one probability depends on."""
        return self.window_slices * STEP_MS


@dataclass(frozen=True)
class Fit:
    """A model on a board."""

    board: BoardProfile
    flash_fits: bool
    ram_fits: bool
    load: float
    """Share of one core; estimated."""

    @property
    def fits(self) -> bool:
        """Flash, memory, and no more than half of a core."""
        return self.flash_fits and self.ram_fits and self.load <= MOST_LOAD


@functools.lru_cache(maxsize=64)  # the trials of a search often share a shape, and to build one takes seconds
def analyse_model(config: NetworkConfig, clip_duration_ms: int) -> ModelAnalysis:
    """Count, build and convert an untrained model. Takes seconds, most of them to start TensorFlow.

    Raises `ConfigError` when the model cannot be built, `InfrastructureError` when TensorFlow cannot convert it.
    """
    from trainer.export.convert import convert
    from trainer.networks.models import build_model
    from trainer.networks.runtime import start_tensorflow
    from wakeword.model.arena import esp32s3_estimate, recommended_arena
    from wakeword.model.flatbuffer import parse_model

    slices = window_slices(config, clip_duration_ms)
    start_tensorflow()
    random = np.random.default_rng(0)
    features = [random.integers(-128, 128, (receptive_field(config, 1) + slices, FEATURE_CHANNELS), dtype=np.int8)]
    content = convert(build_model(config, slices), config, slices, features, windows=_CONVERSION_WINDOWS)
    arena = recommended_arena(esp32s3_estimate(parse_model(content, "the untrained model")))
    return ModelAnalysis(slices, config.stride, layer_costs(config, slices), len(content), arena)


def fit(analysis: ModelAnalysis, board: BoardProfile) -> Fit:
    """Whether a board has room and time for a model."""
    return Fit(
        board,
        flash_fits=analysis.model_bytes <= board.flash_for_model,
        ram_fits=analysis.ram_bytes <= board.ram_for_model,
        load=analysis.macs_per_second * board.cycles_per_mac / board.clock_hz,
    )


def fits(analysis: ModelAnalysis) -> tuple[Fit, ...]:
    """All known boards."""
    return tuple(fit(analysis, board) for board in BOARDS)
