"""A model over one split, presented as validation does: the same session for choosing a point and for measuring it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from trainer.config.sections import TrainerConfig
from trainer.data.ingest import SampleRecord
from trainer.data.parallel import Progress
from trainer.data.split import Split
from trainer.evaluation.hearing import CHANGED_SECONDS, SplitRecords
from trainer.training.session import session_curve, word_spans
from trainer.training.validation import StreamingValidation, validation_data
from wakeword.contract import SAMPLE_RATE_HZ
from wakeword.corpus.feature_cache import FeatureCache, default_cache_folder
from wakeword.detector import count_detections
from wakeword.errors import ConfigError
from wakeword.scoring.det import DetCurve, Stream
from wakeword.scoring.matching import Span


@dataclass(frozen=True, eq=False)
class HeardSession:
    """Probabilities of one split: the wake words joined with pauses, and the negatives joined. See `trainer.training.session`."""

    split: Split
    words: Stream
    utterances: tuple[Span, ...]
    """Where they lie in `words`, seconds."""
    negatives: Stream
    negative_hours: float

    def curve(self, window: int) -> DetCurve:
        """Utterances found and false accepts at every cutoff."""
        return session_curve(self.words, self.utterances, self.negatives, window, self.negative_hours)

    def false_accepts_in_negatives(self, cutoff: int, window: int) -> int:
        """Those that are not in the stream of wake words."""
        return int(count_detections(self.negatives.probabilities, self.negatives.stride, self.negatives.slices, [cutoff], [window])[0, 0])


class Listener:
    """Hears one split with any weights of one network; its features are computed once, or found in the user's cache."""

    def __init__(self, config: TrainerConfig, slices: int, records: SplitRecords, counting: Callable[[str], Progress]) -> None:
        """Raises `ConfigError` for a recording that cannot be read or has another length than when the run was trained."""
        self._split = records.split
        positives, negatives = (sorted(kind, key=lambda record: record.path.as_posix()) for kind in (records.positives, records.negatives))
        data = validation_data(
            FeatureCache(default_cache_folder()),
            [record.path for record in positives],
            [record.path for record in negatives],
            _seconds_counted(counting(f"seconds of {records.split} recordings"), records.seconds),
        )
        _refuse_other_lengths(positives, data.positives.samples)
        _refuse_other_lengths(negatives, data.negatives.samples)
        self._utterances = tuple(word_spans(data.positives.samples))
        self._negative_hours = data.negative_hours
        section = config.training
        self._validation = StreamingValidation(config.model.network(), slices, data, config.export.sliding_window_size, section.target_minimization)

    def hear(self, model: Any) -> HeardSession:
        """What a `keras.Model` of `build_model` gives with its present weights."""
        words, negatives = self._validation.hear(model)
        return HeardSession(self._split, words, self._utterances, negatives, self._negative_hours)


def _seconds_counted(count: Progress, total: float) -> Callable[[float], None]:
    heard_s, whole = 0.0, max(1, math.ceil(total))

    def heard(seconds: float) -> None:
        nonlocal heard_s
        heard_s += seconds
        count(whole if heard_s >= total - 1e-6 else min(int(heard_s), whole - 1), whole)

    return heard


def _refuse_other_lengths(records: Sequence[SampleRecord], samples: Sequence[int]) -> None:
    for record, length in zip(records, samples, strict=True):
        if abs(record.duration - length / SAMPLE_RATE_HZ) > CHANGED_SECONDS:
            raise ConfigError(
                f"{record.path}: {length / SAMPLE_RATE_HZ:.3f} s long, but {record.duration:.3f} s when the run was trained; it has changed, so bring the "
                "old file back, or train anew"
            )
