"""What `mww-firmware arena` tells: a model's tensor arena on an ESP32-S3, by version of ESP-NN."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wakeword.model.arena import recommended_arena
from wakeword.model.arena_esp32s3 import ArenaEstimate, estimate_arena
from wakeword.model.arena_kernels import EspNn, KnownError
from wakeword.model.esp_nn import VERSIONS, known_errors
from wakeword.model.flatbuffer import read_model
from wakeword.model.manifest import read_manifest

if TYPE_CHECKING:
    from rich.table import Table

ESTIMATE_SHARE = 0.03
"""How far an estimate may be off."""


@dataclass(frozen=True)
class ArenaRow:
    """One version's answer."""

    kernels: EspNn
    estimate: ArenaEstimate
    manifest: int | None
    """`tensor_arena_size`; None for a model without a manifest."""
    errors: tuple[tuple[int, KnownError], ...]

    @property
    def verdict(self) -> str:
        """Whether the manifest's arena is enough."""
        if self.manifest is None:
            return ""
        if self.manifest >= self.estimate.total:
            return "enough"
        if self.manifest >= (1 - ESTIMATE_SHARE) * self.estimate.total:
            return "about enough"
        return "too small: a second attempt at 1.5 or 2 times the size, where ESPHome makes one"


def arena_rows(path: Path) -> list[ArenaRow]:
    """Of a manifest or a model, in the order of the versions. Raises `ConfigError` for a file that is neither, and as
    `estimate_arena`.
    """
    manifest = None
    if path.suffix == ".json":
        read, path = read_manifest(path)
        manifest = read.micro.tensor_arena_size
    model = read_model(path)
    return [
        ArenaRow(kernels, estimate_arena(model, version), manifest, tuple(known_errors(model, version)))
        for version, kernels in VERSIONS.items()
    ]


def arena_table(path: Path, rows: Sequence[ArenaRow]) -> Table:
    """All versions side by side."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(str(path)), title_justify="left")
    columns = ("ESP-NN", "Head", "Tail", "Arena", "For a manifest", "The manifest's")
    for column in columns:
        table.add_column(column, justify="left" if column in (columns[0], columns[-1]) else "right")
    for row in rows:
        one = row.estimate
        sizes = (max(one.head, one.planning), one.tail, one.total, recommended_arena(one.total))
        given = "-" if row.manifest is None else f"{row.manifest:,}: {row.verdict}"
        table.add_row(row.kernels.version, *(f"{size:,}" for size in sizes), Text(given))
    return table


def arena_words(rows: Sequence[ArenaRow]) -> Iterator[str]:
    """Who has which version, and what is known to be wrong with it."""
    for row in rows:
        yield f"{row.kernels.version}: {row.kernels.note}; rules of {row.kernels.source}"
        if row.kernels.remark:
            yield f"  {row.kernels.remark}"
        for number, error in row.errors:
            yield f"  operator {number}, {error.operator}: {error.what} ({error.source})"
