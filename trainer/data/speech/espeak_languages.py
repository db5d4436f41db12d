"""The languages that eSpeak-NG's data speak, and the accents of each: a file an accent in its folder `lang`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from trainer.data.speech.engine import DEFAULT_LANGUAGE
from trainer.data.speech.espeak import ENGLISH_ACCENTS, phonemise, require_espeak
from trainer.data.speech.languages import canonical, is_tag, matching, primary, script_subtag
from trainer.data.speech.phonemes import fold
from wakeword.errors import ConfigError

_HOME = {"en": "en-GB", "es": "es-ES", "pt": "pt-PT"}
"""Files that say no region, and whose accent it is. eSpeak's file en is the British English."""


@dataclass(frozen=True)
class Accent:
    """A file of the library: its voice's name, the tags of BCP 47 that it answers to, the English name of what it
    speaks.
    """

    voice: str
    tags: tuple[str, ...]
    title: str


@cache
def accents(language: str) -> tuple[str, ...]:
    """The library's voices that speak a language (tag of BCP 47), sorted; empty where it has none."""
    return matching(language, {accent.voice: accent.tags for accent in _accents()})


def compared_accents(language: str) -> tuple[str, ...]:
    """The accents in which texts of a language are compared by sound: two of English, all of others."""
    return ENGLISH_ACCENTS if primary(language) == DEFAULT_LANGUAGE else accents(language)


def sounds(texts: Sequence[str], language: str) -> list[tuple[str, ...]]:
    """Folded IPA of each text in each compared accent of a language; "" where nothing can be spoken. In worker
    processes only.
    """
    own = primary(language)
    return [tuple(fold(ipa, own) for ipa in spoken) for spoken in phonemise(texts, compared_accents(language))]


def accent_tag(voice: str) -> str:
    """The tag of BCP 47 of an accent."""
    return next(accent.tags[0] for accent in _accents() if accent.voice == voice)


def check_language(tag: str) -> str:
    """The canonical tag.

    Raises `ConfigError` when it is no tag, or one that no accent speaks, with all that are known.
    """
    if is_tag(tag) and accents(canonical(tag)):
        return canonical(tag)
    known = known_languages()
    meant = [language for language, title in known.items() if title.lower() == tag.strip().lower()]
    hint = f"its tag is {meant[0]}" if meant else f"known are {', '.join(known)}; a region may follow, as in en-GB"
    raise ConfigError(f"--language {tag!r}: not known; {hint}")


def known_languages() -> dict[str, str]:
    """Every language that the library speaks: its primary tag and its English name."""
    titles: dict[str, str] = {}
    for accent in sorted(_accents(), key=lambda one: len(one.tags[0])):
        titles.setdefault(primary(accent.tags[0]), accent.title)
    return dict(sorted(titles.items()))


def language_title(language: str) -> str:
    """The English name of a language, or its tag where the library has none."""
    return known_languages().get(primary(language), language)


@cache
def _accents() -> tuple[Accent, ...]:
    data = require_espeak() / "espeak-ng-data"
    return tuple(sorted(_read(data), key=lambda accent: accent.voice))


def _read(data: Path) -> Iterator[Accent]:
    for file in (data / "lang").rglob("*"):
        if not file.is_file():
            continue
        values = re.findall(
            r"^(name|language|dictionary)[ \t]+([^\s/][^/\n]*)", file.read_text(encoding="utf-8"), re.MULTILINE
        )
        tags = [value.split()[0] for key, value in values if key == "language"]
        dictionary = next((value.strip() for key, value in values if key == "dictionary"), tags[0].partition("-")[0])
        # Some packages leave the dictionaries of some languages out; their voices say nothing.
        if (data / f"{dictionary}_dict").is_file():
            title = next(value for key, value in values if key == "name").partition("(")[0].strip()
            own = file.name.lower()
            if not is_tag(own):
                continue
            named = [canonical(_HOME.get(own, own)), *map(canonical, tags)]
            # A tag of another language or script only says who may listen to this one: Cantonese answers to zh.
            kind = (primary(named[0]), script_subtag(own))
            answered = (
                tag for tag in named if (primary(tag), script_subtag(tag)) == kind and not (own in _HOME and tag == own)
            )
            yield Accent(own, tuple(dict.fromkeys(answered)), title)
