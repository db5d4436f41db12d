"""Comparing texts by their sound: folded IPA, containment and a weighted edit distance. Pure functions on strings."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache, partial

Hear = Callable[[Sequence[str]], list[tuple[str, ...]]]
"""Texts to their folded IPA in each accent of a language; `espeak.sounds` is one."""

_SWITCH = re.compile(r"\(([a-z0-9-]+)\)")
"""eSpeak goes on in another language: "(en)"."""
_NASAL = re.compile("([a-zæɐɑɒɔəɛɪʊœ])\u0303")
_NASALS = {
    **dict.fromkeys("aɑɒɐə", "ã"),
    **dict.fromkeys("oɔ", "õ"),
    **dict.fromkeys("eɛœæ", "ẽ"),
    **dict.fromkeys("iɪ", "ĩ"),
    **dict.fromkeys("uʊ", "ũ"),
}
"""Nasal vowels are sounds of their own ("bon" is not "beau"); œ̃ is said as ɛ̃ by most."""
_IGNORED = re.compile("[\\s_|\\-ʰ-˿\u0300-\u036fᴬ-ᵪ]")
"""Stress, length, syllabic and tie marks, tongue positions, small raised letters."""
_FOLDS = {
    **dict(zip("ɐᵻɚɜɝɡɹɻɽʀʁɫɭɑɒɔ", "əɪəəəgrrrrrllaao", strict=True)),
    **dict(zip("βɣʝχçɕʑɘɵʉɯäëïöü", "bgjxxʃʒəəuuaeiou", strict=True)),
}
"""Sounds that one speaker or another does not tell apart. Folding too much only drops a negative; too little keeps a
homophone."""
_ENGLISH = {"ɾ": "t", "ʔ": "t"}
"""An English flap is a t or a d between vowels ("writer"), and a glottal stop a t."""
_NOT_ENGLISH = {"ɾ": "r", "ʔ": ""}
_OF_LANGUAGE = {"en": _ENGLISH, "es": {**_NOT_ENGLISH, "ð": "d"}, "ca": {**_NOT_ENGLISH, "ð": "d"}}
"""In Spanish a d between vowels is a ð, and nothing else is."""

_VOWELS = frozenset("aeiouyæəɛɪʊʌøœʏɨɤãõẽĩũ")
_ALIKE = tuple(
    map(
        frozenset,
        (
            "bp",
            "dt",
            "gk",
            "gx",
            "vf",
            "vw",
            "vʋ",
            "wʋ",
            "zs",
            "ʒʃ",
            "ðθ",
            "mn",
            "nŋ",
            "nɲ",
            "lʎ",
            "jʎ",
            "rl",
            "xh",
            "iɪ",
            "uʊ",
            "yʏ",
            "øœ",
            "ɛe",
            "æa",
            "əʌ",
            "oʊ",
        ),
    )
)
_ALIKE_COST = 0.3
_SAME_CLASS_COST = 0.7
_INDEL_COST = 1.0


def fold(ipa: str, language: str = "en") -> str:
    """IPA of a language (a primary tag of BCP 47) without stress, length and word boundaries, near-identical sounds
    made one.

    One character is one sound. What is folded already stays as it is.
    """
    parts = _SWITCH.split(ipa)
    spoken = [language, *parts[1::2]]
    return "".join(
        _NASAL.sub(_nasal, part).translate(_table(tag.partition("-")[0]))
        for part, tag in zip(parts[::2], spoken, strict=True)
    )


def says(phrase: Sequence[str], text: Sequence[str]) -> bool:
    """Whether a text holds the phrase in any accent, within a word or across words; both as folded IPA, one entry an
    accent.
    """
    return any(part in whole for part, whole in zip(phrase, text, strict=True) if part)


def distance(first: str, second: str) -> float:
    """Weighted edit distance of two folded IPA strings, in sounds: 0 alike, 0.3 a near sound, 0.7 one vowel for
    another.
    """
    return _edits(first, second, [column * _INDEL_COST for column in range(len(second) + 1)])[-1]


def distance_within(part: str, whole: str) -> float:
    """Least weighted edit distance of a folded IPA string from any stretch of another one, in sounds: 0 where it is in
    there.
    """
    return min(_edits(part, whole, [0.0] * (len(whole) + 1)))


def _edits(first: str, second: str, previous: list[float]) -> list[float]:
    """Least costs of making all of `first` of each beginning of `second`; `previous` are those of making nothing."""
    for sound in first:
        current = [previous[0] + _INDEL_COST]
        for column, other in enumerate(second, 1):
            change = previous[column - 1] + _substitution(sound, other)
            current.append(min(change, previous[column] + _INDEL_COST, current[column - 1] + _INDEL_COST))
        previous = current
    return previous


def vowels_alike(sounds: str) -> str:
    """Folded IPA in which all vowels are one."""
    return "".join("ə" if sound in _VOWELS else sound for sound in sounds)


def nearest(target: str, candidates: Sequence[tuple[str, str]], count: int) -> list[str]:
    """The `count` texts of (text, folded IPA) nearest to `target`, nearest first; equal distances in alphabetical
    order.
    """
    from_target = partial(distance, target)
    ranked = sorted((from_target(sounds), text) for text, sounds in candidates if sounds)
    return [text for _, text in ranked[:count]]


@cache
def _substitution(sound: str, other: str) -> float:
    if sound == other:
        return 0.0
    if any({sound, other} <= pair for pair in _ALIKE):
        return _ALIKE_COST
    return _SAME_CLASS_COST if (sound in _VOWELS) == (other in _VOWELS) else _INDEL_COST


@cache
def _table(language: str) -> dict[int, str]:
    ignored = {number: "" for number in range(0x2000) if _IGNORED.match(chr(number))}
    return {**ignored, **str.maketrans({**_FOLDS, **_OF_LANGUAGE.get(language, _NOT_ENGLISH)})}


def _nasal(vowel: re.Match[str]) -> str:
    return _NASALS.get(vowel.group(1), vowel.group(1))
