"""One command of the project as a step of a row: run to its end, or interrupted and run again, with what it took.

A step that has ended is not run again. What it took is the sum over all its attempts, written down every few seconds,
so that a kill costs at most that much of the account.
"""

from __future__ import annotations

import json
import os
import resource
import shlex
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from firmware.processes import run_program
from wakeword.errors import ConfigError, InfrastructureError, MeasurementFailure, MwwError
from wakeword.files import write_atomically

LOOK_S = 2.0
"""Seconds between two looks at what the processes take."""
LAST_LINES = 5


class Cost(BaseModel):
    """What a step took."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    command: str
    done: bool = False
    seconds: float = 0.0
    """By the clock, of all attempts."""
    cpu_seconds: float = 0.0
    """Of all processors, of the attempts that ended by themselves."""
    peak_mib: float = 0.0
    """Most memory of all its processes at one moment, shared pages counted once (PSS), as far as looks every few
    seconds see it."""
    attempts: int = 0


class Steps:
    """The steps of a folder, in its `steps.json`."""

    def __init__(self, folder: Path) -> None:
        """Reads what was done before. Raises `ConfigError` for a damaged file."""
        self.folder = folder
        self._table = folder / "steps.json"
        self.costs: dict[str, Cost] = {}
        if self._table.is_file():
            try:
                self.costs = {
                    name: Cost.model_validate(cost) for name, cost in json.loads(self._table.read_text()).items()
                }
            except (ValueError, ValidationError, AttributeError) as error:
                raise ConfigError(
                    f"{self._table}: is damaged ({error}); remove {folder}, and the row is made again"
                ) from error

    def run(self, name: str, command: Sequence[object], told: Callable[[str], None]) -> None:
        """Run a step, unless it is done. `told` hears each line of it; all stand in `NAME.log`.

        It runs in the folder, so that no `dataset` of the caller's takes part. Raises an error of the class of the
        command's exit code, with its last lines, and `ConfigError` when the step was done by another command.
        """
        text = shlex.join(map(str, command))
        before = self.costs.get(name, Cost(command=text))
        if before.done:
            if before.command.split()[1:] != text.split()[1:]:
                raise ConfigError(
                    f"{self.folder}: was made by another command ({before.command}); remove the folder, or give another"
                    " --output"
                )
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder / f"{name}.log"
        lines: list[str] = []
        before = before.model_copy(update={"command": text, "attempts": before.attempts + 1})
        cpu = _children_seconds()
        with (
            log.open("a", encoding="utf-8") as file,
            _watched(lambda seconds, mib: self._note(name, before, seconds, mib)) as watched,
        ):

            def on_line(line: str) -> None:
                lines[:] = [*lines[1 - LAST_LINES :], line]
                file.write(f"{line}\n")
                file.flush()
                told(line)

            file.write(f"$ {text}\n")
            code = run_program([str(part) for part in command], self.folder, os.environ, on_line)
        seconds, mib = watched()
        self._note(name, before, seconds, mib, cpu_seconds=_children_seconds() - cpu, done=code == 0)
        if code:
            raise _failure(code)(
                f"{command[0]} ended with exit code {code}: {' / '.join(lines[-2:])}; all of it stands in {log}"
            )

    def done(self, name: str) -> bool:
        """Whether a step has ended well."""
        return name in self.costs and self.costs[name].done

    def account(self, name: str, cost: Cost) -> None:
        """Put down what a step cost that another folder has done."""
        self.costs[name] = cost
        self._write()

    def _note(
        self, name: str, before: Cost, seconds: float, mib: float, *, cpu_seconds: float = 0.0, done: bool = False
    ) -> None:
        self.costs[name] = before.model_copy(
            update={
                "seconds": round(before.seconds + seconds, 3),
                "cpu_seconds": round(before.cpu_seconds + cpu_seconds, 3),
                "peak_mib": round(max(before.peak_mib, mib)),
                "done": done,
            }
        )
        self._write()

    def _write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(
            self._table, json.dumps({name: cost.model_dump() for name, cost in self.costs.items()}, indent=1) + "\n"
        )


def _failure(code: int) -> type[MwwError]:
    return {ConfigError.exit_code: ConfigError, MeasurementFailure.exit_code: MeasurementFailure}.get(
        code, InfrastructureError
    )


@contextmanager
def _watched(note: Callable[[float, float], None]) -> Iterator[Callable[[], tuple[float, float]]]:
    """Watch this process's descendants while the block runs; yields what tells seconds and highest MiB so far."""
    began, peak, ended = time.monotonic(), 0.0, threading.Event()

    def so_far() -> tuple[float, float]:
        return time.monotonic() - began, peak

    def watch() -> None:
        nonlocal peak
        while not ended.wait(LOOK_S):
            peak = max(peak, sum(map(_pss_mib, _descendants(os.getpid()))))
            note(*so_far())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield so_far
    finally:
        ended.set()
        thread.join()


def _descendants(process: int) -> list[int]:
    """Processes that a process has started, and that those have started."""
    found: list[int] = []
    for tasks in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            children = [int(number) for number in tasks.read_text().split()]
        except OSError:
            continue  # ended meanwhile
        for child in children:
            found += [child, *_descendants(child)]
    return found


def _pss_mib(process: int) -> float:
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0  # ended meanwhile
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def minutes(costs: Mapping[str, Cost], *names: str) -> float:
    """Minutes of some steps together."""
    return sum(cost.seconds for name, cost in costs.items() if name in names) / 60
