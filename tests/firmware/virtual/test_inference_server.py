from __future__ import annotations

import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.wakeword.model.test_verify import Recipe, build
from wakeword.engines.reference import ReferenceEngine
from wakeword.model.arena import host_arena
from wakeword.model.flatbuffer import parse_model, read_model

TIMEOUT = 30.0


@dataclass
class Server:
    process: subprocess.Popen[bytes]
    socket_path: Path
    traces: Path

    def connect(self, model: bytes, arena: int) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(TIMEOUT)
        client.connect(str(self.socket_path))
        client.sendall(struct.pack("<II", arena, len(model)) + model)
        return client


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    path, traces = tmp_path / "s", tmp_path / "trace"
    traces.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "firmware.virtual.inference_server", str(path), str(traces)], stdin=subprocess.PIPE
    )
    until = time.monotonic() + TIMEOUT
    while not path.exists():
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.01)
    yield Server(process, path, traces)
    process.kill()
    process.communicate()


def receive(client: socket.socket, count: int) -> bytes:
    return client.recv(count, socket.MSG_WAITALL)


def accept(client: socket.socket) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    loaded, used = struct.unpack("<II", receive(client, 8))
    assert loaded == 1
    return used, struct.unpack("<7I", receive(client, 28)), struct.unpack("<7I", receive(client, 28))


def test_probabilities_are_the_reference_engines_bit_for_bit(server: Server, official_models: Path) -> None:
    model = read_model(official_models / "hey_jarvis.tflite")
    features = np.random.default_rng(5).integers(-128, 128, (300, 40), np.int8)
    with server.connect(model.content, 1 << 18) as client:
        used, inputs, outputs = accept(client)
        assert used == host_arena(model.content).used
        assert inputs == (9, 3, 1, 3, 40, 0, 120)
        assert outputs == (3, 2, 1, 1, 0, 0, 1)
        given = bytearray()
        for index in range(100):
            client.sendall(features[3 * index : 3 * index + 3].tobytes())
            given += receive(client, 1)
    assert bytes(given) == ReferenceEngine(model).run(features).tobytes()
    assert [path.read_bytes() for path in server.traces.iterdir()] == [bytes(given)]


def test_an_arena_that_is_too_small_is_refused_and_the_server_lives_on(server: Server, official_models: Path) -> None:
    content = (official_models / "alexa.tflite").read_bytes()
    least = host_arena(content).minimum
    for arena in (16, 1024, least - 4096, least - 16):
        with server.connect(content, arena) as client:
            # Refused in words, or the interpreter crashed and the connection ended; never accepted.
            assert receive(client, 8) in (struct.pack("<II", 0, 0), b"")
    with server.connect(content, least) as client:
        accept(client)


def test_a_model_with_an_operator_that_the_device_lacks_is_refused(server: Server) -> None:
    content = build(Recipe(foreign=("TANH",)))
    assert "TANH" in {op.name for graph in parse_model(content, "test").subgraphs for op in graph.operators}
    with server.connect(content, 1 << 18) as client:
        assert receive(client, 8) == struct.pack("<II", 0, 0)


def test_two_interpreters_do_not_share_a_state(server: Server, official_models: Path) -> None:
    model = read_model(official_models / "alexa.tflite")
    features = np.random.default_rng(6).integers(-128, 128, (30, 40), np.int8)
    expected = ReferenceEngine(model).run(features).tobytes()
    with server.connect(model.content, 1 << 18) as first, server.connect(model.content, 1 << 18) as second:
        accept(first), accept(second)
        given: dict[int, bytes] = {0: b"", 1: b""}
        for index in range(10):
            for number, client in enumerate((first, second)):
                client.sendall(features[3 * index : 3 * index + 3].tobytes())
                given[number] += receive(client, 1)
    assert given == {0: expected, 1: expected}


def test_it_ends_with_its_owner(server: Server) -> None:
    assert server.process.stdin is not None
    server.process.stdin.close()
    assert server.process.wait(TIMEOUT) == 0
