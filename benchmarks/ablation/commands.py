"""From a recipe to the project's commands, as a user would type them, and where what they make lies."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ablation.corpus import EvaluationCorpus
from benchmarks.ablation.recipes import SPEECH, Recipe
from wakeword.errors import ConfigError

PROGRAMS = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Asked:
    """A row that is asked for, and the folders that it works in."""

    recipe: Recipe
    word: str
    seed: int
    steps: tuple[int, ...]
    speech_seed: int
    folder: Path
    """Of this row alone."""
    speech: Path
    """Generated speech, a folder a call and word."""
    cache: Path
    """Features."""

    @property
    def digest(self) -> str:
        """Of what is asked for."""
        return self.recipe.digest(self.word, self.seed, self.steps, self.speech_seed)

    @property
    def run(self) -> Path:
        """The run's folder."""
        return self.folder / "cycle" / "run" if self.recipe.cycle else self.folder / "run"

    @property
    def manifest(self) -> Path:
        """The exported model's."""
        return (self.folder / "cycle" if self.recipe.cycle else self.folder) / "exported" / f"{self.word}.json"

    def speech_of(self, call: str) -> Path:
        """What one call of `mww-generate` makes for the word."""
        return self.speech / f"{self.word}_{call}_{self.speech_seed}"


def generate(asked: Asked, call: str) -> list[object]:
    """The command of a named call of `mww-generate`. Raises `ConfigError` for a name that is none."""
    if call not in SPEECH:
        raise ConfigError(
            f"recipe {asked.recipe.name}: speech {call!r} is no call of mww-generate; calls are {', '.join(SPEECH)}"
        )
    return [
        PROGRAMS / "mww-generate",
        asked.word,
        "--output",
        asked.speech_of(call),
        "--seed",
        asked.speech_seed,
        *SPEECH[call],
    ]


def cycle(asked: Asked) -> list[object]:
    """README's first command, for the word."""
    return [
        sys.executable,
        ROOT / "scripts" / "cycle.py",
        "--phrase",
        asked.word,
        "--output",
        asked.folder / "cycle",
        "--seed",
        asked.seed,
    ]


def train(asked: Asked, corpus: EvaluationCorpus) -> list[object]:
    """The command that trains; a folder of links that it needs is made."""
    recipe = asked.recipe
    values = {"export.wake_word": asked.word, "training.seed": str(asked.seed), **_paths(asked, corpus)}
    if not recipe.own_steps:
        values["training.training_steps"] = _listed(asked.steps)
    for setting in recipe.settings:
        key, _, value = setting.partition("=")
        values[key] = value
    settings = [part for key, value in values.items() for part in ("--set", f"{key}={value}")]
    return [PROGRAMS / "mww-train", "--config", recipe.preset, "--output", asked.run, *settings]


def export(asked: Asked) -> list[object]:
    """The command that exports, and chooses the cutoff."""
    weights = asked.run / "checkpoints" / "best_weights.weights.h5"
    return [
        PROGRAMS / "mww-export",
        "--checkpoint",
        weights,
        "--output",
        asked.manifest.parent,
        "--model-name",
        asked.word,
    ]


def simulate(
    manifest: Path,
    recordings: Path,
    result: Path,
    cache: Path,
    *,
    wake: bool,
    clips: bool,
    noise_floor_dbfs: float | None = None,
) -> list[object]:
    """The command that lets a model hear a list.

    Args:
        manifest: Of the model.
        recordings: The list.
        result: File of the result.
        cache: Folder of features.
        wake: Whether each recording is the wake word; else none holds it.
        clips: Each recording from a fresh start; else all as one stream.
        noise_floor_dbfs: Level of the microphone's noise; None adds none.

    Returns its words.
    """
    layout = ["--mode", "clips" if clips else "stream", "--truth", "wake" if wake else "none"]
    noise = [] if noise_floor_dbfs is None else ["--noise-floor", f"{noise_floor_dbfs:g}"]
    return [
        PROGRAMS / "mww-simulate",
        manifest,
        recordings,
        *layout,
        *noise,
        "--label",
        recordings.stem,
        "--result",
        result,
        "--cache-dir",
        cache,
    ]


def _paths(asked: Asked, corpus: EvaluationCorpus) -> dict[str, str]:
    """Where the recordings of a training lie.

    Generated speech stands for everybody where no recordings of the word validate; else it trains alone.
    """
    recipe = asked.recipe
    made = [asked.speech_of(call) for call in recipe.speech]
    sounds = [*corpus.folders("speech"), *corpus.folders("noise")] if recipe.corpus == "train" else []
    if recipe.recordings < 0:
        people = sorted({path.parent for path in corpus.people(asked.word)})
        return {
            "paths.positive_dir": _listed(people),
            "paths.generated_dir": _listed(made),
            "paths.negative_dir": _listed(sounds),
            "paths.splits": str(corpus.splits),
        }
    positive, negative = [folder / "positive" for folder in made], [folder / "negative" for folder in made]
    paths = {"paths.negative_dir": _listed([*negative, *sounds])}
    if recipe.recordings:
        positive.append(_recorded_myself(asked, corpus))
    if recipe.recordings or sounds:
        paths["paths.splits"] = str(corpus.splits)
    return {"paths.positive_dir": _listed(positive), **paths}


def _recorded_myself(asked: Asked, corpus: EvaluationCorpus) -> Path:
    """A folder with links to recordings of one person; the corpus's table says that they train."""
    person = asked.folder / "own" / "me"
    person.mkdir(parents=True, exist_ok=True)
    for path in corpus.of_one_person(asked.word, asked.recipe.recordings):
        link = person / path.name
        if not link.is_symlink():
            link.symlink_to(path)
    return person.parent


def _listed(values: Sequence[object]) -> str:
    return f"[{', '.join(map(str, values))}]" if values else "[]"
