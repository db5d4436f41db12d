"""A file from the network: whole, with the content that is expected, or not there."""

from __future__ import annotations

import hashlib
import http
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from wakeword.errors import InfrastructureError, tell
from wakeword.files import PARTIAL_SUFFIX
from wakeword.locks import wait_for

_TIMEOUT_S = 15.0
_BLOCK_BYTES = 1 << 20
_PARTIAL_CONTENT = 206


@dataclass(frozen=True)
class Remote:
    """A file behind an address. Its content is pinned, so it does not matter who answers."""

    address: str
    algorithm: str
    """As `hashlib` names it."""
    digest: str
    """In hex."""


def fetch(remote: Remote, path: Path, progress: Callable[[int, int], None] | None = None) -> None:
    """Bring a file to `path`, where it appears whole and checked. What an interrupted call had got is kept beside it,
    and the next one goes on there. `progress` is told how many bytes are there, of how many.

    A transfer that breaks off is taken up again as long as it gets on. Raises `InfrastructureError` when the address
    does not answer or answers with other content, and `OSError` for the disk.
    """
    partial = path.with_name(path.name + PARTIAL_SUFFIX)
    with wait_for(
        path.with_name(path.name + ".lock"), lambda: tell(f"waiting for another process that fetches {path.name}")
    ):
        if path.is_file():
            return
        most = _size(partial)
        while True:
            try:
                _receive(remote.address, partial, progress)
                break
            except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
                # A server that sends all of it again may break off each time at another place.
                if _size(partial) <= most:
                    raise InfrastructureError(f"{remote.address} cannot be fetched ({error})") from error
                most = _size(partial)
        with partial.open("rb") as whole:
            found = hashlib.file_digest(whole, remote.algorithm).hexdigest()
        if found != remote.digest:
            partial.unlink()
            raise InfrastructureError(
                f"{remote.address} is not the file that is expected ({remote.algorithm} {found[:16]}..., not"
                f" {remote.digest[:16]}...)"
            )
        partial.replace(path)


def _receive(address: str, partial: Path, progress: Callable[[int, int], None] | None) -> None:
    """Append to `partial` what it lacks. A server that cannot go on in the middle sends all of it again."""
    have = _size(partial)
    request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310 - the addresses are the project's own
    try:
        answer = urllib.request.urlopen(request, timeout=_TIMEOUT_S)  # noqa: S310
    except urllib.error.HTTPError as error:
        if have and error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # it is complete; the digest will tell
        raise
    if answer.status != _PARTIAL_CONTENT:
        have = 0
    with answer, partial.open("ab" if have else "wb") as writer:
        expected = int(answer.headers.get("Content-Length") or -1)
        received = 0
        while block := _read(answer):
            received += writer.write(block)
            if progress is not None and expected > 0:
                progress(have + received, have + expected)
    if received < expected:
        raise http.client.IncompleteRead(b"", expected - received)


def _read(answer: IO[bytes]) -> bytes:
    """The next block. Raises `ConnectionError` for all that goes wrong on the way: TLS and lost routes have errors that
    look like the disk's.
    """
    try:
        return answer.read(_BLOCK_BYTES)
    except OSError as error:
        raise ConnectionError(str(error)) from error


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
