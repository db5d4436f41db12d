"""From a phrase to a report, as one job: the commands of `scripts/cycle.py`, in a folder of `words/`."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from studio.cycle.options import cycles_of, parse
from studio.cycle.steps import Cycle
from studio.jobs.desk import TRAINING, StudioJob
from studio.jobs.records import JobStep
from studio.workspace import WORDS_FOLDER, Workspace
from trainer.export.package import YAML_SUFFIX
from trainer.exporting import default_name
from wakeword.errors import ConfigError

CHAIN, VOICES = "chain", "voices"
"""Kinds of jobs."""
VOICE_COUNT = 10
_TITLES = {
    "Simulate: utterances of test speakers": "Simulate: the wake word",
    "Simulate: other speech of test speakers": "Simulate: other speech",
}


@dataclass(frozen=True)
class ChainOptions:
    """What is asked for, as options of the cycle."""

    phrase: str
    language: str
    config: str = "quick"
    clips: int = 800
    natural: int = 250
    real_speech: float = 0.0
    """Hours."""
    negatives: tuple[Path, ...] = ()

    def arguments(self, output: Path) -> list[str]:
        """As they are typed."""
        # What a user typed may begin with a dash: it is a value all the same.
        words = [f"--phrase={self.phrase}", f"--language={self.language}", f"--output={output}"]
        words += [f"--model-name={folder_name(self.phrase)}"]
        words += [f"--config={self.config}", f"--clips={self.clips}", f"--natural={self.natural}"]
        words += [f"--real-speech={self.real_speech}"] if self.real_speech else []
        return words + [f"--negatives={folder}" for folder in self.negatives]


def folder_name(phrase: str) -> str:
    """What a phrase's folder and its model are called; a phrase without a Latin letter gets a name that is made."""
    try:
        return default_name(phrase)
    except ConfigError:
        return f"word_{hashlib.sha256(phrase.encode()).hexdigest()[:8]}"


def chain_steps(options: ChainOptions, output: Path) -> tuple[Cycle, tuple[JobStep, ...]]:
    """The steps that make all of a phrase in a folder, a path from the workspace. What would be refused after minutes
    is refused now: raises `MwwError`.
    """
    for text in (options.phrase, options.language, options.config):
        # The commands of the steps would take it for an option.
        if text.startswith("-"):
            raise ConfigError(f"{text!r}: begins with a dash; leave it out")
    (cycle,) = cycles_of(parse("", options.arguments(output)))
    steps = cycle.steps()
    return cycle, tuple(
        JobStep(title=_TITLES.get(title, title), command=tuple(map(str, command))) for title, command in steps
    )


def begin_chain(workspace: Workspace, options: ChainOptions) -> StudioJob:
    """Begin to make a phrase's model, or go on with it where the same was begun before and is not done: what is asked
    for twice is made once. Raises as `chain_steps`.
    """
    with workspace.desk.undisturbed():
        for folder in _folders(options.phrase):
            _, steps = chain_steps(options, folder)
            before = _latest(workspace, CHAIN, folder)
            if before is not None and before.order.steps == steps:
                return workspace.desk.go_on(before.name) if before.can_go_on else before
            if before is None and not (workspace.root / folder / "generated").exists():
                return workspace.desk.place(
                    f"“{options.phrase}”: from speech to report", CHAIN, steps, TRAINING, str(folder)
                )
    raise AssertionError("there is always another folder")


def voices_folder(phrase: str, language: str) -> Path:
    """Where the voices speak a phrase, from the workspace."""
    return WORDS_FOLDER / f"{folder_name(phrase)}_{language.lower().replace('-', '_')}_voices"


def begin_voices(workspace: Workspace, phrase: str, language: str) -> StudioJob:
    """Let up to `VOICE_COUNT` voices say a phrase, each as it is: no change of formants, no way of speaking."""
    folder = voices_folder(phrase, language)
    count = str(VOICE_COUNT)
    said = ["mww-generate", phrase, "--language", language, "--output", str(folder), "--positives", count]
    said += ["--near-misses", "0", "--sentences", "0", "--natural", count]
    said += ["--ways", "alone=1", "--formants", "1,1", "--accents", "0", "--no-check"]
    steps = [JobStep(title="Speak", command=tuple(said))]
    with workspace.desk.undisturbed():
        before = _latest(workspace, VOICES, folder)
        if before is None:
            return workspace.desk.place(f"“{phrase}” in {count} voices", VOICES, steps, folder=str(folder))
        return workspace.desk.go_on(before.name) if before.can_go_on else before


@dataclass(frozen=True)
class SpokenVoice:
    """A voice that said the phrase."""

    name: str
    file: str
    """From the workspace."""


def voices_of(workspace: Workspace, folder: Path) -> list[SpokenVoice]:
    """Who has said the phrase so far."""
    found = sorted((workspace.root / folder / "positive").glob("*/*.wav"), key=lambda path: path.name)
    return [SpokenVoice(_voice(path.parent.name), workspace.relative(path)) for path in found]


def made_of(workspace: Workspace, name: str) -> StudioJob | None:
    """The newest chain of a folder of `words/`; None where none was begun."""
    return _latest(workspace, CHAIN, WORDS_FOLDER / name)


def made(workspace: Workspace) -> Sequence[StudioJob]:
    """The newest chain of each folder, the newest first."""
    newest: dict[str, StudioJob] = {}
    for job in workspace.desk.jobs():
        if job.order.kind == CHAIN:
            newest.setdefault(job.order.folder, job)
    return list(newest.values())


@dataclass(frozen=True)
class MadeModel:
    """What a chain that is done has made; paths are from the workspace."""

    sentence: str
    """What the simulation says of it."""
    remarks: tuple[str, ...]
    report: str
    manifest: str
    model: str
    yaml: str
    yaml_lines: str
    """What an ESPHome device's configuration takes."""


def made_model(workspace: Workspace, job: StudioJob) -> MadeModel:
    """Read what a chain has made. Raises `ConfigError` where some of it is gone."""
    from harness.results.merge import merge_results
    from harness.results.schema import read_result
    from harness.results.verdict import judge

    folder = workspace.root / job.order.folder
    verdict = judge(merge_results([read_result(folder / "results" / f"{truth}.json") for truth in ("wake", "none")]))
    # Export names all that it writes alike; its record and its lines are told apart by their endings.
    model = next((folder / "exported").glob("*.tflite"), None)
    if model is None:
        raise ConfigError(f"{job.order.folder}: its exported model is gone; begin it again")
    yaml = model.with_suffix(YAML_SUFFIX)
    return MadeModel(
        verdict.sentence,
        verdict.remarks,
        workspace.relative(folder / "report.html"),
        workspace.relative(model.with_suffix(".json")),
        workspace.relative(model),
        workspace.relative(yaml),
        _without_comments(yaml.read_text(encoding="utf-8")) if yaml.is_file() else "",
    )


def _without_comments(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))


def _latest(workspace: Workspace, kind: str, folder: Path) -> StudioJob | None:
    alike = (job for job in workspace.desk.jobs() if (job.order.kind, job.order.folder) == (kind, str(folder)))
    return next(alike, None)


def _folders(phrase: str) -> list[Path]:
    """Where a phrase may be made: other settings of the same phrase have a folder of their own."""
    name = folder_name(phrase)
    return [WORDS_FOLDER / (f"{name}_{number}" if number > 1 else name) for number in range(1, 1000)]


@functools.cache
def _voice(speaker: str) -> str:
    """A speaker's folder as one reads it: "kokoro_f3_041" is "Kokoro f3 041"."""
    engine, _, voice = speaker.partition("_")
    return f"{engine.capitalize()} {voice.replace('_', ' ')}"
