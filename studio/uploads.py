"""Forms with files: as large as a page allows and no larger, whatever the browser sends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.types import Message

from wakeword.errors import ConfigError

MIB = 1024 * 1024
_FIELDS = 20
_FIELDS_BYTES = MIB
"""For all that is no file, and what stands between the files."""


@asynccontextmanager
async def uploaded(request: Request, most_bytes: int, most_files: int, remedy: str) -> AsyncIterator[FormData]:
    """A form with at most so many files, of so many bytes together; they are on the disk while the block runs.

    Raises `ConfigError` with the `remedy` for more, as soon as that is known: by the length that the browser tells
    before it sends, else when it has sent too much.
    """
    most = most_bytes + _FIELDS_BYTES
    too_large = ConfigError(f"that is more than {most_bytes // MIB} MiB; {remedy}")
    told = request.headers.get("content-length", "0")
    if not told.isdecimal() or len(told) > len(str(most)) or int(told) > most:
        raise too_large
    came = 0

    async def receive() -> Message:
        nonlocal came
        message = await request.receive()
        came += len(message.get("body", b""))
        if came > most:
            raise too_large
        return message

    async with Request(request.scope, receive).form(max_files=most_files, max_fields=_FIELDS) as form:
        yield form
