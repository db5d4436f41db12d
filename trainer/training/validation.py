"""Validation that predicts the device: the float model over whole recordings, decided as ESPHome decides.

At each evaluation the model runs at every stride over the session that `session.py` describes, range by range from disk, and the detector
gives utterances found and false accepts at every cutoff.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.mixednet.config import MixedNetConfig
from trainer.mixednet.scaling import FEATURE_MIN
from trainer.mixednet.sliding import BLOCK_POSITIONS, SlidingModel
from trainer.training.runtime import start_tensorflow
from trainer.training.scores import ValidationScores
from trainer.training.session import WORDS, recall_at_no_false_accepts, session_curve, word_spans
from wakeword import contract
from wakeword.corpus.feature_cache import CachedStream, FeatureCache
from wakeword.corpus.recordings import hash_file
from wakeword.scoring.det import DetCurve, Stream, average_viable_recall
from wakeword.scoring.operating_point import choose_cutoff
from wakeword.simulation.features import Progress, stream_features
from wakeword.simulation.presentation import STREAM, Presentation

OUTPUT_STEPS = 256
"""The exported model's output scale is 1/256; a float probability is rounded to the same steps."""


@dataclass(frozen=True)
class ValidationData:
    """Features of the validation recordings on disk: two streams."""

    positives: CachedStream
    """The wake words, presented as `session.WORDS`."""
    negatives: CachedStream

    @property
    def negative_hours(self) -> float:
        """Recorded time without the wake word."""
        return sum(self.negatives.samples) / contract.SAMPLE_RATE_HZ / 3600


def validation_data(cache: FeatureCache, positives: Sequence[Path], negatives: Sequence[Path], progress: Progress) -> ValidationData:
    """Compute or find the features of validation recordings; both kinds are joined sorted by path, as the export does."""

    def stream(paths: Sequence[Path], presentation: Presentation) -> CachedStream:
        ordered = sorted(paths, key=Path.as_posix)
        return stream_features(cache, ordered, [hash_file(path) for path in ordered], presentation, progress)

    return ValidationData(stream(positives, WORDS), stream(negatives, STREAM))


class StreamingValidation:
    """Scores a model in training; called at each evaluation."""

    def __init__(
        self,
        config: MixedNetConfig,
        slices: int,
        data: ValidationData,
        window: int,
        target_false_accepts_per_hour: float,
        probability_cutoff: float | None = None,
    ) -> None:
        """`probability_cutoff` None scores at the cutoff that the export would choose of the same data."""
        start_tensorflow()
        self._sliding = SlidingModel(config, slices)
        self._data, self._window = data, window
        self._target = target_false_accepts_per_hour
        self._cutoff = None if probability_cutoff is None else contract.cutoff_to_uint8(probability_cutoff)
        self._stride = config.stride
        # The streaming model has heard nothing but silence before boot; its first probability ends with the first stride.
        self._before = np.full((slices - config.stride, contract.FEATURE_CHANNELS), FEATURE_MIN, np.int8)

    def __call__(self, model: Any) -> ValidationScores:
        """Recall and false accepts an hour at the cutoff in use, and what all cutoffs together allow."""
        self._sliding.load(model)
        curve = self.curve()
        cutoff = choose_cutoff(curve, self._target).cutoff if self._cutoff is None else self._cutoff
        return ValidationScores(
            recall=float(curve.recall[cutoff]),
            false_accepts_per_hour=float(curve.false_accepts_per_hour[cutoff]),
            average_viable_recall=average_viable_recall(curve),
            recall_at_no_faph=recall_at_no_false_accepts(curve),
        )

    def curve(self) -> DetCurve:
        """Utterances found and false accepts at every cutoff, with the weights loaded last."""
        words, negatives = self._streams()
        return session_curve(words, word_spans(self._data.positives.samples), negatives, self._window, self._data.negative_hours)

    def hear(self, model: Any) -> tuple[Stream, Stream]:
        """Probabilities of both streams with a model's weights: of the wake words, and of the negatives."""
        self._sliding.load(model)
        return self._streams()

    def _streams(self) -> tuple[Stream, Stream]:
        return self._stream(self._data.positives), self._stream(self._data.negatives)

    def _stream(self, stream: CachedStream) -> Stream:
        """Probabilities of a stream of any length in bounded memory: a range is read with the slices before it that the model hears."""
        per_range, heard_before = BLOCK_POSITIONS * self._stride, len(self._before)
        levels = [np.zeros(0, np.uint8)]
        for start in range(0, stream.slices, per_range):
            features = stream.read(max(0, start - heard_before), start + per_range)
            if start < heard_before:
                features = np.concatenate([self._before[start:], features])
            levels.append(self._levels(features))
        return Stream(np.concatenate(levels), self._stride, stream.slices)

    def _levels(self, features: NDArray[np.int8]) -> NDArray[np.uint8]:
        return np.clip(np.rint(self._sliding.run(features) * OUTPUT_STEPS), 0, contract.PROBABILITY_MAX).astype(np.uint8)
