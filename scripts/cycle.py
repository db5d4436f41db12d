"""The whole cycle in one command: generate, train, export, verify, measure on speakers that training never heard,
report.

Without `--board` the measurement is a simulation; with one the model is built into a firmware, brought to the board and
measured there, beside the simulation of the same audio; a real board hears it through the loudspeaker that
`boards.yaml` names. Run by `nox -s cycle`; every step is one of the project's commands, printed as a user would type
it. Interrupted, the same call goes on: finished clips are kept, the training and the session resume.
"""

from __future__ import annotations

import importlib.util
import shlex
import subprocess
import sys
import time
from pathlib import Path

from harness.results.merge import merge_results
from harness.results.schema import read_result
from harness.results.verdict import judge
from scripts.cycle_options import board_of, check_negatives, parse
from scripts.cycle_steps import Cycle, Step
from trainer.config.checks import check_config
from trainer.config.loader import load_config
from trainer.exporting import default_name
from wakeword.errors import INTERRUPTED_EXIT_CODE, MwwError
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
        cycle = _asked()
    except MwwError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    synthetic = "wake words are" if cycle.hears_people else "corpus is"
    print(
        f"Cycle for {cycle.options.phrase!r} in {cycle.work}. Its {synthetic} synthetic: it shows that every part"
        " works, not how real people are recognised."
    )
    for number, step in enumerate(cycle.steps(), 1):
        if code := _do(number, cycle.count, step):
            print(
                f"\n{step[0]} failed with exit code {code}; mend it and run the cycle again: finished work is kept.",
                file=sys.stderr,
            )
            return code
    verdict = judge(merge_results([read_result(path) for path in cycle.results]))
    print(f"\n{'Summary ':─<{WIDTH}}\n{verdict.sentence}")
    print(
        f"The {synthetic} synthetic: these figures say nothing about how real people are recognised. Measure with"
        " recordings of your own next."
    )
    if not cycle.hears_people:
        print(MORE_NEGATIVES)
    print(
        f"Model and manifest: {cycle.manifest.with_suffix('.tflite')}, {cycle.manifest}\nReport:"
        f" {cycle.report.absolute()}\nTook {(time.monotonic() - began) / 60:.1f} min"
    )
    return 0


def _asked() -> Cycle:
    """What the command line asks for. Settings, folders and boards that would be refused after minutes of speech or
    training are refused now: raises `MwwError`.
    """
    options = parse(__doc__ or "")
    name = options.model_name or default_name(options.phrase)
    if options.board is not None and (reason := _missing_client()):
        print(f"{reason}: the model will be simulated instead of measured on board {options.board!r}.")
        options.board = None
    check_config(load_config(options.config, (), [f"export.wake_word={options.phrase}", *options.set]))
    work = options.output or Path("runs") / f"cycle_{name}"
    check_negatives(options.negatives, work)
    return Cycle(options, name, work, None if options.board is None else board_of(options, work / "firmware"))


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
