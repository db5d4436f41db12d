"""What a text-to-speech engine is to the generator: a name, voices, and one function from text to samples.

Rate is a factor (1 = the voice's own, 1.2 = faster). Pitch is in semitones against the voice's own. An engine is a frozen dataclass that
travels to worker processes by pickling; whatever it loads, it loads there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Voice:
    """One way to speak. Voices with the same `speaker` share their timbre and must never stand on two sides of a split."""

    name: str
    speaker: str


@dataclass(frozen=True)
class Speech:
    """Raw speech as the engine made it: mono int16 `[samples]`, silence at the ends included."""

    samples: NDArray[np.int16]
    sample_rate: int


class SpeechEngine(Protocol):
    """A text-to-speech engine. The same arguments must give the same samples in every process and order."""

    @property
    def name(self) -> str:
        """Short name, as given to `--engine` and written into generated.csv."""
        ...

    def voices(self) -> tuple[Voice, ...]:
        """All voices, in an order that does not change between runs."""
        ...

    def unreadable(self, texts: Sequence[str]) -> dict[str, str]:
        """The texts that it cannot read whole, each with the reason. Called in worker processes only."""
        ...

    def synthesise(self, text: str, voice: str, rate: float, pitch: float, seed: int) -> Speech:
        """Speak. Raises `InfrastructureError` when the engine fails on this text."""
        ...
