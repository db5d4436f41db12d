"""An evaluation as text for the terminal: false accepts an hour first, every rate with its interval."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from trainer.data.composition import of_split
from trainer.data.split import Split
from trainer.evaluation.analysis import ErrorAnalysis, Histogram
from trainer.evaluation.device import DeviceFigures, Recall
from trainer.evaluation.evaluate import Evaluation
from trainer.evaluation.temperature import FittedTemperature
from trainer.evaluation.windows import ProbabilityCalibration, WindowMetrics
from wakeword.contract import PROBABILITY_MAX
from wakeword.scoring.grades import Grade
from wakeword.scoring.operating_point import cutoff_as_probability

MOST_SPEAKERS = 12
"""Of more, those with the lowest recall are shown; JSON has all."""
_BAR = 40


def rendered(evaluation: Evaluation) -> Group:
    """The whole report."""
    point = evaluation.point
    title = f"{evaluation.model} ({evaluation.form}), {evaluation.split} split of {evaluation.run}"
    where = f"cutoff {point.probability_cutoff:g} ({point.cutoff}/255), window {point.window}: {point.origin}"
    parts: list[RenderableType] = [
        Text(title, "bold"),
        Text(where),
        Text(),
        Text("As the device decides (whole recordings, sliding mean, hold-off)", "bold"),
        _device_table(evaluation.device),
        *_notes(evaluation),
        *_speakers(evaluation.device.speakers),
        Text(),
        Text("Classic window metrics, for comparison with other trainers only (no sliding mean, no hold-off)", "bold"),
        _window_table(evaluation.windows),
        Text(),
        Text("Calibration of the same windows", "bold"),
        *_calibration(evaluation.calibration),
        *(_temperature(evaluation.temperature, evaluation.split) if evaluation.temperature else ()),
        *(_robustness(evaluation) if evaluation.robustness else ()),
        *(_analysis(evaluation.analysis) if evaluation.analysis else ()),
        Text(),
        Text(evaluation.note, "italic"),
    ]
    return Group(*parts)


def _device_table(figures: DeviceFigures) -> Table:
    table = Table("", "figure", "95 % interval", "counted", box=None, pad_edge=False)
    low, high = figures.per_hour_interval.low, figures.per_hour_interval.high
    table.add_row(
        "false accepts/h",
        f"{figures.per_hour:.2f}",
        f"{low:.2f}-{high:.2f}",
        f"{len(figures.false_accepts)} in {figures.hours:.2f} h",
    )
    table.add_row("recall", *_recall_cells(figures.recall))
    best = figures.all_cutoffs
    lowest = best.cutoff_for_no_faph
    where = (
        "no cutoff has none"
        if lowest is None
        else f"lowest cutoff {cutoff_as_probability(round(lowest * PROBABILITY_MAX))}"
    )
    table.add_row("average viable recall", f"{best.average_viable_recall:.3f}", "", "all cutoffs, 0-2 false accepts/h")
    table.add_row("recall at no false accepts", f"{best.recall_at_no_faph:.1%}", "", where)
    if figures.latency is not None:
        early, middle, late = figures.latency.percentiles_ms
        spread = f"{early:.0f} to {late:.0f} ms (5-95 %)"
        table.add_row(
            "latency after the word",
            f"{middle:.0f} ms",
            Text(spread),
            f"median of {figures.latency.utterances}{_hidden(figures.latency.hidden)}",
        )
    return table


def _hidden(utterances: int) -> str:
    return f", {utterances} left out: noise hides where the word ends" if utterances else ""


def _notes(evaluation: Evaluation) -> Iterator[Text]:
    figures, grades = evaluation.device, evaluation.grades
    yield from graded(grades.false_accepts, grades.recall)
    if evaluation.session_note:
        yield Text(f"{evaluation.session_note[0].upper()}{evaluation.session_note[1:]}.", "bold")
    if evaluation.negatives:
        yield Text(f"Negatives by folder (number of files): {of_split(evaluation.negatives, evaluation.split)}.")
    if figures.after_words:
        yield Text(
            f"{figures.after_words} of the false accepts came with a wake word: before it, too late, or a second time."
        )


def graded(false_accepts: Grade, recall: Grade) -> Iterator[Text]:
    """What the figures are called, and what is missing where they are not called anything yet."""
    yield Text(f"False accepts: {false_accepts.headline}. Recall: {recall.headline}.", "bold")
    for remark in dict.fromkeys(grade.remark for grade in (false_accepts, recall) if grade.remark):
        yield Text(remark)


def _recall_cells(recall: Recall) -> tuple[str, str, str]:
    return (
        f"{recall.share:.1%}",
        f"{recall.interval.low:.1%}-{recall.interval.high:.1%}",
        f"{recall.found} of {recall.utterances}",
    )


def _speakers(speakers: dict[str, Recall]) -> Iterator[RenderableType]:
    if len(speakers) < 2:
        return
    ordered = sorted(speakers.items(), key=lambda item: (item[1].share, item[0]))
    table = Table("speaker", "recall", "95 % interval", "found", box=None, pad_edge=False)
    for name, recall in ordered[:MOST_SPEAKERS]:
        table.add_row(Text(name), *_recall_cells(recall))
    yield Text()
    yield Text(
        f"Recall by speaker{f', the {MOST_SPEAKERS} lowest of {len(ordered)}' if len(ordered) > MOST_SPEAKERS else ''}",
        "bold",
    )
    yield table


def _window_table(metrics: WindowMetrics) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_row(
        "windows",
        f"{metrics.positives} with the wake word (one each, 150 ms after it), {metrics.negatives} without (every"
        " 300 ms)",
    )
    at = (
        f"accuracy {metrics.accuracy:.4f}, precision {metrics.precision:.4f}, recall {metrics.recall:.4f}, F1"
        f" {metrics.f1:.4f}"
    )
    table.add_row(f"at {metrics.threshold:g}", at)
    table.add_row(
        "ROC",
        f"AUC {metrics.auc:.5f}, partial AUC up to 0.1 {metrics.partial_auc:.5f}, average precision"
        f" {metrics.average_precision:.5f}",
    )
    table.add_row("equal error rate", f"{metrics.equal_error.rate:.3%} at {metrics.equal_error.threshold:.3f}")
    return table


def _calibration(calibration: ProbabilityCalibration) -> Iterator[RenderableType]:
    yield Text(
        f"Brier score {calibration.brier_score:.5f} (skill {calibration.brier_skill:.3f} against a base rate of"
        f" {calibration.base_rate:.3f}), mean error {calibration.error.expected:.4f}, largest"
        f" {calibration.error.largest:.3f}"
    )
    table = Table("said", "happened", "95 % interval", "windows", box=None, pad_edge=False)
    for part in calibration.by_width:
        table.add_row(
            f"{part.mean_probability:.3f}",
            f"{part.frequency:.3f}",
            f"{part.interval.low:.3f}-{part.interval.high:.3f}",
            f"{part.positives} of {part.windows}",
        )
    yield table


def _temperature(fitted: FittedTemperature, split: Split) -> Iterator[RenderableType]:
    these = ", which are these" if split is Split.VAL else ""
    yield Text(
        f"A temperature of {fitted.temperature:.2f}, fitted on {fitted.fitted_windows} windows of validation{these},"
        f" would make the mean error {fitted.error_after:.4f} instead of {fitted.error_before:.4f} (negative"
        f" log-likelihood {fitted.likelihood_after:.4f} instead of {fitted.likelihood_before:.4f}). The model does not"
        " have it: docs/evaluation.md says why."
    )


def _robustness(evaluation: Evaluation) -> Iterator[RenderableType]:
    yield Text()
    yield Text("Robustness, at the same cutoff: the same words, changed (no figure of the device)", "bold")
    table = Table("change", "recall", "95 % interval", "found", box=None, pad_edge=False)
    table.add_row("none", *_recall_cells(evaluation.device.recall))
    for one in evaluation.robustness:
        table.add_row(one.change, *_recall_cells(one.recall))
    yield table


def _analysis(analysis: ErrorAnalysis) -> Iterator[RenderableType]:
    yield Text()
    yield Text("Utterances that the model is least sure of (highest sliding mean)", "bold")
    table = Table("mean", "", "speaker", "recording", box=None, pad_edge=False)
    for utterance in analysis.utterances:
        path = Text(str(utterance.path), overflow="fold")
        table.add_row(
            f"{utterance.highest_average:.3f}", "" if utterance.found else "missed", Text(utterance.speaker), path
        )
    yield table
    yield Text()
    yield Text("Negatives that it is surest of", "bold")
    table = Table("mean", "", "second", "recording", box=None, pad_edge=False)
    for negative in analysis.negatives:
        path = Text(str(negative.path), overflow="fold")
        table.add_row(
            f"{negative.average:.3f}", "accepted" if negative.accepted else "", f"{negative.seconds:.2f}", path
        )
    yield table
    yield Text()
    yield Text("Probabilities: highest of each utterance, and all of the negatives (bars are logarithmic)", "bold")
    yield _histograms(analysis.positive_histogram, analysis.negative_histogram)


def _histograms(positives: Histogram, negatives: Histogram) -> Table:
    table = Table("from", "utterances", "", "negatives", "", box=None, pad_edge=False)
    for index, (positive, negative) in enumerate(zip(positives.counts, negatives.counts, strict=True)):
        low = f"{index / len(positives.counts):.3f}"
        table.add_row(
            low,
            str(positive),
            _bar(positive, max(positives.counts)),
            str(negative),
            _bar(negative, max(negatives.counts)),
        )
    return table


def _bar(count: int, largest: int) -> str:
    from math import log1p

    return "#" * round(_BAR * log1p(count) / log1p(largest)) if largest else ""
