"""How a training learns, as keys of the section `training`: loss, weights of the classes, optimizer."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from trainer.config.base import Section

_OF_CHOICE = {
    "focal_alpha": ("loss", "focal"),
    "focal_gamma": ("loss", "focal"),
    "weight_decay": ("optimizer", "adamw"),
    "momentum": ("optimizer", "sgd"),
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

    @model_validator(mode="after")
    def _nothing_is_given_in_vain(self) -> Self:
        for name, (chooser, choice) in _OF_CHOICE.items():
            value, chosen = getattr(self, name), getattr(self, chooser)
            if chosen != choice and value != type(self).model_fields[name].default:
                raise ValueError(
                    f"training.{name} is {value:g}, and training.{chooser} {chosen} has no use for it; give --set"
                    f" training.{chooser}={choice}, or leave training.{name} out"
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
