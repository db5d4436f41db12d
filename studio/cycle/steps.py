"""The cycle's steps as commands, as a user would type them, and where what they make lies."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from firmware.boards.entry import BoardEntry
from firmware.boards.registry import kind_of
from firmware.build import RECORD_FILE, read_firmware
from trainer.data.librispeech import FOLDER as LIBRISPEECH
from wakeword.corpus.recordings import hash_file
from wakeword.errors import ConfigError

PARTS = ("train", "flash", "measure")
"""What a cycle can do alone: `nox -s train`, `flash`, `measure`. Each takes what the one before it left."""

SENTENCES_PER_CLIP = 3
"""Hours without the wake word are what a rate of false accepts needs most."""

type Step = tuple[str, list[object]]
"""What it does, and its command."""


@dataclass(frozen=True)
class Cycle:
    """A cycle that is asked for, of one wake word, and its folders."""

    options: argparse.Namespace
    phrase: str
    name: str
    """Of the model's files."""
    work: Path
    boards: tuple[BoardEntry, ...]
    """What measures; empty: the model is simulated."""

    @property
    def parts(self) -> tuple[str, ...]:
        """What of it is asked for."""
        return PARTS if self.options.only is None else (self.options.only,)

    @property
    def manifest(self) -> Path:
        """The exported model's."""
        return self.work / "exported" / f"{self.name}.json"

    @property
    def report(self) -> Path:
        """The page at the end."""
        return self.work / "report.html"

    @property
    def hears_people(self) -> bool:
        """Whether people's speech is among the negatives."""
        fetched = self._generated / LIBRISPEECH
        return bool(self.options.negatives or self.options.real_speech or fetched.is_dir())

    @property
    def measurements(self) -> list[list[Path]]:
        """What is reported: the results of each measurement. Of boards they can be told once there is a model."""
        if self.boards:
            return [[self._session(board) / "result.json"] for board in self.boards]
        return [[self._simulated("wake"), self._simulated("none")]]

    @property
    def count(self) -> int:
        """Of the steps."""
        flashed = sum(not kind_of(board).runs_here for board in self.boards)
        measured = (len(self.boards) or 2) + 1  # two simulations where there is no board, and the report
        steps = {"train": 4, "flash": len(self._targets) + flashed, "measure": measured}
        return sum(steps[part] for part in self.parts)

    def check_parts(self) -> None:
        """Raise `ConfigError` where what an earlier part leaves is not there, or is of another model."""
        if "train" not in self.parts and not self.manifest.is_file():
            raise ConfigError(f"{self.manifest}: no model is there; `{self.command_of('train')}` makes one")
        if self.parts == ("measure",):
            for board in self.boards:
                self._check_firmware(board)

    def command_of(self, part: str) -> str:
        """The command that does a part of this cycle, as a user would type it."""
        options = self.options
        words = ["nox", "-s", part, "--", "--phrase", self.phrase]
        words += ["--model-name", options.model_name] if options.model_name else []
        words += ["--output", str(options.output)] if options.output else []
        words += [word for board in self.boards if part != "train" for word in ("--board", board.name)]
        return shlex.join(words)

    def _check_firmware(self, board: BoardEntry) -> None:
        folder, flash = self.firmware(board), self.command_of("flash")
        if not (folder / RECORD_FILE).is_file():
            raise ConfigError(f"{folder}: no firmware for board {board.name!r} is there; `{flash}` builds it")
        model = hash_file(self.manifest.with_suffix(".tflite"))
        if model not in {one.sha256 for one in read_firmware(folder).models}:
            raise ConfigError(
                f"{folder}: its firmware has another model than {self.manifest}; `{flash}` builds it anew"
            )

    def steps(self) -> Iterator[Step]:
        """One after the other: what comes later is named by what was made before."""
        if "train" in self.parts:
            yield "Generate speech", self._generate()
            yield "Train", self._train()
            weights = self._run / "checkpoints" / "best_weights.weights.h5"
            yield (
                "Export",
                [
                    *("mww-export", "--checkpoint", weights),
                    *("--output", self.manifest.parent, "--model-name", self.name),
                ],
            )
            yield "Verify the device contract", ["mww-verify", self.manifest]
        if "flash" in self.parts:
            yield from self._onto_boards()
        if "measure" in self.parts:
            yield from self._measured()
            results = [result for measurement in self.measurements for result in measurement]
            yield "Report", ["mww-report", *results, "--output", self.report]

    def firmware(self, board: BoardEntry) -> Path:
        """The folder of the firmware for boards of one target."""
        return self.work / "firmware" / board.target

    @property
    def _targets(self) -> dict[str, BoardEntry]:
        """A board of each target, in order."""
        return {board.target: board for board in reversed(self.boards)}

    @property
    def _generated(self) -> Path:
        return self.work / "generated"

    @property
    def _run(self) -> Path:
        return self.work / "run"

    def _session(self, board: BoardEntry) -> Path:
        """Another model is another session; the same one is resumed, or only reported when it was finished."""
        return self.work / f"session_{board.name}_{hash_file(self.manifest.with_suffix('.tflite'))[:12]}"

    def _simulated(self, truth: str) -> Path:
        return self.work / "results" / f"{truth}.json"

    def _generate(self) -> list[object]:
        options = self.options
        spoken = ["--language", options.language, "--output", self._generated, "--seed", options.seed]
        clips = ["--positives", options.clips, "--near-misses", options.clips]
        clips += ["--sentences", SENTENCES_PER_CLIP * options.clips, "--natural", options.natural]
        people = ["--real-speech", options.real_speech] if options.real_speech else []
        return ["mww-generate", self.phrase, *spoken, *clips, *people]

    def _train(self) -> list[object]:
        options = self.options
        settings = [
            f"export.wake_word={self.phrase}",
            f"paths.positive_dir={self._generated / 'positive'}",
            f"paths.negative_dir={_listed([self._generated / 'negative', *options.negatives])}",
            f"training.seed={options.seed}",
            *options.set,
        ]
        command = ["mww-train", "--config", options.config, "--output", self._run]
        return [*command, *(part for setting in settings for part in ("--set", setting))]

    def _onto_boards(self) -> Iterator[Step]:
        for target, board in self._targets.items():
            build = ["mww-firmware", "build", "--target", target, "--model", self.manifest]
            yield f"Build the firmware for {target}", [*build, "--output", self.firmware(board)]
        for board in self.boards:
            if not kind_of(board).runs_here:
                flash = ["mww-firmware", "flash", "--board", board.name, "--firmware", self.firmware(board)]
                yield f"Flash board {board.name}", flash

    def _measured(self) -> Iterator[Step]:
        for board in self.boards:
            yield f"Measure on board {board.name}, beside the simulation", self._measure(board)
        if not self.boards:
            people = "partly " if self.hears_people else ""
            yield (
                "Simulate: utterances of test speakers",
                self._simulate("positive", "session", "wake", "test utterances, synthetic"),
            )
            yield (
                "Simulate: other speech of test speakers",
                self._simulate("negative", "stream", "none", f"test speech, {people}synthetic"),
            )

    def _measure(self, board: BoardEntry) -> list[object]:
        options, lists, session = self.options, self._run / "lists", self._session(board)
        heard = ["--wake", lists / "test_positive.txt", "--none", lists / "test_negative.txt"]
        command = ["mww-bench", "measure", "--board", board.name, "--model", self.manifest, *heard]
        command += ["--firmware", self.firmware(board), "--seed", options.seed, "--output", session]
        if options.calibration is not None:
            command += ["--calibration", options.calibration]
        command += [part for gain in options.gain for part in ("--gain", gain)]
        return [*command, "--resume"] if (session / "session.json").is_file() else command

    def _simulate(self, kind: str, mode: str, truth: str, label: str) -> list[object]:
        audio = self._run / "lists" / f"test_{kind}.txt"
        heard = ["--mode", mode, "--truth", truth, "--label", label, "--seed", self.options.seed]
        return ["mww-simulate", self.manifest, audio, *heard, "--result", self._simulated(truth)]


def _listed(folders: Sequence[Path]) -> str:
    """The value of a setting that names folders: as it is for one, else a list in which any name may stand."""
    names = [str(folder) for folder in folders]
    return names[0] if len(names) == 1 else json.dumps(names, ensure_ascii=False).replace("${", "$${")
