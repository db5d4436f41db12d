"""The report: one self-contained HTML page made from `result.json`, readable from a mail attachment without
a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.results import wording
from harness.results.clips import ClipReader
from harness.results.evidence import (
    CONTEXT_SECONDS,
    disagreements,
    false_accepts,
    misses,
    pair_streams,
    paired_curve,
)
from harness.results.figures import cutoff_table, figure_tables, ruler, speaker_table, void_rows
from harness.results.judged import judged_sentence, judged_view
from harness.results.merge import merge_results
from harness.results.plots import MeasuredPoint, cutoff_plot, det_plot
from harness.results.runs import scored_runs
from harness.results.schema import Result
from harness.results.scores import add_scores
from harness.results.timeline import HEIGHT, WIDTH
from harness.results.verdict import Verdict, judge
from wakeword.contract import HOLD_OFF_SLICES
from wakeword.errors import ConfigError
from wakeword.files import write_atomically
from wakeword.noise_floor import noise_words
from wakeword.pages import render_page
from wakeword.scoring.agreement import SIGNIFICANCE, utterances_needed
from wakeword.scoring.det import average_viable_recall
from wakeword.scoring.grades import ACCEPTABLE_TO, EXCELLENT_BELOW, RATE_SCALE, RECALL_SCALE
from wakeword.scoring.matching import TOLERANCE_SECONDS


def write_report(results: Sequence[Result], output: Path, *, max_clips: int) -> Verdict:
    """Write the report on one or several results of the same model and return its verdict.

    The page is a function of the results and of the recordings they name: the same input gives the same bytes. At most
    `max_clips` misses and `max_clips` false accepts are shown with their sound.

    Raises `ConfigError` when the results cannot be merged or contradict themselves, `OSError` when the page cannot be
    written.
    """
    if max_clips < 0:
        raise ConfigError(f"--max-clips {max_clips}: give 0 or more")
    result = merge_results(results)
    verdict = judge(result)
    if result.judged_scores is not None and not verdict.withheld:
        verdict = replace(verdict, with_judge=judged_sentence(result.judged_scores))
    write_atomically(
        output, render_page("harness.results", "report.html.j2", _context(result, results, verdict, max_clips))
    )
    return verdict


def _context(result: Result, parts: Sequence[Result], verdict: Verdict, max_clips: int) -> dict[str, Any]:
    """Everything that the template shows: what was counted once, as figures; the words are the template's."""
    model, scores, source, agreement = result.model, result.scores, result.runs[0].source, result.agreement
    measured, simulation = scored_runs(result)
    simulated = add_scores(simulation) if simulation else None
    by_run = pair_streams(measured, simulation)
    paired = [one for streams in by_run for one in streams]
    traces = [one.trace for one in paired]
    curve = paired_curve(by_run, model.window)
    point = MeasuredPoint(model.cutoff, scores.recall, scores.false_accepts_per_hour)
    reader = ClipReader()
    return {
        "result": result,
        "parts": list(dict.fromkeys((part.created, part.command, part.seed) for part in parts)),
        "model": model,
        "verdict": verdict,
        "source": source,
        "sound": result.session.sound if result.session is not None and source == "virtual board" else "",
        "noise": noise_words(result.runs[0].protocol.noise_floor_dbfs),
        "kernels": result.runs[0].kernels,
        "synthetic": [run.label for run in result.runs if run.provenance in ("synthetic", "partly synthetic")],
        "all_synthetic": all(run.provenance == "synthetic" for run in result.runs),
        "speakers": speaker_table(measured),
        "scores": scores,
        "simulated": simulated,
        "rated": any(one.tells_rate for one in measured),
        "rate_ruler": ruler(scores.false_accepts_per_hour, simulated.false_accepts_per_hour if simulated else None),
        "recall_ruler": ruler(scores.recall, simulated.recall if simulated else None),
        "figures": figure_tables(measured, scores, simulation),
        "curve": curve,
        "curve_source": next((trace.run.source for trace in traces if trace.run.source != source), source),
        "viable_recall": (
            average_viable_recall(curve) if curve is not None and curve.hours and curve.utterances else None
        ),
        "det": det_plot(curve, point) if curve is not None else None,
        "cutoffs": cutoff_plot(curve, point) if curve is not None else None,
        "cutoff_rows": cutoff_table(curve, model) if curve is not None else (),
        "misses": misses(paired, model, max_clips, reader) if scores.recall is not None else None,
        "false_accepts": (
            false_accepts(paired, model, max_clips, reader) if scores.false_accepts_per_hour is not None else None
        ),
        "judge": result.judge,
        "judged": judged_view(result),
        "agreement": agreement,
        "disagreements": (
            disagreements(agreement.disagreements, by_run, model, max_clips, reader) if agreement is not None else None
        ),
        "sessions": list(dict.fromkeys(part.session for part in parts if part.session is not None)),
        "voids": void_rows(measured),
        "w": wording,
        "significance": SIGNIFICANCE,
        "utterances_needed": utterances_needed,
        "hold_off": HOLD_OFF_SLICES,
        "step_ms": model.feature_step_ms,
        "tolerance": f"{TOLERANCE_SECONDS:g}",
        "timeline_width": WIDTH,
        "timeline_height": HEIGHT,
        "context_seconds": CONTEXT_SECONDS,
        "excellent_below": EXCELLENT_BELOW,
        "acceptable_to": ACCEPTABLE_TO,
        "scales": (RATE_SCALE, RECALL_SCALE),
    }
