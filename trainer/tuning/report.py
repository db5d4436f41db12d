"""A tuning in words: a line an iteration while it goes on, the figures of the test split at its end."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from trainer.data.grouping import session_note, shared_speakers
from trainer.data.split import Split
from trainer.evaluation.table import graded
from trainer.terminal import Terminal
from trainer.tuning.measurement import (
    SplitMeasurement,
    TargetVerdict,
    false_accepts_verdict,
    hours_to_prove,
    recall_verdict,
)
from trainer.tuning.operating_point import PointChoice, Targets
from trainer.tuning.policy import Iteration, Move, Trouble, TuningLimits, best_of, next_recipe, trouble_of
from trainer.tuning.tune import Survey, Tuned, TuningTask
from wakeword.corpus.provenance import together
from wakeword.scoring.grades import Grade, grade_false_accepts, grade_recall


class Narrator(Terminal):
    """Tells of a tuning while it goes on."""

    def __init__(self, targets: Targets, verbose: bool = False) -> None:
        super().__init__()
        self._targets, self._verbose = targets, verbose

    def went_on(self, history: tuple[Iteration, ...]) -> None:
        """An earlier session of the same tuning is taken up."""
        self.told(f"going on after iteration {history[-1].number}; best so far: {iteration_line(best_of(history))}")

    def iterated(self, iteration: Iteration) -> None:
        """An iteration ended."""
        self.told(iteration_line(iteration))
        if iteration.number == 0 and (warning := too_few_hours(iteration.point, self._targets)):
            self.told(f"warning: {warning}")
        if self._verbose:
            self.told(details(iteration, self._targets))


def iteration_line(iteration: Iteration) -> str:
    """What came out."""
    outcome = "" if iteration.move is Move.GIVEN else "  (kept)" if iteration.kept else "  (no gain, forgotten)"
    return f"iteration {iteration.number} ({iteration.move}): {point_line(iteration.point)}{outcome}"


def point_line(point: PointChoice) -> str:
    """A point and what validation says of it."""
    choice = point.choice
    return (
        f"{point.recall:.1%} found ({choice.detected} of {choice.utterances}), {point.false_accepts_per_hour:.2f} false"
        f" accepts/h ({choice.false_accepts} in {choice.hours:.2f} h) at cutoff {choice.probability_cutoff:g}, window"
        f" {point.window}"
    )


def details(iteration: Iteration, targets: Targets) -> str:
    """How it was trained, and what validation says beside the figures at the chosen point."""
    recipe, point = iteration.recipe, iteration.point
    parts = []
    if iteration.move is not Move.GIVEN:
        parts = [
            f"learning rate {recipe.learning_rate:g}",
            f"negatives weigh {recipe.negative_class_weight:g}, hard ones {recipe.hard_negative_class_weight:g}",
            f"{recipe.word_share:.0%} of a batch are wake words",
            f"{iteration.mined} accepted training negatives drawn again",
            f"loss {iteration.loss:.4f}",
        ]
    parts += [
        f"average viable recall {point.average_viable_recall:.3f}",
        f"at a cutoff of one half {point.missed_at_half} missed and {point.false_accepts_at_half} falsely accepted",
        f"trouble: {trouble_of(point, targets)}",
        f"{iteration.seconds:.1f} s",
    ]
    return f"    {', '.join(parts)}"


def too_few_hours(point: PointChoice, targets: Targets) -> str:
    """A line where validation is too short to show the target of false accepts; empty where it is long enough."""
    hours, needed = point.choice.hours, hours_to_prove(targets.false_accepts_per_hour)
    if hours >= needed:
        return ""
    return (
        f"validation has {hours:.2f} h: one false accept is {1 / hours:.2g} an hour, and none in {needed:.1f} h would"
        f" prove {targets.false_accepts_per_hour:g}/h; more negatives in the val split choose better"
    )


def surveyed(survey: Survey, task: TuningTask, already: tuple[Iteration, ...] = ()) -> str:
    """What `--dry-run` prints. `already` are iterations of an earlier session in the same folder."""
    candidate, targets, limits = task.candidate, task.targets, task.limits
    lines = [f"Model: {candidate.path}, of the run {candidate.run}"]
    for split in Split:
        of_split = [record for record in candidate.records if record.split is split]
        positives = [record for record in of_split if record.label == "positive"]
        speakers = len({record.speaker for record in positives})
        hours = sum(record.duration for record in of_split if record.label != "positive") / 3600
        lines.append(
            f"{split.value:5}: {len(positives)} utterances of {speakers} speakers, {hours:.2f} h without the wake word"
        )
    lines += filter(None, [session_note(shared_speakers(candidate.records))])
    lines.append(
        f"Targets: at least {targets.recall:.1%} found, at most {targets.false_accepts_per_hour:g} false accepts/h"
    )
    lines.append(f"Now, on validation: {point_line(survey.first.point)}")
    if warning := too_few_hours(survey.first.point, targets):
        lines.append(f"warning: {warning}")
    lines += _plan(survey.first, targets, limits)
    lines += _times(survey, limits, already)
    return "\n".join([*lines, "Nothing was written."])


def _plan(first: Iteration, targets: Targets, limits: TuningLimits) -> Iterator[str]:
    point = first.point
    trouble = trouble_of(point, targets)
    if trouble is Trouble.NONE:
        yield "Both targets are reached on validation by this cutoff and window alone: nothing would be trained."
        return
    move, recipe = next_recipe((first,), targets)
    yield (
        f"Trouble: {trouble} ({point.missed_at_half} missed and {point.false_accepts_at_half} falsely accepted at a"
        f" cutoff of one half). First iteration: {move}, negatives weigh {recipe.negative_class_weight:g} instead of"
        f" {first.recipe.negative_class_weight:g}, {recipe.word_share:.0%} instead of {first.recipe.word_share:.0%} of"
        f" a batch are wake words, learning rate {recipe.learning_rate:g}"
    )
    yield (
        f"At most {limits.max_iterations} iterations of {limits.steps} steps; the end comes after {limits.patience} in"
        " a row without a gain"
    )


def _times(survey: Survey, limits: TuningLimits, already: tuple[Iteration, ...]) -> Iterator[str]:
    trained = sorted(iteration.seconds for iteration in already if iteration.move is not Move.GIVEN)
    if trained:
        middle = trained[len(trained) // 2]
        yield (
            f"Time: {middle:.0f} s an iteration (median of {len(trained)} in the folder),"
            f" {middle * limits.max_iterations / 60:.0f} min for all"
        )
    else:
        yield (
            f"Time: choosing on validation took {survey.validating_s:.1f} s; steps were not timed, as nothing was"
            " trained"
        )


def rendered(tuned: Tuned, targets: Targets) -> Group:
    """The figures of the test split, the given model beside the tuned one."""
    last, best = tuned.history[-1].number, best_of(tuned.history)
    trained = f"best: iteration {best.number} of {last}" if last else "nothing was trained"
    return Group(
        Text(f"Ended: {tuned.ended} ({trained})"),
        Text(f"On validation, which chose them: {point_line(best.point)}"),
        Text(),
        Text(
            "Test split, float model, 95 % intervals. Test data was not used to choose anything: no weight, no cutoff,"
            " no window.",
            "bold",
        ),
        _table(tuned, targets),
        *graded(*_grades(tuned)),
        *_notes(tuned),
    )


def _table(tuned: Tuned, targets: Targets) -> Table:
    one_model = tuned.best == tuned.given
    models = {"model": tuned.best} if one_model else {"given": tuned.given, "tuned": tuned.best}
    table = Table(
        "",
        *models,
        "target",
        "verdict" if one_model else "verdict on tuned",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    recall, accepts = recall_verdict(tuned.best, targets), false_accepts_verdict(tuned.best, targets)
    table.add_row(
        "false accepts/h", *map(_per_hour, models.values()), f"≤ {targets.false_accepts_per_hour:g}", _verdict(accepts)
    )
    table.add_row("recall", *map(_recall, models.values()), f"≥ {targets.recall:.1%}", _verdict(recall))
    cutoffs = (f"{measured.cutoff}/255, window {measured.window}" for measured in models.values())
    table.add_row("cutoff", *cutoffs, "", "")
    return table


def _per_hour(measured: SplitMeasurement) -> str:
    interval = measured.per_hour_interval
    return (
        f"{measured.per_hour:.2f} ({interval.low:.2f}-{interval.high:.2f}): {measured.false_accepts} in"
        f" {measured.hours:.2f} h"
    )


def _recall(measured: SplitMeasurement) -> str:
    interval = measured.recall_interval
    return f"{measured.recall:.1%} ({interval.low:.1%}-{interval.high:.1%}): {measured.found} of {measured.utterances}"


def _verdict(verdict: TargetVerdict) -> Text:
    styles = {
        TargetVerdict.PROVEN: "green",
        TargetVerdict.MET: "yellow",
        TargetVerdict.MISSED: "yellow",
        TargetVerdict.DISPROVEN: "red",
    }
    return Text(verdict, styles[verdict])


def _grades(tuned: Tuned) -> tuple[Grade, Grade]:
    best = tuned.best
    return grade_false_accepts(
        best.false_accepts, best.hours, together((tuned.positives, tuned.negatives))
    ), grade_recall(best.found, best.utterances, tuned.positives)


def _notes(tuned: Tuned) -> Iterator[RenderableType]:
    best = tuned.best
    if best.after_words:
        yield Text(
            f"{best.after_words} of the false accepts of the last column came after a wake word: a second detection, or"
            " a late one."
        )
    if tuned.looks > 1:
        yield Text(
            f"This tuning has measured tuned weights on the test split {tuned.looks} times; the more often it goes on"
            " after a look, the less the figures prove."
        )


def unproven(tuned: Tuned, targets: Targets) -> list[str]:
    """Targets that validation reaches and the test split does not prove, a warning each."""
    best = best_of(tuned.history).point
    lines = []
    for name, reached, verdict in (
        ("recall", best.reaches_recall, recall_verdict(tuned.best, targets)),
        ("false accepts", best.choice.reaches_target, false_accepts_verdict(tuned.best, targets)),
    ):
        if reached and verdict is not TargetVerdict.PROVEN:
            claim = _claim(tuned.best, targets) if name == "false accepts" else ""
            lines.append(f"{name}: reached on validation; on test {verdict}{claim}")
    return lines


def _claim(measured: SplitMeasurement, targets: Targets) -> str:
    needed = hours_to_prove(targets.false_accepts_per_hour)
    return (
        f" ({targets.false_accepts_per_hour:g}/h needs {needed:.1f} h without one, there are {measured.hours:.2f} h)"
        if measured.hours < needed
        else ""
    )


def missed(tuned: Tuned, targets: Targets) -> str:
    """Which targets are missed, on validation or for certain on test; empty when none is."""
    best = best_of(tuned.history).point
    parts = []
    if not best.reaches_targets:
        parts.append(
            f"on validation {best.recall:.1%} found (target {targets.recall:.1%}) at {best.false_accepts_per_hour:.2f}"
            f" false accepts/h (target {targets.false_accepts_per_hour:g})"
        )
    if recall_verdict(tuned.best, targets) is TargetVerdict.DISPROVEN:
        parts.append(f"on test {tuned.best.recall:.1%} found (target {targets.recall:.1%})")
    if false_accepts_verdict(tuned.best, targets) is TargetVerdict.DISPROVEN:
        parts.append(f"on test {tuned.best.per_hour:.2f} false accepts/h (target {targets.false_accepts_per_hour:g})")
    return "; ".join(parts)
