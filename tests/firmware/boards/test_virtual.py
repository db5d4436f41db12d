"""The virtual board against the simulation: the same words on the same 10 ms slice, none missing, none extra."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from firmware.boards.board import BoardGone, BufferFull
from firmware.boards.digital import DigitalPlayer
from firmware.boards.entry import VIRTUAL_BOARD
from firmware.boards.kinds.virtual import VirtualBoard
from firmware.build import Firmware, build
from harness.collect.collected import Integrity
from harness.collect.collector import Collector
from harness.collect.raw import RawEvent, RawLog, read_raw
from harness.collect.reconcile import reconcile
from tests.spoken import Spoken
from wakeword import contract
from wakeword.audio import read_samples
from wakeword.detector import detect
from wakeword.engines.reference import ReferenceEngine
from wakeword.frontend import device_features
from wakeword.model.flatbuffer import read_model

CONNECT_SECONDS = 30.0
CUTOFF, WINDOW, STRIDE = 229, 5, 3
"""The official alexa model's."""


@dataclass
class Heard:
    """What a board said of a stream."""

    slices: list[int]
    words: set[str]
    probabilities: NDArray[np.uint8]
    events: list[RawEvent]


@asynccontextmanager
async def connected(board: VirtualBoard, raw_path: Path) -> AsyncIterator[tuple[Collector, DigitalPlayer]]:
    await board.start()
    player = board.feed()
    try:
        with RawLog(raw_path, position=lambda: player.position) as raw:
            async with Collector(board.target, raw) as collector:
                await collector.wait_connected(CONNECT_SECONDS)
                raw.write("leg", position=0, leg=0)
                yield collector, player
    finally:
        await player.close()
        await board.stop()


async def hear(board: VirtualBoard, audio: NDArray[np.int16], raw_path: Path, block: int = 8000) -> Heard:
    """Play it all, and return what the board said; probabilities are those of the model that it names first."""
    async with connected(board, raw_path) as (collector, player):
        for start in range(0, len(audio), block):
            await player.play(audio[start : start + block])
        await player.drain()
        await collector.flush()
        probabilities = board.probabilities((await collector.identify()).models[0].sha256)
    return heard(read_raw(raw_path), probabilities)


def heard(events: Sequence[RawEvent], probabilities: NDArray[np.uint8]) -> Heard:
    data = [event.values["data"] for event in events if event.kind == "detection"]
    slices = [(int(one["sample"]) - contract.WINDOW_SAMPLES) // contract.STEP_SAMPLES for one in data]
    return Heard(slices, {one["wake_word"] for one in data}, probabilities, list(events))


def overflows(given: Heard) -> int:
    return sum(
        event.kind == "log" and "Not enough free bytes in ring buffer" in event.values["message"]
        for event in given.events
    )


def simulated(audio: NDArray[np.int16], model: Path, cutoff: int = CUTOFF) -> tuple[NDArray[np.uint8], list[int]]:
    features = device_features(audio)
    probabilities = ReferenceEngine(read_model(model)).run(features)
    return probabilities, [one.slice_index for one in detect(probabilities, STRIDE, len(features), cutoff, WINDOW)]


def joined(recordings: Sequence[Path], seconds: float = 0.5) -> NDArray[np.int16]:
    gap = np.zeros(int(seconds * contract.SAMPLE_RATE_HZ), np.int16)
    return np.concatenate([part for path in recordings for part in (gap, read_samples(path))] + [gap, gap])


@pytest.fixture
def alexa(official_models: Path) -> Path:
    return official_models / "alexa.tflite"


def test_every_detection_of_real_speech_falls_on_the_simulations_slice(
    virtual_board: VirtualBoard, spoken: Spoken, alexa: Path, tmp_path: Path
) -> None:
    audio = joined(spoken.words[:60])
    probabilities, slices = simulated(audio, alexa)
    assert len(slices) > 40
    given = asyncio.run(hear(virtual_board, audio, tmp_path / "raw.jsonl"))
    assert given.slices == slices
    assert given.words == {"Alexa"}
    assert np.array_equal(given.probabilities, probabilities)
    collected = reconcile(given.events)
    assert [one.position for one in collected.detections] == [
        contract.WINDOW_SAMPLES + contract.STEP_SAMPLES * one for one in slices
    ]
    assert collected.integrity == Integrity(detections=len(slices), entity_events=len(slices))
    # The log's figures are the device's, to two decimals.
    decided = detect(probabilities, STRIDE, contract.slice_count(len(audio)), CUTOFF, WINDOW)
    assert [(one.average, one.maximum) for one in collected.detections] == [
        (round(one.average / 255, 2), round(one.maximum / 255, 2)) for one in decided
    ]
    assert not collected.voids


def heard_in_time(firmware: Firmware, audio: NDArray[np.int16], raw: Path) -> Heard | None:
    """What a board heard at the speed of sound; None where the machine was too busy and its ring buffer overflowed."""
    try:
        given = asyncio.run(hear(VirtualBoard(VIRTUAL_BOARD, firmware, realtime=True), audio, raw))
    except BoardGone:
        return None
    return None if overflows(given) else given


def test_real_time_gives_the_same(host_firmware: Firmware, spoken: Spoken, alexa: Path, tmp_path: Path) -> None:
    audio = joined(spoken.words[:2])
    probabilities, slices = simulated(audio, alexa)
    for attempt in range(3):
        given = heard_in_time(host_firmware, audio, tmp_path / f"{attempt}.jsonl")
        if given is not None:
            assert (given.slices, given.probabilities.tolist()) == (slices, probabilities.tolist())
            return
    pytest.skip("this machine is too busy for real time: the board's ring buffer overflowed three times")


def test_real_time_begins_when_all_models_are_loaded(
    two_models_firmware: Firmware, official_models: Path, tmp_path: Path
) -> None:
    audio = np.random.default_rng(5).normal(0, 3000, 12_000).astype(np.int16)
    expected = simulated(audio, official_models / "hey_mycroft.tflite")[0].tolist()
    attempts = (heard_in_time(two_models_firmware, audio, tmp_path / f"{attempt}.jsonl") for attempt in range(3))
    given = next((one for one in attempts if one is not None), None)
    assert given is not None, "a busy machine may be late, but not each time"
    assert given.probabilities.tolist() == expected


@pytest.mark.parametrize("block", [1, 333, 4096], ids=["a sample", "odd", "large"])
def test_how_the_sound_is_cut_changes_nothing(
    virtual_board: VirtualBoard, alexa: Path, tmp_path: Path, block: int
) -> None:
    samples = 40 * block if block == 1 else 32_000
    audio = np.random.default_rng(3).normal(0, 3000, samples).astype(np.int16)
    given = asyncio.run(hear(virtual_board, audio, tmp_path / "raw.jsonl", block))
    assert given.probabilities.tolist() == simulated(audio, alexa)[0].tolist()


def test_a_new_cutoff_is_in_force(virtual_board: VirtualBoard, spoken: Spoken, alexa: Path, tmp_path: Path) -> None:
    audio = joined(spoken.words[:20])

    async def at(cutoff: int) -> Heard:
        async with connected(virtual_board, tmp_path / f"{cutoff}.jsonl") as (collector, player):
            await collector.set_cutoff("ww_alexa", cutoff)
            await collector.flush()
            await player.play(audio)
            await player.drain()
            await collector.flush()
            return heard(read_raw(tmp_path / f"{cutoff}.jsonl"), virtual_board.probabilities(read_model(alexa).sha256))

    for cutoff in (20, 254):
        given = asyncio.run(at(cutoff))
        assert given.slices == simulated(audio, alexa, cutoff)[1]


def test_a_restarted_stream_begins_anew(virtual_board: VirtualBoard, alexa: Path, tmp_path: Path) -> None:
    audio = np.random.default_rng(4).normal(0, 3000, 20_000).astype(np.int16)

    async def twice() -> NDArray[np.uint8]:
        async with connected(virtual_board, tmp_path / "raw.jsonl") as (collector, player):
            await player.play(audio[:7777])
            await player.drain()
            await player.restart_stream()
            assert player.position == 0
            assert not len(
                virtual_board.probabilities(read_model(alexa).sha256)
            )  # those of the stream before are not this one's
            await collector.wait_connected(CONNECT_SECONDS)
            await player.play(audio)
            await player.drain()
            assert player.position == len(audio)
            return virtual_board.probabilities(read_model(alexa).sha256)

    assert asyncio.run(twice()).tolist() == simulated(audio, alexa)[0].tolist()


def test_a_board_that_dies_is_told_of(virtual_board: VirtualBoard, tmp_path: Path) -> None:
    async def lose() -> None:
        async with connected(virtual_board, tmp_path / "raw.jsonl") as (_, player):
            await player.play(np.zeros(16_000, np.int16))
            virtual_board.program.kill()
            with pytest.raises(BoardGone):
                for _ in range(100):
                    await player.play(np.zeros(16_000, np.int16))

    asyncio.run(lose())


def test_sound_faster_than_the_board_overflows_its_ring_as_on_a_device(
    host_firmware: Firmware, spoken: Spoken, tmp_path: Path
) -> None:
    audio = joined(spoken.words[:20])
    board = VirtualBoard(VIRTUAL_BOARD, host_firmware, pace=100_000.0)

    async def overflow() -> list[dict[str, Any]]:
        async with connected(board, tmp_path / "raw.jsonl") as (_, player):
            # The stream ends: what comes behind the loss lies in other slices than the simulation's.
            with pytest.raises(BufferFull, match="its ring buffer had no room for the sound"):
                await player.play(audio)
                await player.drain()
            return player.news()

    (told,) = asyncio.run(overflow())
    assert told["what"] == "refused"
    assert 0 < told["at"] <= len(audio)
    assert told["samples"] > 0


def test_a_board_ends_with_its_owner(virtual_board: VirtualBoard) -> None:
    asyncio.run(virtual_board.start())
    program = virtual_board.program
    process = program._program
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(CONNECT_SECONDS) != 0
    asyncio.run(virtual_board.stop())
    assert not program.folder.exists()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_machine_without_compilers_makes_the_same_board(
    official_models: Path, alexa: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is on PATH: all that compiles the board comes from pip. A shell in somebody else's Python changes nothing
    either.
    """
    said: list[str] = []
    with monkeypatch.context() as bare:
        for name in ("CC", "CXX", "AR"):
            bare.delenv(name, raising=False)
        for name in ("PATH", "PYTHONPATH", "VIRTUAL_ENV", "UV_PYTHON", "PYENV_VERSION"):
            bare.setenv(name, "/nowhere")
        firmware = build("host", [official_models / "alexa.json"], tmp_path / "firmware", report=said.append)
    assert any("Zig's compiler" in line for line in said)
    audio = np.random.default_rng(6).normal(0, 3000, 160_000).astype(np.int16)
    given = asyncio.run(hear(VirtualBoard(VIRTUAL_BOARD, firmware), audio, tmp_path / "raw.jsonl"))
    probabilities, slices = simulated(audio, alexa)
    assert (given.slices, given.probabilities.tolist()) == (slices, probabilities.tolist())
