"""What makes a phrase easy or hard as a wake word: how much of it there is, and what sounds like it.

The library that knows phonemes runs in a process of its own: `look_at` starts `python -m studio.phrase_look`.
"""

from __future__ import annotations

import functools
import re
import subprocess
import sys

from wakeword.errors import ConfigError, InfrastructureError, MwwError
from wakeword.records import Record

NEAR_WORDS = 8
_FEW_SYLLABLES = 2
_NEAR = 1.5
"""Sounds that two words differ by and are still mistaken for each other; a consonant for another is 0.7."""
_LONGEST_S = 120


class NearWord(Record):
    """A word or expression of the language that sounds like the phrase."""

    text: str
    distance: float
    """From the phrase, in sounds (`trainer.data.speech.phonemes.distance`)."""


class PhraseLook(Record):
    """What is known of a phrase before anything is trained."""

    phrase: str
    """As it is spoken: in lower case, without marks."""
    language: str
    sounds: str
    """In IPA without stress and length; one character is one sound."""
    syllables: int
    near_words: tuple[NearWord, ...]
    """Everyday words of the language, nearest first."""
    known_words: int
    """Words that were compared; 0: none of this language are known."""
    near_misses: tuple[str, ...]
    """Some of those that would be spoken as negatives, nearest first."""
    near_miss_count: int

    @property
    def is_short(self) -> bool:
        """Whether it has few syllables."""
        return self.syllables <= _FEW_SYLLABLES

    @property
    def close_words(self) -> tuple[NearWord, ...]:
        """The everyday words that may be mistaken for it."""
        return tuple(word for word in self.near_words if word.distance < _NEAR)

    @property
    def verdict(self) -> str:
        """In a sentence. A rule of thumb: what a model does is measured at the end."""
        if any(word.distance == 0 for word in self.near_words):
            return "An everyday word: it wakes the device whenever somebody says it."
        near = " and ".join(f"“{word.text}”" for word in self.close_words[:2])
        if self.is_short:
            return (
                f"Short, so there is little to tell it from other speech by{f'; {near} sound like it' if near else ''}."
            )
        if near:
            return f"Long enough, but {near} sound{'s' if len(self.close_words[:2]) == 1 else ''} like it."
        if not self.known_words:
            return "A good length; which everyday words are close to it is not known for this language."
        return "A good length, and no everyday word is close to it."


@functools.lru_cache(maxsize=64)
def look_at(phrase: str, language: str) -> PhraseLook:
    """Look at a phrase of a language (tag of BCP 47), about a second of work. Raises `ConfigError` for one that cannot
    be a wake word, and `InfrastructureError` where it takes too long.
    """
    for text in (phrase, language):
        if "\0" in text:
            raise ConfigError(f"{text!r}: holds a character that nobody can say; type it anew")
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "studio.phrase_look", phrase, language],
            capture_output=True,
            text=True,
            check=False,
            timeout=_LONGEST_S,
        )
    except subprocess.TimeoutExpired as error:
        raise InfrastructureError(
            f"the phrase could not be looked at within {_LONGEST_S} s: the machine is busy; try again"
        ) from error
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise ConfigError(lines[-1].removeprefix("error: ") if lines else "the phrase could not be looked at")
    return PhraseLook.model_validate_json(done.stdout)


def _look(phrase: str, language: str) -> PhraseLook:
    from trainer.data.speech.bank import bank_of
    from trainer.data.speech.espeak_languages import check_language, sounds
    from trainer.data.speech.phonemes import distance, vowels_alike
    from trainer.data.speech.texts import clean_phrase, near_misses, phrase_sounds

    language = check_language(language)
    phrase = clean_phrase(phrase, language)
    bank = bank_of(language)
    hear = functools.partial(sounds, language=bank.language)
    target = phrase_sounds(phrase, hear)[0]

    def ranked(texts: tuple[str, ...]) -> list[NearWord]:
        heard = zip(texts, hear(texts), strict=True)
        near = ((round(distance(target, one[0]), 1), text) for text, one in heard if one[0])
        return [NearWord(text=text, distance=far) for far, text in sorted(near)]

    misses = ranked(tuple(near_misses(phrase, hear, bank)))
    vowels = vowels_alike(target)
    return PhraseLook(
        phrase=phrase,
        language=language,
        sounds=target,
        syllables=len(re.findall("ə+", vowels)),
        near_words=tuple(ranked(bank.words)[:NEAR_WORDS]),
        known_words=len(bank.words),
        near_misses=tuple(one.text for one in misses[:NEAR_WORDS]),
        near_miss_count=len(misses),
    )


if __name__ == "__main__":
    try:
        sys.stdout.write(_look(sys.argv[1], sys.argv[2]).model_dump_json())
    except MwwError as error:
        sys.exit(f"error: {error}")
