"""Options of the cycle, and what of them is refused before anything is spoken or trained."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from firmware.boards.entry import HOST_TARGET, BoardEntry
from firmware.boards.inventory import find_board, inventory_path
from firmware.boards.lock import check_free
from firmware.boards.registry import kind_of
from firmware.project import collect_secrets
from harness.air.settings import AirOptions, air_settings, check_sound
from studio.cycle.steps import PARTS, SENTENCES_PER_CLIP, Cycle
from trainer.config.checks import check_config
from trainer.config.loader import load_config
from trainer.data.feature_sets import refuse_feature_sets
from trainer.data.ingest import FoundFile, Label, find_files
from trainer.data.split import refuse_repeated
from trainer.exporting import default_name
from trainer.networks.models import refuse_off_devices
from trainer.training.teacher_settings import teacher_config
from wakeword.audio import probe
from wakeword.errors import ConfigError

REAL_SPEECH_HOURS = 2.0
"""Of `--real-speech` without a number: docs/training.md says what an hour costs."""


def parse(description: str, arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of `arguments` (None: of the command line); ends the program where they are wrong."""
    parser = argparse.ArgumentParser(prog="nox -s cycle --", description=description)
    parser.add_argument(
        "--only",
        choices=PARTS,
        help="a part alone; `nox -s train`, `nox -s flash` and `nox -s measure` give it (default: all)",
    )
    parser.add_argument(
        "--phrase",
        action="append",
        dest="phrases",
        help="the wake word; repeated, a model of each is made, and one report tells of all (default: computer)",
    )
    parser.add_argument(
        "--language", default="en", help="its language, as a tag: en, en-GB, de, fr, es, it, nl, pt-BR, …"
    )
    parser.add_argument(
        "--model-name", help="name of the folder and of the model's files (default: from the wake word); of one phrase"
    )
    parser.add_argument(
        "--output",
        type=Path,
        help="folder of everything that the cycle makes (default: runs/cycle_PHRASE); of several phrases, the folder"
        " of their folders (default: runs)",
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
        "--board",
        action="append",
        dest="boards",
        default=[],
        help="measure on this board of boards.yaml; 'virtual' needs no hardware; repeated, on each (default: simulate)",
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
    options = parser.parse_args(arguments)
    options.phrases = options.phrases or ["computer"]
    return options


def cycles_of(options: argparse.Namespace) -> list[Cycle]:
    """The cycles that are asked for, one a phrase. Settings, folders and boards that would be refused after minutes of
    speech or training are refused now: raises `MwwError`.
    """
    check_named_once(options)
    names = [options.model_name or default_name(phrase) for phrase in options.phrases]
    works = [options.output or Path("runs") / f"cycle_{names[0]}"]
    if len(names) > 1:
        works = [(options.output or Path("runs")) / f"cycle_{name}" for name in names]
    for phrase in options.phrases:
        config = load_config(options.config, (), [f"export.wake_word={phrase}", *options.set])
        check_config(config)
        refuse_off_devices(config.model)
        if config.training.teacher != "none":
            teacher_config(config)
    for work in works:
        check_negatives(options.negatives, work)
    boards = tuple(board_of(options, name) for name in options.boards)
    if options.only == "flash" and len(names) > 1 and not all(kind_of(board).runs_here for board in boards):
        raise ConfigError("nox -s flash: a board is flashed with one of the models; give one --phrase")
    cycles = [
        Cycle(options, phrase, name, work, boards)
        for phrase, name, work in zip(options.phrases, names, works, strict=True)
    ]
    for cycle in cycles:
        cycle.check_parts()
        for board in boards:
            if options.only != "train":
                collect_secrets(board.target, cycle.firmware(board), None)
    return cycles


def check_named_once(options: argparse.Namespace) -> None:
    """Raise `ConfigError` where a wake word or a board is given twice, or one name is given for several models."""
    several = len(options.phrases) > 1
    names = [default_name(phrase) for phrase in options.phrases] if several else []
    for option, given in (("--phrase", names), ("--board", options.boards)):
        for name in given:
            if given.count(name) > 1:
                raise ConfigError(f"{option}: {name!r} is given twice; give each once")
    if options.model_name and len(names) > 1:
        raise ConfigError(f"--model-name {options.model_name}: names one model, and {len(names)} phrases are given")


def check_negatives(folders: Sequence[Path], work: Path) -> None:
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


def board_of(options: argparse.Namespace, name: str) -> BoardEntry:
    """A board to measure on. What would be refused after minutes of training is refused now: board, sound, calibration,
    gains, another user; of a part alone, what that part needs.
    """
    board = find_board(name, inventory_path(None))
    kind = kind_of(board)
    measured, flashed = options.only in (None, "measure"), options.only != "train"
    if measured and not kind.fed and board.speaker is None:
        raise ConfigError(
            f"board {name!r} is a real one and boards.yaml names no speaker for it; add the playing device that it"
            " hears"
        )
    if not kind.runs_here and board.target == HOST_TARGET:
        raise ConfigError(
            f"board {name!r} is a real one and boards.yaml gives it no target; add one, such as 'target:"
            " esp32-s3-devkitc-1'"
        )
    if measured:
        check_sound(air_settings(board, AirOptions(calibration=options.calibration, gains=tuple(options.gain))))
    if flashed:
        check_free(board)
    return board


def _hours(text: str) -> float:
    hours = float(text)
    if not 0 <= hours < math.inf:
        raise ValueError(text)
    return hours
