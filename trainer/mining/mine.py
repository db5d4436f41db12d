"""Hard negative mining: run a model over any amount of audio without the wake word, keep what it is surest of, save it
as clips.

Memory is bounded by a batch's probabilities (33 bytes a second) and the windows kept. What is interrupted goes on:
features are cached, what was found stands in a journal, and clips are staged in a hidden folder until the table names
them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.config.sections import HardNegativeMiningSection
from trainer.data.mined import MinedClip, read_table
from trainer.inference.models import WordModel
from trainer.mining.journal import Journal
from trainer.mining.saving import STAGING, finish_staged, save_clips
from trainer.mining.windows import Accepted, Stretch, accepted_stretches, by_recording, most_confident, stretch_of
from wakeword.corpus.recordings import hash_file
from wakeword.corpus.walk import Rejection
from wakeword.errors import ConfigError
from wakeword.locks import hold_folder
from wakeword.simulation.features import Progress
from wakeword.simulation.streams import SimulatedStream

RECORDINGS_PER_BATCH = 256
"""So many at a time; then they are noted in the journal."""
RESERVE = 2
"""So many times the limit are kept, to fill the places of clips that turn out to have the same content."""


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
    mining: HardNegativeMiningSection,
    slices: int,
    *,
    taken: Iterable[Stretch] = (),
    journal: Journal | None = None,
    progress: Progress = lambda _: None,
) -> tuple[list[Accepted], list[Rejection]]:
    """Run a model over every source by itself and keep the stretches that it accepts.

    Args:
        model: What wrongly accepts.
        sources: Recordings from `choose_sources`.
        mining: The threshold, and how many clips are wanted.
        slices: Of the model's window.
        taken: Nothing that overlaps these is found again.
        journal: What an interrupted mining has found, and where this one notes it.
        progress: Called with the seconds of audio that were finished since the last call.

    Returns:
        The stretches, the most confident first, and the files that cannot be decoded.

    Raises `ConfigError` when no file can be decoded.
    """
    taken_of = by_recording(taken)
    kept, keep = list[Accepted](), RESERVE * mining.max_samples
    rejections: list[Rejection] = []
    pending: list[Path] = []
    for source in sources:
        sha256 = hash_file(source) if journal is not None and journal.entries else ""
        if journal is not None and sha256 in journal.entries:
            noted = journal.found(source, sha256)
            earlier = [
                window for window in noted if not any(window.stretch.overlaps(stretch) for stretch in taken_of[sha256])
            ]
            kept = most_confident([*kept, *earlier], keep)
        else:
            pending.append(source)
    for start in range(0, len(pending), RECORDINGS_PER_BATCH):
        fresh: list[tuple[str, list[Accepted]]] = []
        for streams, rejection in _run_alone(model, pending[start : start + RECORDINGS_PER_BATCH], progress):
            rejections += [rejection] if rejection else []
            for stream in streams:
                sha256 = stream.recordings[0].sha256
                fresh.append(
                    (sha256, accepted_stretches(stream, 0, mining.fp_threshold, slices, keep, taken_of[sha256]))
                )
        if journal is not None:
            journal.add(fresh)
        kept = most_confident([*kept, *(window for _, found in fresh for window in found)], keep)
    if sources and len(rejections) == len(sources):
        raise ConfigError(f"{rejections[0].path}: {rejections[0].reason}; no recording could be heard")
    return kept, rejections


def mine_into(
    folder: Path,
    model: WordModel,
    sources: Sequence[Path],
    mining: HardNegativeMiningSection,
    slices: int,
    progress: Progress = lambda _: None,
) -> Mined:
    """Mine and add to the clips of a folder until it holds `mining.max_samples`; one that was interrupted goes on.

    Clips are 16 kHz wav files named by their content, `mined.csv` says where each comes from.

    Args:
        folder: Of the clips and their table.
        model, sources, mining, slices, progress: See `mine`.

    Returns:
        The new clips, and what the folder holds now.

    Raises `ConfigError` as `mine` does or when the folder's table is damaged, `InfrastructureError` when another
    process mines into the folder, and `OSError` when the disk is full; clips and table then are those from before, and
    what was found is kept.
    """
    threshold, limit = mining.fp_threshold, mining.max_samples
    with hold_folder(folder, "give another --output"):
        rows = read_table(folder)
        finish_staged(folder, rows)
        present = sum((folder / row.file).is_file() for row in rows)
        places = limit - present
        if places <= 0:
            return Mined((), present, ())
        journal = Journal(
            folder / STAGING / "heard.jsonl", model=model.sha256, threshold=threshold, limit=limit, slices=slices
        )
        found, rejections = mine(
            model, sources, mining, slices, taken=map(stretch_of, rows), journal=journal, progress=progress
        )
        clips = save_clips(folder, rows, found, places, threshold=threshold, model_sha256=model.sha256)
        return Mined(clips, present + len(clips), tuple(rejections))


def _run_alone(
    model: WordModel, batch: Sequence[Path], progress: Progress
) -> Iterator[tuple[list[SimulatedStream], Rejection | None]]:
    """The streams of a batch; where one file is broken, those of the others and the reason."""
    try:
        yield model.run_clips(batch, progress), None
    except ConfigError as error:
        if len(batch) == 1:
            yield [], Rejection(batch[0], str(error).removeprefix(f"{batch[0]}: "))
            return
        # Features of those that were heard are cached, so the second time is quick.
        for source in batch:
            yield from _run_alone(model, [source], lambda _: None)
