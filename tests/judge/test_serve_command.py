"""`mww-judge serve` as a user starts it: what it refuses, and what it says."""

from __future__ import annotations

import http.client
import socket
from functools import partial
from pathlib import Path

import pytest

from judge.serving import ListenPlace, parse_place
from judge.token import Token
from tests import commands
from tests.commands import Run, one_line_error
from tests.judge.served import DEADLINE_S, PATIENT, TOKEN, served
from wakeword.errors import ConfigError

SECRET = "a-token-of-twenty-six-signs"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return partial(commands.run, tmp_path / "cache", "mww-judge", "serve")


def test_wyoming_is_opened_to_a_network_only_on_purpose(run: Run, official_models: Path) -> None:
    for place in ("0.0.0.0:0", "[::]:0", "192.168.1.5:10410", "home.example:10410"):
        told = one_line_error(run(official_models / "alexa.json", "--wyoming", place, "--http", "off"))
        assert f"--wyoming {place}: Wyoming has no authentication" in told
        assert "--trust-network" in told


def test_http_needs_a_token_that_nobody_sees(run: Run, official_models: Path, tmp_path: Path) -> None:
    alexa = official_models / "alexa.json"
    assert "needs a token: set MWW_JUDGE_TOKEN" in one_line_error(run(alexa, "--wyoming", "off"))
    for secret in ("short-secret", "with spaces in the middle", "öäüöäüöäüöäüöäüöäü"):
        (tmp_path / "token").write_text(secret)
        for told in (
            one_line_error(run(alexa, MWW_JUDGE_TOKEN=secret)),
            one_line_error(run(alexa, "--token-file", tmp_path / "token")),
        ):
            assert "openssl rand -hex 32" in told
            assert secret not in told
    assert SECRET not in repr(vars(Token(SECRET, "here")))
    assert "cannot be read" in one_line_error(run(alexa, "--token-file", tmp_path / "gone"))


def test_a_token_fits_in_its_header_alone() -> None:
    token = Token(SECRET, "here")
    assert token.fits(f"Bearer {SECRET}".encode())
    assert token.fits(f"bearer  {SECRET} ".encode())
    for other in (
        b"",
        SECRET.encode(),
        f"Basic {SECRET}".encode(),
        f"Bearer {SECRET}{SECRET}".encode(),
        b"Bearer \xff",
    ):
        assert not token.fits(other)


def test_bad_input_is_one_line(run: Run, official_models: Path, tmp_path: Path) -> None:
    alexa = official_models / "alexa.json"
    for arguments, message in (
        ((alexa, "--wyoming", "off", "--http", "off"), "leave nothing to serve"),
        ((alexa, "--wyoming", "10410"), "--wyoming 10410: give HOST:PORT"),
        ((alexa, "--http", "127.0.0.1:99999"), "--http 127.0.0.1:99999: give HOST:PORT"),
        ((tmp_path / "gone.json",), "cannot read the manifest"),
        ((alexa, "--cutoff", "7"), "--cutoff 7: a score is between 0 and 1"),
    ):
        assert message in one_line_error(run(*arguments, MWW_JUDGE_TOKEN=SECRET))


def test_a_place_that_is_taken_is_named(official_models: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        done = commands.run_apart(
            tmp_path, "mww-judge", "serve", official_models / "alexa.json", "--wyoming", place, "--http", "off"
        )
    told = one_line_error(done, 3)
    assert f"{place}: cannot be listened on" in told
    assert told.endswith("give --wyoming another place")


def test_it_answers_though_nobody_reads_what_it_prints(official_models: Path, tmp_path: Path) -> None:
    """As with `mww-judge serve … | head -3`."""
    with served(tmp_path, official_models / "alexa.json", *PATIENT, read_to="ready$") as server:
        for _ in range(2):
            connection = http.client.HTTPConnection("127.0.0.1", server.http, timeout=DEADLINE_S)
            headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/octet-stream"}
            connection.request("POST", "/judge", bytes(32_000), headers)
            assert connection.getresponse().status == 200
            connection.request("GET", "/elsewhere", headers=headers)
            assert connection.getresponse().status == 404
            connection.close()
        assert server.stop() == 0


def test_places_are_read() -> None:
    assert parse_place("http", "off") is None
    assert parse_place("http", "[::1]:80") == ListenPlace("::1", 80)
    assert str(ListenPlace("::1", 80)) == "[::1]:80"
    for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"):
        assert ListenPlace(host, 1).loopback
    for host in ("0.0.0.0", "::", "192.168.1.5", "home.example"):
        assert not ListenPlace(host, 1).loopback
    for text in ("", "host", "host:", ":80", "host:-1", "host:65536", "host:8o"):
        with pytest.raises(ConfigError):
            parse_place("http", text)
