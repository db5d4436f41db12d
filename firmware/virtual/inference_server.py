"""The virtual board's interpreters: real TFLM from the `tflite-micro` wheel, one process for each connection.

A process each, because an arena that is too small raises at some sizes and crashes at others: the board's probing of
arena sizes must see a refusal, and nobody else may notice.

Protocol, little-endian, over a Unix stream socket; the client is `virtual_board/inference.h`:

    -> u32 arena bytes, u32 model bytes, the model <- u32 1 if it loaded, u32 arena bytes used; if it loaded, for the
    input and then the output: u32 type, u32 dimensions, 4 x u32, u32 bytes -> the input's bytes     <- the output's
    bytes     ... once per inference

Every output is also appended to `<trace folder>/<number>-<first 12 of the model's SHA-256>.u8`: the board's own
probabilities.
"""

from __future__ import annotations

import hashlib
import os
import re
import select
import signal
import socket
import struct
import sys
import tempfile
from pathlib import Path
from typing import Any

from wakeword.model.flatbuffer import parse_model
from wakeword.operators import foreign_operators

TYPE_CODES = {"float32": 1, "int32": 2, "uint8": 3, "int16": 7, "int8": 9}
"""TfLiteType."""
LARGEST_MODEL_BYTES = 1 << 24
_USED = re.compile(rb"Arena allocation total (\d+) bytes")


def serve(socket_path: Path, trace_folder: Path) -> None:
    """Accept connections until the process that started this one is gone (its end of standard input closes) or SIGTERM
    comes.
    """
    # Imported before the first fork, so that each interpreter starts at once.
    import numpy as np  # noqa: F401
    from tflite_micro import runtime  # noqa: F401

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are not waited for
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(socket_path))
        listener.listen()
        number = 0
        while True:
            ready, _, _ = select.select([listener, sys.stdin], [], [])
            if sys.stdin in ready and not os.read(sys.stdin.fileno(), 1024):
                return
            if listener not in ready:
                continue
            connection, _ = listener.accept()
            number += 1
            if os.fork() == 0:
                code = 1
                try:
                    listener.close()
                    with connection:
                        _serve_one(connection, trace_folder, number)
                    code = 0
                finally:
                    os._exit(code)
            connection.close()


def _serve_one(connection: socket.socket, trace_folder: Path, number: int) -> None:
    arena_bytes, model_bytes = struct.unpack("<II", _receive(connection, 8))
    if model_bytes > LARGEST_MODEL_BYTES:
        return
    content = _receive(connection, model_bytes)
    interpreter = _load(content, arena_bytes)
    if interpreter is None:
        connection.sendall(struct.pack("<II", 0, 0))
        return
    inputs, outputs = interpreter.get_input_details(0), interpreter.get_output_details(0)
    connection.sendall(struct.pack("<II", 1, _used_bytes(interpreter)) + _described(inputs) + _described(outputs))
    _infer(
        connection, interpreter, inputs, trace_folder / f"{number:08d}-{hashlib.sha256(content).hexdigest()[:12]}.u8"
    )


def _infer(connection: socket.socket, interpreter: Any, inputs: dict[str, Any], trace_path: Path) -> None:
    import numpy as np

    shape, dtype = tuple(int(size) for size in inputs["shape"]), np.dtype(inputs["dtype"])
    buffer = bytearray(int(np.prod(shape)) * dtype.itemsize)
    values = np.frombuffer(buffer, dtype).reshape(shape)
    view = memoryview(buffer)
    trace = -1
    while True:
        got = 0
        while got < len(buffer):
            read = connection.recv_into(view[got:])
            if read == 0:
                return
            got += read
        interpreter.set_input(values, 0)
        interpreter.invoke()
        output = interpreter.get_output(0).tobytes()
        if trace < 0:
            trace = os.open(trace_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        # First the trace, so that what the board knows is always in it.
        os.write(trace, output)
        connection.sendall(output)


def _load(content: bytes, arena_bytes: int) -> Any | None:
    """The interpreter, or None where the device would not load the model either."""
    from tflite_micro import runtime

    # The wheel registers every operator; the device only its twenty.
    if foreign_operators(parse_model(content, "the board's model")):
        return None
    try:
        return runtime.Interpreter.from_bytes(content, arena_size=arena_bytes)
    except (RuntimeError, ValueError):
        return None


def _used_bytes(interpreter: Any) -> int:
    """`arena_used_bytes()`, which the wheel tells only in print on the C library's stderr."""
    with tempfile.TemporaryFile() as capture:
        saved = os.dup(2)
        try:
            os.dup2(capture.fileno(), 2)
            interpreter.print_allocations()
        finally:
            os.dup2(saved, 2)
            os.close(saved)
        capture.seek(0)
        found = _USED.search(capture.read())
    return int(found.group(1)) if found else 0


def _described(details: dict[str, Any]) -> bytes:
    import numpy as np

    shape = [int(size) for size in details["shape"]]
    dtype = np.dtype(details["dtype"])
    padded = (shape + [0] * 4)[:4]
    return struct.pack("<7I", TYPE_CODES.get(dtype.name, 0), len(shape), *padded, int(np.prod(shape)) * dtype.itemsize)


def _receive(connection: socket.socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        part = connection.recv(min(count - len(parts), 1 << 16))
        if not part:
            raise ConnectionError
        parts += part
    return bytes(parts)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), Path(sys.argv[2]))
