"""The cycle's steps as commands, as a user would type them, and where what they make lies."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from firmware.boards.entry import BoardEntry
from firmware.boards.registry import kind_of
from scripts.cycle_options import SENTENCES_PER_CLIP
from trainer.data.librispeech import FOLDER as LIBRISPEECH
from wakeword.corpus.recordings import hash_file

type Step = tuple[str, list[object]]
"""What it does, and its command."""


@dataclass(frozen=True)
class Cycle:
    """A cycle that is asked for, and its folders."""

    options: argparse.Namespace
    name: str
    """Of the model's files."""
    work: Path
    board: BoardEntry | None
    """What measures; None: the model is simulated."""

    @property
    def manifest(self) -> Path:
        """The exported model's."""
        return self.work / "exported" / f"{self.name}.json"

    @property
    def firmware(self) -> Path:
        """The folder of the firmware for the board."""
        return self.work / "firmware"

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
    def results(self) -> list[Path]:
        """What is reported. Of a board it can be told once there is a model."""
        if self.board is not None:
            return [self._session / "result.json"]
        return [self._simulated("wake"), self._simulated("none")]

    @property
    def count(self) -> int:
        """Of the steps."""
        # Either two simulations, or the firmware and the session; a board beside this machine is flashed too.
        return 7 + (self.board is not None and not kind_of(self.board).runs_here)

    def steps(self) -> Iterator[Step]:
        """One after the other: what comes later is named by what was made before."""
        yield "Generate speech", self._generate()
        yield "Train", self._train()
        weights = self._run / "checkpoints" / "best_weights.weights.h5"
        export = ["mww-export", "--checkpoint", weights, "--output", self.manifest.parent, "--model-name", self.name]
        yield "Export", export
        yield "Verify the device contract", ["mww-verify", self.manifest]
        if self.board is not None:
            yield from self._on_board(self.board)
        else:
            people = "partly " if self.hears_people else ""
            yield (
                "Simulate: utterances of test speakers",
                self._simulate("positive", "session", "wake", "test utterances, synthetic"),
            )
            yield (
                "Simulate: other speech of test speakers",
                self._simulate("negative", "stream", "none", f"test speech, {people}synthetic"),
            )
        yield "Report", ["mww-report", *self.results, "--output", self.report]

    @property
    def _generated(self) -> Path:
        return self.work / "generated"

    @property
    def _run(self) -> Path:
        return self.work / "run"

    @property
    def _session(self) -> Path:
        """Another model is another session; the same one is resumed, or only reported when it was finished."""
        return self.work / f"session_{hash_file(self.manifest.with_suffix('.tflite'))[:12]}"

    def _simulated(self, truth: str) -> Path:
        return self.work / "results" / f"{truth}.json"

    def _generate(self) -> list[object]:
        options = self.options
        spoken = ["--language", options.language, "--output", self._generated, "--seed", options.seed]
        clips = ["--positives", options.clips, "--near-misses", options.clips]
        clips += ["--sentences", SENTENCES_PER_CLIP * options.clips, "--natural", options.natural]
        people = ["--real-speech", options.real_speech] if options.real_speech else []
        return ["mww-generate", options.phrase, *spoken, *clips, *people]

    def _train(self) -> list[object]:
        options = self.options
        settings = [
            f"export.wake_word={options.phrase}",
            f"paths.positive_dir={self._generated / 'positive'}",
            f"paths.negative_dir={_listed([self._generated / 'negative', *options.negatives])}",
            f"training.seed={options.seed}",
            *options.set,
        ]
        command = ["mww-train", "--config", options.config, "--output", self._run]
        return [*command, *(part for setting in settings for part in ("--set", setting))]

    def _on_board(self, board: BoardEntry) -> Iterator[Step]:
        build = ["mww-firmware", "build", "--target", board.target, "--model", self.manifest, "--output", self.firmware]
        yield "Build the firmware", build
        if not kind_of(board).runs_here:
            flash = ["mww-firmware", "flash", "--board", board.name, "--firmware", self.firmware]
            yield "Flash the board", flash
        yield "Measure on the board, beside the simulation", self._measure(board)

    def _measure(self, board: BoardEntry) -> list[object]:
        options, lists, session = self.options, self._run / "lists", self._session
        heard = ["--wake", lists / "test_positive.txt", "--none", lists / "test_negative.txt"]
        command = ["mww-bench", "measure", "--board", board.name, "--model", self.manifest, *heard]
        command += ["--firmware", self.firmware, "--seed", options.seed, "--output", session]
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
