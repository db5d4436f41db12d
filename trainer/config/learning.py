"""How a training learns, as keys of the section `training`: loss, weights of the classes, optimizer, schedule."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from trainer.config.base import Section

_OF_CHOICE = {
    **dict.fromkeys(("focal_alpha", "focal_gamma"), ("loss", "focal")),
    "weight_decay": ("optimizer", "adamw"),
    "momentum": ("optimizer", "sgd"),
    **dict.fromkeys(("warm_up_steps", "cosine_final_fraction"), ("schedule", "cosine")),
    **dict.fromkeys(("plateau_patience", "plateau_factor"), ("schedule", "plateau")),
}
"""Keys that act with one choice of another key alone."""
_GIVEN_WEIGHTS = ("positive_class_weight", "negative_class_weight", "hard_negative_class_weight")


class LearningSettings(Section):
    """The keys of `training` that say how it learns."""

    loss: Literal["binary_crossentropy", "focal"] = "binary_crossentropy"
    """What a step makes smaller. focal (Lin et al. 2017) leaves out most of what samples weigh that are judged well
    already: for when easy negatives outweigh the few that matter."""
    focal_alpha: float = Field(0.25, gt=0, lt=1)
    """What a wake word weighs in the focal loss; a negative weighs the rest to 1. The class weights count beside it."""
    focal_gamma: float = Field(2.0, ge=0)
    """How fast a sample stops to count as it is judged better, in the focal loss; 0: not at all."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of the truth that is given to both classes alike (Szegedy et al. 2016), with any loss: for labels that may
    be wrong, and against a model that is too sure of itself. 0: none."""
    triplet_weight: tuple[Annotated[float, Field(ge=0)], ...] = (0.0, 0.0)
    """What the triplet loss (FaceNet, Schroff et al. 2015) on the encoder's output counts beside the rest, a value a
    phase or one for all, such as [0, 0.5] to fine-tune with it: wake words come to lie together, apart from all else.
    0: none, also where it is not given."""
    triplet_margin: float = Field(0.2, gt=0, le=4)
    """How much nearer a wake word is to be to another than to a negative: squared distance of embeddings of length 1,
    which is 4 at most."""
    triplet_mining: Literal["semi_hard", "hard"] = "semi_hard"
    """Which negatives of a batch count. semi_hard: of each two wake words the nearest that is farther than these are
    apart. hard: of each wake word the nearest of all (Hermans et al. 2017), where labels are sure."""
    class_weights: Literal["given", "balanced"] = "given"
    """given: the three weights of the classes. balanced: wake words and negatives have the same weight together,
    however many of each are drawn; the penalty weights count beside it. For an even start, without weights to tune."""

    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    """How gradients move the weights. adamw (Loshchilov and Hutter 2019): adam, and the weights shrink a little at each
    step: against a model that is too sure of few recordings. sgd: the gradient itself, with momentum: it sometimes
    generalises better, and needs other `learning_rates` than adam's."""
    weight_decay: float = Field(0.01, ge=0)
    """What adamw takes off a weight at each step, as a share of it and of the learning rate; biases and normalisations
    keep theirs."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """What sgd keeps of the step before: smoother steps where gradients are noisy."""

    schedule: Literal["phases", "cosine", "plateau"] = "phases"
    """Where the learning rate of a step comes from. phases: `learning_rates`. cosine: up over `warm_up_steps` to the
    first of `learning_rates`, then down along a cosine to the end of the training (Loshchilov and Hutter 2017): one
    curve for all phases, without steps to place. plateau: the first of `learning_rates`, lowered where no evaluation is
    better: for a length that is not known before. The rates of later phases have no part in cosine and plateau."""
    warm_up_steps: int = Field(0, ge=0)
    """Steps over which a cosine's rate rises to its highest (Goyal et al. 2017): against a bad start at a high rate."""
    cosine_final_fraction: float = Field(0.0, ge=0, lt=1)
    """What a cosine goes down to, as a share of its highest rate: above 0 the last steps still train."""
    plateau_patience: int = Field(5, ge=1)
    """Evaluations in a row that are no better before a plateau lowers the rate; better is what would be kept as the
    best checkpoint."""
    plateau_factor: float = Field(0.5, gt=0, lt=1)
    """What a plateau multiplies the rate by: a smaller one goes down faster."""
    early_stopping_evaluations: int = Field(0, ge=0)
    """Evaluations in a row that are no better before the training ends, with any schedule: to spend no time on steps
    that are not kept. With `phases` those of the last phase count, and it ends in that one alone. 0: it does not end
    early."""

    @model_validator(mode="after")
    def _nothing_is_given_in_vain(self) -> Self:
        for name, (chooser, choice) in _OF_CHOICE.items():
            value, chosen = getattr(self, name), getattr(self, chooser)
            if chosen != choice and value != type(self).model_fields[name].default:
                raise ValueError(
                    f"training.{name} is {value:g}, and training.{chooser} {chosen} has no use for it; give --set"
                    f" training.{chooser}={choice}, or leave training.{name} out"
                )
        for name in ("triplet_margin", "triplet_mining"):
            if not any(self.triplet_weight) and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(
                    f"training.{name} is {getattr(self, name)}, and training.triplet_weight is 0 in all phases; give"
                    f" one, for example [0, 0.5], or leave training.{name} out"
                )
        if self.schedule == "plateau" and 0 < self.early_stopping_evaluations <= self.plateau_patience:
            raise ValueError(
                f"training.early_stopping_evaluations is {self.early_stopping_evaluations}, and a plateau would lower"
                f" the rate after training.plateau_patience {self.plateau_patience}, when the training has ended; give"
                f" {self.plateau_patience + 1} or more"
            )
        if self.class_weights == "balanced":
            for name in _GIVEN_WEIGHTS:
                usual = type(self).model_fields[name].default[0]
                if any(value != usual for value in getattr(self, name)):
                    raise ValueError(
                        f"training.{name} is given, and training.class_weights balanced computes the weights itself;"
                        " leave one of the two out"
                    )
        return self
