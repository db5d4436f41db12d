"""The served judge over HTTP."""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import shutil
import socket
import subprocess
import time
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from judge.deciding import Judge
from tests.judge.served import DEADLINE_S, TOKEN, Server
from tests.programs import needs

type Clip = NDArray[np.int16]
RIGHT = {"Authorization": f"Bearer {TOKEN}"}
PAGE = Path(__file__).parents[2] / "docs" / "judge.md"
WAV = RIGHT | {"Content-Type": "audio/wav"}
RAW = RIGHT | {"Content-Type": "application/octet-stream"}


def wav(clip: Clip, rate: int = 16_000) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(clip.astype("<i2").tobytes())
    return buffer.getvalue()


LONG_CHUNK = b"RIFF\x10\0\0\0WAVELIST\0\0\1\0"
"""A WAV file with a chunk longer than the file says that it is."""


def ask(
    server: Server, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, Any], dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", server.http, timeout=DEADLINE_S)
    try:
        connection.request(method, path, body, headers or {}, encode_chunked=not isinstance(body, bytes | None))
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read()), {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


def test_a_clip_gets_the_judges_answer(server: Server, judge: Judge, word: Clip, speech: Clip) -> None:
    for clip in (word, speech, np.zeros(40_000, np.int16)):
        expected = judge.ask(clip)
        for body, headers in ((wav(clip), WAV), (clip.astype("<i2").tobytes(), RAW)):
            status, answer, _ = ask(server, "POST", "/judge", body, headers)
            assert status == 200
            assert answer == {
                "yes": expected.yes,
                "score": expected.score,
                "cutoff": 0.9,
                "peaks": list(expected.peaks),
                "seconds": 2.5,
            }


def test_it_says_what_it_is(server: Server, judge: Judge) -> None:
    status, answer, _ = ask(server, "GET", "/judge", headers=RIGHT)
    assert (status, answer["wake_word"], answer["longest_seconds"]) == (200, "Alexa", 10.0)
    assert answer["models"] == [{"kind": "int8", "sha256": judge.members[0].sha256}]


@pytest.mark.parametrize(
    "given", [None, "", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", TOKEN, "Bearer", "Bearer "]
)
def test_without_the_right_token_there_is_no_answer(given: str | None, server: Server, word: Clip) -> None:
    headers = {"Content-Type": "audio/wav"} | ({} if given is None else {"Authorization": given})
    for method, path in (("POST", "/judge"), ("GET", "/judge"), ("GET", "/elsewhere")):
        status, answer, told = ask(server, method, path, wav(word), headers)
        assert status == 401
        assert set(answer) == {"error"}
        assert told["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "message"),
    [
        ("GET", "/", None, RIGHT, 404, "there is /judge alone"),
        ("DELETE", "/judge", None, RIGHT, 405, "POST a clip"),
        ("POST", "/judge", b"{}", RIGHT | {"Content-Type": "application/json"}, 415, "audio/wav"),
        ("POST", "/judge", b"no wav", WAV, 400, "no WAV file of PCM"),
        ("POST", "/judge", wav(np.zeros(100, np.int16))[:20], WAV, 400, "no WAV file of PCM"),
        ("POST", "/judge", LONG_CHUNK, WAV, 400, "no WAV file of PCM"),
        ("POST", "/judge", wav(np.zeros(100, np.int16), 44_100), WAV, 400, "44100 Hz, 16 bits, 1 channels"),
        ("POST", "/judge", wav(np.zeros(0, np.int16)), WAV, 400, "holds no sound"),
        ("POST", "/judge", b"", RAW, 400, "holds no sound"),
        ("POST", "/judge", b"abc", RAW, 400, "half a sample"),
        ("POST", "/judge", bytes(320_002), RAW, 413, "more than 10 s of sound"),
        ("POST", "/judge", wav(np.zeros(160_001, np.int16)), WAV, 413, "more than 10 s of sound"),
        ("POST", "/judge", iter([bytes(100_000)] * 5), RAW, 413, "more than 10 s of sound"),
    ],
)
def test_what_is_no_clip_is_refused(
    method: str, path: str, body: Any, headers: dict[str, str], status: int, message: str, server: Server
) -> None:
    found, answer, _ = ask(server, method, path, body, headers)
    assert found == status
    assert message in answer["error"]


@needs("curl", "curl")
@needs("openssl", "openssl")
def test_what_the_page_prints_hides_the_token_and_asks_the_judge(server: Server, word: Clip, tmp_path: Path) -> None:
    """Its lines of the shell, with the port of this server, and with a note of the command line that others can see."""
    text = PAGE.read_text()
    (make,) = re.findall(r"^.*> judge\.token.*$", text, re.MULTILINE)
    (curl,) = re.findall(r"^curl .*<<END\n.*\nEND\n", text, re.MULTILINE)
    (tmp_path / "clip.wav").write_bytes(wav(word))
    (tmp_path / "curl").write_text(f'#!/bin/sh\nprintf "%s " "$@" > seen\nexec {shutil.which("curl")} "$@"\n')
    (tmp_path / "curl").chmod(0o755)

    def shell(command: str) -> str:
        environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        return subprocess.run(
            ["sh", "-euc", f"umask 022\n{command}"],
            cwd=tmp_path,
            env=environment,
            timeout=DEADLINE_S,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout

    shell(make)
    token = tmp_path / "judge.token"
    assert token.stat().st_mode & 0o777 == 0o600
    assert len(token.read_text().strip()) == 64
    token.write_text(TOKEN)
    assert json.loads(shell(curl.replace(":10411", f":{server.http}")))["yes"] is True
    seen = (tmp_path / "seen").read_text()
    assert "clip.wav" in seen
    assert TOKEN not in seen


def exchange(server: Server, sent: bytes) -> bytes:
    """What comes back for bytes, until the server ends the connection."""
    with socket.create_connection(("127.0.0.1", server.http), DEADLINE_S) as connection:
        connection.sendall(sent)
        answer = b""
        while part := connection.recv(1 << 16):
            answer += part
    return answer


def test_bytes_that_are_no_request_are_refused(server: Server) -> None:
    assert b"400 Bad Request" in exchange(server, b'{"type": "describe"}\n\n')
    assert b"400 Bad Request" in exchange(server, b"GET /judge HTTP/1.1\r\nX: " + b"x" * 200_000)


def test_a_stated_length_beyond_the_limit_is_refused_before_it_comes(server: Server) -> None:
    head = f"POST /judge HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: audio/wav\r\n"
    assert b"413 " in exchange(server, f"{head}Content-Length: 10000000000\r\n\r\n".encode())


def test_who_asks_before_sending_is_told_to_go_on(server: Server, word: Clip) -> None:
    head = f"POST /judge HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: audio/wav\r\n"
    body = wav(word)
    with socket.create_connection(("127.0.0.1", server.http), DEADLINE_S) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n".encode())
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 100")
        connection.sendall(body)
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200")


HALF = f"POST /judge HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\nExpect: 100-continue\r\n".encode()
"""A request whose body is still to come."""


def begun(server: Server) -> socket.socket:
    """A client with half a body sent, after the server has told that it waits for it."""
    connection = socket.create_connection(("127.0.0.1", server.http), DEADLINE_S)
    connection.sendall(HALF + b"Content-Type: application/octet-stream\r\nContent-Length: 1000\r\n\r\n")
    assert connection.recv(1 << 16).startswith(b"HTTP/1.1 100")
    connection.sendall(bytes(10))
    return connection


def test_too_many_clients_are_refused(small_server: Server) -> None:
    with begun(small_server), begun(small_server):
        status, answer, told = ask(small_server, "GET", "/judge", headers=RIGHT)
        assert (status, told["retry-after"]) == (503, "1")
        assert "too many clients" in answer["error"]
    deadline = time.monotonic() + DEADLINE_S
    while ask(small_server, "GET", "/judge", headers=RIGHT)[0] != 200:
        assert time.monotonic() < deadline, "who left is still counted"


def test_a_slow_client_is_let_go(hasty_server: Server) -> None:
    with begun(hasty_server) as slow:
        assert slow.recv(1 << 16).startswith(b"HTTP/1.1 408")
    with socket.create_connection(("127.0.0.1", hasty_server.http), DEADLINE_S) as silent:
        assert silent.recv(1 << 16).startswith(b"HTTP/1.1 408")
