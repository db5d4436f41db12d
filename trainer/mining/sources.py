"""What may be mined: anything that does not hold the wake word and neither validates nor tests the run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from trainer.data.ingest import SampleRecord
from trainer.data.mined import held_back
from wakeword.audio import AudioInfo, probe
from wakeword.corpus.recordings import hash_file
from wakeword.corpus.walk import Rejection
from wakeword.errors import ConfigError
from wakeword.part import Part, file_of, part_of, resolved


@dataclass(frozen=True)
class MiningSources:
    """Recordings to mine, each content once, and those that are left out, with their reasons."""

    usable: tuple[Path, ...]
    refused: tuple[Rejection, ...]


def choose_sources(found: Iterable[Path], records: Sequence[SampleRecord], output: Path | None = None) -> MiningSources:
    """Sort out of `found` what the run's `records` hold back, by path and by content, and what lies in `output` itself.

    What is mined is trained on. So a recording that validates or tests would leak, whatever its name; one that holds
    the wake word would teach the model to miss it. Of a long recording that was split by stretches, those that train
    are mined. A copy in another format is another file and is not recognised. Raises `ConfigError` when nothing is
    left.
    """
    withheld = _held_back(records)
    by_path = {resolved(record.path): reason for record, reason in withheld}
    by_size: dict[int, list[tuple[Path, str]]] = defaultdict(list)
    moved: dict[str, str] = {}
    for record, reason in withheld:
        if (file := file_of(record.path)).is_file():
            by_size[file.stat().st_size].append((record.path, reason))
        elif record.sha256:
            moved[record.sha256] = f"{reason} ({record.path})"
    usable: list[Path] = []
    refused: list[Rejection] = []
    hashes: dict[Path, str] = {}
    sizes: dict[int, list[Path]] = defaultdict(list)

    def digest(path: Path) -> str:
        return hashes.setdefault(path, hash_file(path))

    def take(paths: Iterable[Path]) -> None:
        for path in paths:
            size = file_of(path).stat().st_size
            same = (
                next((f"{reason} ({other})" for other, reason in by_size[size] if digest(other) == digest(path)), "")
                if size in by_size
                else ""
            )
            same = same or (moved.get(digest(path), "") if moved else "")
            twin = next((other for other in sizes[size] if digest(other) == digest(path)), None)
            if output is not None and resolved(path).is_relative_to(output.resolve()):
                refused.append(Rejection(path, "was mined already"))
            elif reason := by_path.get(resolved(path), "") or same:
                refused.append(Rejection(path, reason))
            elif twin is not None:
                refused.append(Rejection(path, f"the same content as {twin}"))
            else:
                sizes[size].append(path)
                usable.append(path)

    cut = _CutUp(records)
    for path in found:
        cut_up = cut.parts(path)
        refused += [Rejection(part, reason) for part, reason in cut_up if reason]
        take([path] if not cut_up else [part for part, reason in cut_up if not reason])
    if not usable:
        why = f": {refused[0].path}: {refused[0].reason}" if refused else ""
        raise ConfigError(
            f"nothing to mine{why}; give recordings without the wake word that the run does not validate or test with"
        )
    return MiningSources(tuple(usable), tuple(refused))


def readable_headers(paths: Iterable[Path]) -> Iterator[AudioInfo]:
    """Headers of recordings, for a measure of the work ahead; what cannot be read is told of when it is heard."""
    for path in paths:
        with suppress(ConfigError):
            yield probe(path)


class _CutUp:
    """Recordings of a run that were split by stretches: which of these may be mined."""

    def __init__(self, records: Iterable[SampleRecord]) -> None:
        self._by_content: dict[str, list[tuple[Part, str]]] = defaultdict(list)
        self._content: dict[Path, str] = {}
        self._sizes: set[int] = set()
        for record in records:
            if (part := part_of(record.path)) is not None:
                content = record.sha256 or hash_file(part.file)
                self._by_content[content].append((part, _reason(record)))
                self._content[part.file.resolve()] = content
                self._sizes |= {part.file.stat().st_size} if part.file.is_file() else set()

    def parts(self, path: Path) -> list[tuple[Path, str]]:
        """The parts of a file that was cut up, each with why it may not be mined (empty: it may); of one of its parts,
        that part alone. Else nothing.
        """
        given, file = part_of(path), file_of(path)
        content = self._content.get(file.resolve())
        if content is None and self._by_content and (not self._sizes or file.stat().st_size in self._sizes):
            content = hash_file(file)
        known = self._by_content.get(content or "", [])
        if given is None:
            return [(Part(file, part.start, part.end).path, reason) for part, reason in known]
        reason = next((reason for part, reason in known if reason and part.overlaps(given.start, given.end)), "")
        return [(path, reason)] if reason else []


def _held_back(records: Iterable[SampleRecord]) -> list[tuple[SampleRecord, str]]:
    return [(record, reason) for record in records if (reason := _reason(record))]


def _reason(record: SampleRecord) -> str:
    """Why a record may not be mined; empty where it may."""
    return held_back(record).removesuffix(" in this run").replace("this run", "the run")
