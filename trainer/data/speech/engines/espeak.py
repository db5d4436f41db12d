"""eSpeak-NG: small, fast, 87 timbres, none of them natural."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trainer.data.speech.engine import EngineOptions, EngineSpec, SkippedEngine, Speech, SpeechEngine, Voice
from trainer.data.speech.espeak import find_espeak, require_espeak, speak
from trainer.data.speech.espeak_languages import accent_tag, accents, sounds
from trainer.data.speech.languages import SYLLABIC, script_of
from wakeword.extras import install

NO_PERSON = frozenset(
    {"Demonic", "Mr serious", "Tweaky", "UniRobot", "anikaRobot", "announcer", "croak", "fast", "whisper", "whisperf"}
)
"""Variants that no person sounds like (robots, echoes, growls), that only change the rate, or that do not voice at all:
any voice can whisper (`manner.py`)."""
NO_PERSON_PREFIX = "robosoft"

DEFAULT_VARIANT = "default"
_SHORTEST_NAME, _SHORTEST_NAME_OF_SYLLABLE = 4, 8
"""Sounds of a letter's name, at least: "sharp s" has five. What stands for a syllable is as long itself; "Chinese
letter" has eleven."""


@dataclass(frozen=True)
class EspeakEngine:
    """All accents of a language times the timbres (variants) of the library. The variant is the speaker: accents of one
    share its timbre.
    """

    name: str = "espeak"

    def voices(self, language: str) -> tuple[Voice, ...]:
        """Every pair of variant and accent, sorted by variant."""
        folder = require_espeak() / "espeak-ng-data" / "voices" / "!v"
        names = sorted(
            path.name
            for path in folder.iterdir()
            if path.name not in NO_PERSON and not path.name.startswith(NO_PERSON_PREFIX)
        )
        return tuple(
            Voice(
                accent if variant == DEFAULT_VARIANT else f"{accent}+{variant}",
                f"espeak_{variant}",
                language=accent_tag(accent),
                marks_words=True,
            )
            for variant in (DEFAULT_VARIANT, *names)
            for accent in accents(language)
        )

    def unreadable(self, texts: Sequence[str], language: str) -> dict[str, str]:
        """Texts with a letter that it calls by its name ("z hacek" for ž), as its voices do with letters that no word
        of their language has.
        """
        foreign = [text for text in texts if not text.isascii()]
        letters = sorted({letter for text in foreign for letter in text if not letter.isascii()})
        names = dict(zip(letters, sounds(letters, language), strict=True))
        found: dict[str, str] = {}
        for text, heard in zip(foreign, sounds(foreign, language), strict=True):
            named = [
                letter
                for letter in dict.fromkeys(text)
                if letter in names and _holds_name(text, heard, letter, names[letter])
            ]
            if named:
                found[text] = f"it says the name of {', '.join(named)} where a word is meant"
        return found

    def synthesise(self, text: str, voice: str, rate: float, pitch: float, seed: int) -> Speech:
        """Speak `text`; the seed draws the intonation range and the library's own jitter and breath noise."""
        return speak(text, voice, rate, pitch, seed)


def _holds_name(text: str, heard: Sequence[str], letter: str, names: Sequence[str]) -> bool:
    """Whether the sounds of a text hold a letter's name in any accent, and something of its other letters. Shorter ones
    are the letter's own sound.
    """
    shortest = _SHORTEST_NAME_OF_SYLLABLE if script_of(letter) in SYLLABIC else _SHORTEST_NAME
    return any(
        len(name) >= shortest and name in sounds and (len(text) == 1 or name != sounds)
        for name, sounds in zip(names, heard, strict=True)
    )


def _find(options: EngineOptions) -> SpeechEngine | SkippedEngine:
    del options
    return (
        EspeakEngine()
        if find_espeak()
        else SkippedEngine("espeak", "the package espeakng_loader is not installed", install("train"))
    )


ENGINE = EngineSpec(
    "espeak", install("train"), ("*",), "many timbres and accents, and the phonemes that other parts need", _find
)
