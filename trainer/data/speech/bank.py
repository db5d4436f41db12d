"""The words and sentences of a language, from a file a language in the folder banks.

A line "[name]" opens a bank of entries, separated by commas, and "[[name]]" one of lines. The lines are templates:
{name} takes an entry of that bank. "#" begins a comment. Entries are whole phrases where a language bends its words
("den Tisch"), so that nothing is bent here. Two names have a meaning of their own: [onsets] are the consonants that
words begin with, as they are written, and [sounding] what only stands near wake words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np

from trainer.data.speech.languages import primary
from wakeword.errors import ConfigError
from wakeword.reading import read_text

BANKS = "banks"
ONSETS = "onsets"

_HEADER = re.compile(r"\[(\w+)\]|\[\[(\w+)\]\]")
_SLOT = re.compile(r"\{(\w+)\}")
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_ARTICLE = re.compile(r"\b([Aa]) (?=[aeiou])")
_OWN_SHARE = 0.5
"""Of the sentences, where a user gives lines too: their own are what the device will hear."""


@dataclass(frozen=True)
class Template:
    """A sentence with slots, and the banks that fill them."""

    text: str
    slots: Mapping[str, Sequence[str]] = field(default_factory=dict)
    language: str = ""

    def fill(self, generator: np.random.Generator) -> str:
        """The sentence; no two of its slots take the same entry of a bank while there is another one."""
        used: set[str] = set()

        def entry(slot: re.Match[str]) -> str:
            entries = self.slots.get(slot.group(1))
            if entries is None:
                return slot.group(0)
            chosen = str(generator.choice([one for one in entries if one not in used] or entries))
            used.add(chosen)
            return chosen

        text = _SLOT.sub(entry, self.text)
        if self.language == "en":
            text = _ARTICLE.sub(r"\1n ", text)
        return text[:1].upper() + text[1:]


@dataclass(frozen=True)
class Bank:
    """What is known of a language: its words in lower case, sorted; templates of sentences; consonants that words begin
    with; lines of the user's.

    `borrowed` says that the language has no sentences here and the templates are those of others.
    """

    language: str
    words: tuple[str, ...]
    templates: tuple[Template, ...]
    onsets: tuple[str, ...] = ()
    own: tuple[Template, ...] = ()
    borrowed: bool = False

    def draw(self, generator: np.random.Generator) -> str:
        """One sentence."""
        from_own = bool(self.own) and generator.random() < _OWN_SHARE
        templates = self.own if from_own else self.templates
        return templates[int(generator.integers(len(templates)))].fill(generator)


def languages_with_sentences() -> tuple[str, ...]:
    """Primary tags of the languages that have a bank of their own."""
    return tuple(
        sorted(
            Path(file.name).stem
            for file in resources.files(__package__).joinpath(BANKS).iterdir()
            if file.name.endswith(".txt")
        )
    )


def bank_of(language: str, own: Sequence[Path] = ()) -> Bank:
    """The bank of a language (tag of BCP 47), with the lines of text files: one sentence a line, "#" begins a comment.

    Raises `ConfigError` for a file that cannot be read or holds no line.
    """
    bank = _bank(primary(language))
    lines = [line for path in own for line in _lines(path)]
    words = {*bank.words, *(word for line in lines for word in _words(line))}
    return replace(bank, language=language, own=tuple(map(Template, lines)), words=tuple(sorted(words)))


@cache
def _bank(language: str) -> Bank:
    known = languages_with_sentences()
    if language not in known:
        return Bank(
            language, (), tuple(template for other in known for template in _bank(other).templates), borrowed=True
        )
    entries: dict[str, tuple[str, ...]] = {}
    lines: list[str] = []
    for name, content in _sections(language):
        if isinstance(content, str):
            entries[name] = tuple(dict.fromkeys(filter(None, (entry.strip() for entry in content.split(",")))))
        else:
            lines += content
    onsets = entries.pop(ONSETS, ())
    templates = tuple(Template(line, entries, language) for line in lines)
    whole = {entry.lower() for bank in entries.values() for entry in bank}
    parts = {word for text in (*whole, *(_SLOT.sub(" ", line) for line in lines)) for word in _words(text)}
    return Bank(language, tuple(sorted(whole | parts)), templates, onsets)


def _sections(language: str) -> list[tuple[str, str | list[str]]]:
    """The banks of a file in their order: name, and either the entries in one text or the lines."""
    sections: list[tuple[str, str | list[str]]] = []
    for line in map(
        str.strip,
        resources.files(__package__).joinpath(BANKS, f"{language}.txt").read_text(encoding="utf-8").splitlines(),
    ):
        if header := _HEADER.fullmatch(line):
            sections.append((header[1], "") if header[1] else (header[2], []))
        elif line and not line.startswith("#"):
            name, content = sections.pop()
            sections.append((name, f"{content},{line}" if isinstance(content, str) else [*content, line]))
    return sections


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


def _lines(path: Path) -> list[str]:
    lines = [
        " ".join(line.split()) for line in read_text(path, "name a text file that has one sentence a line").split("\n")
    ]
    found = [line for line in lines if line and not line.startswith("#")]
    if not found:
        raise ConfigError(f"{path}: holds no sentence; write one on each line")
    return found
