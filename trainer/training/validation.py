"""Validation that predicts the device: the float model over whole recordings, decided as ESPHome decides.

At each evaluation the model runs at every stride over the validation recordings as they are always presented, range by range from disk, and the
detector gives utterances found and false accepts at every cutoff. The cutoff in use is the one that the export would choose.
"""

from __future__ import annotations

from typing import Any

from trainer.evaluation.hearing import PresentedSplit
from trainer.evaluation.models import FloatModel
from trainer.mixednet.config import MixedNetConfig
from trainer.training.scores import ValidationScores
from wakeword.contract import cutoff_to_uint8
from wakeword.scoring.det import average_viable_recall, recall_at_no_false_accepts
from wakeword.scoring.operating_point import choose_cutoff


class StreamingValidation:
    """Scores a model in training; called at each evaluation."""

    def __init__(
        self,
        config: MixedNetConfig,
        slices: int,
        data: PresentedSplit,
        window: int,
        target_false_accepts_per_hour: float,
        probability_cutoff: float | None = None,
    ) -> None:
        """`probability_cutoff` None scores at the cutoff that the export would choose of the same data."""
        self._model = FloatModel(config, slices)
        self._data, self._window, self._target = data, window, target_false_accepts_per_hour
        self._cutoff = None if probability_cutoff is None else cutoff_to_uint8(probability_cutoff)

    def __call__(self, model: Any) -> ValidationScores:
        """Recall and false accepts an hour at the cutoff in use, and what all cutoffs together allow."""
        self._model.load(model)
        curve = self._data.heard_by(self._model).curve(self._window)
        cutoff = choose_cutoff(curve, self._target).cutoff if self._cutoff is None else self._cutoff
        return ValidationScores(
            recall=float(curve.recall[cutoff]),
            false_accepts_per_hour=float(curve.false_accepts_per_hour[cutoff]),
            average_viable_recall=average_viable_recall(curve),
            recall_at_no_faph=recall_at_no_false_accepts(curve),
        )
