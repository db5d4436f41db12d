"""What is played, in which order, and where in the stream: a pure function of recordings and settings.

Conventions
-----------
- A section is one set of recordings with one truth. Recordings of the wake word are played in an order shuffled by the
  seed, with a guard time between them; those without it in their own order, joined as `mww-simulate --mode stream`
  joins them.
- A leg is one stream from a fresh start of detection; its positions are samples from 0. The first leg holds all items;
  after a reboot or a kill a further one begins with the first item that has not been played. Nothing is played twice.
- In a leg every section begins at a multiple of a stride of slices and opens with the lead-in, so slice `j` of a
  section's run is slice `start / 160 + j` of the leg, and inferences do not straddle sections.
- Through the air, alignment markers are part of the stream: one before the first recording of a leg, one behind the
  last, and one between recordings whenever `marker_every` has passed since the last one; each is followed by the guard
  time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import pydantic

from wakeword.contract import HOLD_OFF_SLICES, SAMPLE_RATE_HZ, STEP_SAMPLES, WINDOW_SAMPLES
from wakeword.corpus.provenance import Provenance
from wakeword.errors import ConfigError
from wakeword.presentation import CLIPS, STREAM
from wakeword.records import STRICT
from wakeword.scoring.matching import TOLERANCE_SECONDS

LEAD_IN_SECONDS = CLIPS.lead_in_seconds
LEAST_LEAD_IN_SECONDS = 1.0
"""The hold-off after boot lasts 100 slices; a word within it could not be detected."""
LEAST_GUARD_SECONDS = TOLERANCE_SECONDS + HOLD_OFF_SLICES * STEP_SAMPLES / SAMPLE_RATE_HZ
"""A detection may come as late as the matcher's tolerance, and its hold-off must be over when the next word begins."""
UNKNOWN_MEMORY_SLICES = 300
"""Receptive field taken for a graph whose own is not known: the official models' are 147 to 177 slices."""

Truth = Literal["wake", "none"]


@pydantic.dataclasses.dataclass(frozen=True, config=STRICT)
class PlannedRecording:
    """A recording by content. `samples` are its length at 16 kHz."""

    path: Path
    sha256: str
    samples: int = pydantic.Field(ge=0)
    provenance: Provenance = "unknown"
    word_end: int | None = None
    """One past the last sample of its word, where that is known otherwise than from the recording: the bench mixed it
    with noise itself."""
    speaker: str | None = None
    """Where it is known otherwise than from the folder."""


@pydantic.dataclasses.dataclass(frozen=True, config=STRICT)
class PlannedSection:
    """Recordings with one truth: the wake word in each, or in none. As they were given; the seed orders them."""

    label: str
    truth: Truth
    recordings: tuple[PlannedRecording, ...]
    notes: tuple[str, ...] = ()
    """What their list says of figures of them."""


@pydantic.dataclasses.dataclass(frozen=True, config=STRICT)
class StreamSettings:
    """How recordings become a stream. Lengths in samples."""

    seed: int
    stride: int
    """Feature slices per inference of the model."""
    lead_in: int
    """Zeros before the first recording of a section in a leg."""
    guard: int
    """Zeros after each recording of the wake word, and after the last one of every section."""
    gap: int
    """Zeros between recordings without it."""
    marker: int = 0
    """Length of an alignment marker; 0 where the sound does not go through the air, and nothing needs to be aligned."""
    marker_every: int = 0
    """From the beginning of one marker to the earliest beginning of the next."""

    def __post_init__(self) -> None:
        if self.lead_in < LEAST_LEAD_IN_SECONDS * SAMPLE_RATE_HZ:
            raise ConfigError(
                f"lead-in of {self.lead_in / SAMPLE_RATE_HZ:g} s: the hold-off after boot lasts 1 s; give at least"
                f" {LEAST_LEAD_IN_SECONDS:g} s"
            )
        if self.guard < LEAST_GUARD_SECONDS * SAMPLE_RATE_HZ:
            what = f"guard time of {self.guard / SAMPLE_RATE_HZ:g} s"
            raise ConfigError(
                f"{what}: late detections and their hold-off would meet the next word; give at least"
                f" {LEAST_GUARD_SECONDS:g} s"
            )
        if self.gap < 0 or self.stride < 1:
            raise ValueError(f"gap {self.gap} or stride {self.stride} is out of range")
        if self.marker < 0 or (self.marker and self.marker_every < self.marker + self.guard):
            raise ValueError(
                f"markers of {self.marker} samples every {self.marker_every} do not fit beside the guard time"
            )

    @property
    def alignment(self) -> int:
        """Samples of an inference: sections begin at multiples of it."""
        return STEP_SAMPLES * self.stride


@dataclass(frozen=True)
class Item:
    """One recording in the order of playback."""

    index: int
    """Its place in the order, over all sections."""
    section: int
    recording: PlannedRecording


@dataclass(frozen=True)
class PlacedItem:
    """An item in a leg: its recording is at samples `[start, stop)`."""

    item: Item
    start: int
    following: int
    """Where what comes after it begins: the next recording, or the end of its section."""

    @property
    def stop(self) -> int:
        """First sample after the recording: with `start` the truth, in samples."""
        return self.start + self.item.recording.samples


@dataclass(frozen=True)
class PlacedSection:
    """A section in a leg, `[start, stop)` with its lead-in and its guard time."""

    index: int
    start: int
    stop: int
    items: tuple[PlacedItem, ...]
    markers: tuple[int, ...] = ()
    """First samples of its alignment markers."""


@dataclass(frozen=True)
class PlannedLeg:
    """A stream: where everything is from `first_item` to the last one."""

    first_item: int
    sections: tuple[PlacedSection, ...]

    @property
    def samples(self) -> int:
        """Length of the whole leg."""
        return self.sections[-1].stop if self.sections else 0

    @cached_property
    def items(self) -> tuple[PlacedItem, ...]:
        """All items in order."""
        return tuple(item for section in self.sections for item in section.items)

    @property
    def markers(self) -> tuple[int, ...]:
        """First samples of all alignment markers in order."""
        return tuple(marker for section in self.sections for marker in section.markers)


@dataclass(frozen=True)
class Schedule:
    """All items in the order of playback."""

    sections: tuple[PlannedSection, ...]
    settings: StreamSettings
    items: tuple[Item, ...]

    def leg(self, first_item: int = 0) -> PlannedLeg:
        """The stream that begins with an item and goes on to the last."""
        return PlannedLeg(first_item, tuple(_placed(self.items[first_item:], self.sections, self.settings)))

    @property
    def samples(self) -> int:
        """Length of the first leg, which is the session's where nothing goes wrong."""
        return self.leg().samples

    @property
    def sha256(self) -> str:
        """Hash of contents, truths, labels, settings and order; where files lie is not in it."""
        settings = asdict(self.settings)
        if not self.settings.marker:  # a schedule without markers is what it was before there were any
            settings = {name: value for name, value in settings.items() if not name.startswith("marker")}
        plan = {
            "settings": settings,
            "sections": [{"label": section.label, "truth": section.truth} for section in self.sections],
            "items": [[item.section, item.recording.sha256, item.recording.samples] for item in self.items],
        }
        return hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()


def make_schedule(sections: Sequence[PlannedSection], settings: StreamSettings) -> Schedule:
    """Order the recordings of all sections.

    Raises `ConfigError` when there is nothing to play, two sections have one label, a recording is too short to hold a
    feature, or two sections share one.
    """
    if not sections or not all(section.recordings for section in sections):
        raise ConfigError("nothing to play: give recordings with --wake, --none or both")
    if len({section.label for section in sections}) < len(sections):
        raise ConfigError("two sections have the same label; give each a label of its own")
    owners: dict[str, tuple[int, PlannedRecording]] = {}
    for index, section in enumerate(sections):
        for recording in section.recordings:
            if recording.samples < WINDOW_SAMPLES:
                raise ConfigError(
                    f"{recording.path}: {recording.samples} samples hold no feature of 30 ms; remove the file"
                )
            other, twin = owners.setdefault(recording.sha256, (index, recording))
            if other != index:
                where = (
                    "with another truth"
                    if sections[other].truth != section.truth
                    else f"in {sections[other].label!r} too and would be counted twice"
                )
                raise ConfigError(
                    f"{recording.path}: the same recording as {twin.path}, which is to be played {where}; leave one out"
                )
    ordered = [
        (index, recording)
        for index, section in enumerate(sections)
        for recording in (_shuffled(section, settings.seed) if section.truth == "wake" else section.recordings)
    ]
    return Schedule(tuple(sections), settings, tuple(Item(number, *fields) for number, fields in enumerate(ordered)))


def guard_seconds(memory_slices: int | None, window: int, stride: int) -> float:
    """Silence after which nothing of one word is left for the next: receptive field, sliding window and hold-off, one
    after another.

    `memory_slices` is None where a model's receptive field is not known. Never below the matcher's tolerance and the
    hold-off; rounded up to 10 ms.
    """
    memory = UNKNOWN_MEMORY_SLICES if memory_slices is None else memory_slices
    slices = memory + window * stride + HOLD_OFF_SLICES + WINDOW_SAMPLES // STEP_SAMPLES
    return max(slices * STEP_SAMPLES / SAMPLE_RATE_HZ, LEAST_GUARD_SECONDS)


def default_settings(seed: int, stride: int, window: int, memory_slices: int | None) -> StreamSettings:
    """The settings for a model: guard time from its receptive field, lead-in and gap as `mww-simulate` has them."""
    guard = guard_seconds(memory_slices, window, stride)
    return StreamSettings(
        seed, stride, *(round(seconds * SAMPLE_RATE_HZ) for seconds in (LEAD_IN_SECONDS, guard, STREAM.gap_seconds))
    )


def _shuffled(section: PlannedSection, seed: int) -> list[PlannedRecording]:
    """Sorted by a hash of seed and content: the same on every machine and with every NumPy, and a file more or less
    moves no other.
    """
    return sorted(
        section.recordings,
        key=lambda recording: hashlib.sha256(f"{seed}:{section.label}:{recording.sha256}".encode()).digest(),
    )


def _placed(
    items: Sequence[Item], sections: Sequence[PlannedSection], settings: StreamSettings
) -> Iterator[PlacedSection]:
    position = 0
    last_marker: int | None = None
    order = list(dict.fromkeys(item.section for item in items))
    for section in order:
        members = [item for item in items if item.section == section]
        pause = settings.guard if sections[section].truth == "wake" else settings.gap
        start = position
        position += settings.lead_in
        placed: list[PlacedItem] = []
        markers: list[int] = []
        for number, item in enumerate(members):
            if settings.marker and (last_marker is None or position - last_marker >= settings.marker_every):
                markers.append(position)
                last_marker = position
                position += settings.marker + settings.guard
            stop = position + item.recording.samples
            following = stop + pause
            if number == len(members) - 1:
                following = stop + settings.guard
                if settings.marker and section == order[-1]:
                    markers.append(following)
                    following += settings.marker + settings.guard
                following += -following % settings.alignment
            placed.append(PlacedItem(item, position, following))
            position = following
        yield PlacedSection(section, start, position, tuple(placed), tuple(markers))
