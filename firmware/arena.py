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
from wakeword.model.verify import check_manifest_arena

if TYPE_CHECKING:
    from rich.table import Table


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
        """Whether the manifest's arena is enough, as mww-verify says it."""
        if self.manifest is None:
            return ""
        check = check_manifest_arena(self.manifest, self.estimate.total)
        return "enough" if check.status == "passed" else check.detail.partition(": ")[2]


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


def error_words(path: Path, rows: Sequence[ArenaRow]) -> Iterator[str]:
    """What a version is known to compute wrongly of this model."""
    for row in rows:
        for number, error in row.errors:
            version = row.kernels.version
            yield f"{path}: ESP-NN {version}: operator {number}, {error.operator}: {error.what} ({error.source})"


def version_words() -> Iterator[str]:
    """Who has which version, where its rules were read, and what is not known of it."""
    for kernels in VERSIONS.values():
        yield f"{kernels.version}: {kernels.note}; rules of {kernels.source}"
        if kernels.remark:
            yield f"  {kernels.remark}"
