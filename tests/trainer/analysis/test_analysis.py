"""The analysis against the official models' known counts, Keras's own and exported files."""

from __future__ import annotations

import io
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from tests.networks import OFFICIAL, RESIDUAL
from trainer.analysis.analyse import ModelAnalysis, analyse_model, fit, fits
from trainer.analysis.boards import BOARDS, MIB, BoardProfile
from trainer.analysis.layers import layer_costs
from trainer.analysis.table import rendered
from trainer.analysis.targets import check_size
from trainer.config.lengths import receptive_field, window_slices
from trainer.config.loader import load_config
from trainer.config.network import NetworkConfig
from wakeword.errors import ConfigError
from wakeword.model.arena_esp32s3 import state_sizes
from wakeword.model.flatbuffer import TfliteModel, read_model


def macs_of(model: TfliteModel) -> int:
    """Products of a flatbuffer's convolutions and dense layers, from its shapes alone."""
    total = 0
    for operator in model.main.operators:
        if operator.name not in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            continue
        weights, output = model.main.tensors[operator.inputs[1]].shape, model.main.tensors[operator.outputs[0]].shape
        total += math.prod(weights) * (output[1] * output[2] if len(output) == 4 else 1)
    return total


def test_the_official_shape_has_its_known_counts() -> None:
    layers = layer_costs(OFFICIAL, window_slices(OFFICIAL, 1500))
    assert sum(layer.parameters for layer in layers) == 26_049
    assert sum(layer.macs for layer in layers) == 24_800


def test_an_official_file_has_the_counts_of_its_shape(official_models: Path) -> None:
    model = read_model(official_models / "hey_jarvis.tflite")
    shape = NetworkConfig()
    states = sum(state_sizes(model).values())
    # The shape is published, the length of its training windows is not: the head's frames follow from its state.
    before_head = sum(layer.state_bytes for layer in layer_costs(shape, receptive_field(shape, 1)))
    frames = (states - before_head) // 60 + 1
    layers = layer_costs(shape, receptive_field(shape, frames))
    assert macs_of(model) == sum(layer.macs for layer in layers)
    assert states == sum(layer.state_bytes for layer in layers) == 2840


@pytest.mark.parametrize("config", [NetworkConfig(), OFFICIAL, RESIDUAL], ids=["default", "official", "residual"])
def test_parameters_are_keras_count(config: NetworkConfig) -> None:
    from trainer.networks.models import build_model

    slices = window_slices(config, 900)
    assert sum(layer.parameters for layer in layer_costs(config, slices)) == build_model(config, slices).count_params()


@pytest.mark.parametrize("config", [OFFICIAL, RESIDUAL], ids=["official", "residual"])
def test_the_untrained_export_is_what_was_counted(config: NetworkConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    from wakeword.model import flatbuffer

    parsed: list[TfliteModel] = []
    parse = flatbuffer.parse_model

    def kept(content: bytes, source: str) -> TfliteModel:
        parsed.append(parse(content, source))
        return parsed[-1]

    monkeypatch.setattr(flatbuffer, "parse_model", kept)
    analyse_model.cache_clear()
    analysis = analyse_model(config, 1500)
    (model,) = parsed
    assert (analysis.macs, analysis.state_bytes) == (macs_of(model), sum(state_sizes(model).values()))
    constants = [
        tensor
        for tensor in model.main.tensors
        if tensor.data is not None and (tensor.type_name == "INT8" or len(tensor.scales))
    ]
    # The head's bias is left out by the converter while it is zero.
    assert analysis.weight_bytes - sum(tensor.size_bytes for tensor in constants) in (0, 4)
    assert analysis.weight_bytes < analysis.model_bytes == len(model.content)
    assert analysis.arena_bytes > analysis.state_bytes
    assert all(one.fits for one in fits(analysis) if one.board.esphome)
    console = Console(width=160, file=io.StringIO())
    with console.capture() as capture:
        console.print(rendered(analysis))
    text = capture.get()
    assert f"{analysis.parameters:,}" in text
    assert "estimated:" in text
    assert "does not fit" not in text


def test_a_shape_is_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    analysis = analyse_model(RESIDUAL, 1500)
    monkeypatch.setattr("trainer.export.convert.convert", lambda *_, **__: pytest.fail("built again"))
    assert analyse_model(RESIDUAL.model_copy(), 1500) == analysis


def test_what_a_board_lacks_is_said() -> None:
    board = BOARDS[0]
    analysis = ModelAnalysis(203, 3, layer_costs(OFFICIAL, 203), 57_824, 28_672)
    assert fit(analysis, board).fits
    assert not fit(replace(analysis, model_bytes=board.flash_for_model + 1), board).flash_fits
    assert not fit(replace(analysis, arena_bytes=board.ram_for_model), board).ram_fits
    assert not fit(analysis, replace(board, clock_hz=1_000_000)).fits


def test_slots_are_as_esphome_divides_the_flash() -> None:
    assert [BoardProfile("", size * MIB, 0).app_slot for size in (4, 8, 16)] == [0x1C0000, 0x3C0000, 0x7C0000]


def test_what_a_board_leaves_to_a_model_is_within_it() -> None:
    for board in BOARDS:
        assert 0 < board.flash_for_model < board.app_slot <= board.flash
        assert 0 < board.ram_for_model < max(board.psram, board.sram)
    others = [board for board in BOARDS if not board.esphome]
    assert {board.name for board in others} == {"Raspberry Pi Pico", "Arduino Nano 33 BLE"}
    assert all(board.psram == 0 for board in others)
    assert [board.app_slot for board in others] == [2 * MIB, 983_040]


@pytest.mark.parametrize(
    ("target", "what", "needs"),
    [
        ("max_flash_kb=40", "the int8 file", "model_bytes"),
        ("max_ram_kb=20", "the tensor arena with 1 KiB for ESPHome's variables", "ram_bytes"),
    ],
)
def test_a_model_beyond_its_target_is_refused_with_what_shrinks_it_most(target: str, what: str, needs: str) -> None:
    given = ["export.wake_word=computer", f"size_targets.{target}"]
    with pytest.raises(ConfigError) as raised:
        check_size(load_config("standard", settings=given))
    found = re.fullmatch(
        rf"size_targets\.(.+) is (\d+), and {what} would take ([\d.]+) KiB; shrink ([\w.]+) to (.+), which makes it"
        r" ([\d.]+), or raise the target",
        str(raised.value),
    )
    assert found is not None, raised.value
    key, limit, before, setting, value, after = found.groups()
    assert f"{key}={limit}" == target
    assert float(after) < float(before) > float(limit)
    # What it says is so: with that value alone the model has that size.
    smaller = load_config("standard", settings=["export.wake_word=computer", f"{setting}={value}"])
    analysis = analyse_model(smaller.model, smaller.hardware.clip_duration_ms)
    assert getattr(analysis, needs) / 1024 == pytest.approx(float(after), abs=0.06)


def test_a_model_within_its_targets_is_not_refused() -> None:
    targets = ["size_targets.max_flash_kb=80", "size_targets.max_ram_kb=40"]
    check_size(load_config("standard", settings=["export.wake_word=computer", *targets]))


def test_without_a_target_nothing_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.analysis.targets.analyse_model", lambda *_: pytest.fail("built a model"))
    check_size(load_config("standard", settings=["export.wake_word=computer"]))
