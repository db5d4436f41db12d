"""Comparing texts by their sound: folded IPA, containment and a weighted edit distance. Pure functions on strings."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial

Phonemise = Callable[[Sequence[str]], list[tuple[str, ...]]]
"""Texts to their IPA in each of some accents; `espeak.phonemise` is one."""

_IGNORED = re.compile(r"\([a-z-]+\)|[\sˈˌː̩̃͡_|-]")  # noqa: RUF001 - IPA marks: stress, length, syllabic; "(fr)": eSpeak switches language
_FOLDS = str.maketrans({"ɾ": "t", "ʔ": "t", "ɐ": "ə", "ᵻ": "ɪ", "ɚ": "ə", "ɜ": "ə", "ɡ": "g", "ɹ": "r", "ɫ": "l", "ɑ": "a", "ɒ": "a", "ɔ": "o"})  # noqa: RUF001
"""Sounds that one speaker or another does not tell apart. Folding too much only drops a negative; too little keeps a homophone."""

_VOWELS = frozenset("aeiouæəɛɪʊʌyøœ")  # noqa: RUF001
_ALIKE = tuple(map(frozenset, ("bp", "dt", "gk", "vf", "zs", "ʒʃ", "ðθ", "mn", "nŋ", "rl", "iɪ", "uʊ", "ɛe", "æa", "əʌ", "oʊ")))  # noqa: RUF001
_ALIKE_COST = 0.3
_SAME_CLASS_COST = 0.7
_INDEL_COST = 1.0


def fold(ipa: str) -> str:
    """IPA without stress, length and word boundaries, near-identical sounds made one; one character a sound."""
    return _IGNORED.sub("", ipa).translate(_FOLDS)


def says(phrase: Sequence[str], text: Sequence[str]) -> bool:
    """Whether a text holds the phrase in any accent, within a word or across words; both as IPA, one entry an accent."""
    return any(fold(part) in fold(whole) for part, whole in zip(phrase, text, strict=True) if fold(part))


def distance(first: str, second: str) -> float:
    """Weighted edit distance of two folded IPA strings, in sounds: 0 alike, 0.3 a near sound, 0.7 one vowel for another."""
    previous = [column * _INDEL_COST for column in range(len(second) + 1)]
    for row, sound in enumerate(first, 1):
        current = [row * _INDEL_COST]
        for column, other in enumerate(second, 1):
            change = previous[column - 1] + _substitution(sound, other)
            current.append(min(change, previous[column] + _INDEL_COST, current[column - 1] + _INDEL_COST))
        previous = current
    return previous[-1]


def nearest(target: str, candidates: Sequence[tuple[str, str]], count: int) -> list[str]:
    """The `count` texts of (text, folded IPA) nearest to `target`, nearest first; equal distances in alphabetical order."""
    from_target = partial(distance, target)
    ranked = sorted((from_target(sounds), text) for text, sounds in candidates if sounds)
    return [text for _, text in ranked[:count]]


def _substitution(sound: str, other: str) -> float:
    if sound == other:
        return 0.0
    if any({sound, other} <= pair for pair in _ALIKE):
        return _ALIKE_COST
    return _SAME_CLASS_COST if (sound in _VOWELS) == (other in _VOWELS) else _INDEL_COST
