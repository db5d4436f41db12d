"""The process of a job: waits for its turn, runs its commands one after the other, and says how far it is.

Started by `studio.jobs.desk` in a session of its own, so that neither the end of the server nor a Ctrl-C at its
terminal reaches it. The job's lock comes with it, open, and goes on to each command: the kernel frees it when all of
them have ended, however they end.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shlex
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType

from studio.jobs.records import (
    LOG_FILE,
    PROGRESS_FILE,
    BegunStep,
    JobPhase,
    JobState,
    JobStep,
    now,
    process_began,
    read_order,
    read_state,
    write_state,
)
from wakeword.progress import FILE_VARIABLE

PROGRAMS = Path(sys.executable).parent
_PR_SET_PDEATHSIG = 1
_STOPS = (signal.SIGTERM, signal.SIGINT)


class _Stopped(Exception):
    """Somebody asked for the end of the job."""


def main(folder: Path, lock: int) -> int:
    """Do the job of a folder from the first step that is not done; `lock` is the descriptor of its lock. The exit code
    of the step that failed, else 0.
    """
    for number in _STOPS:
        signal.signal(number, _stop)
    order, state = read_order(folder), read_state(folder)
    state = state.model_copy(update={"pid": os.getpid(), "pid_began": process_began(os.getpid())})
    write_state(folder, state)
    try:
        for other in state.after:
            _wait_for(folder.parent / other.lock)
        done = [step for step in state.steps if step.exit_code == 0]
        for step in order.steps[len(done) :]:
            begun = BegunStep(began=now())
            state = _now(folder, state, JobPhase.RUNNING, (*done, begun))
            code = _run(folder, step, lock)
            done.append(begun.model_copy(update={"ended": now(), "exit_code": code}))
            if code:
                _now(folder, state, JobPhase.FAILED, tuple(done))
                return code
        _now(folder, state, JobPhase.DONE, tuple(done))
    except _Stopped:
        state = read_state(folder)
        ended = tuple(
            step if step.exit_code is not None else step.model_copy(update={"ended": now()}) for step in state.steps
        )
        _now(folder, state.model_copy(update={"stopping": False}), JobPhase.STOPPED, ended)
    return 0


def _now(folder: Path, state: JobState, phase: JobPhase, steps: tuple[BegunStep, ...]) -> JobState:
    state = state.model_copy(update={"phase": phase, "steps": steps})
    write_state(folder, state)
    return state


def _wait_for(lock: Path) -> None:
    """Until nobody holds a lock."""
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _run(folder: Path, step: JobStep, lock: int) -> int:
    """Run a command to its end, with what it prints in the log; its exit code. Raises `_Stopped` when it has ended
    because somebody asked for that."""
    program, *arguments = command = step.command_in(Path.cwd())
    (folder / PROGRESS_FILE).unlink(missing_ok=True)
    with (folder / LOG_FILE).open("a", encoding="utf-8") as log:
        log.write(f"$ {shlex.join(command)}\n")
        log.flush()
        # A stop between the begin of the command and the look at it would leave it at work, and nobody would know.
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
        try:
            process = subprocess.Popen(
                [str(PROGRAMS / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(lock,),
                preexec_fn=_end_with_parent,
                process_group=0,
                env=os.environ
                | {FILE_VARIABLE: str(folder / PROGRESS_FILE), "PYTHONUNBUFFERED": "1", "COLUMNS": "100"},
            )
        except OSError as error:
            log.write(f"error: {program} cannot be started: {error.strerror}\n")
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
            return 127
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
        return process.wait()
    except _Stopped:
        # A command that is told to end saves what it has, which may take a while. Who asks again does not wait for it.
        signal.signal(signal.SIGTERM, lambda *_: os.killpg(process.pid, signal.SIGKILL))
        process.send_signal(signal.SIGTERM)
        write_state(folder, read_state(folder).model_copy(update={"stopping": True}))
        _ended(process)
        raise


def _ended(process: subprocess.Popen[bytes]) -> None:
    """Wait for the end of a command. Until its exit code is taken, its number is no other process's."""
    with suppress(ChildProcessError):  # it had ended before
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    process.wait()


def _end_with_parent() -> None:
    """In the command's process, before it becomes the command: it is told to end when this one is killed, and hears it
    when it is told to end.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)


def _stop(number: int, _: FrameType | None) -> None:
    for one in _STOPS:
        signal.signal(one, signal.SIG_IGN)
    raise _Stopped(number)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
