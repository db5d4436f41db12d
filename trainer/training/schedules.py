"""The learning rate of each step, as `training.schedule` says."""

from __future__ import annotations

import math

from trainer.config.training_sections import TrainingSection


def learning_rate(settings: TrainingSection, step: int, lowered: int = 0) -> float:
    """Of a step, counted from 0.

    - phases: what `learning_rates` has for the step's phase.
    - cosine: `cosine` of the whole training, times the first of `learning_rates`.
    - plateau: the first of `learning_rates`, times `plateau_factor` for each time that it was `lowered`.
    """
    match settings.schedule:
        case "phases":
            return settings.learning_rates[settings.phase_of(step)]
        case "cosine":
            share = cosine(step, settings.steps, settings.warm_up_steps, settings.cosine_final_fraction)
            return settings.learning_rates[0] * share
        case "plateau":
            return settings.learning_rates[0] * settings.plateau_factor**lowered


def cosine(step: int, steps: int, warm_up: int, final: float) -> float:
    """The share of the highest rate that a step has, 0 to 1, of so many `steps`.

    Over the `warm_up` it rises step by step by the same amount (Goyal et al., "Accurate, Large Minibatch SGD", 2017).
    Then it falls from 1 toward `final` along half a period of a cosine (Loshchilov and Hutter, "SGDR", 2017, equation 5
    without restarts), which it would reach at the step after the last.
    """
    if step < warm_up:
        return (step + 1) / warm_up
    done = (step - warm_up) / (steps - warm_up)
    return final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * done))
