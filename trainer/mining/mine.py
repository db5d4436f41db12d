"""Hard negative mining: hear any amount of audio without the wake word, keep what the model is surest of, save it as clips.

Memory is bounded by a batch's probabilities (33 bytes a second) and the windows kept. What is interrupted goes on: features are cached, what was heard stands
in a journal, and clips are staged in a hidden folder until the table names them.
"""

from __future__ import annotations

import datetime
import hashlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.data.clips import write_clip
from trainer.data.ingest import Rejection
from trainer.evaluation.models import WordModel
from trainer.mining.journal import Journal
from trainer.mining.provenance import MinedClip, read_table, write_table
from trainer.mining.windows import Accepted, Stretch, accepted_stretches, most_confident
from wakeword import contract
from wakeword.audio import stream_samples
from wakeword.corpus.recordings import hash_file
from wakeword.errors import ConfigError
from wakeword.simulation.features import Progress
from wakeword.simulation.streams import SimulatedStream

RECORDINGS_PER_BATCH = 256
"""So many are heard, then noted in the journal."""
STAGING = ".mining"
RESERVE = 2
"""So many times the limit are kept, to fill the places of clips that turn out to have the same content."""


@dataclass(frozen=True)
class Mining:
    """What is looked for. Raises `ConfigError` when a value is out of range."""

    threshold: float = 0.8
    """Probability, 0-1, above which a window counts as wrongly accepted."""
    limit: int = 5000
    """Clips that the folder may hold."""

    def __post_init__(self) -> None:
        if not 0 <= self.threshold < 1:
            raise ConfigError(f"hard_negative_mining.fp_threshold is {self.threshold}; give 0 up to, but not including, 1")
        if self.limit < 1:
            raise ConfigError(f"hard_negative_mining.max_samples is {self.limit}; give 1 or more")


@dataclass(frozen=True)
class Heard:
    """What the model accepts of all recordings, most confident first, and the files that could not be heard."""

    found: tuple[Accepted, ...]
    rejections: tuple[Rejection, ...]


@dataclass(frozen=True)
class Mined:
    """Outcome of a mining into a folder."""

    clips: tuple[MinedClip, ...]
    """The new ones, most confident first."""
    total: int
    """Mined clips in the folder now."""
    rejections: tuple[Rejection, ...]


def mine(
    model: WordModel,
    sources: Sequence[Path],
    mining: Mining,
    slices: int,
    *,
    taken: Iterable[Stretch] = (),
    journal: Journal | None = None,
    progress: Progress = lambda _: None,
) -> Heard:
    """Hear every source by itself and keep the stretches that a model with windows of so many `slices` accepts above the threshold.

    `sources` come from `choose_sources`. Nothing that overlaps `taken` is found again. A file that cannot be decoded is a rejection; raises
    `ConfigError` when none can.
    """
    taken = list(taken)
    kept, keep = list[Accepted](), RESERVE * mining.limit
    rejections: list[Rejection] = []
    pending: list[Path] = []
    for source in sources:
        sha256 = hash_file(source) if journal is not None and journal.heard else ""
        if journal is not None and sha256 in journal.heard:
            earlier = [one for one in journal.found(source, sha256) if not any(one.stretch.overlaps(other) for other in taken)]
            kept = most_confident([*kept, *earlier], keep)
        else:
            pending.append(source)
    for start in range(0, len(pending), RECORDINGS_PER_BATCH):
        fresh: list[tuple[str, list[Accepted]]] = []
        for streams, rejection in _heard_alone(model, pending[start : start + RECORDINGS_PER_BATCH], progress):
            rejections += [rejection] if rejection else []
            fresh += [(one.recordings[0].sha256, accepted_stretches(one, 0, mining.threshold, slices, keep, taken)) for one in streams]
        if journal is not None:
            journal.add(fresh)
        kept = most_confident([*kept, *(one for _, found in fresh for one in found)], keep)
    if sources and len(rejections) == len(sources):
        raise ConfigError(f"{rejections[0].path}: {rejections[0].reason}; no recording could be heard")
    return Heard(tuple(kept), tuple(rejections))


def mine_into(folder: Path, model: WordModel, sources: Sequence[Path], mining: Mining, slices: int, progress: Progress = lambda _: None) -> Mined:
    """Mine `sources` and add to the clips of `folder` until it holds `mining.limit`; one that was interrupted goes on.

    Clips are 16 kHz wav files named by their content, `mined.csv` says where each comes from. Raises `ConfigError` as `mine` does or when the
    folder's table is damaged, and `OSError` when the disk is full; clips and table then are those from before, and what was heard is kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = read_table(folder)
    _finish_staged(folder, rows)
    present = sum((folder / row.file).is_file() for row in rows)
    places = mining.limit - present
    if places <= 0:
        return Mined((), present, ())
    journal = Journal(folder / STAGING / "heard.jsonl", model=model.sha256, threshold=mining.threshold, limit=mining.limit, slices=slices)
    heard = mine(model, sources, mining, slices, taken=[row.stretch for row in rows], journal=journal, progress=progress)
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    staged = _stage(folder / STAGING, heard.found, places, {row.clip_sha256 for row in rows})
    clips = tuple(
        MinedClip(
            file=f"{sha256[:16]}.wav",
            clip_sha256=sha256,
            source=str(one.source.absolute()),
            source_sha256=one.stretch.sha256,
            start_sample=one.stretch.start,
            end_sample=one.stretch.end,
            probability=round(one.probability / contract.PROBABILITY_MAX, 6),
            threshold=mining.threshold,
            model_sha256=model.sha256,
            date=date,
        )
        for one, sha256 in staged
    )
    if clips:
        write_table(folder, (*rows, *clips))
    _finish_staged(folder, clips)
    shutil.rmtree(folder / STAGING)
    return Mined(clips, present + len(clips), heard.rejections)


def _heard_alone(model: WordModel, batch: Sequence[Path], progress: Progress) -> Iterator[tuple[list[SimulatedStream], Rejection | None]]:
    """The streams of a batch; where one file is broken, those of the others and the reason."""
    try:
        yield model.alone(batch, progress), None
    except ConfigError as error:
        if len(batch) == 1:
            yield [], Rejection(batch[0], str(error).removeprefix(f"{batch[0]}: "))
            return
        # Features of those that were heard are cached, so the second time is quick.
        for source in batch:
            yield from _heard_alone(model, [source], lambda _: None)


def _stage(staging: Path, found: Sequence[Accepted], places: int, known: set[str]) -> list[tuple[Accepted, str]]:
    """Write the clips of the most confident stretches, one a content, and return them with the hash of their samples."""
    staged: dict[int, str] = {}
    begin = 0
    while len(staged) < places and begin < len(found):
        end = min(len(found), begin + places - len(staged))
        ranked = sorted(range(begin, end), key=lambda index: (found[index].source, found[index].stretch.start))
        for source, indices in groupby(ranked, key=lambda index: found[index].source):
            chosen = list(indices)
            for index, samples in zip(chosen, _cut(source, [found[index].stretch for index in chosen]), strict=True):
                sha256 = hashlib.sha256(samples.astype("<i2").tobytes()).hexdigest()
                if sha256 not in known:
                    known.add(sha256)
                    write_clip(staging / f"{sha256[:16]}.wav", samples)
                    staged[index] = sha256
        begin = end
    return [(found[index], staged[index]) for index in sorted(staged)]


def _cut(source: Path, stretches: Sequence[Stretch]) -> Iterator[NDArray[np.int16]]:
    """Samples of stretches of a recording, in order and not overlapping, in one pass over it."""
    blocks = stream_samples(source)
    held, position = np.zeros(0, np.int16), 0
    for stretch in stretches:
        while position + len(held) < stretch.end:
            skipped = min(len(held), max(0, stretch.start - position))
            held, position = held[skipped:], position + skipped
            block = next(blocks, None)
            if block is None:
                raise ConfigError(f"{source}: has become shorter since it was heard; mine again once it is whole")
            held = np.concatenate([held, block])
        yield held[stretch.start - position : stretch.end - position].copy()


def _finish_staged(folder: Path, rows: Iterable[MinedClip]) -> None:
    """Give staged clips that the table names their final names; a kill may have come in between."""
    for row in rows:
        staged = folder / STAGING / row.file
        if staged.is_file():
            staged.replace(folder / row.file)
