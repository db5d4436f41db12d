"""What int8 arithmetic costs a model on validation data, by the device's rules, and whether that is more than a limit.

Both models heard the same recordings, so their utterances are compared in pairs, and their false accepts are of the
same hours. A validation set is small: of 100 words three are 3 %, and one false accept more or less moves the cutoff.
So a loss above the limit counts only if chance explains it neither by the words nor by the false accepts:

- The int8 model may have as many false accepts as a float model with the same rate could have had by chance (one-sided
  binomial test of the two counts at 5 %): none against up to four.
- With the cutoff that this allows it must still lose more than the limit, and lose more words than it finds that the
  float model did not, by more than a sign test calls chance (McNemar, one-sided, 5 %): with no word gained, five.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trainer.inference.splits import SimulatedSplit
from wakeword.errors import MeasurementFailure
from wakeword.model.float_model import Agreement, FormFigures
from wakeword.scoring.operating_point import HIGHEST_CUTOFF

CHANCE = 0.05
"""What is likelier than this is chance."""


@dataclass(frozen=True)
class ModelForm:
    """One form of a model, with what it gave for the validation split."""

    form: str
    """`float`, `int8` or `int8, quantisation-aware`."""
    simulated: SimulatedSplit
    agreement: Agreement | None
    """Of an int8 form with the float weights that it was made of."""


def compared(forms: Sequence[ModelForm], window: int, target_false_accepts_per_hour: float) -> tuple[FormFigures, ...]:
    """The figures of each form at the false accepts that the first, the float model, has where the export's rule puts
    its cutoff.
    """
    allowed = forms[0].simulated.choice(window, target_false_accepts_per_hour).false_accepts
    return tuple(_figures(form, window, allowed) for form in forms)


def refuse_loss(floating: ModelForm, exported: ModelForm, window: int, target: float, limit: float) -> None:
    """Raise `MeasurementFailure` where the exported model loses more than `limit` (a share of the wake words) at the
    float model's false accepts, and chance does not explain it; see the module.
    """
    before, after = compared((floating, exported), window, target)
    if before.recall - after.recall <= limit:
        return
    generous = _figures(exported, window, false_accepts_by_chance(before.false_accepts))
    known = _found(floating.simulated, before.cutoff, window)
    found = _found(exported.simulated, generous.cutoff, window)
    lost, gained = len(known - found), len(found - known)
    if (lost - gained) / before.utterances > limit and at_most(gained, lost + gained) < CHANCE:
        raise MeasurementFailure(
            f"int8 arithmetic finds {after.detected} of {after.utterances} validation utterances at no more than"
            f" {before.false_accepts} false accepts, and the float model {before.detected}: {before.recall:.1%} became"
            f" {after.recall:.1%}, and export.max_recall_drop is {limit:g}; fine-tune with"
            " training.quantization_aware_steps, take a wider model, or allow more; nothing was written"
        )


def false_accepts_by_chance(count: int) -> int:
    """The most false accepts that a model with the same rate could have in the same hours, where another had `count`:
    the larger count of two that share a rate is binomial of their sum.
    """
    more = count
    while at_most(count, count + more + 1) >= CHANCE:
        more += 1
    return more


def at_most(successes: int, trials: int) -> float:
    """Probability of so few heads or fewer in so many throws of a coin; 1 without throws."""
    from scipy.special import bdtr

    return float(bdtr(successes, trials, 0.5)) if trials else 1.0


def _figures(form: ModelForm, window: int, allowed: int) -> FormFigures:
    """Where a form finds most with no more than so many false accepts; of equal cutoffs the highest. A form that has
    more at every cutoff is measured at the highest.
    """
    curve = form.simulated.curve(window)
    cutoffs = [cutoff for cutoff in range(1, HIGHEST_CUTOFF + 1) if curve.false_accepts[cutoff] <= allowed]
    best = max(cutoffs or [HIGHEST_CUTOFF], key=lambda cutoff: (curve.detected[cutoff], cutoff))
    return FormFigures(
        form=form.form,
        cutoff=best,
        detected=int(curve.detected[best]),
        utterances=curve.utterances,
        false_accepts=int(curve.false_accepts[best]),
        hours=curve.hours,
        agreement=form.agreement,
    )


def _found(simulated: SimulatedSplit, cutoff: int, window: int) -> set[int]:
    """Which of the words were found."""
    _, outcome = simulated.decided(cutoff, window)[0]
    return {utterance for utterance, _ in outcome.matches}
