"""How recordings are presented to a board, where the words then lie, and which time counts. Everything that simulates,
validates, chooses or scores asks here.

Conventions
-----------
- `clips`: each recording alone, from boot. `stream`: all recordings joined in order, one state. `session`: recordings
  of the wake word joined, each followed by a pause in which a second detection can fall, as a board in a room hears
  them. Silence is digital zero.
- An utterance is a whole recording of the wake word.
- A detection that finds no utterance is a false accept. A rate of them is told by recordings without the wake word and
  by a session. Recordings of the wake word in `clips` or `stream` tell recall alone, and what else is detected in them
  is told apart: how much silence follows a word there is anybody's choice.
- The hours of a rate: of recordings without the wake word their own length, since silence around them is added by us
  and must not buy a lower rate; of a session all of it, from boot to the end of the last pause, since a false accept in
  a pause counts.
- What validation, evaluation and tuning present is always `SESSION` for the words and `STREAM` for the rest: a cutoff
  is chosen on nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Literal

from wakeword.contract import SAMPLE_RATE_HZ, STEP_MS
from wakeword.scoring.matching import Span, Truth

Mode = Literal["clips", "session", "stream"]


@dataclass(frozen=True)
class Presentation:
    """The layout of recordings in time, and what a microphone adds to all of it."""

    mode: Mode
    lead_in_seconds: float = 0.0
    """Zeros before the first recording of a stream, so that the hold-off after boot is over when it begins."""
    tail_seconds: float = 0.0
    """Zeros after the last recording of a stream."""
    gap_seconds: float = 0.0
    """Zeros between the recordings of a stream."""
    noise_floor_dbfs: float | None = None
    """Level of the microphone's noise, see `wakeword.noise_floor`; None adds none."""

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

    def at_step(self, step_ms: int) -> Presentation:
        """The same for a board that takes a slice every `step_ms`: the hold-off counts slices, so what has to outlast
        it is as much longer.
        """
        factor = max(1.0, step_ms / STEP_MS)
        pause = factor if self.mode == "session" else 1.0
        return replace(
            self,
            lead_in_seconds=self.lead_in_seconds * factor,
            tail_seconds=self.tail_seconds * pause,
            gap_seconds=self.gap_seconds * pause,
        )

    def silence(self, recordings: int) -> int:
        """Samples of silence in a stream of so many recordings."""
        return self.lead_in + self.gap * (recordings - 1) + self.tail

    def starts(self, samples: Sequence[int]) -> list[int]:
        """The sample of their stream at which each of the recordings of such lengths begins."""
        return list(accumulate((length + self.gap for length in samples[:-1]), initial=self.lead_in))[: len(samples)]

    def truth(self, recordings: Sequence[Span], *, wake: bool, voids: Iterable[Span] = ()) -> Truth:
        """What is true of one stream whose recordings lie there (seconds, in order): with the wake word in each of
        them, or in none.
        """
        counted = tuple(recordings)
        if self.mode == "session" and counted:
            borders = [0.0, *(span.start for span in counted[1:]), counted[-1].end + self.tail_seconds]
            counted = tuple(map(Span, borders[:-1], borders[1:]))
        return Truth(
            tuple(recordings) if wake else (), counted, rated=self.mode == "session" or not wake, voids=tuple(voids)
        )


PAUSE_SECONDS = 3.5
"""After each word of a session: longer than the tolerance, the hold-off and what the model still hears of the word
together."""
CLIPS = Presentation("clips", lead_in_seconds=1.5, tail_seconds=0.75)
SESSION = Presentation("session", lead_in_seconds=1.5, tail_seconds=PAUSE_SECONDS, gap_seconds=PAUSE_SECONDS)
STREAM = Presentation("stream", gap_seconds=0.5)
