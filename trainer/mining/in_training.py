"""Mining while a model is trained: it hears the very features that its negatives are drawn from.

The negatives of the training split lie in joined streams of features, mapped from disk. The model runs over them; a
window that it accepts becomes a hard negative where it stands, so nothing is decoded, computed or copied for the
batches. For people, each is also saved as a clip, with its provenance, in the run's folder.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from trainer.config.batch_settings import END_SHIFT_SLICES
from trainer.config.network import NetworkConfig
from trainer.config.sections import HardNegativeMiningSection
from trainer.data.clip_rows import ClipRows
from trainer.data.drawn_sets import FeatureSet
from trainer.data.features import FeatureSettings, joined_recordings
from trainer.data.ingest import SampleRecord
from trainer.data.mined import TABLE_NAME, MinedClip, read_table, write_table
from trainer.data.parallel import Progress
from trainer.inference.models import FloatModel, weights_sha256
from trainer.mining.hard_negatives import MinedSets
from trainer.mining.mine import RESERVE
from trainer.mining.saving import save_clips
from trainer.mining.windows import Accepted, Stretch, accepted_stretches, by_recording, most_confident, stretch_of
from wakeword import contract
from wakeword.corpus.feature_cache import CachedStream
from wakeword.errors import ConfigError
from wakeword.presentation import Presentation
from wakeword.simulation.streams import PresentedStream

FOLDER = "mined"
"""Of a run: its mined clips and their table."""
SHIFT_SLICES = END_SHIFT_SLICES
"""A mined window is drawn up to so many slices earlier or later, as the windows of wake words are."""


@dataclass(frozen=True)
class JoinedNegatives:
    """The negatives of the training split as their features lie on disk."""

    streams: tuple[tuple[SampleRecord, ...], ...]
    features: ClipRows
    """A clip a stream."""
    presentation: Presentation

    @classmethod
    def of(cls, records: Sequence[SampleRecord], features: ClipRows, seed: int) -> JoinedNegatives:
        """`records` and `seed` are those that the features (`negative_joined`) were computed from.

        Raises `ConfigError` when they cannot be.
        """
        settings = FeatureSettings()
        presentation = Presentation("stream", settings.lead_s, settings.negative_tail_s, settings.gap_s)
        streams = tuple(joined_recordings(records, seed=seed, settings=settings))
        joined = cls(streams, features, presentation)
        expected = [
            contract.slice_count(presentation.silence(len(stream)) + sum(map(_samples, stream))) for stream in streams
        ]
        if expected != features.lengths.tolist():
            raise ConfigError(
                "the features of the negatives are of other recordings than those that were checked; were some changed"
                " just now? Run again"
            )
        return joined

    def presented(self, stream: int) -> PresentedStream:
        """A stream as a model takes it."""
        records = self.streams[stream]
        features = CachedStream.in_memory(self.features[stream], list(map(_samples, records)))
        return PresentedStream.of(
            [record.path for record in records], [record.content for record in records], self.presentation, features
        )

    def starts(self, stream: int) -> list[int]:
        """Sample of a stream at which each of its recordings begins."""
        return self.presentation.starts([*map(_samples, self.streams[stream])])


class TrainingMiner:
    """`HardNegatives` for the training loop.

    The folder's table is what it remembers by; a row tells the window that was accepted.
    """

    def __init__(
        self,
        network: NetworkConfig,
        slices: int,
        negatives: JoinedNegatives,
        mining: HardNegativeMiningSection,
        folder: Path,
        sets: Callable[[ClipRows], Sequence[FeatureSet]],
        *,
        taken: Iterable[Stretch] = (),
        progress: Progress = lambda _done, _total: None,
    ) -> None:
        """A miner of one run.

        Args:
            network: Of the model in training, as `slices` is its window.
            slices: Of the model's window.
            negatives: What is mined.
            mining: The threshold, how many clips are wanted, and how often.
            folder: Of the clips and their table.
            sets: Gives all feature sets of the run with the mined windows among them.
            taken: What overlaps these is not mined.
            progress: Told the seconds that were mined, of how many.
        """
        self.interval = mining.mining_interval_epochs
        self._network, self._slices, self._negatives, self._mining = network, slices, negatives, mining
        self._folder, self._sets, self._progress = folder, sets, progress
        self._taken = sorted(taken, key=lambda stretch: (stretch.sha256, stretch.start, stretch.end))
        self._rows: tuple[MinedClip, ...] = ()
        self._model: FloatModel | None = None
        self._places = {
            str(record.path.absolute()): (index, start)
            for index, records in enumerate(negatives.streams)
            for record, start in zip(records, negatives.starts(index), strict=True)
        }
        """Stream and first sample in it of each recording."""

    @property
    def fingerprint(self) -> str:
        """A hash of what is mined and how. The features are part of the run's fingerprint as its sets are."""
        names = [[record.path.name for record in stream] for stream in self._negatives.streams]
        # The text is that of earlier versions, so that their runs go on.
        settings = f"Mining(threshold={self._mining.fp_threshold!r}, limit={self._mining.max_samples!r})"
        text = f"({settings}, {self.interval!r}, {SHIFT_SLICES!r}, {names!r}, {self._taken!r})"
        return hashlib.sha256(text.encode()).hexdigest()

    def restore(self, step: int) -> MinedSets:
        """What an earlier session had mined up to this step; rows and clips of later steps are removed.

        Raises `ConfigError` for a folder that is damaged or of another mining.
        """
        rows = read_table(self._folder)
        foreign = next(
            (
                row
                for row in rows
                if row.step is None or row.window_end_sample is None or row.source not in self._places
            ),
            None,
        )
        if foreign is not None:
            raise ConfigError(
                f"{self._folder / TABLE_NAME}: {foreign.file} is not of this training; move the folder elsewhere"
            )
        self._rows = tuple(row for row in rows if row.step is not None and row.step <= step)
        later = [row for row in rows if row.step is not None and row.step > step]
        for row in later:
            (self._folder / row.file).unlink(missing_ok=True)
        if later:
            write_table(self._folder, self._rows)
        return self._mined_sets()

    def mine(self, model: Any, step: int) -> MinedSets:
        """Add what a model in training accepts.

        One mining takes at most half of the places that are left: the later, better models need some too.
        """
        places = -(-(self._mining.max_samples - len(self._rows)) // 2)
        if places <= 0:
            return self._mined_sets()
        sha256 = weights_sha256(model)
        if self._model is None:
            self._model = FloatModel(self._network, self._slices)
        self._model.load(model, sha256)
        new = save_clips(
            self._folder,
            self._rows,
            self._accepted(self._model, places),
            places,
            threshold=self._mining.fp_threshold,
            model_sha256=sha256,
            step=step,
        )
        self._rows += new
        highest = max((row.probability for row in new), default=0.0)
        return replace(self._mined_sets(), new=len(new), recordings=len({row.source for row in new}), highest=highest)

    def _accepted(self, model: FloatModel, places: int) -> list[Accepted]:
        taken = by_recording([*self._taken, *map(stretch_of, self._rows)])
        kept, keep = list[Accepted](), RESERVE * places
        seconds, total = 0.0, math.ceil(sum(record.duration for stream in self._negatives.streams for record in stream))
        for index, records in enumerate(self._negatives.streams):
            stream = model.run(self._negatives.presented(index))
            wrong = np.flatnonzero(
                stream.max_probabilities(1) > self._mining.fp_threshold * contract.PROBABILITY_MAX
            ).tolist()
            for number in wrong:
                found = accepted_stretches(
                    stream,
                    number,
                    self._mining.fp_threshold,
                    self._slices,
                    keep,
                    taken[stream.recordings[number].sha256],
                )
                kept += found
            if wrong:
                kept = most_confident(kept, keep)
            seconds += sum(record.duration for record in records)
            self._progress(min(int(seconds), total - 1), total)  # the last second is counted once all is done
        self._progress(total, total)
        return kept

    def _mined_sets(self) -> MinedSets:
        windows = self._windows()
        digest = hashlib.sha256(windows.starts.tobytes() + windows.lengths.tobytes()).hexdigest()
        return MinedSets(self._sets(windows), len(windows), digest)

    def _windows(self) -> ClipRows:
        """What was mined, in the order of the table: each window with what it may be shifted by, within its stream."""
        places = []
        for row in self._rows:
            stream, begin = self._places[row.source]
            assert row.window_end_sample is not None
            end = (begin + row.window_end_sample - contract.WINDOW_SAMPLES) // contract.STEP_SAMPLES + 1
            places.append((stream, end - self._slices - SHIFT_SLICES, end + SHIFT_SLICES))
        return self._negatives.features.parts(places)


def _samples(record: SampleRecord) -> int:
    return round(record.duration * contract.SAMPLE_RATE_HZ)
