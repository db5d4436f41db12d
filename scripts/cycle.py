"""The whole cycle in one command: generate, train, export, verify, measure on speakers that training never heard,
report.

Without `--board` the measurement is a simulation; with one the model is built into a firmware, brought to the board and
measured there, beside the simulation of the same audio; a real board hears it through the loudspeaker that
`boards.yaml` names. Several wake words and boards make a matrix, with one report. Run by `nox -s cycle`, and a part of
it by `nox -s train`, `flash` and `measure`; every step is one of the project's commands, printed as a user would type
it. Interrupted, the same call goes on: finished clips are kept, the training and the session resume.
"""

from __future__ import annotations

import importlib.util
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from harness.results.merge import merge_results
from harness.results.schema import read_result
from harness.results.verdict import judge
from studio.cycle.options import cycles_of, parse
from studio.cycle.steps import Cycle, Step
from wakeword.errors import INTERRUPTED_EXIT_CODE, ConfigError, MwwError
from wakeword.extras import missing

PROGRAMS = Path(sys.executable).parent
WIDTH = 100
MORE_NEGATIVES = (
    "What gains most is people's speech as negatives: your own recordings without the word (--negatives DIR), or"
    " LibriSpeech, fetched once (--real-speech); give such a run a folder of its own (--output). See docs/training.md,"
    " 'People's speech as negatives'."
)


def main() -> int:
    """Run all steps; the exit code of the first that fails, else 0."""
    began = time.monotonic()
    try:
        cycles = _asked()
    except MwwError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    for cycle in cycles:
        print(
            f"Cycle for {cycle.phrase!r} in {cycle.work}. Its {_synthetic(cycle)} synthetic: it shows that every part"
            " works, not how real people are recognised."
        )
    count = sum(cycle.count for cycle in cycles) + _has_report_of_all(cycles)
    steps = chain(chain.from_iterable(cycle.steps() for cycle in cycles), _all_reported(cycles))
    for number, step in enumerate(steps, 1):
        if code := _do(number, count, step):
            print(
                f"\n{step[0]} failed with exit code {code}; mend it and run the cycle again: finished work is kept.",
                file=sys.stderr,
            )
            return code
    print(f"\n{'Summary ':─<{WIDTH}}")
    for cycle in cycles:
        _tell(cycle)
    if _has_report_of_all(cycles):
        print(f"Report of all: {_report_of_all(cycles).absolute()}")
    print(f"Took {(time.monotonic() - began) / 60:.1f} min")
    return 0


def _synthetic(cycle: Cycle) -> str:
    """What of its corpus no person said."""
    return "wake words are" if cycle.hears_people else "corpus is"


def _tell(cycle: Cycle) -> None:
    """What came of it, and what to do next."""
    model = f"Model and manifest: {cycle.manifest.with_suffix('.tflite')}, {cycle.manifest}"
    if "measure" not in cycle.parts:
        print(model)
        if "flash" not in cycle.parts and cycle.boards:
            print(f"Next, onto the board: {cycle.command_of('flash')}")
        else:
            print(f"Next, to measure it: {cycle.command_of('measure')}")
        return
    for results in cycle.measurements:
        print(judge(merge_results([read_result(path) for path in results])).sentence)
    print(
        f"The {_synthetic(cycle)} synthetic: these figures say nothing about how real people are recognised. Measure"
        " with recordings of your own next."
    )
    if not cycle.hears_people:
        print(MORE_NEGATIVES)
    print(f"{model}\nReport: {cycle.report.absolute()}")


def _all_reported(cycles: Sequence[Cycle]) -> Iterator[Step]:
    """One report of all, where there are several models."""
    if _has_report_of_all(cycles):
        results = [path for cycle in cycles for measurement in cycle.measurements for path in measurement]
        yield "Report of all", ["mww-report", *results, "--output", _report_of_all(cycles)]


def _has_report_of_all(cycles: Sequence[Cycle]) -> bool:
    return len(cycles) > 1 and "measure" in cycles[0].parts


def _report_of_all(cycles: Sequence[Cycle]) -> Path:
    return cycles[0].work.parent / f"report_{'_'.join(cycle.name for cycle in cycles)}.html"


def _asked() -> list[Cycle]:
    """What the command line asks for. Settings, folders and boards that would be refused after minutes of speech or
    training are refused now: raises `MwwError`.
    """
    options = parse(__doc__ or "")
    if options.boards and options.only in (None, "measure") and (reason := _missing_client()):
        print(f"{reason}: the model will be simulated instead of measured on board {', '.join(options.boards)}.")
        options.boards = []
    if options.only == "flash" and not options.boards:
        raise ConfigError("nox -s flash: --board is missing; name a board of boards.yaml, or virtual")
    return cycles_of(options)


def _do(number: int, count: int, step: Step) -> int:
    """Do one step and say what it is; its exit code. Raises `KeyboardInterrupt` when it was interrupted."""
    title, command = step
    print(f"\n{f'[{number}/{count}] {title} ':─<{WIDTH}}\n$ {shlex.join(map(str, command))}", flush=True)
    started = time.monotonic()
    code = _run([str(PROGRAMS / str(command[0])), *map(str, command[1:])])
    if code == INTERRUPTED_EXIT_CODE:
        raise KeyboardInterrupt
    if code == 0:
        print(f"  {time.monotonic() - started:.0f} s", flush=True)
    return code


def _missing_client() -> str:
    return "" if importlib.util.find_spec("aioesphomeapi") else missing("aioesphomeapi")


def _run(command: list[str]) -> int:
    """Run a command to its end; its exit code, negative for a signal.

    Ctrl-C reaches the command as well, which then saves what it has: it is waited for, while `subprocess.run` would
    kill it after 0.25 s.
    """
    process = subprocess.Popen(command)
    interrupted = False
    while True:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            interrupted = True
        else:
            return INTERRUPTED_EXIT_CODE if interrupted else code


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on where it was", file=sys.stderr)
        sys.exit(INTERRUPTED_EXIT_CODE)
