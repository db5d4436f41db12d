"""What batches are drawn from, as keys of the section `training`: sets of features, their shares, their windows."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from trainer.config.base import Section

END_SHIFT_SLICES = 10
"""Shifts of a window's end behind a wake word, in slices of 10 ms: how late the model may fire is drawn from so
many."""
TruncationStrategy = Literal["random", "truncate_start", "truncate_end", "split", "fixed_right_cutoff"]
Weight = Annotated[float, Field(ge=0)]
_Ratio = Annotated[int, Field(ge=0, le=1000)]

_KINDS = {
    0: ("positive", "positive_augmented"),
    1: ("after_positive", "negative_joined", "negative_alone", "negative_augmented", "feature_sets"),
    2: ("hard_negative",),
}
"""Sets of each number of `batch_ratios`."""


class SamplingWeights(Section):
    """How much of a batch each set of features gets, relative to the others; a set that has no recordings
    gets nothing."""

    positive: Weight = 0.5
    """Wake words in silence or low noise."""
    positive_augmented: Weight = 0.5
    """Augmented wake words."""
    after_positive: Weight = 0.5
    """The pause after each wake word, in which it is too late to detect it."""
    negative_joined: Weight = 3.0
    """All negatives, joined into long streams: false accepts happen at the onset of speech after a pause."""
    negative_alone: Weight = 0.5
    """Some short negatives, each after a pause."""
    negative_augmented: Weight = 2.0
    """Augmented negatives. With fewer, rooms, noise and low levels are heard more often in wake words than in
    negatives, and become a sign of them."""
    hard_negative: Weight = 0.5
    """Recordings of `paths.hard_negative_dir`, and what is mined within the training."""
    feature_sets: Weight = 3.0
    """All of `paths.feature_sets` together, each set as much as another."""


class PenaltyWeights(Section):
    """What a sample's loss is multiplied by, beside the class weight of its phase, for each set of features."""

    positive: Weight = 1.0
    positive_augmented: Weight = 1.0
    after_positive: Weight = 1.0
    negative_joined: Weight = 1.0
    negative_alone: Weight = 1.0
    negative_augmented: Weight = 1.0
    hard_negative: Weight = 1.0
    feature_sets: Weight = 1.0


_WordStrategy = Literal["truncate_start", "fixed_right_cutoff"]
"""What puts the end of a wake word into every window."""


class TruncationStrategies(Section):
    """Which window of a clip a batch has, for each set of features.

    random: any. truncate_start: it ends up to 90 ms before the clip does. truncate_end: it begins with the clip.
    fixed_right_cutoff: it ends `training.right_cutoff_slices` before the clip does. split: one of those that lie side
    by side. Windows of wake words must hold the word's end, so they know `truncate_start` and `fixed_right_cutoff`
    alone.
    """

    positive: _WordStrategy = "truncate_start"
    positive_augmented: _WordStrategy = "truncate_start"
    after_positive: TruncationStrategy = "random"
    negative_joined: TruncationStrategy = "random"
    negative_alone: TruncationStrategy = "random"
    negative_augmented: TruncationStrategy = "random"
    hard_negative: TruncationStrategy = "random"
    """Of mined ones too."""
    feature_sets: TruncationStrategy = "random"


class FilterAugment(Section):
    """Random gains and frequency responses for the windows of each batch, in steps of the int8 features: in low noise
    12 dB of level are about 12 steps."""

    share: Annotated[float, Field(ge=0, le=1)] = 0.75
    """Share of the windows that are filtered."""
    gain: Annotated[float, Field(ge=0, le=64)] = 0.0
    """Most that a window is raised or lowered."""
    tilt: Annotated[float, Field(ge=0, le=64)] = 0.0
    """Most that the highest channel is raised over the middle, or lowered, and the lowest the other way."""
    ripple: Annotated[float, Field(ge=0, le=64)] = 0.0
    """Most that one channel is raised or lowered by itself."""

    @property
    def is_on(self) -> bool:
        """Whether anything is changed."""
        return bool(self.share and (self.gain or self.tilt or self.ripple))


class QuietAugment(Section):
    """Random quiet parts for the windows of each batch, in steps of the int8 features: silence 0, the loudest 255."""

    share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of the windows whose quiet parts are filled, and of those whose quiet parts are erased; a window may
    be both."""
    fill: Annotated[float, Field(ge=0, le=180)] = 0.0
    """How near a filled floor comes to the loudest channel, in steps below it: the distance of a window is drawn from
    this up to 180, so a smaller number fills more. 0 fills none. A room, a breath or a codec leaves sound there that no
    synthesiser makes."""
    erase: Annotated[float, Field(ge=0, le=255)] = 0.0
    """What is below a level is silence; the level of a window is drawn from 0 up to this. 0 erases none. The loudest 50
    steps of a window are kept."""

    @property
    def is_on(self) -> bool:
        """Whether anything is changed."""
        return bool(self.share and (self.fill or self.erase))


class BatchSettings(Section):
    """The keys of `training` that say what batches are drawn from."""

    sampling_weights: SamplingWeights = SamplingWeights()
    """What a batch is drawn from."""
    batch_ratios: tuple[_Ratio, _Ratio, _Ratio] | None = None
    """Windows with the wake word : without it : hard negatives, such as [1, 2, 1], exact in each batch or, where it
    does not divide, over batches: for a balance that does not depend on chance. `sampling_weights` then share out each
    kind between its sets. None: `sampling_weights` alone."""
    penalty_weights: PenaltyWeights = PenaltyWeights()
    """What counts more or less than its class."""
    truncation_strategies: TruncationStrategies = TruncationStrategies()
    """Which window of a clip is heard."""
    right_cutoff_slices: int = Field(0, ge=0, le=19)
    """Slices of 10 ms at the end of each clip that `fixed_right_cutoff` leaves out. Clips of wake words end 200 ms
    after the word, so 10 lets the model fire 100 ms after it, without the usual spread of 90 ms."""

    def end_shifts(self, name: str) -> range:
        """Slices before a clip's end at which windows of a set may end, where that is at the end of a word."""
        if getattr(self.truncation_strategies, name) == "fixed_right_cutoff":
            return range(self.right_cutoff_slices, self.right_cutoff_slices + 1)
        return range(END_SHIFT_SLICES)

    @model_validator(mode="after")
    def _windows_fit(self) -> Self:
        cut = [name for name, given in self.truncation_strategies if given == "fixed_right_cutoff"]
        if self.right_cutoff_slices and not cut:
            raise ValueError(
                f"training.right_cutoff_slices is {self.right_cutoff_slices}, and no set of"
                " training.truncation_strategies is fixed_right_cutoff, which it belongs to; give one, or leave it out"
            )
        return self

    @model_validator(mode="after")
    def _ratios_fit(self) -> Self:
        ratios, weights = self.batch_ratios, self.sampling_weights
        if ratios is None:
            return self
        if not ratios[0] or not ratios[1] + ratios[2]:
            raise ValueError(
                f"training.batch_ratios are {list(ratios)}, which leaves a batch without wake words, or without"
                " negatives; give positive : negative : hard negative, for example [1, 2, 1]"
            )
        default = SamplingWeights()
        for kind, names in _KINDS.items():
            given = {name: getattr(weights, name) for name in names}
            changed = [name for name in names if given[name] != getattr(default, name)]
            if ratios[kind] and not sum(given.values()):
                raise ValueError(
                    f"training.batch_ratios {list(ratios)} want windows of {', '.join(names)}, and"
                    f" training.sampling_weights.{changed[0]} gives them nothing; change one of the two"
                )
            if changed and (not ratios[kind] or len(names) == 1):
                raise ValueError(
                    f"training.batch_ratios {list(ratios)} alone say how much of a batch {', '.join(names)} get, so"
                    f" training.sampling_weights.{changed[0]} would do nothing; leave one of the two out"
                )
        return self
