"""Languages as people name them: tags of BCP 47, what an engine offers for one, and the letters that it is
written in."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

_TAG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")
_ALIASES = {"cmn": "zh", "no": "nb", "iw": "he", "in": "id", "zh-cmn": "zh", "zh-yue": "yue"}
"""Other tags of the same language: macrolanguages, withdrawn codes and old forms."""
_LATIN_AMERICA = frozenset(
    [
        "ar",
        "bo",
        "cl",
        "co",
        "cr",
        "cu",
        "do",
        "ec",
        "gt",
        "hn",
        "mx",
        "ni",
        "pa",
        "pe",
        "pr",
        "py",
        "sv",
        "us",
        "uy",
        "ve",
    ]
)
"""Countries of the region es-419 (UN M.49 419), and the United States."""

LATIN = "LATIN"
_SCRIPTS = {
    "ARABIC": "ar fa sd ug ur",
    "ARMENIAN": "hy hyw",
    "BENGALI": "as bn bpy",
    "CHEROKEE": "chr",
    "CJK": "hak ja yue zh",
    "CYRILLIC": "ba be bg cv kk ky mk nog ru sr tt uk",
    "DEVANAGARI": "hi kok mr ne",
    "ETHIOPIC": "am ti",
    "GEORGIAN": "ka",
    "GREEK": "el grc",
    "GUJARATI": "gu",
    "GURMUKHI": "pa",
    "HANGUL": "ko",
    "HEBREW": "he",
    "HIRAGANA": "ja",
    "KANNADA": "kn",
    "KATAKANA": "ja",
    "MALAYALAM": "ml",
    "MYANMAR": "my shn",
    "ORIYA": "or",
    "SINHALA": "si",
    "TAMIL": "ta",
    "TELUGU": "te",
    "THAI": "th",
}
"""By script (the first word of its letters' Unicode names), the languages that it writes. All others have Latin letters
alone."""
SYLLABIC = frozenset({"CJK", "HANGUL", "HIRAGANA", "KATAKANA"})
"""Scripts in which one sign is a syllable or more."""


def is_tag(text: str) -> bool:
    """Whether a text has the form of a tag of BCP 47, or of a locale's name ("de_DE.UTF-8")."""
    return bool(_TAG.fullmatch(_plain(text)))


def canonical(tag: str) -> str:
    """A tag in the form of BCP 47: "de_DE.UTF-8" is "de-DE", "zh-cmn" is "zh"."""
    plain = _plain(tag)
    for alias, name in _ALIASES.items():
        if plain == alias or plain.startswith(f"{alias}-"):
            plain = name + plain.removeprefix(alias)
    first, *rest = plain.split("-")
    private = rest.index("x") if "x" in rest else len(rest)
    return "-".join((first, *(_cased(part) if place < private else part for place, part in enumerate(rest))))


def primary(tag: str) -> str:
    """The language of a tag, without script and region: "de" of "de-AT"."""
    return tag.partition("-")[0].lower()


def matching[Offer](wanted: str, offered: Mapping[Offer, tuple[str, ...]]) -> tuple[Offer, ...]:
    """What speaks the wanted language, of things with their tags, in their order.

    A language takes all its regions, a region takes its own; where there is none, what the language has without it.
    (RFC 4647: filtering, then lookup.) A tag with a script, such as zh-Latn, is only for those who ask for that script.
    """
    wanted = canonical(wanted).lower()
    tags = {thing: [canonical(tag).lower() for tag in own] for thing, own in offered.items()}
    for range_ in _ranges(wanted):
        found = tuple(
            thing
            for thing, own in tags.items()
            if any(
                (tag == range_ or tag.startswith(f"{range_}-"))
                and (script_subtag(tag) in (None, script_subtag(wanted)))
                for tag in own
            )
        )
        if found:
            return found
    return ()


def scripts(language: str) -> frozenset[str]:
    """The scripts that a language is written in, and the Latin one, by the first word of their letters'
    Unicode names."""
    own = primary(language)
    return frozenset(name for name, languages in _SCRIPTS.items() if own in languages.split()) | {LATIN}


def languages_written_in(script: str) -> tuple[str, ...]:
    """The languages of a script; none for the Latin one, which nearly all have."""
    return tuple(_SCRIPTS.get(script, "").split())


def script_of(letter: str) -> str:
    """The script of a letter, as in `scripts`; "" where Unicode knows no name for the sign."""
    return unicodedata.name(letter, "").partition(" ")[0].partition("-")[0]


def _ranges(wanted: str) -> list[str]:
    """What is looked for, one after the other: the tag, then the tag without its last part, down to the language."""
    parts = wanted.split("-")
    ranges = ["-".join(parts[:count]) for count in range(len(parts), 0, -1)]
    if parts[0] == "es" and _LATIN_AMERICA & set(parts[1:]):
        ranges.insert(-1, "es-419")
    return ranges


def _plain(tag: str) -> str:
    return re.split(r"[.@]", tag.strip())[0].replace("_", "-").lower()


def script_subtag(tag: str) -> str | None:
    """The script that a tag names, in lower case: "latn" of zh-Latn; None where it names none."""
    return next((part for part in tag.lower().split("-")[1:] if len(part) == 4 and part.isalpha()), None)


def _cased(part: str) -> str:
    if len(part) == 2 and part.isalpha():
        return part.upper()
    return part.title() if len(part) == 4 and part.isalpha() else part
