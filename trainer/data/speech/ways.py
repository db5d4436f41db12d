"""Ways of speaking: what a person does with a wake word, as settings of generation, each with its share of
the clips."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from wakeword.errors import ConfigError

Range = tuple[float, float]

ALONE, IN_FLOW, ASKED, CALLED, WHISPERED, CHILD = "alone", "in_flow", "asked", "called", "whispered", "child"


@dataclass(frozen=True)
class Way:
    """How a text is said: ranges of rate (a factor), pitch (semitones) and punctuation, which moves the intonation.

    `formant` replaces the range that is set for all other ways.
    """

    rate: Range
    pitch: Range = (-3.0, 3.0)
    endings: tuple[str, ...] = ("",)
    formant: Range | None = None


WAYS: Mapping[str, Way] = {
    ALONE: Way((0.75, 1.35), endings=("", "", ".", "!", "?", ",")),
    IN_FLOW: Way((0.85, 1.4)),
    ASKED: Way((0.8, 1.3), (-1.0, 4.0), ("?",)),
    CALLED: Way((0.6, 0.95), (1.0, 6.0), ("!",)),
    WHISPERED: Way((0.7, 1.15), (-2.0, 2.0), ("", ".", "?")),
    CHILD: Way((0.75, 1.15), (0.0, 3.0), ("", "", ".", "!", "?"), (1.15, 1.35)),
}
"""A call and a ceremony of punctuation alike are ended by the voice: "" a call, "?" a question, "," a word that is
followed by more.

Formants of children lie 15 to 35 % above those of grown people (Peterson and Barney 1952: 1.18 of women's, 1.37 of
men's)."""

DEFAULT_WAYS: Mapping[str, float] = {ALONE: 6.0, IN_FLOW: 3.0, ASKED: 1.0, CALLED: 1.0, WHISPERED: 0.5, CHILD: 1.5}
DEFAULT_FORMANTS: Range = (0.87, 1.15)
DEFAULT_ACCENTS = 0.15
FORMANT_LIMITS: Range = (0.7, 1.5)


@dataclass(frozen=True)
class Manner:
    """What is said how often: shares of the ways, and the range of formants (length of the vocal tract) of those that
    have none of their own.

    Raises `ConfigError` for an unknown way, shares that leave nothing, and formants that no person has.
    """

    shares: Mapping[str, float]
    formants: Range = DEFAULT_FORMANTS
    accents: float = DEFAULT_ACCENTS
    """Share of the clips that are said with a foreign accent, where the voices and the phrase have any."""

    def __post_init__(self) -> None:
        unknown = [way for way in self.shares if way not in WAYS]
        if unknown:
            raise ConfigError(f"--ways: {unknown[0]!r} is no way of speaking; choose from {', '.join(WAYS)}")
        if (
            not all(math.isfinite(share) and share >= 0 for share in self.shares.values())
            or not sum(self.shares.values()) > 0
        ):
            raise ConfigError("--ways: shares are numbers from 0, and one of them is more, such as alone=6,in_flow=3")
        low, high = self.formants
        if not FORMANT_LIMITS[0] <= low <= high <= FORMANT_LIMITS[1]:
            raise ConfigError(
                f"--formants: {low:g},{high:g} is no range within {FORMANT_LIMITS[0]:g} to {FORMANT_LIMITS[1]:g}; 1,1"
                " leaves voices as they are"
            )
        if not 0 <= self.accents <= 1:
            raise ConfigError(f"--accents: {self.accents:g} is no share; give 0 (none) to 1 (all)")

    def formant_range(self, way: str) -> Range:
        """Between which factors the formants of a clip are drawn."""
        return WAYS[way].formant or self.formants


DEFAULT_MANNER = Manner(DEFAULT_WAYS)
AS_THE_ENGINES_SPEAK = Manner({ALONE: 1.0}, (1.0, 1.0), 0.0)
"""The word alone, in no other voices than the engines have."""


def manner_of(ways: str | None = None, formants: str | None = None, accents: float = DEFAULT_ACCENTS) -> Manner:
    """What is written on a command line: "alone=6,in_flow=3" and "0.87,1.15". None: the default. Raises `ConfigError`
    for what cannot be read.
    """
    return Manner(
        _shares(ways) if ways is not None else DEFAULT_WAYS,
        _formants(formants) if formants is not None else DEFAULT_FORMANTS,
        accents,
    )


def _shares(text: str) -> dict[str, float]:
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = (side.strip() for side in part.partition("="))
        try:
            shares[name] = float(number)
        except ValueError:
            raise ConfigError(f"--ways: {part.strip()!r} is not a way and its share, such as in_flow=3") from None
    return shares


def _formants(text: str) -> Range:
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--formants: {text!r} is not two factors, such as 0.87,1.15") from None
    return low, high
