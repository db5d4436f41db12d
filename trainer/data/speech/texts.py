"""What is spoken as a negative: near misses of the phrase, and ordinary sentences.

Never the phrase itself, by sound.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np

from trainer.data.speech.bank import Bank
from trainer.data.speech.languages import LATIN, SYLLABIC, languages_written_in, primary, script_of, scripts
from trainer.data.speech.phonemes import Hear, distance_within, nearest, says, vowels_alike
from wakeword.errors import ConfigError

MAX_PHRASE_CHARACTERS = 60

_NUMBER = re.compile(r"\d{2,}")
_SENTENCE_MARKS = re.compile("[.,!?…¡¿،؟।。、\uff01\uff0c\uff1f]+")
_BESIDE_LETTERS = frozenset(" '-·\u200c\u200d")
"""Apostrophe, hyphen, Catalan's raised dot, and the joiners of Persian and Indian scripts."""
_VOWELS = frozenset("aeiouyæœøıаеёиіїоуыэюяєαεηιουω")
"""As they are written, without accents: Latin, Cyrillic and Greek."""
_DOTLESS = {"tr": str.maketrans("Iİ", "ıi"), "az": str.maketrans("Iİ", "ıi")}
"""Turkish pairs I with ı and İ with i."""

_WHOLE_NEIGHBOURS = 60
_WORD_NEIGHBOURS = 15
_RESPELLED = 60
"""Near misses made of a word's own letters, where no words of its language are known."""
_ANY_WORDS = 24
"""So many words of all kinds are also put beside each word of the phrase: "hey <anything>" must not be enough."""
_LAST_ALPHABET = 0x1400
"""Unicode's alphabets end there."""
_MIN_CUT_LETTERS = 3
_KEPT_BEGINNING = 2 / 3
_KEPT_END = 1 / 2
"""Longest parts of a word that count as cut. A word without its unstressed first vowel ("'lexa") is how people say
it."""
_MIN_DISTANCE = 0.65
"""In sounds, of any stretch of a near miss from the phrase, vowels all alike. Nearer than this (other vowels, or a
consonant or two that many do not tell apart, as in "charvis" and "komputer"), a speaker who means the phrase may well
say the "near miss"."""
_SENTENCE_ATTEMPTS = 12
_EVERYDAY_SHARE, _EVERYDAY_LEAST = 0.2, 4
"""A phrase that so large a part of ordinary sentences holds, and so many of them, cannot be a wake word."""
_SENTENCE_STREAM = 4
"""Keeps the sentences' random numbers apart from those of the clips' voices, which use 1 to 3."""


def clean_phrase(phrase: str, language: str = "en") -> str:
    """The phrase in lower case with single spaces and without the marks of a sentence ("¡Hola, casa!" is "hola casa").

    Raises `ConfigError` when it is empty, too long, in letters that the language (tag of BCP 47) is not written in, or
    holds a number in digits.
    """
    # One sign a letter: macOS parts é into two. And apostrophes as phones write them.
    plain = (
        unicodedata.normalize("NFC", phrase)
        .replace("\u2019", "'")
        .translate(_DOTLESS.get(primary(language), {}))
        .lower()
    )
    cleaned = " ".join(_SENTENCE_MARKS.sub(" ", plain).split())
    if not cleaned:
        raise ConfigError("the wake phrase is empty; give one to four spoken words")
    if len(cleaned) > MAX_PHRASE_CHARACTERS:
        raise ConfigError(
            f"the wake phrase has {len(cleaned)} characters; at most {MAX_PHRASE_CHARACTERS} can be one wake word"
        )
    if foreign := sorted(
        {sign for sign in cleaned if unicodedata.category(sign)[0] == "L" and script_of(sign) not in scripts(language)}
    ):
        raise ConfigError(
            f"the wake phrase {cleaned!r} holds letters that {language} is not written in ({', '.join(foreign)}); name"
            f" the language of the phrase with --language{_such_as(foreign)}, or write it as it sounds, in letters of"
            " this one"
        )
    unspoken = [
        sign
        for sign in cleaned
        if not (sign in _BESIDE_LETTERS or unicodedata.category(sign)[0] in "LM" or sign.isdigit())
    ]
    if unspoken or not any(sign.isalnum() for sign in cleaned):
        raise ConfigError(
            f"the wake phrase {cleaned!r} holds characters that are not spoken ({', '.join(unspoken) or 'no letter'});"
            " write it in words, as it sounds"
        )
    if number := _NUMBER.search(cleaned):
        raise ConfigError(
            f"the wake phrase holds the number {number[0]}, which each engine reads in its own way; write it in words"
        )
    return cleaned


def _such_as(letters: Sequence[str]) -> str:
    languages = sorted({language for letter in letters for language in languages_written_in(script_of(letter))})
    return f" ({', '.join(languages)})" if languages else ""


def phrase_sounds(phrase: str, hear: Hear) -> tuple[str, ...]:
    """Folded IPA of a clean phrase in each accent. Raises `ConfigError` when nothing of it can be spoken."""
    sounds = hear([phrase])[0]
    if not all(sounds):
        raise ConfigError(f"the wake phrase {phrase!r} cannot be spoken; write it as it sounds")
    return sounds


def near_misses(phrase: str, hear: Hear, bank: Bank) -> list[str]:
    """Texts that resemble a clean phrase: its parts, its words in other order, near-sounding words, rhymes and cut
    words.

    Where the bank knows no words, one letter of a word is changed instead. Sorted and without duplicates; none sounds
    like the phrase or holds it.
    """
    target = phrase_sounds(phrase, hear)
    words = phrase.split()
    sounds = [(text, heard[0]) for text, heard in zip(bank.words, hear(bank.words), strict=True)]
    single = [item for item in sounds if " " not in item[0]]
    anything = [word for word, _ in single[:: max(1, len(single) // _ANY_WORDS)]] if len(words) > 1 else []
    candidates = {*_rearranged(words), *nearest(target[0], sounds, _WHOLE_NEIGHBOURS)}
    for position, word in enumerate(words):
        word_sounds = hear([word])[0]
        others = nearest(word_sounds[0], [item for item in single if item[0] != word], _WORD_NEIGHBOURS)
        respelled = () if bank.words else _respelled(word, word_sounds, hear)
        for other in (*others, *_altered(word, bank.onsets), *respelled, *anything):
            candidates.add(" ".join((*words[:position], other, *words[position + 1 :])))
    texts = sorted(candidates - {phrase, ""})
    spoken = hear(texts)
    return [text for text, heard in zip(texts, spoken, strict=True) if heard[0] and _far_enough(target, heard)]


def sentences(count: int, phrase: str, seed: int, hear: Hear, bank: Bank) -> list[str]:
    """Seeded ordinary sentences without the phrase; a longer list begins with the shorter one.

    Raises `ConfigError` when the phrase is so common that it cannot be kept out.
    """
    target = phrase_sounds(phrase, hear)
    generators = [np.random.default_rng([seed, _SENTENCE_STREAM, index]) for index in range(count)]
    found: list[str] = [""] * count
    missing = list(range(count))
    for attempt in range(_SENTENCE_ATTEMPTS):
        drawn = [bank.draw(generators[index]) for index in missing]
        for index, text, heard in zip(missing, drawn, hear(drawn), strict=True):
            if not says(target, heard):
                found[index] = text
        missing = [index for index in missing if not found[index]]
        if not missing:
            return found
        if attempt == 0 and len(missing) > max(_EVERYDAY_LEAST, _EVERYDAY_SHARE * count):
            break
    raise ConfigError(
        f"{phrase!r} is part of ordinary sentences, so a device would wake all day; choose a longer wake phrase"
    )


def _rearranged(words: Sequence[str]) -> Iterator[str]:
    """Parts of a phrase, its words repeated, dropped and in other order."""
    count = len(words)
    for start in range(count):
        for end in range(start + 1, count + 1):
            yield " ".join(words[start:end])
    for position, word in enumerate(words):
        yield " ".join((*words[:position], *words[position + 1 :]))
        if count > 1:
            yield f"{word} {word}"
    yield " ".join(reversed(words))
    yield " ".join((*words[1:], words[0]))


def _altered(word: str, onsets: Sequence[str]) -> Iterator[str]:
    """Rhymes (other first consonants) and cut forms of a word. Not all are words; to an ear they need not be.

    A word that begins with a vowel gets no rhymes: "valexa" is "alexa" with a sound before it, as in "it's Alexa".
    """
    first_vowel = next((place for place, letter in enumerate(word) if _bare(letter) in _VOWELS), len(word))
    if first_vowel and (rest := word[first_vowel:]):
        yield from (onset + rest for onset in onsets)
    shortest = 1 if script_of(word[0]) in SYLLABIC else _MIN_CUT_LETTERS
    yield from (word[:length] for length in range(shortest, int(len(word) * _KEPT_BEGINNING) + 1))
    yield from (word[-length:] for length in range(shortest, int(len(word) * _KEPT_END) + 1))


def _respelled(word: str, sounds: Sequence[str], hear: Hear) -> list[str]:
    """The word with one letter of its alphabet in another's place, nearest by sound first and no two of the
    same sound."""
    changed = sorted(
        {
            word[:place] + other + word[place + 1 :]
            for place, letter in enumerate(word)
            for other in _alphabet(script_of(letter))
            if other != letter
        }
    )
    by_sound = {heard: text for text, heard in zip(changed, hear(changed), strict=True) if _far_enough(sounds, heard)}
    return nearest(sounds[0], [(text, heard[0]) for heard, text in by_sound.items()], _RESPELLED)


@cache
def _alphabet(script: str) -> tuple[str, ...]:
    """The letters of an alphabet in lower case, without those that only some languages add: a letter that is not read
    is far away by sound.
    """
    if script in SYLLABIC:
        return ()
    found = map(chr, range(ord("a"), ord("z") + 1 if script == LATIN else _LAST_ALPHABET))
    return tuple(
        letter
        for letter in found
        if unicodedata.category(letter) in ("Ll", "Lo") and script_of(letter) == script and _bare(letter) == letter
    )


def _bare(letter: str) -> str:
    """A letter without its accents."""
    return unicodedata.normalize("NFD", letter)[0]


def _far_enough(phrase: Sequence[str], text: Sequence[str]) -> bool:
    """Vowels differ most between accents, and engines read made-up words by their own rules, so all are one here."""
    return all(
        distance_within(vowels_alike(target), vowels_alike(sounds)) >= _MIN_DISTANCE
        for target, sounds in zip(phrase, text, strict=True)
    )
