"""From gradients to weights: the optimizers that `training.optimizer` names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trainer.config.training_sections import TrainingSection


def build_optimizer(settings: TrainingSection, variables: Sequence[Any]) -> Any:
    """A `keras.optimizers.Optimizer` of some `keras.Variable`s, its own variables made; its learning rate is Keras'
    default until one is set.

    - adam: Kingma and Ba, "Adam: A Method for Stochastic Optimization" (2015), with Keras' moments.
    - adamw: Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (2019). Before each step of Adam a weight
      loses the share learning rate x `weight_decay` of itself. Biases and the scales and shifts of normalisations, all
      variables of one dimension, lose nothing: they do not make a model larger than its data.
    - sgd: v <- momentum v - rate g, weight <- weight + v, the gradient being g (Sutskever et al., "On the importance
      of initialization and momentum in deep learning", 2013); not Nesterov's form.
    """
    import keras

    optimizer: Any
    match settings.optimizer:
        case "adam":
            optimizer = keras.optimizers.Adam()
        case "adamw":
            optimizer = keras.optimizers.AdamW(weight_decay=settings.weight_decay)
            optimizer.exclude_from_weight_decay([variable for variable in variables if len(variable.shape) < 2])
        case "sgd":
            optimizer = keras.optimizers.SGD(momentum=settings.momentum)
    optimizer.build(variables)
    return optimizer
