"""The report: one self-contained HTML page made from `result.json`, readable from a mail attachment without a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.results import wording
from harness.results.clips import ClipReader
from harness.results.evidence import CONTEXT_SECONDS, false_accepts, misses
from harness.results.figures import arena_rows, cutoff_table, figure_tables, rate_ruler, share_ruler
from harness.results.merge import merge_results
from harness.results.plots import OperatingPoint, cutoff_plot, det_plot
from harness.results.runs import run_streams, sweep_cutoffs
from harness.results.schema import Result, RunRecord
from harness.results.timeline import HEIGHT, WIDTH
from harness.results.verdict import ACCEPTABLE_TO, EXCELLENT_BELOW, Verdict, judge
from wakeword.contract import HOLD_OFF_SLICES
from wakeword.errors import ConfigError
from wakeword.files import write_atomically
from wakeword.scoring.det import average_viable_recall

SOURCE_MEANING = {
    "simulated": (
        "the recordings went through the device's microfrontend, through the model as TensorFlow Lite Micro's reference kernels compute it, "
        "bit for bit, and through ESPHome's decision logic, on Linux. No loudspeaker, room, microphone or board took part."
    ),
    "virtual board": (
        "ESPHome's own firmware, built for Linux, heard the recordings through a virtual microphone. No loudspeaker, room or real microphone took part."
    ),
    "on-device": "a board heard the recordings through its own microphone and reported its detections.",
}
"""What each source word means, for the method section."""


def write_report(results: Sequence[Result], output: Path, *, max_clips: int) -> Verdict:
    """Write the report on one or several results of the same model and return its verdict.

    The page is a function of the results and of the recordings they name: the same input gives the same bytes. At most
    `max_clips` misses and `max_clips` false accepts are shown with their sound.

    Raises `ConfigError` when the results cannot be merged or contradict themselves, `OSError` when the page cannot be written.
    """
    if max_clips < 0:
        raise ConfigError(f"--max-clips {max_clips}: give 0 or more")
    result = merge_results(results)
    verdict = judge(result)
    write_atomically(output, _render(_context(result, results, verdict, max_clips)))
    return verdict


def _context(result: Result, parts: Sequence[Result], verdict: Verdict, max_clips: int) -> dict[str, Any]:
    """Everything that the template shows."""
    model, scores = result.model, result.scores
    streams = [stream for run in result.runs for stream in run_streams(run, model.stride)]
    answered = all(sum(run.inferences_per_file) for run in result.runs)
    curve = sweep_cutoffs(streams, model.window) if answered else None
    point = OperatingPoint(model.cutoff, scores.recall, scores.false_accepts_per_hour)
    reader = ClipReader()
    return {
        "result": result,
        "parts": list(dict.fromkeys((part.created, part.command, part.seed) for part in parts)),
        "model": model,
        "verdict": verdict,
        "source": result.runs[0].source,
        "source_meaning": SOURCE_MEANING[result.runs[0].source],
        "synthetic": [run.label for run in result.runs if run.synthetic],
        "all_synthetic": all(run.synthetic for run in result.runs),
        "scores": scores,
        "rate_ruler": rate_ruler(scores.false_accepts_per_hour),
        "recall_ruler": share_ruler(scores.recall),
        "figures": figure_tables(result),
        "arena": arena_rows(result.arena),
        "curve": curve,
        "viable_recall": average_viable_recall(curve) if curve is not None and curve.hours and curve.utterances else None,
        "det": det_plot(curve, point) if curve is not None else None,
        "cutoffs": cutoff_plot(curve, point) if curve is not None else None,
        "cutoff_rows": cutoff_table(curve, model) if curve is not None else (),
        "misses": misses(streams, model, max_clips, reader) if scores.recall is not None else None,
        "false_accepts": false_accepts(streams, model, max_clips, reader) if scores.false_accepts_per_hour is not None else None,
        "runs": [(run, _protocol(run)) for run in result.runs],
        "w": wording,
        "hold_off": HOLD_OFF_SLICES,
        "timeline_width": WIDTH,
        "timeline_height": HEIGHT,
        "context_seconds": CONTEXT_SECONDS,
        "excellent_below": EXCELLENT_BELOW,
        "acceptable_to": ACCEPTABLE_TO,
    }


def _protocol(run: RunRecord) -> str:
    """How the audio was presented, in words."""
    protocol = run.protocol
    word = "each file is one utterance of the wake word" if protocol.truth == "wake" else "no file holds the wake word"
    if protocol.mode == "clips":
        how = f"each clip after a fresh boot, with {protocol.lead_in_seconds:g} s of lead-in and {protocol.tail_seconds:g} s of tail"
    else:
        how = f"one stream, files one after another with gaps of {protocol.gap_seconds:g} s"
    return f"{how}; {word}"


def _render(context: dict[str, Any]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("harness.results", "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html.j2").render(context)
