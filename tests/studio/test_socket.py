"""A microphone's connection: what takes long holds up neither other pages nor the microphone itself."""

from __future__ import annotations

import json
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from studio.live.kept import KeptSound
from studio.live.listening import LiveListening, Update
from studio.live.socket import MOST_MICROPHONES, Asked, Command, Told, hold_microphone
from studio.serving import MOST_MESSAGE_BYTES
from tests.studio.servers import SOON_S, StudioServer
from wakeword.contract import SAMPLE_RATE_HZ
from wakeword.errors import ConfigError

BLOCK = np.zeros(1600, "<f4").tobytes()


class HeldListening(LiveListening):
    """Hears a block only once it may."""

    def __init__(self, may: threading.Event, begun: threading.Event) -> None:
        super().__init__(None, SAMPLE_RATE_HZ)
        self._may, self._begun = may, begun

    def hear(self, block: bytes) -> Update:
        self._begun.set()
        assert self._may.wait(SOON_S), "nobody let it hear"
        return super().hear(block)


@contextmanager
def serving(opening: Callable[[str], LiveListening], commands: Mapping[str, Command]) -> Iterator[str]:
    """A server of microphones alone, in a thread of this process; `opening` is given the address's path."""

    async def hear(websocket: WebSocket) -> None:
        await hold_microphone(websocket, lambda: opening(websocket.url.path), commands)

    app = Starlette(routes=[WebSocketRoute("/{name}", hear)])
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"ws://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(SOON_S)


def told(connection: ClientConnection) -> dict[str, Any]:
    answer = json.loads(connection.recv(SOON_S))
    assert isinstance(answer, dict)
    return answer


def test_a_page_that_hears_slowly_holds_up_no_other_one() -> None:
    may, begun = threading.Event(), threading.Event()

    def opening(path: str) -> LiveListening:
        return HeldListening(may, begun) if path == "/slow" else LiveListening(None, SAMPLE_RATE_HZ)

    with serving(opening, {}) as address, connect(f"{address}/slow") as slow, connect(f"{address}/quick") as quick:
        told(slow)
        told(quick)
        slow.send(BLOCK)
        assert begun.wait(SOON_S)
        quick.send(BLOCK)
        assert told(quick)["seconds"] == 0.1
        may.set()
        assert told(slow)["seconds"] == 0.1


def test_what_goes_on_beside_the_microphone_lets_it_hear() -> None:
    """A saved recording is simulated while the next blocks are heard."""
    may = threading.Event()

    def save(listening: LiveListening, _: Asked) -> Callable[[], Told]:
        seconds = listening.kept.seconds

        def work() -> Told:
            assert may.wait(SOON_S), "nobody let it end"
            return {"seconds": seconds}

        return work

    def fail(_: LiveListening, __: Asked) -> Callable[[], Told]:
        def work() -> Told:
            raise ConfigError("the disk is gone")

        return work

    commands: dict[str, Command] = {"save": save, "fail": fail}
    with (
        serving(lambda _: LiveListening(None, SAMPLE_RATE_HZ), commands) as address,
        connect(f"{address}/hear") as page,
    ):
        told(page)
        page.send(BLOCK)
        assert told(page)["seconds"] == 0.1
        page.send('{"do": "save"}')
        for seconds in (0.2, 0.3):
            page.send(BLOCK)
            assert told(page)["seconds"] == seconds
        may.set()
        assert told(page) == {"do": "save", "seconds": 0.1}
        page.send('{"do": "fail"}')
        assert told(page) == {"error": "the disk is gone"}


def page(studio: StudioServer, query: str = "rate=16000") -> ClientConnection:
    return connect(
        f"ws://127.0.0.1:{studio.port}/record/hear?{query}",
        origin=Origin(studio.origin),
        additional_headers={"Cookie": f"studio_{studio.port}={studio.token}"},
    )


def test_a_message_and_the_number_of_microphones_are_bounded(studio: StudioServer) -> None:
    with ExitStack() as stack:
        pages = [stack.enter_context(page(studio)) for _ in range(MOST_MICROPHONES)]
        assert [told(one) for one in pages] == [{"do": "hear"}] * MOST_MICROPHONES
        with page(studio) as more:
            assert "close one of them" in told(more)["error"]
        pages[0].send(bytes(MOST_MESSAGE_BYTES))
        assert told(pages[0])["seconds"] == MOST_MESSAGE_BYTES / 4 / SAMPLE_RATE_HZ
        pages[0].send(bytes(MOST_MESSAGE_BYTES + 4))
        with pytest.raises(ConnectionClosed):
            pages[0].recv(SOON_S)
        pages[1].send(BLOCK)
        assert told(pages[1])["seconds"] == 0.1


def test_whatever_is_wrong_is_told_and_the_recording_stays(studio: StudioServer) -> None:
    with page(studio, "rate=44100") as one:
        told(one)
        one.send(BLOCK)
        heard = told(one)["seconds"]
        for asked in ('"from": 1e999', f'"from": {"9" * 400}', '"from": "x"', '"from": null', '"take": "near"'):
            one.send(f'{{"do": "end", "what": "room", "dataset": "mine", {asked}}}')
            assert "error" in told(one), asked
        one.send('{"do": "end", "what": "room", "dataset": "mine", "from": 5}')
        assert "booted anew during this take" in told(one)["error"]
        one.send('{"do": "end", "what": "room", "dataset": "mine", "from": -5}')
        assert "at most 60 s" in told(one)["error"]
        one.send('{"do": "stop"}')
        assert told(one)["seconds"] > heard
        one.send('{"do": "stop"}')
        assert "stopped already" in told(one)["error"]
    with page(studio, f"rate={'9' * 5000}") as one:
        assert "sample rate in Hz" in told(one)["error"]


def test_the_recording_lies_where_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's temporary folder may be memory."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError):
        KeptSound()
    listening = LiveListening(None, SAMPLE_RATE_HZ, tmp_path)
    listening.hear(BLOCK)
    assert listening.kept.seconds == 0.1
    listening.close()
