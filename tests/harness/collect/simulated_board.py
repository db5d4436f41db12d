"""A board and its collector as raw events, with faults between them; the truth is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from harness.collect.raw import RawEvent

WORD = "hey test"
OTHER_WORD = "other"
RING = 1600
"""Samples by which inference may follow the microphone."""
LAG = 3200
"""Samples by which the player's position may follow the board's."""


def log_line(message: str) -> dict[str, Any]:
    return {"level": 5, "message": f"\x1b[0;36m[D][micro_wake_word:493]: {message}\x1b[0m"}


def detected(word: str) -> dict[str, Any]:
    return log_line(f"Detected '{word}' with sliding average probability is 0.98 and max probability is 1.00")


@dataclass
class SimulatedBoard:
    """Writes what a collector would; `emitted` is the truth: (leg, sample) of every detection that the board told, by
    (boot, seq).
    """

    events: list[RawEvent] = field(default_factory=list)
    emitted: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    heard: int = 0
    lag: int = 0
    leg: int = 0
    boot: int = 1
    seq: int = 0
    last_sample: int = 0
    drained: int = -1
    """All up to this position is decided: it stood still while two probes were answered."""
    last_probed: int = -1
    now: float = 0.0
    reachable: bool = True
    """False: nothing reaches the raw log."""

    @property
    def boot_id(self) -> str:
        return f"{self.boot:08x}"

    @property
    def position(self) -> int:
        return max(0, self.heard - self.lag)

    def say(self, kind: str, *, always: bool = False, **values: Any) -> None:
        self.now += 0.001
        if self.reachable or always:
            self.events.append(RawEvent(kind, self.now, self.position, values))

    def stamp(self, **more: str) -> dict[str, str]:
        return {"boot_id": self.boot_id, "seq": str(self.seq), "t_ms": str(int(self.now * 1000))} | more

    def hear(self, samples: int) -> None:
        self.heard += samples
        self.now += samples / 16000

    def detect(
        self, word: str = WORD, *, behind: int = 0, log: bool = True, event: bool = True, twice: bool = False
    ) -> None:
        """Tell a detection that was decided `behind` samples ago; with `log` or `event` False that message is lost."""
        if self.heard <= self.drained:
            return
        self.last_sample = max(self.last_sample, self.heard - behind, self.drained + 1)
        self.seq += 1
        self.emitted[self.boot_id, self.seq] = (self.leg, self.last_sample)
        if log:
            self.say("log", **detected(word))
        for _ in range((2 if twice else 1) if event else 0):
            self.say("detection", data=self.stamp(wake_word=word, sample=str(self.last_sample)))

    def probe(self, takes: int = 0) -> None:
        """A clock round trip, during which `takes` samples are heard."""
        sent, sent_position = self.now, self.position
        self.drained = sent_position if sent_position == self.last_probed else self.drained
        self.last_probed = sent_position
        self.hear(takes)
        self.say("clock", data=self.stamp(probe="1"), sent=sent, received=self.now, sent_position=sent_position)

    def connect(self) -> None:
        self.reachable = True
        self.probe()
        self.say("connected", boot_id=self.boot_id)

    def disconnect(self) -> None:
        if self.reachable:
            self.say("disconnected", reason="cut")
        self.reachable = False

    def reboot(self) -> None:
        self.boot += 1
        self.seq = 0

    def begin_leg(self, leg: int) -> None:
        self.leg, self.heard, self.last_sample, self.drained, self.last_probed = leg, 0, 0, 0, -1
        self.say("leg", always=True, leg=leg)

    def flush(self) -> None:
        self.lag = 0  # the player has drained
        self.probe()
        self.probe()
