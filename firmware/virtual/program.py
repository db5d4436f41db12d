"""A virtual board that runs: the program that ESPHome built, and the inference server beside it.

All of its state lies in one folder below the system's temporary one: Unix sockets have short names.

    program      the executable, which an update over the air replaces
    preferences/ what ESPHome would keep in flash; fresh each time, so that no run sees another's
    trace/       the probabilities of each interpreter since the program was started
    room         a socket: what its own microphone hears (firmware/virtual/room.py), where a room was opened
    board.log    what the program printed
    owner        locked as long as we live: a folder whose owner was killed is removed by the next board
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from firmware.toolenv import neutral_environment
from wakeword.errors import InfrastructureError
from wakeword.locks import try_lock

if TYPE_CHECKING:
    from numpy.typing import NDArray

START_SECONDS = 30.0
"""On a busy machine tflite-micro alone takes seconds to import."""
STOP_SECONDS = 5.0
BOARD_PRIORITY = -10
"""Nice value."""
_POLL_SECONDS = 0.02
_PREFIX, _OWNER = "mww-board-", "owner"


class VirtualProgram:
    """One virtual board on this machine. Ports are free ones of the loopback interface; they stay over restarts.

    Calls from several threads wait for one another: whoever stops a board that is being started stops it when it has
    started.
    """

    def __init__(self, executable: Path, *, realtime: bool = False) -> None:
        """Prepare a board with the host program `executable`; nothing runs yet. Raises `InfrastructureError` when it
        cannot be copied.

        `realtime` is for a microphone that does not wait: the board then goes before all other programs, where the
        system allows it.
        """
        self._realtime = realtime
        _remove_orphans(Path(tempfile.gettempdir()))
        self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._owner = -1
        self._turn = threading.RLock()
        self._unwanted = False
        """Somebody waits to stop the board while it is being started."""
        self._server: subprocess.Popen[bytes] | None = None
        self._program: subprocess.Popen[bytes] | None = None
        self.executable = self.folder / "program"
        try:
            self._owner = _own(self.folder)
            shutil.copy2(executable, self.executable)
            for name in ("preferences", "trace"):
                (self.folder / name).mkdir()
            self.api_port, self.ota_port, self.microphone_port = _free_ports(3)
        except OSError as error:
            self.remove()
            raise InfrastructureError(
                f"{self.folder}: {executable.name} of the virtual board cannot be put there ({error.strerror}); free"
                " space, or set TMPDIR to another folder"
            ) from error

    @property
    def log(self) -> Path:
        """What the program printed, with colours."""
        return self.folder / "board.log"

    @property
    def room(self) -> Path:
        """The socket that its own microphone hears from."""
        return self.folder / "room"

    @property
    def pid(self) -> int | None:
        """Of the running program, None when it does not run."""
        return self._program.pid if self._program is not None and self._program.poll() is None else None

    def start(self) -> None:
        """Start the board and wait until it listens. Raises `InfrastructureError` when it does not, with its last
        words.
        """
        with self._turn:
            self._start()

    def _start(self) -> None:
        if self._server is None or self._server.poll() is not None:
            self._start_server()
        if self.pid is None:
            if self._program is not None:
                _reap(self._program)
            # What the last start inferred is no answer to what this one hears.
            for trace in (self.folder / "trace").iterdir():
                trace.unlink()
            self._program = self._launch([str(self.executable)], self._variables(), self.log)
        until = time.monotonic() + START_SECONDS
        while not _listens(self.api_port):
            if self.pid is None or self._unwanted or time.monotonic() > until:
                words = self.last_words()
                self.stop()
                raise InfrastructureError(
                    f"the virtual board does not start: {words}; build its firmware again, or free its ports"
                )
            time.sleep(_POLL_SECONDS)

    def kill(self) -> None:
        """End the program at once, as a power failure would."""
        with self._turn:
            if self._program is not None:
                self._program.kill()
                _reap(self._program)

    def restart(self) -> None:
        """Power off and on: a fresh boot, with the program that is there now."""
        with self._turn:
            self.kill()
            self._start()

    def stop(self) -> None:
        """End everything. The folder stays until `remove`."""
        self._unwanted = True
        with self._turn:
            self._unwanted = False
            for process in (self._program, self._server):
                if process is not None:
                    _end(process)
            self._program = self._server = None

    def remove(self) -> None:
        """End everything and delete the board's folder. A second call does nothing."""
        self.stop()
        with self._turn:
            shutil.rmtree(self.folder, ignore_errors=True)
            if self._owner >= 0:
                os.close(self._owner)
                self._owner = -1

    def probabilities(self, model_sha256: str) -> NDArray[np.uint8]:
        """What the model's latest interpreter gave, one value an inference: uint8 `[inferences]`, empty when it has not
        run.
        """
        traces = sorted((self.folder / "trace").glob(f"*-{model_sha256[:12]}.u8"))
        return np.fromfile(traces[-1], np.uint8) if traces else np.zeros(0, np.uint8)

    def last_words(self) -> str:
        """The last line that the program printed, for a message."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines() if self.log.is_file() else []
        return lines[-1].strip() if lines else "it printed nothing"

    def _start_server(self) -> None:
        path = self.folder / "inference"
        path.unlink(missing_ok=True)
        command = [sys.executable, "-m", "firmware.virtual.inference_server", str(path), str(self.folder / "trace")]
        # It is our own module and needs our own environment.
        variables = dict(os.environ)
        self._server = self._launch(command, variables, self.folder / "inference.log")
        until = time.monotonic() + START_SECONDS
        while not path.exists():
            if self._server.poll() is not None or self._unwanted or time.monotonic() > until:
                said = (self.folder / "inference.log").read_text(encoding="utf-8", errors="replace").splitlines()
                self.stop()
                raise InfrastructureError(
                    f"the inference server does not start: {said[-1] if said else 'it printed nothing'}; install"
                    " tflite-micro as pinned"
                )
            time.sleep(_POLL_SECONDS)

    def _variables(self) -> dict[str, str]:
        return neutral_environment() | {
            "ESPHOME_PREFDIR": str(self.folder / "preferences"),
            "MWW_API_PORT": str(self.api_port),
            "MWW_OTA_PORT": str(self.ota_port),
            "MWW_MICROPHONE_PORT": str(self.microphone_port),
            "MWW_INFERENCE_SOCKET": str(self.folder / "inference"),
            "MWW_ROOM": str(self.room),
            "MWW_OWNED": "1",
        }

    def _launch(self, command: list[str], variables: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
        # Standard input is what ends them when this process is gone; Ctrl-C is for us alone.
        with log.open("ab") as output:
            try:
                process = subprocess.Popen(
                    command,
                    env=variables,
                    cwd=self.folder,
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise InfrastructureError(
                    f"{command[0]}: cannot be started ({error.strerror}); build the firmware again"
                ) from error
        _prefer(process.pid, self._realtime)
        return process


def _prefer(pid: int, realtime: bool) -> None:
    """A board has its processor to itself; in real time its ring buffer overflows when it waits 120 ms for one. Not
    everybody may ask for this.
    """
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, BOARD_PRIORITY)
        if realtime:
            os.sched_setscheduler(pid, os.SCHED_RR, os.sched_param(1))


def _own(folder: Path) -> int:
    """Lock the folder's `owner` file, which has its name only when it is locked; the system frees it when we end,
    however we do.
    """
    fresh = folder / f"{_OWNER}.partial"
    descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT, 0o600)
    try_lock(descriptor)  # nobody else knows the file
    fresh.rename(folder / _OWNER)
    return descriptor


def _remove_orphans(temporary: Path) -> None:
    """Delete the folders of boards whose owner was killed before it could. They hold copies of programs, and so of API
    keys.
    """
    for owner in temporary.glob(f"{_PREFIX}*/{_OWNER}"):
        try:
            descriptor = os.open(owner, os.O_RDWR)
        except OSError:  # another user's, or gone just now
            continue
        if try_lock(descriptor, attempts=1):
            shutil.rmtree(owner.parent, ignore_errors=True)
        os.close(descriptor)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
    _reap(process)


def _reap(process: subprocess.Popen[bytes]) -> None:
    process.wait()
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()


def _free_ports(count: int) -> list[int]:
    """Ports that are free now. Held open together, so that they differ."""
    holders = [socket.socket() for _ in range(count)]
    try:
        for holder in holders:
            holder.bind(("127.0.0.1", 0))
        return [int(holder.getsockname()[1]) for holder in holders]
    finally:
        for holder in holders:
            holder.close()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0
