"""The list of a dataset's clips, kept in memory and looked through anew when one of its folders changes.

Of each clip the header alone is read, and once: 5,000 clips take about a second the first time and milliseconds from
then on. Waveforms are computed for the clips of a page, when it is shown.
"""

from __future__ import annotations

import os
import stat
import threading
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from studio.gallery.places import LABELS, REJECTED, label_of, speaker_in
from wakeword.audio import probe
from wakeword.corpus.walk import walk
from wakeword.errors import ConfigError

Order = Literal["newest", "name", "longest", "shortest", "surest"]
MOST_ON_A_PAGE = 200


@dataclass(frozen=True, slots=True)
class ClipEntry:
    """One clip as its name and header tell it."""

    name: str
    label: str
    speaker: str
    seconds: float
    problem: str
    """Why its header cannot be read; else empty."""
    changed_ns: int
    size: int


@dataclass(frozen=True)
class ClipPage:
    """A page of a list."""

    clips: Sequence[ClipEntry]
    number: int
    """From 1."""
    pages: int
    total: int


@dataclass(frozen=True)
class ClipCounts:
    """What lies in the folder."""

    labels: dict[str, int]
    speakers: dict[str, int]
    """Of wake words, by name."""
    outside: int
    """Clips behind links that lead out of the folder, which are not shown."""


class ClipIndex:
    """The clips of one dataset's folder, for all threads."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._lock = threading.Lock()
        self._folders: dict[str, int] = {}
        self._entries: dict[str, ClipEntry] = {}
        self._outside: set[str] = set()
        self._clips: list[ClipEntry] = []

    def clips(self) -> list[ClipEntry]:
        """All clips, by name. Folders that changed since the last call are looked through, and those alone."""
        with self._lock:
            folders = {path: _changed(path) for path in _folders(self.root)}
            if folders == self._folders:
                return self._clips
            touched = {
                path for path in folders.keys() | self._folders.keys() if not _same(path, folders, self._folders)
            }
            for path in sorted(touched):
                if not any(parent in touched for parent in _above(path)):
                    self._look_through(Path(path))
            self._folders = folders
            self._clips = [self._entries[name] for name in sorted(self._entries)]
            return self._clips

    def counts(self) -> ClipCounts:
        """How many clips there are of what."""
        clips = self.clips()
        labels = Counter(clip.label for clip in clips)
        speakers = Counter(clip.speaker for clip in clips if clip.label == "positive")
        return ClipCounts(
            {label: labels[label] for label in (*LABELS, REJECTED)}, dict(sorted(speakers.items())), len(self._outside)
        )

    def page(
        self,
        number: int,
        size: int,
        label: str = "",
        speaker: str = "",
        text: str = "",
        order: Order = "newest",
        but: Collection[str] = (),
        sure: Mapping[str, float] | None = None,
    ) -> ClipPage:
        """A page of those clips that are asked for.

        Args:
            number: From 1; a number behind the last page is the last one's.
            size: Clips on a page.
            label: Only those of it; empty for all that are not rejected.
            speaker: Only those of this folder.
            text: Only those with it in their name.
            order: What comes first.
            but: Names that are left out.
            sure: How sure a model was of clips, by their file's name, for the order `surest`.

        Returns the page. Raises `ConfigError` for a size or order that there is not.
        """
        if not 1 <= size <= MOST_ON_A_PAGE:
            raise ConfigError(f"size {size}: give 1 to {MOST_ON_A_PAGE} clips a page")
        if order not in get_args(Order):
            raise ConfigError(f"order {order!r}: give {', '.join(get_args(Order))}")
        wanted = text.casefold()
        chosen = [
            clip
            for clip in self.clips()
            if (clip.label == label if label else clip.label != REJECTED)
            and (not speaker or clip.speaker == speaker)
            and (not wanted or wanted in clip.name.casefold())
            and clip.name not in but
        ]
        if order == "newest":
            chosen.sort(key=lambda clip: -clip.changed_ns)
        elif order == "surest":
            known = sure or {}
            chosen.sort(key=lambda clip: -known.get(clip.name.rsplit("/", 1)[-1], 0.0))
        elif order != "name":
            chosen.sort(key=lambda clip: clip.seconds, reverse=order == "longest")
        pages = max(1, -(-len(chosen) // size))
        number = min(max(number, 1), pages)
        return ClipPage(chosen[(number - 1) * size : number * size], number, pages, len(chosen))

    def _look_through(self, folder: Path) -> None:
        """Take what lies in a folder and below it for what was known of it."""
        base = len(str(self.root)) + 1
        within = f"{str(folder)[base:]}/"
        known = {name: entry for name, entry in self._entries.items() if name.startswith(within)}
        for name in known:
            del self._entries[name]
        self._outside = {name for name in self._outside if not name.startswith(within)}
        real_root = os.path.realpath(self.root)
        inside: dict[str, bool] = {}
        for path in walk(folder).recordings if folder.is_dir() else ():
            text, place = str(path), str(path.parent)
            name = text[base:]
            try:
                found = path.lstat()
                linked = stat.S_ISLNK(found.st_mode)
                found = path.stat() if linked else found
            except OSError:
                continue  # moved in this moment
            if place not in inside:
                inside[place] = _within(os.path.realpath(place), real_root)
            if not inside[place] or (linked and not _within(os.path.realpath(text), real_root)):
                self._outside.add(name)
                continue
            before = known.get(name)
            if before is not None and (before.changed_ns, before.size) == (found.st_mtime_ns, found.st_size):
                self._entries[name] = before
                continue
            seconds, problem = _header(path)
            self._entries[name] = ClipEntry(
                name, label_of(name), speaker_in(name), seconds, problem, found.st_mtime_ns, found.st_size
            )


def _header(path: Path) -> tuple[float, str]:
    try:
        return probe(path).seconds, ""
    except ConfigError as error:
        return 0.0, str(error).removeprefix(f"{path}: ")


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _same(path: str, one: dict[str, int], other: dict[str, int]) -> bool:
    return one.get(path) == other.get(path)


def _above(path: str) -> Iterator[str]:
    yield from map(str, Path(path).parents)


def _folders(root: Path) -> Iterator[str]:
    """All folders in which clips can lie; a new, a moved and a missing clip change one's time."""
    for label in (*LABELS, REJECTED):
        for folder, _, _ in os.walk(root / label):
            yield folder


def _changed(folder: str) -> int:
    try:
        return Path(folder).stat().st_mtime_ns
    except OSError:
        return 0
