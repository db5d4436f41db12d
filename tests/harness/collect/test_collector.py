"""The collector against ESPHome's own native API server, through a proxy that fails on command."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from firmware.native_api import make_target
from harness.collect.collector import Collector
from harness.collect.link import Timing
from harness.collect.raw import RawEvent, RawLog, read_raw
from harness.collect.reconcile import reconcile
from tests.harness.collect.esphome_board import EsphomeBoard
from tests.harness.tcp_proxy import TcpProxy
from wakeword.contract import SAMPLE_RATE_HZ
from wakeword.errors import BoardRefused, ConfigError, InfrastructureError

WAIT = 30.0
FAST = Timing(heartbeat_seconds=0.1, stall_seconds=0.5, retry_seconds=0.1, attempt_seconds=5.0, close_seconds=1.0)
WRONG_KEY = base64.b64encode(bytes(range(32))).decode()


def collector(board: EsphomeBoard, raw: RawLog, *, port: int | None = None, timing: Timing = FAST) -> Collector:
    return Collector(make_target(board.address, port or board.port, board.key, board.name, board.mac), raw, timing)


def open_log(path: Path) -> RawLog:
    """A log whose position is the time: sound at its own speed."""
    return RawLog(path, position=lambda: int(time.monotonic() * SAMPLE_RATE_HZ))


@asynccontextmanager
async def collecting(board: EsphomeBoard, path: Path) -> AsyncIterator[tuple[Collector, TcpProxy]]:
    """A connected collector behind a proxy."""
    async with TcpProxy(board.address, board.port) as proxy:
        with open_log(path) as raw:
            async with collector(board, raw, port=proxy.port) as heard:
                await heard.wait_connected(WAIT)
                yield heard, proxy


async def until(path: Path, found: Callable[[list[RawEvent]], bool]) -> list[RawEvent]:
    """Return the raw events once they hold what is waited for."""
    async with asyncio.timeout(WAIT):
        while not found(events := read_raw(path)):
            await asyncio.sleep(0.02)
    return events


def kinds(events: list[RawEvent]) -> list[str]:
    return [event.kind for event in events]


def test_clock_identity_and_cutoff(esphome_board: EsphomeBoard, tmp_path: Path) -> None:
    async def run() -> None:
        async with collecting(esphome_board, tmp_path / "raw") as (heard, _):
            first, second = await heard.clock(), await heard.clock()
            assert second.stamp.boot_id == first.stamp.boot_id
            assert second.stamp.t_ms >= first.stamp.t_ms
            assert second.sent >= first.received > first.sent
            identity = await heard.identify()
            model = identity.models[0]
            await heard.set_cutoff(model.model_id, 200)
            assert (await heard.identify()).models[0].cutoff == 200
            await heard.set_cutoff(model.model_id, model.cutoff)
            with pytest.raises(ConfigError, match="has no model nobody"):
                await heard.set_cutoff("nobody", 200)
            with pytest.raises(ConfigError, match="not within 0-255"):
                await heard.set_cutoff(model.model_id, 256)

    asyncio.run(run())


def test_detection_stops_and_starts(esphome_board: EsphomeBoard, tmp_path: Path) -> None:
    async def run() -> None:
        async with collecting(esphome_board, tmp_path / "raw") as (heard, _):
            await heard.stop_detection()
            await heard.stop_detection()
            await heard.start_detection()
            await heard.start_detection()
            await heard.flush()

    asyncio.run(run())


def test_a_wrong_key_is_refused_for_good(
    esphome_board: EsphomeBoard, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = replace(esphome_board, key=WRONG_KEY)

    async def run() -> None:
        async with TcpProxy(wrong.address, wrong.port) as proxy:
            with open_log(tmp_path / "raw") as raw:
                async with collector(wrong, raw, port=proxy.port) as heard:
                    with pytest.raises(BoardRefused, match="refuses the API key"):
                        await heard.wait_connected(WAIT)
                    for call in (heard.clock, heard.identify, heard.flush, heard.start_detection):
                        with pytest.raises(BoardRefused, match="refuses the API key"):
                            await call()
                    assert heard.fatal is not None
                    assert heard.fatal.exit_code == 4
                    await asyncio.sleep(5 * FAST.retry_seconds)  # it would have tried again by now
                    assert proxy.connections == 1

    asyncio.run(run())
    assert kinds(read_raw(tmp_path / "raw")) == ["fatal"]
    assert WRONG_KEY not in caplog.text
    assert WRONG_KEY not in (tmp_path / "raw").read_text()


@pytest.mark.parametrize(
    ("change", "words"),
    [({"name": "another-board"}, "the board there is named"), ({"mac": "00:11:22:33:44:55"}, "has the MAC")],
)
def test_another_board_is_refused_for_good(
    esphome_board: EsphomeBoard, tmp_path: Path, change: dict[str, str], words: str
) -> None:
    other = replace(esphome_board, **change)  # type: ignore[arg-type]

    async def run() -> None:
        with open_log(tmp_path / "raw") as raw:
            async with collector(other, raw) as heard:
                with pytest.raises(BoardRefused, match=words):
                    await heard.wait_connected(WAIT)

    asyncio.run(run())


def test_it_subscribes_again_after_a_cut(esphome_board: EsphomeBoard, tmp_path: Path) -> None:
    path = tmp_path / "raw"

    async def run() -> None:
        async with collecting(esphome_board, path) as (heard, proxy):
            proxy.cut()
            await until(path, lambda events: "disconnected" in kinds(events))
            assert not heard.connected
            await until(path, lambda events: any(event.kind == "note" for event in events))  # an attempt failed
            proxy.mend()
            await heard.wait_connected(WAIT)
            await heard.flush()
            before = len(read_raw(path))
            await heard.stop_detection()
            await until(
                path, lambda events: any("STOPPED" in str(event.values.get("message")) for event in events[before:])
            )
            await heard.start_detection()

    asyncio.run(run())
    events = read_raw(path)
    assert [kind for kind in kinds(events) if kind.endswith("connected")] == ["connected", "disconnected", "connected"]
    assert reconcile(events).integrity.api_gaps == 1


def test_a_question_ends_with_its_connection(esphome_board: EsphomeBoard, tmp_path: Path) -> None:
    async def run() -> None:
        async with collecting(esphome_board, tmp_path / "raw") as (heard, proxy):
            proxy.stall()
            asking = asyncio.create_task(heard.clock(WAIT))
            await asyncio.sleep(0)
            proxy.cut()
            with pytest.raises(InfrastructureError, match="connection was lost"):
                await asking

    asyncio.run(run())


def test_a_silent_connection_is_made_again(esphome_board: EsphomeBoard, tmp_path: Path) -> None:
    path = tmp_path / "raw"

    async def run() -> None:
        async with collecting(esphome_board, path) as (heard, proxy):
            proxy.stall()
            await until(path, lambda events: "disconnected" in kinds(events))
            proxy.flow()
            await heard.wait_connected(WAIT)
            await heard.flush()

    asyncio.run(run())
    assert any("no answer for 0.5 s" in str(event.values.get("text")) for event in read_raw(path))


def test_an_attempt_that_hangs_is_given_up(esphome_board: EsphomeBoard, tmp_path: Path) -> None:
    async def run() -> None:
        async with TcpProxy(esphome_board.address, esphome_board.port) as proxy:
            proxy.stall()
            with open_log(tmp_path / "raw") as raw:
                async with collector(
                    esphome_board, raw, port=proxy.port, timing=replace(FAST, attempt_seconds=0.3)
                ) as heard:
                    await until(tmp_path / "raw", lambda events: "note" in kinds(events))
                    assert not heard.connected
                    proxy.cut()
                    proxy.mend()
                    proxy.flow()
                    await heard.wait_connected(WAIT)

    asyncio.run(run())


@pytest.mark.parametrize("stalled", [False, True])
def test_closing_does_not_wait_for_a_board_that_is_away(
    esphome_board: EsphomeBoard, tmp_path: Path, stalled: bool
) -> None:
    async def run() -> None:
        async with TcpProxy(esphome_board.address, esphome_board.port) as proxy:
            with open_log(tmp_path / "raw") as raw:
                async with (
                    asyncio.timeout(WAIT),
                    collector(
                        esphome_board, raw, port=proxy.port, timing=replace(FAST, stall_seconds=WAIT * 2)
                    ) as heard,
                ):
                    if stalled:
                        await heard.wait_connected(WAIT)
                    proxy.stall()
                with pytest.raises(InfrastructureError, match="not open"):
                    await heard.clock()

    asyncio.run(run())


def test_a_restarted_board_is_a_reboot(esphome_board: EsphomeBoard, tmp_path: Path) -> None:
    path = tmp_path / "raw"

    async def run() -> None:
        with open_log(path) as raw:
            async with collector(esphome_board, raw) as heard:
                await heard.wait_connected(WAIT)
                first = await heard.clock()
                esphome_board.stop()
                try:
                    await until(path, lambda events: "disconnected" in kinds(events))
                finally:
                    esphome_board.start()
                await heard.wait_connected(WAIT)
                assert (await heard.clock()).stamp.boot_id != first.stamp.boot_id
                await heard.flush()

    asyncio.run(run())
    collected = reconcile(read_raw(path))
    assert (collected.integrity.reboots, collected.integrity.api_gaps) == (1, 1)


def test_two_harnesses_do_not_take_one_anothers_answers(esphome_board: EsphomeBoard, tmp_path: Path) -> None:
    async def run() -> None:
        async with (
            collecting(esphome_board, tmp_path / "one") as (one, _),
            collecting(esphome_board, tmp_path / "two") as (two, _),
        ):
            for _ in range(5):
                await asyncio.gather(one.clock(), two.clock(), one.identify())
            await until(
                tmp_path / "one",
                lambda events: any(event.kind == "clock" and event.values["sent"] is None for event in events),
            )

    asyncio.run(run())


def test_a_disk_that_refuses_ends_the_collecting(
    esphome_board: EsphomeBoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with collecting(esphome_board, tmp_path / "raw") as (heard, _):

            def refuse(*_: object) -> int:
                raise OSError(28, "No space left on device")

            with monkeypatch.context() as patched:
                patched.setattr(os, "write", refuse)
                with pytest.raises(InfrastructureError, match="No space left"):
                    while True:
                        await heard.clock()

    asyncio.run(run())


def test_nothing_listens(tmp_path: Path) -> None:
    async def run() -> None:
        server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        board = EsphomeBoard("127.0.0.1", port, WRONG_KEY, "nobody", "00:11:22:33:44:55", None)
        with open_log(tmp_path / "raw") as raw:
            async with collector(board, raw) as heard:
                with pytest.raises(
                    InfrastructureError,
                    match=r"nobody at 127\.0\.0\.1:\d+: no connection within 0\.5 s \(last: SocketAPIError",
                ):
                    await heard.wait_connected(0.5)
                with pytest.raises(InfrastructureError, match="no connection"):
                    await heard.flush(0.2)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("key", "mac", "words"), [("short", None, "32 bytes in base64"), (WRONG_KEY, "00:11", "no MAC address")]
)
def test_key_and_mac_are_checked_before(key: str, mac: str | None, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as refused:
        make_target("127.0.0.1", 1, key, "board", mac)
    assert key not in str(refused.value)
