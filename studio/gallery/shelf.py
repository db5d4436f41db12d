"""What the gallery shows: a page of clips, each with its waveform, its origin and what a mining said of it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from studio.gallery.index import ClipCounts, ClipEntry, ClipIndex, Order
from studio.gallery.mined import mined_rows
from studio.gallery.moves import ClipMove, accepted, journal, last_to_undo
from studio.gallery.provenance import origins
from studio.gallery.waves import Wave, wave_of
from trainer.data.ingest import Label
from trainer.data.mined import MinedClip
from wakeword.contract import SAMPLE_RATE_HZ
from wakeword.part import file_of

SIZE = 48
"""Clips on a page."""


@dataclass(frozen=True)
class ShownClip:
    """A clip with all that its card says."""

    entry: ClipEntry
    wave: Wave
    facts: tuple[str, ...]
    mined: bool
    accepted: bool

    @property
    def file(self) -> str:
        """Its file's name."""
        return self.entry.name.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Shelf:
    """A page of the gallery."""

    clips: tuple[ShownClip, ...]
    number: int
    pages: int
    total: int
    counts: ClipCounts
    last: ClipMove | None
    """The last move that can be taken back."""
    unheard: int
    """Hard negatives that nobody has accepted yet."""


@functools.lru_cache(maxsize=16)
def index_of(root: Path) -> ClipIndex:
    """The one list of a dataset's folder."""
    return ClipIndex(root)


def shelf(
    root: Path,
    number: int,
    label: str = "",
    speaker: str = "",
    text: str = "",
    order: Order = "newest",
    unheard: bool = False,
) -> Shelf:
    """A page of a dataset's clips.

    Args:
        root: The dataset's folder.
        number: Of the page, from 1.
        label: Only those of it; empty for all that are not rejected.
        speaker: Only those of this folder.
        text: Only those with it in their name.
        order: What comes first.
        unheard: Only those that nobody has accepted.

    Returns the page. Raises `ConfigError` for an order that there is not, and where a table is damaged.
    """
    index, moves, mined = index_of(root), journal(root), mined_rows(root)
    heard = accepted(moves)
    page = index.page(
        number,
        SIZE,
        label,
        speaker,
        text,
        order,
        heard if unheard else (),
        {name: row.probability for name, row in mined.items()},
    )
    known = origins(root)
    hard = (clip.name for clip in index.clips() if clip.label == Label.HARD_NEGATIVE)
    return Shelf(
        tuple(_shown(root, clip, known, mined, heard) for clip in page.clips),
        page.number,
        page.pages,
        page.total,
        index.counts(),
        last_to_undo(root, moves),
        sum(name not in heard for name in hard),
    )


def _shown(
    root: Path, clip: ClipEntry, known: Mapping[str, Mapping[str, str]], mined: Mapping[str, MinedClip], heard: set[str]
) -> ShownClip:
    wave = wave_of(root / clip.name, clip.changed_ns, clip.size)
    row = mined.get(clip.name.rsplit("/", 1)[-1])
    facts = [f"{clip.seconds:.1f} s", f"peak {wave.peak_dbfs:.0f} dBFS".replace("-", "\N{MINUS SIGN}")]
    if clip.problem or wave.problem:
        facts = [clip.problem or wave.problem]
    if wave.at_full_scale:
        facts.append("reaches full scale")
    origin = known.get(wave.sha256)
    if origin is not None:
        facts.append(origin["take"] or origin["how"])
        if origin["detected"]:
            average = f" ({float(origin['average']):.2f})" if origin["average"] else ""
            facts.append(f"{'detected' if origin['detected'] == 'yes' else 'not detected'}{average}")
    if row is not None:
        source = file_of(Path(row.source)).name
        facts.append(f"model {row.probability:.3f}, {source} at {row.start_sample / SAMPLE_RATE_HZ:.1f} s")
    return ShownClip(clip, wave, tuple(facts), row is not None, clip.name in heard)
