"""Words before and after a wake word in the flow of speech: parts of ordinary sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_MOST_BEFORE, _MOST_AFTER = 4, 4
"""Words. A window of training hears less."""
_MARKS = ".,!?;:"
_COMMA_SHARE = 0.5
BEFORE, AFTER, BOTH = "before", "after", "both"


@dataclass(frozen=True)
class InFlow:
    """A text that holds another one: characters `start` to `end` of it."""

    text: str
    start: int
    end: int


def beginnings(sentences: Sequence[str], generator: np.random.Generator) -> list[str]:
    """The first words of each sentence, as they stand after a wake word."""
    parts = (
        " ".join(sentence.split()[: int(generator.integers(1, _MOST_AFTER, endpoint=True))]) for sentence in sentences
    )
    return [part[:1].lower() + part[1:] for part in map(_bare, parts)]


def endings(sentences: Sequence[str], generator: np.random.Generator) -> list[str]:
    """The last words of each sentence, as they stand before a wake word."""
    return [
        _bare(" ".join(sentence.split()[-int(generator.integers(1, _MOST_BEFORE, endpoint=True)) :]))
        for sentence in sentences
    ]


def may_precede(before: Sequence[str], phrase: Sequence[str]) -> bool:
    """Whether no part of the phrase begins at the end of these words; both as folded IPA, one entry an accent. Else
    "okay" and a near miss may say it.
    """
    return not any(
        words.endswith(sounds[:count])
        for words, sounds in zip(before, phrase, strict=True)
        for count in range(1, len(sounds) + 1)
    )


def may_follow(after: Sequence[str], phrase: Sequence[str]) -> bool:
    """The same of words after a near miss, and of the end of the phrase."""
    return not any(
        words.startswith(sounds[-count:])
        for words, sounds in zip(after, phrase, strict=True)
        for count in range(1, len(sounds) + 1)
    )


def in_flow(text: str, before: str, after: str, generator: np.random.Generator) -> InFlow:
    """A text between words, of which either may be empty. A comma is a short pause or none, as the voice has it; half
    of them have no comma.
    """
    first, last = ("," if generator.random() < _COMMA_SHARE else "" for _ in range(2))
    lead = f"{before}{first} " if before else ""
    tail = f"{last} {after}" if after else ""
    return InFlow(f"{lead}{text}{tail}", len(lead), len(lead) + len(text))


def _bare(part: str) -> str:
    return part.strip().rstrip(_MARKS)
