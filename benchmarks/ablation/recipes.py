"""The recipes that are compared: what speech is generated, what is set, and what of the corpus is heard. One table; a
lever is a row.

A recipe says what a user would give to `mww-generate` and `mww-train`. What it does not say is the preset's. Calls of
`mww-generate` are named, and recipes share what one call made, so that a lever costs only what it adds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from wakeword.complaints import nearest
from wakeword.errors import ConfigError

WORDS = ("alexa", "jarvis", "computer")
"""In the order in which they are looked at: what chooses a recipe comes first."""
STEPS = (4000, 2000)
"""Steps of the two phases, unless told otherwise: what fits between two other rows on two processors."""


def _clips(positives: int, near_misses: int, sentences: int) -> tuple[str, ...]:
    return ("--positives", str(positives), "--near-misses", str(near_misses), "--sentences", str(sentences))


def _on(levers: Sequence[str]) -> list[str]:
    return [f"augmentation.{lever}" for lever in levers]


MASKS = (
    "training.time_mask_max_size=[5,5]",
    "training.time_mask_count=[2,2]",
    "training.freq_mask_max_size=[4,4]",
    "training.freq_mask_count=[2,2]",
)
ROOMS = ("computed_rooms=200", "computed_backgrounds=120")
MICROPHONE = ("Level=1", "BandLimits=0.5", "SelfNoise=0.5", "AutomaticGain=0.3", "Clipping=0.1")
CONTEXT = ("SpeechBefore=0.3", "SpeechAfter=0.3", "Onset=0.3", "BackgroundAlone=0.2")
"""Levers of sound, keys of `augmentation` with the values that they are tried with; 0 is off."""

SPEECH: dict[str, tuple[str, ...]] = {
    "plain": (
        "--engine",
        "espeak",
        "--engine",
        "flite",
        "--ways",
        "alone=1",
        "--formants",
        "1,1",
        *_clips(1000, 1000, 2000),
    ),
    "ways": ("--engine", "espeak", "--engine", "flite", "--formants", "1,1", *_clips(1000, 1000, 2000)),
    "formants": ("--engine", "espeak", "--engine", "flite", "--ways", "alone=1", *_clips(1000, 1000, 2000)),
    "spoken": ("--engine", "espeak", "--engine", "flite", *_clips(1000, 1000, 2000)),
    "kokoro": ("--engine", "kokoro", "--ways", "alone=1", "--formants", "1,1", *_clips(500, 200, 250)),
    "small": (
        "--engine",
        "hibari",
        "--engine",
        "pico",
        "--ways",
        "alone=1",
        "--formants",
        "1,1",
        *_clips(500, 250, 500),
    ),
    "all": _clips(1500, 1000, 2000),
}
"""Calls of `mww-generate`, by name: their arguments behind the phrase. `all` is what a user gets who names no
engine."""

Heard = Literal["nothing", "train"]
People = Literal["all", "test split"]


@dataclass(frozen=True)
class Recipe:
    """A way from a typed phrase to a model."""

    name: str
    says: str
    """What it is, for the reader of the table."""
    speech: tuple[str, ...] = ("plain",)
    """Names in `SPEECH`."""
    settings: tuple[str, ...] = ("augmentation.copies=4", *MASKS)
    """`--set` values of `mww-train`, beside paths, seed and steps."""
    preset: str = "standard"
    own_steps: bool = False
    """The steps are the preset's, whatever the caller says."""
    corpus: Heard = "nothing"
    """What of the corpus's speech and noise is heard: nothing, or its train split trains and its val split
    validates."""
    recordings: int = 0
    """Recordings of the wake word, of the corpus's train split, that train: 0, so many of one person, or -1 for all
    (then its val split validates)."""
    people: People = "all"
    """Who tests: all recordings of the word, or those of the corpus's test split, which every recipe of such a
    comparison must leave alone."""
    words: tuple[str, ...] = WORDS
    cycle: bool = False
    """The model is that of README's first command, as it stands."""

    def __post_init__(self) -> None:
        """Raises `ValueError` where people would test that trained."""
        if self.recordings and self.people == "all":
            raise ValueError(f"recipe {self.name}: recordings of the train split train, so all recordings cannot test")

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
            "people": self.people,
            "cycle": self.cycle,
        }
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:8]


PLAIN = Recipe(
    "plain", "eSpeak and flite, each word alone; no rooms, no microphone, no context; all engines train"
).plus(
    "plain",
    "eSpeak and flite, each word alone; no rooms, no microphone, no context; all engines train",
    *(f"augmentation.{key.partition('=')[0]}=0" for key in (*ROOMS, *MICROPHONE, *CONTEXT)),
    "training.held_out_engines=[]",
    "training.sampling_weights.negative_augmented=0.5",
)
KOKORO = PLAIN.plus("kokoro", "plain, and Kokoro", speech=("kokoro",))
ALL = Recipe(
    "all", "all engines, all ways of speaking, all sound: what the program does by itself, with masks", ("all",), MASKS
)
TTS = replace(
    ALL,
    name="tts",
    says="all, and the sounds of the train split; tested as the next two",
    corpus="train",
    people="test split",
    words=("computer",),
)

_TABLE = (
    PLAIN,
    KOKORO,
    KOKORO.plus("small", "kokoro, and the small engines", speech=("small",)),
    replace(
        KOKORO, name="ways", says="kokoro, and eSpeak and flite in all ways of speaking", speech=("ways", "kokoro")
    ),
    replace(
        KOKORO, name="formants", says="kokoro, and eSpeak and flite with other formants", speech=("formants", "kokoro")
    ),
    KOKORO.plus("rooms", "kokoro, and computed rooms and backgrounds", *_on(ROOMS)),
    KOKORO.plus("microphone", "kokoro, and levels, bands and noise of microphones", *_on(MICROPHONE)),
    KOKORO.plus("context", "kokoro, and speech before and after, onsets", *_on(CONTEXT)),
    KOKORO.plus(
        "negatives",
        "kokoro, and four times as many augmented negatives",
        "training.sampling_weights.negative_augmented=2",
    ),
    KOKORO.plus("validation", "kokoro, and whole engines that only validate", "training.held_out_engines=auto"),
    replace(KOKORO, name="corpus", says="kokoro, and the corpus's train split as negatives", corpus="train"),
    ALL,
    ALL.plus(
        "few_negatives",
        "all, and a quarter of the augmented negatives",
        "training.sampling_weights.negative_augmented=0.5",
    ),
    ALL.plus("all_trains", "all, but no engine only validates", "training.held_out_engines=[]"),
    replace(ALL, name="without_kokoro", says="all, spoken by eSpeak and flite alone", speech=("spoken",)),
    Recipe(
        "standard", "the preset standard, whole, on what mww-generate makes by itself", ("all",), (), own_steps=True
    ),
    Recipe(
        "quick",
        "the preset quick, whole, on what mww-generate makes by itself",
        ("all",),
        (),
        preset="quick",
        own_steps=True,
    ),
    TTS,
    replace(TTS, name="own20", says="tts, and 20 recordings of one person", recordings=20),
    replace(
        TTS,
        name="own237",
        says="tts, and all recordings of the train split, with its val split to choose by",
        recordings=-1,
    ),
    Recipe("cycle", "README's first command", (), (), cycle=True, words=("computer",)),
)

RECIPES: Mapping[str, Recipe] = {recipe.name: recipe for recipe in _TABLE}


def find_recipes(names: Sequence[str]) -> list[Recipe]:
    """Recipes by name. Raises `ConfigError` for a name that is none, with the nearest one."""
    for name in names:
        if name not in RECIPES:
            raise ConfigError(f"--recipes {name}: no recipe; {nearest(name, RECIPES, 'recipes are')}")
    return [RECIPES[name] for name in dict.fromkeys(names)]
