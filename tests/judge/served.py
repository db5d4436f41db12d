"""The served program on loopback, and the sound that clients send."""

from __future__ import annotations

import queue
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.commands import command, environment

TOKEN = "correct-horse-battery-staple"
DEADLINE_S = 120
PATIENT = ("--timeout", 300, "--idle", 300)
"""Limits that a busy machine does not reach."""


@dataclass
class Server:
    """`mww-judge serve` in a process of its own."""

    process: subprocess.Popen[str]
    lines: queue.Queue[str]
    said: list[str] = field(default_factory=list)
    wyoming: int = 0
    http: int = 0

    def wait_for(self, pattern: str) -> str:
        """The first line from now on that holds a pattern."""
        while True:
            line = self.lines.get(timeout=DEADLINE_S)
            self.said.append(line)
            if re.search(pattern, line):
                return line

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code after a signal."""
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)


@contextmanager
def served(cache: Path, *arguments: object, read_to: str | None = None) -> Iterator[Server]:
    """A server that is ready; it is stopped, and everything that it said is without the token. After a line that fits
    `read_to` its output is closed.
    """
    whole = command("mww-judge", "serve", *arguments, "--wyoming", "127.0.0.1:0", "--http", "127.0.0.1:0")
    process = subprocess.Popen(
        whole,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(cache, MWW_JUDGE_TOKEN=TOKEN),
    )
    server = Server(process, queue.Queue())

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if last := read_to is not None and re.search(read_to, line) is not None:
                process.stdout.close()
            server.lines.put(line.rstrip("\n"))
            if last:
                return

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        server.wyoming, server.http = (_port(server.wait_for(f"^{service}: ")) for service in ("Wyoming", "HTTP"))
        server.wait_for("ready$")
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(DEADLINE_S)
        reader.join(DEADLINE_S)
        assert process.stdout is not None
        process.stdout.close()
        while not server.lines.empty():
            server.said.append(server.lines.get())
    assert TOKEN not in "\n".join(server.said)
    assert "Traceback" not in "\n".join(server.said)


def _port(line: str) -> int:
    found = re.search(r"//127\.0\.0\.1:(\d+)", line)
    assert found is not None, line
    return int(found[1])
