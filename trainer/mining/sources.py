"""What may be mined: anything that does not hold the wake word and neither validates nor tests the run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from trainer.data.ingest import Label, SampleRecord
from trainer.data.split import Split
from wakeword.audio import AudioInfo, probe
from wakeword.corpus.recordings import hash_file
from wakeword.corpus.walk import Rejection
from wakeword.errors import ConfigError


@dataclass(frozen=True)
class MiningSources:
    """Recordings to mine, each content once, and those that are left out, with their reasons."""

    usable: tuple[Path, ...]
    refused: tuple[Rejection, ...]


def choose_sources(found: Iterable[Path], records: Sequence[SampleRecord], output: Path | None = None) -> MiningSources:
    """Sort out of `found` what the run's `records` hold back, by path and by content, and what lies in `output` itself.

    What is mined is trained on. So a recording that validates or tests would leak, whatever its name; one that holds the wake word would teach
    the model to miss it. A copy in another format is another file and is not recognised. Raises `ConfigError` when nothing is left.
    """
    held_back = _held_back(records)
    by_path = {record.path.resolve(): reason for record, reason in held_back}
    by_size: dict[int, list[tuple[Path, str]]] = defaultdict(list)
    moved: dict[str, str] = {}
    for record, reason in held_back:
        if record.path.is_file():
            by_size[record.path.stat().st_size].append((record.path, reason))
        elif record.sha256:
            moved[record.sha256] = f"{reason} ({record.path})"
    usable: list[Path] = []
    refused: list[Rejection] = []
    hashes: dict[Path, str] = {}
    sizes: dict[int, list[Path]] = defaultdict(list)

    def digest(path: Path) -> str:
        return hashes.setdefault(path, hash_file(path))

    for path in found:
        size = path.stat().st_size
        same = next((f"{reason} ({other})" for other, reason in by_size[size] if digest(other) == digest(path)), "") if size in by_size else ""
        same = same or (moved.get(digest(path), "") if moved else "")
        twin = next((other for other in sizes[size] if digest(other) == digest(path)), None)
        if output is not None and path.resolve().is_relative_to(output.resolve()):
            refused.append(Rejection(path, "was mined already"))
        elif reason := by_path.get(path.resolve(), "") or same:
            refused.append(Rejection(path, reason))
        elif twin is not None:
            refused.append(Rejection(path, f"the same content as {twin}"))
        else:
            sizes[size].append(path)
            usable.append(path)
    if not usable:
        why = f": {refused[0].path}: {refused[0].reason}" if refused else ""
        raise ConfigError(f"nothing to mine{why}; give recordings without the wake word that the run does not validate or test with")
    return MiningSources(tuple(usable), tuple(refused))


def readable_headers(paths: Iterable[Path]) -> Iterator[AudioInfo]:
    """Headers of recordings, for a measure of the work ahead; what cannot be read is told of when it is heard."""
    for path in paths:
        with suppress(ConfigError):
            yield probe(path)


def _held_back(records: Iterable[SampleRecord]) -> list[tuple[SampleRecord, str]]:
    reasons = {Split.VAL: "validates the run", Split.TEST: "tests the run"}
    held = [(record, reasons[record.split]) for record in records if record.split in reasons]
    return held + [(record, "holds the wake word") for record in records if record.split is Split.TRAIN and record.label is Label.POSITIVE]
