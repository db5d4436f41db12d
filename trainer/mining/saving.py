"""Clips of accepted stretches, and the table that says where they come from: written so that a kill at any moment loses
and doubles nothing.

Clips are staged in a hidden folder until the table names them; whoever opens the folder next gives staged clips their
final names.
"""

from __future__ import annotations

import datetime
import hashlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.data.clips import write_clip
from trainer.data.mined import MinedClip, write_table
from trainer.mining.windows import Accepted, Stretch
from wakeword import contract
from wakeword.audio import stream_samples
from wakeword.errors import ConfigError

STAGING = ".mining"


def save_clips(
    folder: Path,
    rows: Sequence[MinedClip],
    found: Sequence[Accepted],
    places: int,
    *,
    threshold: float,
    model_sha256: str,
    step: int | None = None,
) -> tuple[MinedClip, ...]:
    """Add clips to a folder and its table.

    Clips are 16 kHz wav files named by their content; what has the content of another one is left out.

    Args:
        folder: Of the clips and their table.
        rows: What the table holds.
        found: Stretches to cut, the most confident first.
        places: How many clips are added at most.
        threshold: Probability, 0-1, above which they were accepted.
        model_sha256: Names the model that accepted them.
        step: Steps that the model in training had done; None for a finished one.

    Returns:
        The rows of the new clips, in the order of `found`.

    Raises `ConfigError` for a source that has become shorter, and `OSError` when a source is gone or the disk is full;
    clips and table then are those from before.
    """
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    clips = tuple(
        MinedClip(
            file=f"{sha256[:16]}.wav",
            clip_sha256=sha256,
            source=str(window.source.absolute()),
            source_sha256=window.stretch.sha256,
            start_sample=window.stretch.start,
            end_sample=window.stretch.end,
            probability=round(window.probability / contract.PROBABILITY_MAX, 6),
            threshold=threshold,
            model_sha256=model_sha256,
            date=date,
            window_end_sample=window.window_end,
            step=step,
        )
        for window, sha256 in _stage(folder / STAGING, found, places, {row.clip_sha256 for row in rows})
    )
    if clips:
        write_table(folder, (*rows, *clips))
    finish_staged(folder, clips)
    shutil.rmtree(folder / STAGING, ignore_errors=True)
    return clips


def finish_staged(folder: Path, rows: Iterable[MinedClip]) -> None:
    """Give staged clips that the table names their final names; a kill may have come in between."""
    for row in rows:
        staged = folder / STAGING / row.file
        if staged.is_file():
            staged.replace(folder / row.file)


def _stage(staging: Path, found: Sequence[Accepted], places: int, known: set[str]) -> list[tuple[Accepted, str]]:
    """Write the clips of the most confident stretches, one a content, and return them with the hash of their
    samples."""
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
