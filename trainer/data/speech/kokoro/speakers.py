"""Kokoro's speakers: its own voices, and blends of them. A voice is a point in a space of styles, and a point between
voices is a person too.

The voices are cut into families, each with women and men of all accents, and a blend stays within its family: so one
family can train, another one validate and a third one test, and nobody has been heard before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FAMILIES = 6
LEFT_OUT = frozenset({"am_santa", "em_santa", "pm_santa"})
"""Voices that play a part. The official "hey jarvis" hears nothing (0.00 to 0.02) where these say it, and at least 0.86
in 50 of the other 51."""
_SMALLEST_FAMILY = 2
"""Where there are few voices there are fewer families, or nothing could be blended."""
SPEAKERS_A_FAMILY = 60
_BLENDED_FROM = (2, 2, 3)
"""Voices of a blend, drawn from these numbers."""
_LEAST_SHARE = 0.1


@dataclass(frozen=True)
class KokoroSpeaker:
    """One timbre. `shares` are its voices with their shares in hundredths, the largest first."""

    name: str
    family: str
    shares: tuple[tuple[str, int], ...]

    @property
    def voice(self) -> str:
        """Its name as it stands in generated.csv: what it is made of."""
        return "+".join(name if share == 100 else f"{name}*{share / 100:.2f}" for name, share in self.shares)


def speakers(voices: Sequence[str]) -> tuple[KokoroSpeaker, ...]:
    """All speakers that can be made of these voices, the same ones on every machine: family by family the voices alone,
    then blends.
    """
    used = sorted(set(voices) - LEFT_OUT)
    count = max(1, min(FAMILIES, len(used) // _SMALLEST_FAMILY))
    found: list[KokoroSpeaker] = []
    for number in range(count if used else 0):
        # Names begin with accent and sex, so in alphabetical order each family gets some of every kind.
        family, members = f"kokoro_f{number + 1}", used[number::count]
        blends: list[tuple[tuple[str, int], ...]] = [((name, 100),) for name in members]
        generator = np.random.default_rng(number)
        while len(members) > 1 and len(blends) < SPEAKERS_A_FAMILY:
            blends.append(_blend(members, generator))
        found += [KokoroSpeaker(f"{family}_{place:03}", family, shares) for place, shares in enumerate(blends)]
    return tuple(found)


def style(voice: str, styles: Mapping[str, NDArray[np.float32]], length: int) -> NDArray[np.float32]:
    """The style of a voice, or of a blend by its `voice` name, for a text of `length` symbols: float32 `[1, 256]`."""
    total = np.zeros((1, 256), np.float32)
    for part in voice.rpartition(":")[2].split("+"):
        name, _, share = part.partition("*")
        rows = styles[name]
        total += np.float32(share or 1) * rows[min(length, len(rows)) - 1]
    return total


def reading(voice: str, reader: str) -> str:
    """The name of a voice that speaks another language than English, which `reader`, a voice of eSpeak-NG, reads for
    it.
    """
    return f"{reader}:{voice}"


def reader(voice: str) -> str:
    """The voice of eSpeak-NG that reads for a voice: English is British where its first voice is, as the voice's first
    letter says.
    """
    own, separator, _ = voice.rpartition(":")
    return own if separator else "en" if voice.startswith("b") else "en-us"


def _blend(members: Sequence[str], generator: np.random.Generator) -> tuple[tuple[str, int], ...]:
    count = min(len(members), int(generator.choice(_BLENDED_FROM)))
    names = generator.choice(len(members), count, replace=False)
    shares = np.round(100 * (_LEAST_SHARE + (1 - count * _LEAST_SHARE) * generator.dirichlet(np.ones(count)))).astype(
        int
    )
    shares[0] += 100 - shares.sum()
    order = np.argsort(-shares, kind="stable")
    return tuple((members[names[place]], int(shares[place])) for place in order)
