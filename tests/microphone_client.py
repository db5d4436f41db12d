"""A client of the bench's microphone as its header describes it, written apart from the one that is measured with;
blocking, and able to misbehave.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from firmware.credentials import api_key
from firmware.virtual.program import VirtualProgram

START, AUDIO, FLUSH, PING, RESTART, LISTEN, DELIVER, MODEL = 1, 2, 3, 4, 5, 6, 7, 8
DELIVERED = 4
TIMEOUT = 30.0


class MicrophoneClient:
    """Connects at once; `status` is the board's first word, `verdict` its answer to the key."""

    def __init__(self, port: int, key: str, *, host: str = "127.0.0.1") -> None:
        self.line = socket.create_connection((host, port), TIMEOUT)
        self._held: bytearray | None = None
        try:
            self._greet(key)
        except BaseException:  # nobody else can close it
            self.line.close()
            raise

    def _greet(self, key: str) -> None:
        magic, self.version, self.status, board = struct.unpack("<4sBB2x16s", self.receive(24))
        assert magic == b"MWWB"
        self.verdict, self.ever, self.number = -1, -1, 0
        if self.status == 0:
            own = b"0123456789abcdef"
            raw = base64.b64decode(key)

            def proof(text: bytes) -> bytes:
                return hmac.new(raw, text + board + own, hashlib.sha256).digest()

            self.session = proof(b"mww-bench session")
            self.answers, self.told = ChaCha20Poly1305(proof(b"mww-bench answers")), 0
            self.line.sendall(own + proof(b"mww-bench client"))
            self.verdict, told, self.ever = struct.unpack("<B32sq", self.receive(41))
            assert self.verdict != 0 or told == proof(b"mww-bench board")

    @classmethod
    def of(cls, program: VirtualProgram, folder: Path) -> Self:
        """To a running program, with the key of its firmware's folder."""
        return cls(program.microphone_port, api_key(folder))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.line.close()

    def receive(self, count: int) -> bytes:
        """So many bytes; `ConnectionResetError` when the board hangs up before."""
        parts = b""
        while len(parts) < count:
            part = self.line.recv(count - len(parts))
            if not part:
                raise ConnectionResetError
            parts += part
        return parts

    def answer(self) -> tuple[int, int, bytes]:
        """The board's next message: its type, the model it is about, and its content."""
        (length,) = struct.unpack("<H", self.receive(2))
        content = self.answers.decrypt(bytes(4) + struct.pack("<Q", self.told), self.receive(length), None)
        self.told += 1
        return content[0], content[1], content[2:]

    def send(self, kind: int, content: bytes = b"", *, spoil: int = 0) -> None:
        """A signed message; `spoil` changes a bit of its signature."""
        message = struct.pack("<BBH", kind, 0, len(content)) + content
        mac = bytearray(hmac.new(self.session, struct.pack("<Q", self.number) + message, hashlib.sha256).digest()[:16])
        mac[-1] ^= spoil
        self.number += 1
        if self._held is None:
            self.line.sendall(message + mac)
        else:
            self._held += message + mac

    @contextmanager
    def in_one_piece(self) -> Iterator[None]:
        """What is sent within the block arrives together, at its end."""
        self._held = bytearray()
        yield
        self.line.sendall(self._held)
        self._held = None

    def start(self, pace: float = 0.0) -> None:
        """Begin a stream."""
        self.send(START, struct.pack("<I", round(pace * 1000)))

    def play(self, samples: bytes) -> None:
        """Send samples."""
        for at in range(0, len(samples), 4096):
            self.send(AUDIO, samples[at : at + 4096])

    def deliver(
        self, content: bytes, name: str, *, claimed: int | None = None, arena: int = 40_000, window: int = 5
    ) -> None:
        """Send a model, or what is none; `claimed` is what the board is told of its size."""
        head = struct.pack("<IIHBx", len(content) if claimed is None else claimed, arena, window, 200)
        self.send(DELIVER, head + name.encode() + b"\0" + name.encode())
        for at in range(0, len(content), 4096):
            self.send(MODEL, content[at : at + 4096])
