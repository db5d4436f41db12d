"""Who spoke a set of recordings, as far as facts tell: the table that `mww-generate` leaves, or the word of whoever
measured. Nothing is guessed.

- `synthetic`: every recording is a synthesiser's, by the table at the root of its folder or by statement.
- `partly synthetic`: some are.
- `recorded`: somebody stated that people and rooms were recorded, and no table contradicts it.
- `unknown`: no fact tells.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from wakeword.corpus.recordings import GENERATED_TABLE, is_generated
from wakeword.errors import ConfigError

Provenance = Literal["recorded", "synthetic", "partly synthetic", "unknown"]
Stated = Literal["recorded", "synthetic"]
"""What a user may say of recordings."""


def provenance_of(paths: Iterable[Path], stated: Stated | None = None) -> Provenance:
    """Of recordings taken together. Raises `ConfigError` where `recorded` is stated of a generated one."""
    parts: list[Provenance] = []
    for path in paths:
        generated = is_generated(path)
        if generated and stated == "recorded":
            raise ConfigError(
                f"{path}: was made by mww-generate, its folder's {GENERATED_TABLE} says so; it cannot be stated as"
                " recorded"
            )
        parts.append("synthetic" if generated else stated or "unknown")
    return together(parts)


def together(parts: Iterable[Provenance]) -> Provenance:
    """Of several sets taken together; of none, `unknown`."""
    kinds = set(parts)
    if len(kinds) == 1:
        return kinds.pop()
    return "partly synthetic" if kinds & {"synthetic", "partly synthetic"} else "unknown"
