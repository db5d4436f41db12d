"""What is spoken as a negative: near misses of the phrase, and ordinary sentences. Never the phrase itself, by sound."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources

import numpy as np

from trainer.data.speech.phonemes import Phonemise, distance, fold, nearest, says
from wakeword.errors import ConfigError

SENTENCE_BANK = "sentences"
MAX_PHRASE_CHARACTERS = 60

_SPEAKABLE = re.compile(r"[A-Za-zÀ-ÖØ-öø-ɏ0-9' -]*[A-Za-zÀ-ÖØ-öø-ɏ0-9][A-Za-zÀ-ÖØ-öø-ɏ0-9' -]*")
_NUMBER = re.compile(r"\d{2,}")
_SLOT = re.compile(r"\{(\w+)\}")
_ONSETS = ("b", "ch", "d", "f", "g", "h", "j", "k", "l", "m", "n", "p", "r", "s", "sh", "t", "v", "w", "z", "br", "st", "tr")
_ARTICLE = re.compile(r"\b([Aa]) (?=[aeiou])")
_FIRST_CONSONANTS = re.compile(r"^[^aeiouy]*", re.IGNORECASE)

_WHOLE_NEIGHBOURS = 60
_WORD_NEIGHBOURS = 15
_ANY_WORD_STEP = 37
"""Every so manyth word of the list is also put beside each word of the phrase: "hey <anything>" must not be enough."""
_MIN_CUT_LETTERS = 3
_KEPT_BEGINNING = 2 / 3
_KEPT_END = 1 / 2
"""Longest parts of a word that count as cut. A word without its unstressed first vowel ("'lexa") is how people say it."""
_MIN_DISTANCE = 0.6
"""In sounds. Nearer than this, a speaker who means the phrase may well say the "near miss"."""
_SENTENCE_ATTEMPTS = 12
_SENTENCE_STREAM = 4
"""Keeps the sentences' random numbers apart from those of the clips' voices, which use 1 to 3."""


def clean_phrase(phrase: str) -> str:
    """The phrase in lower case with single spaces. Raises `ConfigError` when it is empty, too long, not in Latin letters or holds a number in digits."""
    # One sign a letter: macOS parts é into two. And apostrophes as phones write them.
    cleaned = " ".join(unicodedata.normalize("NFC", phrase).replace("\u2019", "'").lower().split())
    if not cleaned:
        raise ConfigError("the wake phrase is empty; give one to four spoken words")
    if len(cleaned) > MAX_PHRASE_CHARACTERS:
        raise ConfigError(f"the wake phrase has {len(cleaned)} characters; at most {MAX_PHRASE_CHARACTERS} can be one wake word")
    if not _SPEAKABLE.fullmatch(cleaned):
        raise ConfigError(f"the wake phrase {cleaned!r} holds characters that are not spoken; write it in Latin letters, as it sounds")
    if number := _NUMBER.search(cleaned):
        raise ConfigError(f"the wake phrase holds the number {number[0]}, which each engine reads in its own way; write it in words")
    return cleaned


def phrase_sounds(phrase: str, phonemise: Phonemise) -> tuple[str, ...]:
    """IPA of a clean phrase in each accent. Raises `ConfigError` when nothing of it can be spoken."""
    sounds = phonemise([phrase])[0]
    if not all(fold(ipa) for ipa in sounds):
        raise ConfigError(f"the wake phrase {phrase!r} cannot be spoken; write it as it sounds")
    return sounds


def near_misses(phrase: str, phonemise: Phonemise) -> list[str]:
    """Texts that resemble a clean phrase: its parts, its words in other order, near-sounding words, rhymes and cut words.

    Sorted and without duplicates; none sounds like the phrase or holds it.
    """
    target = phrase_sounds(phrase, phonemise)
    words = phrase.split()
    lexicon = _lexicon()
    sounds = {text: fold(ipa[0]) for text, ipa in zip(lexicon, phonemise(lexicon), strict=True)}
    candidates = {*_rearranged(words), *nearest(fold(target[0]), list(sounds.items()), _WHOLE_NEIGHBOURS)}
    for position, word in enumerate(words):
        word_sounds = fold(phonemise([word])[0][0])
        others = nearest(word_sounds, [item for item in sounds.items() if " " not in item[0] and item[0] != word], _WORD_NEIGHBOURS)
        for other in (*others, *_altered(word), *(lexicon[::_ANY_WORD_STEP] if len(words) > 1 else ())):
            candidates.add(" ".join((*words[:position], other, *words[position + 1 :])))
    texts = sorted(candidates - {phrase, ""})
    spoken = phonemise(texts)
    return [text for text, ipa in zip(texts, spoken, strict=True) if fold(ipa[0]) and not says(target, ipa) and _far_enough(target, ipa)]


def sentences(count: int, phrase: str, seed: int, phonemise: Phonemise) -> list[str]:
    """Seeded ordinary sentences without the phrase; a longer list begins with the shorter one.

    Raises `ConfigError` when the phrase is so common that it cannot be kept out.
    """
    target = phrase_sounds(phrase, phonemise)
    generators = [np.random.default_rng([seed, _SENTENCE_STREAM, index]) for index in range(count)]
    found: list[str] = [""] * count
    missing = list(range(count))
    for _ in range(_SENTENCE_ATTEMPTS):
        drawn = [draw_sentence(generators[index]) for index in missing]
        for index, text, ipa in zip(missing, drawn, phonemise(drawn), strict=True):
            if not says(target, ipa):
                found[index] = text
        missing = [index for index in missing if not found[index]]
        if not missing:
            return found
    raise ConfigError(f"{phrase!r} is part of ordinary sentences, so a device would wake all day; choose a longer wake phrase")


def draw_sentence(generator: np.random.Generator) -> str:
    """One sentence: a template, its slots filled from the word banks."""
    banks = word_banks()
    template = str(generator.choice(banks[SENTENCE_BANK]))
    text = _ARTICLE.sub(r"\1n ", _SLOT.sub(lambda slot: str(generator.choice(banks[slot.group(1)])), template))
    return text[0].upper() + text[1:]


@cache
def word_banks() -> dict[str, tuple[str, ...]]:
    """The word banks of english.txt by name; the bank "sentences" holds the templates."""
    banks: dict[str, list[str]] = {}
    bank: list[str] = []
    for line in resources.files(__package__).joinpath("english.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            bank = banks.setdefault(line.strip("[] "), [])
        elif line.strip() and not line.startswith("#"):
            bank += [line.strip()] if bank is banks.get(SENTENCE_BANK) else [entry.strip() for entry in line.split(",") if entry.strip()]
    return {name: tuple(entries) for name, entries in banks.items()}


def _lexicon() -> list[str]:
    return sorted({entry.lower() for name, entries in word_banks().items() if name != SENTENCE_BANK for entry in entries})


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


def _altered(word: str) -> Iterator[str]:
    """Rhymes (other first consonants) and cut forms of a word. Not all are English; to an ear they need not be."""
    rest = _FIRST_CONSONANTS.sub("", word)
    if rest:
        yield from (onset + rest for onset in _ONSETS)
    yield from (word[:length] for length in range(_MIN_CUT_LETTERS, int(len(word) * _KEPT_BEGINNING) + 1))
    yield from (word[-length:] for length in range(_MIN_CUT_LETTERS, int(len(word) * _KEPT_END) + 1))


def _far_enough(phrase: Sequence[str], text: Sequence[str]) -> bool:
    return all(distance(fold(target), fold(sounds)) >= _MIN_DISTANCE for target, sounds in zip(phrase, text, strict=True))
