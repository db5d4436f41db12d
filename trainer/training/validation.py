"""Validation that predicts the device: the float model over whole recordings, decided as ESPHome decides.

At each evaluation the model runs at every stride over the validation clips (each from boot, as `mww-simulate --mode clips` presents
them) and over the joined negatives (one stream), and the detector gives utterances found and false accepts at every cutoff.
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
from trainer.mixednet.sliding import SlidingModel
from trainer.training.runtime import start_tensorflow
from trainer.training.scores import ValidationScores
from wakeword import contract
from wakeword.corpus.feature_cache import CachedStream, FeatureCache
from wakeword.corpus.recordings import hash_file
from wakeword.scoring.det import DetCurve, Stream, average_viable_recall, det_curve
from wakeword.scoring.operating_point import choose_cutoff
from wakeword.simulation.features import Progress, stream_features
from wakeword.simulation.presentation import CLIPS, STREAM

OUTPUT_STEPS = 256
"""The exported model's output scale is 1/256; a float probability is rounded to the same steps."""


@dataclass(frozen=True)
class ValidationData:
    """Features of the validation recordings on disk."""

    positives: tuple[CachedStream, ...]
    negatives: CachedStream

    @property
    def negative_hours(self) -> float:
        """Recorded time without the wake word."""
        return sum(self.negatives.samples) / contract.SAMPLE_RATE_HZ / 3600


def validation_data(cache: FeatureCache, positives: Sequence[Path], negatives: Sequence[Path], progress: Progress) -> ValidationData:
    """Compute or find the features of validation recordings; negatives are joined sorted by path, as `mww-simulate` does."""
    clips = tuple(stream_features(cache, [path], [hash_file(path)], CLIPS, progress) for path in positives)
    ordered = sorted(negatives, key=Path.as_posix)
    return ValidationData(clips, stream_features(cache, ordered, [hash_file(path) for path in ordered], STREAM, progress))


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
        """Recall and false accepts an hour at the cutoff in use, and the average viable recall over all cutoffs."""
        self._sliding.load(model)
        curve = self.curve()
        cutoff = choose_cutoff(curve, self._target).cutoff if self._cutoff is None else self._cutoff
        return ValidationScores(
            recall=float(curve.recall[cutoff]),
            false_accepts_per_hour=float(curve.false_accepts_per_hour[cutoff]),
            average_viable_recall=average_viable_recall(curve),
        )

    def curve(self) -> DetCurve:
        """Utterances found and false accepts at every cutoff, with the weights loaded last."""
        positives = [self._stream(clip.read()) for clip in self._data.positives]
        return det_curve(positives, [self._stream(self._data.negatives.read())], self._window, self._data.negative_hours)

    def _stream(self, features: NDArray[np.int8]) -> Stream:
        probabilities = self._sliding.run(np.concatenate([self._before, features]))
        levels = np.clip(np.rint(probabilities * OUTPUT_STEPS), 0, contract.PROBABILITY_MAX).astype(np.uint8)
        return Stream(levels, self._stride, len(features))
