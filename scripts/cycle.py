"""The whole cycle in one command: generate, train, export, verify, measure on speakers that training never heard,
report.

Without `--board` the measurement is a simulation; with one the model is built into a firmware, brought to the board and
measured there, beside the simulation of the same audio; a real board hears it through the loudspeaker that
`boards.yaml` names. Run by `nox -s cycle`; every step is one of the project's commands, printed as a user would type
it. Interrupted, the same call goes on: finished clips are kept, the training and the session resume.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from firmware.boards.entry import HOST_TARGET, BoardEntry
from firmware.boards.inventory import find_board, inventory_path
from firmware.boards.lock import check_free
from firmware.boards.registry import kind_of
from firmware.project import collect_secrets
from harness.air.settings import AirOptions, air_settings, check_sound
from harness.results.merge import merge_results
from harness.results.schema import read_result
from harness.results.verdict import judge
from trainer.config.checks import check_config
from trainer.config.loader import load_config
from trainer.data.feature_sets import refuse_feature_sets
from trainer.data.ingest import FoundFile, Label, find_files
from trainer.data.librispeech import FOLDER as LIBRISPEECH
from trainer.data.split import refuse_repeated
from trainer.exporting import default_name
from wakeword.audio import probe
from wakeword.corpus.recordings import hash_file
from wakeword.errors import INTERRUPTED_EXIT_CODE, ConfigError, MwwError
from wakeword.extras import missing

PROGRAMS = Path(sys.executable).parent
WIDTH = 100
STEPS_AFTER = 3
"""Steps that follow training and verifying: two simulations and the report, or building, measuring and the report."""
SENTENCES_PER_CLIP = 3
"""Hours without the wake word are what a rate of false accepts needs most."""
REAL_SPEECH_HOURS = 2.0
"""Of `--real-speech` without a number: docs/training.md says what an hour costs."""
MORE_NEGATIVES = (
    "What gains most is people's speech as negatives: your own recordings without the word (--negatives DIR), or"
    " LibriSpeech, fetched once (--real-speech); give such a run a folder of its own (--output). See docs/training.md,"
    " 'People's speech as negatives'."
)


type Step = tuple[str, list[object]]


def main() -> int:
    """Run all steps; the exit code of the first that fails, else 0."""
    options = _parse()
    try:
        name = options.model_name or default_name(options.phrase)
        if options.board is not None and (reason := _missing_client()):
            print(f"{reason}: the model will be simulated instead of measured on board {options.board!r}.")
            options.board = None
        # Settings that the training would refuse after minutes of speech are refused now.
        check_config(load_config(options.config, (), [f"export.wake_word={options.phrase}", *options.set]))
        work = options.output or Path("runs") / f"cycle_{name}"
        _check_negatives(options.negatives, work)
        board = None if options.board is None else _board(options, work / "firmware")
    except MwwError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    generated, run, exported, results = work / "generated", work / "run", work / "exported", work / "results"
    manifest, report = exported / f"{name}.json", work / "report.html"
    people = bool(options.negatives or options.real_speech or (generated / LIBRISPEECH).is_dir())
    synthetic = "wake words are" if people else "corpus is"
    print(
        f"Cycle for {options.phrase!r} in {work}. Its {synthetic} synthetic: it shows that every part works, not how"
        " real people are recognised."
    )
    settings = {
        "export.wake_word": options.phrase,
        "paths.positive_dir": generated / "positive",
        "paths.negative_dir": _listed([generated / "negative", *options.negatives]),
        "training.seed": options.seed,
    }
    train = [
        "mww-train",
        "--config",
        options.config,
        "--output",
        run,
        *(part for key, value in settings.items() for part in ("--set", f"{key}={value}")),
    ]
    for setting in options.set:
        train += ["--set", setting]
    clips = [
        "--positives",
        options.clips,
        "--near-misses",
        options.clips,
        "--sentences",
        SENTENCES_PER_CLIP * options.clips,
    ]
    voices = ["--natural", options.natural]
    if options.real_speech:
        voices += ["--real-speech", options.real_speech]
    steps: list[Step] = [
        (
            "Generate speech",
            [
                "mww-generate",
                options.phrase,
                "--language",
                options.language,
                "--output",
                generated,
                "--seed",
                options.seed,
                *clips,
                *voices,
            ],
        ),
        ("Train", train),
        (
            "Export",
            [
                "mww-export",
                "--checkpoint",
                run / "checkpoints" / "best_weights.weights.h5",
                "--output",
                exported,
                "--model-name",
                name,
            ],
        ),
        ("Verify the device contract", ["mww-verify", manifest]),
    ]
    began = time.monotonic()
    real = board is not None and not kind_of(board).runs_here
    count = len(steps) + STEPS_AFTER + real
    for number, step in enumerate(steps, 1):
        if code := _do(number, count, step):
            return _failed(step, code)
    number = len(steps)
    firmware = work / "firmware"
    if options.board is not None and board is not None:
        number += 1
        step = (
            "Build the firmware",
            ["mww-firmware", "build", "--target", board.target, "--model", manifest, "--output", firmware],
        )
        if code := _do(number, count, step):
            return _failed(step, code)
    if real:
        number += 1
        step = ("Flash the board", ["mww-firmware", "flash", "--board", options.board, "--firmware", firmware])
        if code := _do(number, count, step):
            return _failed(step, code)
    if options.board is not None:
        # Another model is another session; the same one is resumed, or only reported when it was finished.
        session = work / f"session_{hash_file(manifest.with_suffix('.tflite'))[:12]}"
        results_files = [session / "result.json"]
        last = [("Measure on the board, beside the simulation", _measure(options, manifest, run, firmware, session))]
    else:
        results_files = [results / "wake.json", results / "none.json"]
        last = [
            (
                "Simulate: utterances of test speakers",
                _simulate(manifest, run, "positive", "test utterances, synthetic", results, options.seed),
            ),
            (
                "Simulate: other speech of test speakers",
                _simulate(
                    manifest,
                    run,
                    "negative",
                    f"test speech, {'partly ' if people else ''}synthetic",
                    results,
                    options.seed,
                ),
            ),
        ]
    for step in [*last, ("Report", ["mww-report", *results_files, "--output", report])]:
        number += 1
        if code := _do(number, count, step):
            return _failed(step, code)
    verdict = judge(merge_results([read_result(path) for path in results_files]))
    print(f"\n{'Summary ':─<{WIDTH}}\n{verdict.sentence}")
    print(
        f"The {synthetic} synthetic: these figures say nothing about how real people are recognised. Measure with"
        " recordings of your own next."
    )
    if not people:
        print(MORE_NEGATIVES)
    print(
        f"Model and manifest: {manifest.with_suffix('.tflite')}, {manifest}\nReport: {report.absolute()}\nTook"
        f" {(time.monotonic() - began) / 60:.1f} min"
    )
    return 0


def _check_negatives(folders: Sequence[Path], work: Path) -> None:
    """The user's recordings without the wake word: each folder is there, holds recordings, and one of them can be read;
    nothing is given twice. Decoding all of them is left to the training.
    """
    files: list[FoundFile] = []
    for folder in folders:
        refuse_feature_sets(folder, "paths.negative_dir")
        found = find_files(folder.absolute(), Label.NEGATIVE)
        if work.resolve().is_relative_to(folder.resolve()):
            raise ConfigError(f"{folder}: the cycle's own folder {work} lies in it; give another --output")
        faults = [f"{one.path}: {one.reason}" for one in found.rejections]
        for file in found.files:
            try:
                probe(file.path)
                break
            except ConfigError as error:
                faults.append(str(error))
        else:
            first = f" (first: {faults[0]})" if faults else ""
            raise ConfigError(f"{folder}: no recording in it can be read{first}; --negatives names folders of them")
        files += found.files
    refuse_repeated(file.path for file in files)


def _listed(folders: Sequence[Path]) -> str:
    """The value of a setting that names folders: as it is for one, else a list in which any name may stand."""
    names = [str(folder) for folder in folders]
    return names[0] if len(names) == 1 else json.dumps(names, ensure_ascii=False).replace("${", "$${")


def _board(options: argparse.Namespace, firmware: Path) -> BoardEntry:
    """The board to measure on. What would be refused after minutes of training is refused now: board, sound,
    calibration, gains, secrets, another user.
    """
    name = options.board
    board = find_board(name, inventory_path(None))
    kind = kind_of(board)
    if not kind.fed and board.speaker is None:
        raise ConfigError(
            f"board {name!r} is a real one and boards.yaml names no speaker for it; add the playing device that it"
            " hears"
        )
    if not kind.runs_here and board.target == HOST_TARGET:
        raise ConfigError(
            f"board {name!r} is a real one and boards.yaml gives it no target; add one, such as 'target:"
            " esp32-s3-devkitc-1'"
        )
    air = air_settings(board, AirOptions(calibration=options.calibration, gains=tuple(options.gain)))
    check_sound(air)
    check_free(board)
    collect_secrets(board.target, firmware, None)
    return board


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


def _failed(step: Step, code: int) -> int:
    print(
        f"\n{step[0]} failed with exit code {code}; mend it and run the cycle again: finished work is kept.",
        file=sys.stderr,
    )
    return code


def _missing_client() -> str:
    return "" if importlib.util.find_spec("aioesphomeapi") else missing("aioesphomeapi")


def _measure(options: argparse.Namespace, manifest: Path, run: Path, firmware: Path, session: Path) -> list[object]:
    lists = run / "lists"
    command = [
        "mww-bench",
        "measure",
        "--board",
        options.board,
        "--model",
        manifest,
        "--wake",
        lists / "test_positive.txt",
    ]
    command += [
        "--none",
        lists / "test_negative.txt",
        "--firmware",
        firmware,
        "--seed",
        options.seed,
        "--output",
        session,
    ]
    if options.calibration is not None:
        command += ["--calibration", options.calibration]
    command += [part for gain in options.gain for part in ("--gain", gain)]
    return [*command, "--resume"] if (session / "session.json").is_file() else command


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


def _simulate(manifest: Path, run: Path, label: str, name: str, results: Path, seed: int) -> list[object]:
    audio = run / "lists" / f"test_{label}.txt"
    mode, truth = {"positive": ("session", "wake"), "negative": ("stream", "none")}[label]
    return [
        "mww-simulate",
        manifest,
        audio,
        "--mode",
        mode,
        "--truth",
        truth,
        "--label",
        name,
        "--seed",
        seed,
        "--result",
        results / f"{truth}.json",
    ]


def _hours(text: str) -> float:
    hours = float(text)
    if not 0 <= hours < math.inf:
        raise ValueError(text)
    return hours


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="nox -s cycle --", description=__doc__)
    parser.add_argument("--phrase", default="computer", help="the wake word")
    parser.add_argument(
        "--language", default="en", help="its language, as a tag: en, en-GB, de, fr, es, it, nl, pt-BR, …"
    )
    parser.add_argument(
        "--model-name", help="name of the folder and of the model's files (default: from the wake word)"
    )
    parser.add_argument(
        "--output", type=Path, help="folder of everything that the cycle makes (default: runs/cycle_PHRASE)"
    )
    parser.add_argument("--config", default="quick", help="preset or YAML file for mww-train")
    parser.add_argument(
        "--clips",
        type=int,
        default=800,
        help=f"utterances and near misses to generate; sentences are {SENTENCES_PER_CLIP} times as many",
    )
    parser.add_argument(
        "--natural",
        type=int,
        default=250,
        help="utterances, and as many negatives, by natural voices, a core-second each (0: none)",
    )
    parser.add_argument(
        "--negatives",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        metavar="DIR",
        help="folders of your own recordings without the wake word (a radio, podcasts, a dinner): further negatives",
    )
    parser.add_argument(
        "--real-speech",
        type=_hours,
        nargs="?",
        const=REAL_SPEECH_HOURS,
        metavar="HOURS",
        help="so many hours of people's speech (LibriSpeech, English, CC BY 4.0; 650 MB, fetched once) as negatives"
        f" ({REAL_SPEECH_HOURS:g} where no number is given)",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--board", help="measure on this board of boards.yaml; 'virtual' needs no hardware (default: simulate)"
    )
    parser.add_argument(
        "--calibration", type=Path, help="calibration.json of mww-bench calibrate, for a board that hears a loudspeaker"
    )
    parser.add_argument(
        "--gain",
        action="append",
        default=[],
        help="a knob and its setting, KNOB=SETTING, where it is not as calibrated; may be repeated",
    )
    parser.add_argument(
        "--set", action="append", default=[], help="a setting for mww-train, section.key=value; may be repeated"
    )
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on where it was", file=sys.stderr)
        sys.exit(INTERRUPTED_EXIT_CODE)
