"""The recipes that are compared: what speech is generated, what is set, and what of the corpus is heard. One table; a lever is a row.

A recipe says what a user would give to `mww-generate` and `mww-train`. What it does not say is the preset's. Calls of `mww-generate` are named,
and recipes share what one call made, so that a lever costs only what it adds.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from wakeword.errors import ConfigError

WORDS = ("alexa", "jarvis", "computer")
"""In the order in which they are looked at: what chooses a recipe comes first."""
STEPS = (4000, 2000)
"""Steps of the two phases, unless told otherwise: what fits between two other rows on two processors."""
COPIES_AND_MASKS = (
    "augmentation.copies=4",
    "training.time_mask_max_size=[5,5]",
    "training.time_mask_count=[2,2]",
    "training.freq_mask_max_size=[4,4]",
    "training.freq_mask_count=[2,2]",
)

SPEECH: dict[str, tuple[str, ...]] = {
    "plain": ("--engine", "espeak", "--engine", "flite", "--positives", "1000", "--near-misses", "1000", "--sentences", "2000"),
}
"""Calls of `mww-generate`, by name: their arguments behind the phrase."""

Heard = Literal["nothing", "train"]


@dataclass(frozen=True)
class Recipe:
    """A way from a typed phrase to a model."""

    name: str
    says: str
    """What it is, for the reader of the table."""
    speech: tuple[str, ...] = ("plain",)
    """Names in `SPEECH`."""
    settings: tuple[str, ...] = COPIES_AND_MASKS
    """`--set` values of `mww-train`, beside paths, seed and steps."""
    preset: str = "standard"
    own_steps: bool = False
    """The steps are the preset's, whatever the caller says."""
    corpus: Heard = "nothing"
    """What of the corpus's speech and noise is heard: nothing, or its train split trains and its val split validates."""
    recordings: int = 0
    """Recordings of the wake word, of the corpus's train split, that train: 0, so many of one person, or -1 for all (then its val split validates)."""
    words: tuple[str, ...] = WORDS
    cycle: bool = False
    """The model is that of README's first command, as it stands."""

    def plus(self, name: str, says: str, *settings: str, speech: Sequence[str] = ()) -> Recipe:
        """This recipe with more speech or settings; the last setting of a key counts."""
        return replace(self, name=name, says=says, speech=(*self.speech, *speech), settings=(*self.settings, *settings))

    def digest(self, word: str, seed: int, steps: Sequence[int], speech_seed: int) -> str:
        """Eight digits that change with everything that changes the model, but for the program itself."""
        asked = {
            "word": word,
            "seed": seed,
            "speech_seed": speech_seed,
            "steps": None if self.own_steps or self.cycle else list(steps),
            "speech": [list(SPEECH[name]) for name in self.speech],
            "settings": list(self.settings),
            "preset": self.preset,
            "corpus": self.corpus,
            "recordings": self.recordings,
            "cycle": self.cycle,
        }
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:8]


PLAIN = Recipe("plain", "eSpeak and flite")

_TABLE = (
    PLAIN,
    replace(PLAIN, name="corpus", says="plain, and the corpus's train split as negatives", corpus="train"),
    replace(PLAIN, name="own20", says="plain, and 20 recordings of one person", recordings=20, words=("computer",)),
    replace(PLAIN, name="own237", says="plain, and all recordings and negatives of the train split", recordings=-1, corpus="train", words=("computer",)),
    Recipe("cycle", "README's first command", (), (), cycle=True, words=("computer",)),
)

RECIPES: Mapping[str, Recipe] = {recipe.name: recipe for recipe in _TABLE}


def find_recipes(names: Sequence[str]) -> list[Recipe]:
    """Recipes by name. Raises `ConfigError` for a name that is none, with the nearest one."""
    for name in names:
        if name not in RECIPES:
            near = difflib.get_close_matches(name, RECIPES, 1)
            raise ConfigError(f"--recipes {name}: no recipe; {f'did you mean {near[0]}?' if near else f'recipes are {", ".join(RECIPES)}'}")
    return [RECIPES[name] for name in dict.fromkeys(names)]
