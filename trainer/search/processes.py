"""The processes that train: one a trial, so that what a trial leaves behind, or breaks, ends with it."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import FrameType

from trainer.search.events import RemoteEvents, SearchEvents
from trainer.search.results import BASE, Outcome
from trainer.search.study import SearchStudy, open_study
from trainer.search.trial import SearchPlan, work_once
from wakeword.errors import INTERRUPTED_EXIT_CODE, InfrastructureError, MwwError
from wakeword.processes import deaf_to_interrupts, end_with_parent, threads_of_workers

MOST_DEATHS = 3
"""Processes in a row that die, before the search gives up."""
_NOTHING_LEFT, _FAULT = "nothing left", "fault"


def train_all(plan: SearchPlan, study: SearchStudy, processes: int, threads: int, events: SearchEvents) -> None:
    """Train until no trial is left to take.

    Args:
        plan: What is searched.
        study: The study, open in this process.
        processes: Trials at the same time.
        threads: Of TensorFlow in each, unless the configuration says otherwise.
        events: Told what the trials do.

    Raises what concerns all trials (see `work_once`), and `InfrastructureError` when processes die again and again. An
    interrupt ends the processes between two steps, their states saved; a second one at once.
    """
    crew, left, deaths = _Crew(plan, threads), True, 0
    with crew.ending():
        while left or crew.members:
            while left and len(crew.members) < processes:
                crew.hire()
            for member in crew.ready():
                try:
                    message = member.connection.recv()
                except EOFError:
                    deaths = deaths + 1 if _died(member, study, events) else 0
                    crew.dismiss(member)
                    if deaths >= MOST_DEATHS:
                        raise InfrastructureError(
                            f"{deaths} trials in a row died with their process, perhaps for lack of memory; free some,"
                            " or run again with fewer --processes"
                        ) from None
                    continue
                if message[0] == _NOTHING_LEFT:
                    left = False
                elif message[0] == _FAULT:
                    raise message[1]
                else:
                    member.trial = {"began": message[1], "ended": None}.get(message[0], member.trial)
                    getattr(events, message[0])(*message[1:])


class _TrialProcess:
    """A process at work."""

    def __init__(self, process: SpawnProcess, connection: Connection) -> None:
        self.process, self.connection = process, connection
        self.trial: str | None = None
        """That it has taken."""


class _Crew:
    def __init__(self, plan: SearchPlan, threads: int) -> None:
        self._plan, self._threads = plan, threads
        self._context = multiprocessing.get_context("spawn")
        self.members: list[_TrialProcess] = []

    def hire(self) -> None:
        mine, its = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_work, args=(self._plan, self._threads, its))
        # Ctrl-C reaches the whole process group: they are told by this process, once.
        with threads_of_workers(self._threads), deaf_to_interrupts():
            process.start()
        its.close()
        self.members.append(_TrialProcess(process, mine))

    def ready(self) -> list[_TrialProcess]:
        """Those who have something to say, or have ended."""
        found = wait([member.connection for member in self.members])
        return [member for member in self.members if member.connection in found]

    def dismiss(self, member: _TrialProcess) -> None:
        member.process.join()
        member.connection.close()
        self.members.remove(member)

    @contextmanager
    def ending(self) -> Iterator[None]:
        """No process is left after the block: when it is left by an error or an interrupt they save where they are."""
        try:
            yield
        except BaseException:
            for member in self.members:
                member.process.terminate()
            raise
        finally:
            try:
                for member in list(self.members):
                    self.dismiss(member)
            finally:
                for member in self.members:
                    member.process.kill()


def _died(member: _TrialProcess, study: SearchStudy, events: SearchEvents) -> bool:
    """Whether a process that has ended did so before its work was done; its trial has failed then."""
    member.process.join()
    code = member.process.exitcode
    if not code:
        return False
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    if member.trial is None or member.trial == BASE:
        raise InfrastructureError(
            f"a process of the search died ({how}), perhaps for lack of memory; free some, or run again with fewer"
            " --processes"
        )
    said = f"its process died ({how})"
    with study.lock():
        # Another process may have taken it up by now.
        if mine := study.is_running(member.trial) and not study.claimed(member.trial):
            study.end(member.trial, Outcome.FAILED, said)
    events.told(f"trial {member.trial}: {f'{Outcome.FAILED}: ' if mine else ''}{said}")
    events.ended(member.trial)
    return True


def _work(plan: SearchPlan, threads: int, connection: Connection) -> None:
    """In a process: train one trial."""
    end_with_parent()
    signal.signal(signal.SIGTERM, _as_interrupt)
    from trainer.networks.runtime import start_tensorflow

    try:
        performance = plan.config({}).performance
        start_tensorflow(performance.intra_op_parallelism or threads, performance)
        with open_study(plan.folder, plan.sampling) as study:
            if not work_once(plan, study, RemoteEvents(connection)):
                connection.send((_NOTHING_LEFT,))
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED_EXIT_CODE) from None
    except (MwwError, OSError) as error:
        connection.send((_FAULT, error))


def _as_interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # the signature of a signal handler
    """SIGTERM, from the process that was interrupted: as Ctrl-C, which this one was started without an ear for."""
    signal.raise_signal(signal.SIGINT)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
