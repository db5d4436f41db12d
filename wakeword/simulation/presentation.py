"""How recordings are presented to a board: each alone, or joined into one stream, with silence around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wakeword.contract import SAMPLE_RATE_HZ

Mode = Literal["clips", "stream"]


@dataclass(frozen=True)
class Presentation:
    """`clips`: each recording alone, from boot. `stream`: all recordings joined in order, one state. Silence is digital zero."""

    mode: Mode
    lead_in_seconds: float = 0.0
    """Zeros before each clip, so that the hold-off after boot is over when the recording begins."""
    tail_seconds: float = 0.0
    """Zeros after each clip."""
    gap_seconds: float = 0.0
    """Zeros between the recordings of a stream."""

    @property
    def lead_in(self) -> int:
        """Samples before a stream's first recording."""
        return round(self.lead_in_seconds * SAMPLE_RATE_HZ)

    @property
    def tail(self) -> int:
        """Samples after a stream's last recording."""
        return round(self.tail_seconds * SAMPLE_RATE_HZ)

    @property
    def gap(self) -> int:
        """Samples between recordings."""
        return round(self.gap_seconds * SAMPLE_RATE_HZ)


CLIPS = Presentation("clips", lead_in_seconds=1.5, tail_seconds=0.75)
STREAM = Presentation("stream", gap_seconds=0.5)
