"""What one training is made of, and what it is known by when it goes on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.config.network import NetworkConfig
from trainer.config.training_sections import PerformanceSection, TrainingSection
from trainer.data.batches import BatchSampler
from trainer.data.drawn_sets import FeatureSet
from trainer.mining.hard_negatives import HardNegatives
from trainer.training.losses import Distillation
from trainer.training.progress import Silent, TrainingProgress
from trainer.training.scores import ValidationScores
from wakeword.corpus.recordings import hash_file

_FORMAT = 4
"""Raise it when what validation hears or what chooses a checkpoint changes: scores of before and after it cannot be
compared in one run."""

_KNOWN_TO_FIRST_STATES = {
    *(
        "training_steps",
        "learning_rates",
        "positive_class_weight",
        "negative_class_weight",
        "batch_size",
        "eval_step_interval",
        "seed",
    ),
    *("target_minimization", "minimization_metric", "maximization_metric", "weight_averaging"),
    *(
        "hard_negative_class_weight",
        "time_mask_max_size",
        "time_mask_count",
        "freq_mask_max_size",
        "freq_mask_count",
        "sampling_weights",
        "penalty_weights",
    ),
    *("teachers", "teaching_share", "held_out_engines", "filter_augment", "quiet_augment"),
}
"""Keys of `training` that the fingerprint has, of themselves or by what they decide: the batches, the teachers."""

_MIXEDNET = (
    *("first_conv_filters", "first_conv_kernel_size", "stride", "pointwise_filters", "mixconv_kernel_sizes"),
    *("repeat_in_block", "residual_connection", "dropout_rate", "l2_regularization"),
)
"""In the order in which states have them."""

Evaluate = Callable[[Any], ValidationScores]
"""Scores a `keras.Model` of `build_model` on validation data; `SlidingModel` runs its weights over whole recordings."""


def _as_it_is(model: Any) -> None:
    """Leave a model alone."""


@dataclass(frozen=True, eq=False)
class SimulatedExport:
    """What quantisation-aware fine-tuning begins with."""

    weights: Path
    """Of the float model."""
    representative: NDArray[np.float32]
    """One stream of features `[slices, 40]`, on which ranges are collected; see `FakeQuantised`."""

    @property
    def fingerprint(self) -> str:
        """A hash of both."""
        return f"{hash_file(self.weights)} {hashlib.sha256(np.ascontiguousarray(self.representative)).hexdigest()}"


@dataclass(frozen=True)
class TrainingRun:
    """What one training is made of."""

    network: NetworkConfig
    slices: int
    """Of the windows that the model is trained on."""
    sets: Sequence[FeatureSet]
    """What batches are drawn from."""
    settings: TrainingSection
    folder: Path
    """Where its checkpoints and its state are kept."""
    evaluate: Evaluate
    progress: TrainingProgress = dataclasses.field(default_factory=Silent)
    performance: PerformanceSection = dataclasses.field(default_factory=PerformanceSection)
    records: Path | None = None
    """A folder for a log, a table of the evaluations, TensorBoard's curves and profiles; with it numbered checkpoints
    are kept too."""
    hard_negatives: HardNegatives | None = None
    """Lets the model hear its own negatives every so many evaluations; what it wrongly accepts joins the sets."""
    distillation: Distillation | None = None
    """Earlier models, whose logits are learned beside the truth."""
    preparation: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Figures of what came before the first step of this session, for the log and the curves."""
    within_scale: Callable[[Any], None] = _as_it_is
    """Divides the logits of a model, in place, where its words are beyond the device's output scale. What is evaluated,
    kept and mined with has that."""

    simulated_export: SimulatedExport | None = None
    """Fine-tunes weights with the arithmetic of their int8 export; None: trains from the seed, in float."""

    def fingerprint(self, sampler: BatchSampler, tensorflow: str, precision: str) -> str:
        """A hash of everything that a run's course depends on. How far the last phase goes is not part of it, unless
        the learning rate depends on it: a run may go on with more steps.

        A key of the section that came later than the first states is part of it where it is not at its default, so that
        a new key alone ends no run.
        """
        settings = self.settings
        last = settings.training_steps[-1] if settings.schedule == "cosine" else 1
        lists = (
            (*settings.training_steps[:-1], last),
            settings.learning_rates,
            settings.positive_class_weight,
            settings.negative_class_weight,
        )
        names = ("steps", "learning_rate", "positive_class_weight", "negative_class_weight")
        course = {
            "phases": [dict(zip(names, values, strict=True)) for values in zip(*lists, strict=True)],
            "batch_size": settings.batch_size,
            "eval_step_interval": settings.eval_step_interval,
            "target_false_accepts_per_hour": settings.target_minimization,
            "maximization_metric": settings.maximization_metric,
            "seed": settings.seed,
            "weight_averaging": settings.weight_averaging,
        }
        parts = [
            _FORMAT,
            self._shape(),
            course,
            sampler.fingerprint(),
            tensorflow,
            precision,
        ]
        parts += [self.hard_negatives.fingerprint] if self.hard_negatives else []
        parts += [self.distillation.fingerprint, str(settings.teaching_share)] if self.distillation else []
        parts += [self.simulated_export.fingerprint] if self.simulated_export else []
        # A run of one phase has one number where the default has two.
        none = set() if any(settings.triplet_weight) else {"triplet_weight"}
        later = settings.model_dump(mode="json", exclude=_KNOWN_TO_FIRST_STATES | none, exclude_defaults=True)
        parts += [later] if later else []
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def _shape(self) -> dict[str, Any]:
        """The network, a MixedNet as the first states have it."""
        network = self.network
        if network.architecture == "mixednet":
            return {key: getattr(network, key) for key in _MIXEDNET}
        return {"architecture": network.architecture, **network.own_keys}
