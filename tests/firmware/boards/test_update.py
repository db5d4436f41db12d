"""A new model over the air to a running virtual board, measured again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from firmware.boards.entry import VIRTUAL_BOARD
from firmware.boards.kinds.virtual import VirtualBoard
from firmware.build import Firmware
from harness.collect.collector import Collector
from harness.collect.raw import RawLog
from tests.firmware.boards.test_virtual import CONNECT_SECONDS, connected, simulated
from wakeword.errors import BoardRefused, ConfigError, InfrastructureError
from wakeword.model.flatbuffer import read_model


def test_the_board_runs_the_new_models_after_an_update(
    virtual_board: VirtualBoard, two_models_firmware: Firmware, official_models: Path, tmp_path: Path
) -> None:
    audio = np.random.default_rng(8).normal(0, 3000, 32_000).astype(np.int16)

    def probabilities(model: str) -> list[int]:
        return [
            int(value) for value in virtual_board.probabilities(read_model(official_models / f"{model}.tflite").sha256)
        ]

    async def update() -> None:
        async with connected(virtual_board, tmp_path / "before.jsonl") as (collector, player):
            before = await collector.identify()
            await player.play(audio)
            await player.drain()
            assert probabilities("alexa") == simulated(audio, official_models / "alexa.tflite")[0].tolist()
            await player.close()
            old_key = virtual_board.api_key
            await virtual_board.flash(two_models_firmware)
            assert virtual_board.api_key != old_key
            player = virtual_board.feed()
            try:
                with RawLog(tmp_path / "after.jsonl", position=lambda: player.position) as raw:
                    async with Collector(virtual_board.target, raw) as again:
                        await again.wait_connected(CONNECT_SECONDS)
                        after = await again.identify()
                        assert [model.sha256 for model in after.models] == [
                            model.sha256 for model in two_models_firmware.models
                        ]
                        assert after.models != before.models
                        assert after.stamp.boot_id != before.stamp.boot_id
                        await player.play(audio)
                        await player.drain()
                        for name in ("hey_mycroft", "okay_nabu"):
                            expected = simulated(audio, official_models / f"{name}.tflite")[0].tolist()
                            assert probabilities(name) == expected
            finally:
                await player.close()
            # The collector of the old key is refused from now on, and says so instead of trying for ever.
            with pytest.raises(BoardRefused):
                await collector.wait_connected(CONNECT_SECONDS)

    asyncio.run(update())


def test_an_update_with_a_wrong_key_is_refused_and_changes_nothing(
    virtual_board: VirtualBoard, two_models_firmware: Firmware, tmp_path: Path
) -> None:
    async def update() -> None:
        async with connected(virtual_board, tmp_path / "raw.jsonl") as (collector, _):
            before = await collector.identify()
            right, virtual_board.api_key = virtual_board.api_key, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
            with pytest.raises(InfrastructureError, match="the update over the air failed") as refused:
                await virtual_board.flash(two_models_firmware)
            assert "AAAA" not in str(refused.value)
            assert right not in str(refused.value)
            assert (await collector.identify()).stamp.boot_id == before.stamp.boot_id

    asyncio.run(update())


def test_a_firmware_for_another_target_is_refused(virtual_board: VirtualBoard, host_firmware: Firmware) -> None:
    with pytest.raises(ConfigError, match="no program for target host"):
        VirtualBoard(VIRTUAL_BOARD, replace(host_firmware, target="esp32-s3-devkitc-1"))
    with pytest.raises(ConfigError, match="is virtual and needs a firmware built for target 'host'"):
        VirtualBoard(VIRTUAL_BOARD, None)
    with pytest.raises(ConfigError, match="no image for target host"):
        asyncio.run(virtual_board.flash(replace(host_firmware, target="esp32-s3-devkitc-1")))
