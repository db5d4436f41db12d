"""Fetching over HTTP from a server on this machine: whole, checked, taken up again. The addresses of the hubs
themselves cannot be tested.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.trainer.data.served import Server, serving
from trainer.data.speech.fetch import Remote, fetch
from wakeword.errors import InfrastructureError

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def server() -> Iterator[Server]:
    with serving({"/file": CONTENT}) as server:
        yield server


def remote(server: Server, content: bytes = CONTENT, algorithm: str = "sha256") -> Remote:
    return Remote(f"{server.address}/file", algorithm, hashlib.new(algorithm, content).hexdigest())


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_file_is_fetched_once(server: Server, tmp_path: Path, algorithm: str) -> None:
    path = tmp_path / "kept" / "file"
    for _ in range(2):
        fetch(remote(server, algorithm=algorithm), path)
    assert path.read_bytes() == CONTENT
    assert server.asked == [None]


def test_a_transfer_that_breaks_off_is_taken_up_where_it_was(server: Server, tmp_path: Path) -> None:
    server.breaks = 2
    fetch(remote(server), tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=3000-", "bytes=6000-"]


def test_a_server_without_ranges_sends_all_again(server: Server, tmp_path: Path) -> None:
    server.breaks, server.ranges = 1, False
    fetch(remote(server), tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_what_an_earlier_process_left_is_used(server: Server, tmp_path: Path) -> None:
    for have in (4000, len(CONTENT)):
        (tmp_path / "file").unlink(missing_ok=True)
        (tmp_path / "file.partial").write_bytes(CONTENT[:have])
        fetch(remote(server), tmp_path / "file")
        assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.asked == ["bytes=4000-", f"bytes={len(CONTENT)}-"]


def test_other_content_is_refused_and_not_kept(server: Server, tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match=r"is not the file that is expected \(sha256"):
        fetch(remote(server, b"other"), tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file.lock"]


def test_a_server_that_always_breaks_off_somewhere_is_given_up(server: Server, tmp_path: Path) -> None:
    server.breaks, server.ranges, server.lengths = 1000, False, [2000, 5000, 3000, 4000]
    with pytest.raises(InfrastructureError, match="cannot be fetched"):
        fetch(remote(server), tmp_path / "file")
    assert len(server.asked) == 3, "the third answer got no further than the second"


def test_an_error_on_the_way_is_not_the_disks(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object) -> bytes:
        raise OSError(errno.EHOSTUNREACH, "No route to host")

    monkeypatch.setattr(http.client.HTTPResponse, "read", lost)
    with pytest.raises(InfrastructureError, match=r"cannot be fetched \(.*No route to host"):
        fetch(remote(server), tmp_path / "file")


def test_a_server_that_gets_nowhere_is_given_up(server: Server, tmp_path: Path) -> None:
    server.breaks, server.after = 1000, 0
    with pytest.raises(InfrastructureError, match="cannot be fetched"):
        fetch(remote(server), tmp_path / "file")
    address = f"{server.address}/file"
    server.server_close()
    with pytest.raises(InfrastructureError, match=f"{address} cannot be fetched"):
        fetch(Remote(address, "sha256", ""), tmp_path / "file")
