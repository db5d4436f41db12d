"""Validation that predicts the device: the float model over whole recordings, decided as ESPHome decides.

At each evaluation the model runs at every stride over the validation recordings as they are always presented, range by
range from disk, and the detector gives utterances found and false accepts at every cutoff. The cutoff in use is the one
that the export would choose. Synthetic words are also heard in hard conditions, and a figure from the float
probabilities themselves tells models apart where counts are all alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.evaluation.windows import WordEnd, windows_of
from trainer.inference.models import FloatModel
from trainer.inference.splits import PresentedSplit
from trainer.inference.temperature import bring_within_scale
from trainer.training.scores import ValidationScores
from wakeword.contract import cutoff_to_uint8
from wakeword.scoring.classification import confusion, cross_entropy, roc_auc, roc_curve
from wakeword.scoring.det import average_viable_recall, recall_at_no_false_accepts
from wakeword.scoring.separation import average_log_odds, expected_recall, other_peaks, word_peaks
from wakeword.simulation.streams import PresentedStream, SimulatedStream


class StreamingValidation:
    """Scores a model in training; called at each evaluation."""

    def __init__(
        self,
        model: FloatModel,
        data: PresentedSplit,
        window: int,
        target_false_accepts_per_hour: float,
        probability_cutoff: float | None = None,
        word_ends: Sequence[WordEnd] = (),
    ) -> None:
        """Of the recordings in `data`.

        Args:
            model: Takes over the weights that are scored.
            data: The features of the validation split.
            window: Inferences that the detector averages.
            target_false_accepts_per_hour: What the cutoff is chosen for.
            probability_cutoff: None scores at the cutoff that the export would choose of the same data.
            word_ends: Those of `word_ends_of`, for the figures of windows; without them there are none.
        """
        self._word_ends = word_ends
        self._model, self._data, self._window, self._target = model, data, window, target_false_accepts_per_hour
        self._cutoff = None if probability_cutoff is None else cutoff_to_uint8(probability_cutoff)

    def within_scale(self, model: Any) -> None:
        """Divide the logits of a model where its wake words are beyond the device's output scale; not where the cutoff
        is given, which is meant for the probabilities as they are.
        """
        if self._cutoff is None:
            bring_within_scale(model, self._model, self._data.positives, self._window)

    def __call__(self, model: Any) -> ValidationScores:
        """Recall and false accepts an hour at the cutoff in use, and what all cutoffs together allow."""
        self._model.load(model)
        given: list[NDArray[np.float32]] = []

        def run(stream: PresentedStream) -> SimulatedStream:
            given.append(self._model.probabilities(stream.features))
            return self._model.rounded(stream, given[-1])

        simulated = self._data.simulated(run)
        curve, hard_recall = simulated.curve(self._window), simulated.hard_recall(self._window)
        cutoff = simulated.choice(self._window, self._target).cutoff if self._cutoff is None else self._cutoff
        return ValidationScores(
            recall=float(curve.recall[cutoff]),
            false_accepts_per_hour=float(curve.false_accepts_per_hour[cutoff]),
            average_viable_recall=average_viable_recall(curve),
            recall_at_no_faph=recall_at_no_false_accepts(curve),
            hard_recall=None if hard_recall is None else float(hard_recall[cutoff]),
            expected_recall=None if hard_recall is None else self._expected_recall(given, curve.hours),
            hours=curve.hours,
            **(self._of_windows(given[0], given[1]) if self._word_ends else {}),
        )

    def _of_windows(self, positives: NDArray[np.float32], negatives: NDArray[np.float32]) -> dict[str, float | None]:
        """Figures of single windows at a probability of one half, without weights."""
        words, stride = self._data.positives.recordings, self._model.stride
        truth, probabilities = windows_of(words, self._word_ends, stride, positives, negatives)
        counts = confusion(truth, probabilities, 0.5)
        accepted = counts.true_positives + counts.false_positives
        return {
            "loss": cross_entropy(truth, probabilities),
            "accuracy": counts.accuracy,
            "precision": counts.precision if accepted else None,
            "f1": counts.f1,
            "auc": roc_auc(roc_curve(truth, probabilities)),
        }

    def _expected_recall(self, probabilities: Sequence[NDArray[np.float32]], hours: float) -> float:
        """Of the words as they are and in each condition; the hours are the negatives', in hard conditions too, and the
        session's.
        """
        stride, data = self._model.stride, self._data
        positives, negatives, *hard = (average_log_odds(of_stream, stride, self._window) for of_stream in probabilities)
        words = len(data.hard_positives)
        hard_positives, hard_negatives = hard[:words], hard[words : words + len(data.hard_negatives)]
        spans = [
            [recording.span for recording in stream.recordings] for stream in (data.positives, *data.hard_positives)
        ]
        peaks = [
            word_peaks(levels, stride, spoken)
            for levels, spoken in zip((positives, *hard_positives), spans, strict=True)
        ]
        without = (other_peaks(levels, stride) for levels in (negatives, *hard_negatives))
        others = np.concatenate([other_peaks(positives, stride, spans[0]), *without])
        return expected_recall(peaks, others, hours, self._target)
