"""Ways to a simulated chip: a pty, a TCP socket, and rfc2217 with DTR and RTS wired as on Espressif's boards."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import threading
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from serial.rfc2217 import PortManager

from tests.firmware.rom_loader.chip import Chip

POLL_SECONDS = 0.01
RISE_SECONDS = 0.15
"""IO0 is looked at so long after EN was let go. Each change of a line takes a round trip, 50 ms in pyserial; a real
board would not wait for it, which is why Espressif's `esp_rfc2217_server` makes the whole reset by itself."""


@contextmanager
def on_pty(chip: Chip) -> Iterator[str]:
    """The chip behind a pseudo terminal, whose path is given. It has no DTR and RTS."""
    master, slave = os.openpty()
    tty.setraw(slave)
    path = os.ttyname(slave)
    # Nobody but the host may hold the port: who holds it is one of the things under test.
    os.close(slave)
    chip.boots_alone = True
    chip.send = lambda data: _write_all(master, data)
    gone = threading.Event()
    chip.vanish = gone.set

    def serve() -> None:
        while not gone.is_set():
            try:
                data = os.read(master, 65536)
            except BlockingIOError:
                select.select([master], [], [], POLL_SECONDS)
            except OSError as error:
                if error.errno != errno.EIO:  # nobody has opened it
                    return
                time.sleep(POLL_SECONDS)
            else:
                chip.feed(data)
        os.close(master)

    os.set_blocking(master, False)
    thread = threading.Thread(target=serve, name="chip on a pty", daemon=True)
    thread.start()
    try:
        yield path
    finally:
        gone.set()
        thread.join()


@contextmanager
def on_socket(chip: Chip) -> Iterator[str]:
    """The chip behind a plain TCP socket: `socket://`. It has no DTR and RTS."""
    chip.boots_alone = True
    with _served(lambda connection: _serve_plain(chip, connection)) as port:
        yield f"socket://127.0.0.1:{port}"


@contextmanager
def on_rfc2217(chip: Chip) -> Iterator[str]:
    """The chip behind a serial port server with control lines: `rfc2217://`."""
    with _served(lambda connection: _serve_rfc2217(chip, connection)) as port:
        yield f"rfc2217://127.0.0.1:{port}"


class Wiring:
    """A UART as pyserial's `PortManager` wants it, and the two transistors between its control lines and the chip's EN
    and IO0.
    """

    baudrate, bytesize, parity, stopbits, timeout = 115_200, 8, "N", 1, 0
    cts = dsr = ri = cd = False
    xonxoff = rtscts = break_condition = False

    def __init__(self, chip: Chip):
        self._chip = chip
        # As the system leaves the lines of a port that it opens.
        self._dtr = self._rts = True
        self._released: float | None = None

    @property
    def dtr(self) -> bool:
        """Whether DTR is asserted."""
        return self._dtr

    @dtr.setter
    def dtr(self, value: bool) -> None:
        self._set(bool(value), self._rts)

    @property
    def rts(self) -> bool:
        """Whether RTS is asserted."""
        return self._rts

    @rts.setter
    def rts(self, value: bool) -> None:
        self._set(self._dtr, bool(value))

    def get_settings(self) -> dict[str, object]:
        """As `serial.Serial` has it."""
        return {}

    def apply_settings(self, _: dict[str, object]) -> None:
        """As `serial.Serial` has it."""

    def reset_input_buffer(self) -> None:
        """As `serial.Serial` has it."""

    def reset_output_buffer(self) -> None:
        """As `serial.Serial` has it."""

    def _set(self, dtr: bool, rts: bool) -> None:
        was_held = self._rts and not self._dtr
        self._dtr, self._rts = dtr, rts
        if was_held and not (rts and not dtr):
            self._released = time.monotonic()

    def settle(self, *, at_once: bool = False) -> None:
        """Start the chip once EN has risen."""
        if self._released is not None and (at_once or time.monotonic() >= self._released + RISE_SECONDS):
            self._released = None
            if self._dtr and not self._rts:
                self._chip.enter_loader()
                self._chip.send(b"rst:0x1 (POWERON),boot:0x0 (DOWNLOAD(USB/UART0))\r\nwaiting for download\r\n")
            else:
                self._chip.boot()


def _write_all(descriptor: int, data: bytes) -> None:
    line = select.poll()
    line.register(descriptor, select.POLLOUT)
    while data:
        # A pty would keep for the next one what is said when nobody has it open; a serial line does not.
        if any(event & select.POLLHUP for _, event in line.poll(0)):
            return
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            select.select([], [descriptor], [], 1.0)
        except OSError:  # nobody listens
            return


@contextmanager
def _served(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    open_connections: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            open_connections.append(connection)
            with connection, contextlib.suppress(OSError):
                serve(connection)

    thread = threading.Thread(target=accept, name="chip on TCP", daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in open_connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        thread.join()


def _serve_plain(chip: Chip, connection: socket.socket) -> None:
    chip.send = connection.sendall
    chip.vanish = lambda: connection.shutdown(socket.SHUT_RDWR)
    while data := connection.recv(65536):
        chip.feed(data)


def _serve_rfc2217(chip: Chip, connection: socket.socket) -> None:
    class Line:
        def write(self, data: bytes) -> None:
            connection.sendall(data)

    wiring = Wiring(chip)
    manager = PortManager(cast(Any, wiring), cast(Any, Line()))  # it asks for no more than these have
    chip.send = lambda data: connection.sendall(b"".join(manager.escape(data)))
    chip.vanish = lambda: connection.shutdown(socket.SHUT_RDWR)
    try:
        while True:
            wiring.settle()
            if not select.select([connection], [], [], POLL_SECONDS)[0]:
                continue
            data = connection.recv(65536)
            if not data:
                return
            chip.feed(b"".join(manager.filter(data)))
    finally:
        # A board starts whether or not anybody listens.
        chip.send = lambda _: None
        wiring.settle(at_once=True)
