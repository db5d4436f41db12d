"""Files over HTTP from a server on this machine, which may break off."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """Serves `contents` by their paths; breaks off after so many bytes an answer, for as many answers as `breaks`
    says."""

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.contents = dict(contents)
        self.breaks = 0
        self.after = 3000
        self.lengths: list[int] = []
        """`after` of the first answers, one each."""
        self.ranges = True
        self.asked: list[str | None] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append(wanted)
        content = self.server.contents[self.path]
        start = int(re.findall(r"\d+", wanted)[0]) if wanted and self.server.ranges else 0
        if start >= len(content):
            self.send_error(416)
            return
        rest = content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if self.server.breaks:
            self.server.breaks -= 1
            rest = rest[: self.server.lengths.pop(0) if self.server.lengths else self.server.after]
        self.wfile.write(rest)

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@contextmanager
def serving(contents: Mapping[str, bytes]) -> Iterator[Server]:
    """A server at work while the block runs."""
    with Server(contents) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
