"""What is known of a board when it has been asked, played to and listened to. Nothing here is judged."""

from __future__ import annotations

from dataclasses import dataclass, field

from firmware.answers import Identity
from firmware.boards.ear import EarFacts
from harness.diagnosis.hearing import Hearing
from harness.diagnosis.reference import Reference
from wakeword.contract import SAMPLE_RATE_HZ

LARGEST_RATE_ERROR = 0.02
"""A crystal is right to 0.01 %; what a board's clock tells of some seconds, to 1 %."""


@dataclass(frozen=True)
class ProbeResult:
    """A recording that the simulation detects, and what the board made of it."""

    detected: bool
    peak: int | None
    """The board's highest probability, 0-255; None where it does not tell."""
    simulated_peak: int
    """The simulation's."""
    trouble: str = ""
    """Why it was not heard to its end, in words."""
    too_slow: bool = False
    """That was the board's detection; any other trouble is the network's."""
    tries: int = 1
    """How often it was played; only the last one can have been detected."""


@dataclass(frozen=True)
class EarResult:
    """What the board's own microphone heard."""

    facts: EarFacts
    noise: Hearing
    """While nothing was played."""
    speech: Hearing
    """While a probe was played, or somebody was asked to speak."""
    played: bool
    """Whether it was a probe."""

    @property
    def unsound(self) -> str:
        """Why what was heard is not what was played, in words; empty where it can be judged."""
        if self.noise.empty and self.speech.empty:
            return "the channel is empty"
        if self.facts.rate is not None and abs(self.facts.rate / SAMPLE_RATE_HZ - 1) > LARGEST_RATE_ERROR:
            return "the sampling rate is wrong"
        if self.facts.lost:
            return "sound was lost on its way"
        return "detection is too slow for the sound" if self.facts.slow else ""

    @property
    def stopped(self) -> bool:
        """Whether detection heard next to nothing of it."""
        return self.facts.unheard >= 0.9 * self.facts.samples


@dataclass(frozen=True)
class Facts:
    """All of it."""

    board: str
    wake_word: str
    model_sha256: str
    cutoff: int
    """Of the manifest, 0-255."""
    window: int
    manifest_arena: int
    cutoff_warning: str
    """Why nothing can be detected at the manifest's cutoff; empty for all others."""
    identity: Identity
    sensors: dict[str, float] = field(default_factory=dict)
    """The board's own sensors by their names, the latest values."""
    uptime_ms: int | None = None
    """Since the board started, when it was asked first; None for a program, whose clock is its machine's."""
    faults_logged: tuple[str, ...] = ()
    """What the board's log said of lost sound and failed inferences."""
    reference: Reference | None = None
    quietest_dbfs: float | None = None
    """The level below which the simulation no longer detects the word over the board's noise."""
    digital: ProbeResult | None = None
    acoustic: ProbeResult | None = None
    """Through the air; of a voice, where no probe was played, `simulated_peak` is that of what the microphone heard."""
    ear: EarResult | None = None
    mute: str = ""
    """Why the microphone could not be heard though the firmware tells what it hears."""
    ear_simulated: int | None = None
    """In how many of the tries the simulation detects in what the microphone heard; None where nothing was heard of
    it."""
    not_looked_at: dict[str, str] = field(default_factory=dict)
    """What was left out, and what makes it possible."""
