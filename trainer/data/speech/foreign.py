"""Foreign accents: people say a wake word with the sounds of their own language, and a model that never heard that does
not find them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product

from trainer.data.speech.engine import SpeechEngine, Voice
from trainer.data.speech.languages import primary
from trainer.data.speech.phonemes import distance, says

CANDIDATES = ("cs", "da", "de", "es", "fi", "fr", "hu", "id", "it", "nb", "nl", "pl", "pt-BR", "ro", "sv", "tr")
"""Languages with Latin letters that read a foreign word by their own rules."""
_MOST_DIFFERENCE = 0.3
"""In sounds, for each sound of the phrase. With eSpeak's voices the official model finds "alexa" in 53 of 60 clips of
the twelve languages up to there (0.23 to 0.28), and in none of five in Danish (0.4)."""
_ALIKE, _OTHER_CLASS = 0.3, 1.0
"""`phonemes.distance` of two near sounds, and of a vowel and a consonant."""

Hear = Callable[[Sequence[str], str], list[tuple[str, ...]]]
"""Folded IPA of texts in each accent of a language."""


def accents_of(phrase: str, language: str, hear: Hear) -> tuple[str, ...]:
    """The languages in whose sounds an English phrase is still itself, but not the same; none for other languages,
    where nothing is measured yet.

    In worker processes only.
    """
    if primary(language) != "en":
        return ()
    target = hear([phrase], language)[0]
    return tuple(accent for accent in CANDIDATES if _near(target, hear([phrase], accent)[0]))


def heard_otherwise(texts: Sequence[str], phrase: str, accents: Sequence[str], hear: Hear) -> list[str]:
    """The texts that do not say the phrase in any of these accents: in a language without h, "halexa" is "alexa"."""
    for accent in accents:
        target, *spoken = hear([phrase, *texts], accent)
        texts = [text for text, sounds in zip(texts, spoken, strict=True) if not says(target, sounds)]
    return list(texts)


def accents_read(engine: SpeechEngine, phrase: str, accents: Iterable[str]) -> tuple[str, ...]:
    """Those of these accents in which an engine has voices that read the whole phrase. In worker processes only."""
    return tuple(accent for accent in accents if engine.voices(accent) and not engine.unreadable([phrase], accent))


def foreign_voices(engine: SpeechEngine, accents: Iterable[str]) -> Mapping[str, Sequence[Voice]]:
    """By speaker, the voices in which an engine's speakers have these accents."""
    found: dict[str, list[Voice]] = {}
    for voice in (voice for accent in accents for voice in engine.voices(accent)):
        found.setdefault(voice.speaker, []).append(voice)
    return found


def _near(target: Sequence[str], spoken: Sequence[str]) -> bool:
    pairs = [(own, other) for own, other in product(target, spoken) if own and other]
    own, other = min(pairs, key=lambda pair: distance(*pair), default=("", ""))
    return bool(own) and 0 < distance(own, other) <= _MOST_DIFFERENCE * len(own) and _may_begin(own[0], other[0])


def _may_begin(sound: str, other: str) -> bool:
    """Whether a word stays the same with another first sound: any vowel for a vowel, but "jarvis" that begins like
    "yes" is another word.
    """
    both_vowels = all(distance(one, "a") < _OTHER_CLASS for one in (sound, other))
    return both_vowels or distance(sound, other) <= _ALIKE
