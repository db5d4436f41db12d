"""One thing that was looked at in a diagnosis, and what it means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["fault", "good", "note", "not looked at"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    kind: str
    """A word for programs: quiet, clipped, empty, rate, disabled, model, …"""
    about: str
    """What was looked at."""
    status: Status
    found: str
    """In plain words; of a fault the sentence that the page begins with."""
    remedy: str = ""
