"""What a text-to-speech engine is to the generator: a name, voices, and one function from text to samples.

Rate is a factor (1 = the voice's own, 1.2 = faster). Pitch is in semitones against the voice's own. An engine is a
frozen dataclass that travels to worker processes by pickling; whatever it loads, it loads there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trainer.data.speech.languages import canonical, matching, primary

DEFAULT_LANGUAGE = "en"


@dataclass(frozen=True)
class Voice:
    """One way to speak. Voices with the same `speaker` share their timbre; voices of one `family` must never stand on
    two sides of a split.

    A family is wider than a speaker where an engine mixes new speakers out of others. Left out, it is the speaker.
    """

    name: str
    speaker: str
    family: str = ""
    language: str = DEFAULT_LANGUAGE
    """Tag of BCP 47."""
    pitch_moves_formants: bool = False
    """Another pitch is the same speech played faster or slower, so that it is another person too."""
    marks_words: bool = False
    """The engine says where each word begins (`Speech.onsets`)."""

    def __post_init__(self) -> None:
        if not self.family:
            object.__setattr__(self, "family", self.speaker)


@dataclass(frozen=True)
class Speech:
    """Raw speech as the engine made it: mono int16 `[samples]`, silence at the ends included."""

    samples: NDArray[np.int16]
    sample_rate: int
    onsets: tuple[tuple[int, int], ...] = ()
    """Of each word that the engine marks: its first character in the text and its first sample. In the order of
    speech."""


def speaking(voices: Sequence[Voice], language: str) -> tuple[Voice, ...]:
    """Those of an engine's voices that speak a language (tag of BCP 47), by the rule of `languages.matching`."""
    return matching(language, {voice: (voice.language,) for voice in voices})


class SpeechEngine(Protocol):
    """A text-to-speech engine. The same arguments must give the same samples in every process and order."""

    @property
    def name(self) -> str:
        """Short name, as given to `--engine` and written into generated.csv."""
        ...

    def voices(self, language: str) -> tuple[Voice, ...]:
        """The voices that speak a language (tag of BCP 47), in an order that does not change between runs; empty when
        none does.
        """
        ...

    def unreadable(self, texts: Sequence[str], language: str) -> dict[str, str]:
        """The texts that it cannot read whole, each with the reason. Called in worker processes only."""
        ...

    def synthesise(self, text: str, voice: str, rate: float, pitch: float, seed: int) -> Speech:
        """Speak. Raises `InfrastructureError` when the engine fails on this text."""
        ...


@dataclass(frozen=True)
class EngineOptions:
    """What the user says about engines that do not find their voices alone."""

    piper_voices: tuple[Path, ...] = ()
    kokoro: Path | None = None
    """Where Kokoro's model and voices are, if not in the places that it knows."""

    @property
    def asked(self) -> frozenset[str]:
        """Engines that are asked for without being named: who gives a voice wants to hear it."""
        return frozenset({"piper"} if self.piper_voices else ())


@dataclass(frozen=True)
class SkippedEngine:
    """An engine that is not used, why, and what would make it usable."""

    name: str
    reason: str
    install: str


@dataclass(frozen=True)
class EngineSpec:
    """What is known of an engine before it is there: the constant `ENGINE` of its module in
    `trainer.data.speech.engines`.
    """

    name: str
    install: str
    """The command that installs it."""
    languages: tuple[str, ...]
    """What it can speak: primary tags of BCP 47 ("en", "de"), or "*" for an engine that is asked itself."""
    gain: str
    """What it is good for, in one phrase."""
    find: Callable[[EngineOptions], SpeechEngine | SkippedEngine]
    """The engine of this machine, or why there is none. Raises `ConfigError` for options that are wrong."""
    slow: bool = False
    """It computes about as long as it speaks, so it says every second clip up to a number (`dealing.engine_limits`)."""

    def speaks(self, language: str | None) -> bool:
        """Whether it may speak a language (tag of BCP 47; None: any)."""
        return language is None or "*" in self.languages or primary(canonical(language)) in self.languages


def letters_beyond(texts: Sequence[str], letters: str) -> dict[str, str]:
    """The texts that an engine passes over in part, with the reason: it reads a to z and `letters` (small ones), and no
    other letters.
    """
    beyond = {
        text: dict.fromkeys(
            letter for letter in text if letter.isalpha() and not letter.isascii() and letter.lower() not in letters
        )
        for text in texts
    }
    read = ", ".join(["it reads no letters but a to z", *letters])
    return {text: f"{read}, and passes over {', '.join(signs)}" for text, signs in beyond.items() if signs}
