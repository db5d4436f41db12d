"""The report: one self-contained HTML page made from `result.json`, readable from a mail attachment without a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.results import comparison, session_facts, wording
from harness.results.clips import ClipReader
from harness.results.device_records import SessionRecord
from harness.results.evidence import CONTEXT_SECONDS, PairedStream, disagreements, false_accepts, misses
from harness.results.figures import arena_rows, cutoff_table, figure_tables, rate_ruler, share_ruler, speaker_table
from harness.results.merge import merge_results
from harness.results.plots import OperatingPoint, cutoff_plot, det_plot
from harness.results.runs import run_streams, sweep_cutoffs
from harness.results.schema import Result, RunRecord
from harness.results.scores import score_simulation, with_voids_of
from harness.results.timeline import HEIGHT, WIDTH
from harness.results.verdict import Verdict, judge
from wakeword.contract import HOLD_OFF_SLICES
from wakeword.errors import ConfigError
from wakeword.files import write_atomically
from wakeword.pages import render_page
from wakeword.scoring.det import average_viable_recall
from wakeword.scoring.grades import ACCEPTABLE_TO, EXCELLENT_BELOW, RATE_SCALE, RECALL_SCALE
from wakeword.scoring.matching import TOLERANCE_SECONDS

LATENCY_FROM = {
    "estimated end of the word": "end of the word, estimated from its loudness",
    "end of the recording": "end of the utterance's recording (where the word ends inside it is not known)",
}

VIRTUAL_BOARD_LABEL = "ESPHome's detection code on Linux with TFLM reference kernels"
"""What stands beside the words `virtual board`, so that nobody takes them for a device."""

SOURCE_MEANING = {
    "simulated": (
        "the recordings went through the device's microfrontend, through the model as TensorFlow Lite Micro's reference kernels compute it, "
        "bit for bit, and through ESPHome's decision logic, on Linux. No loudspeaker, room, microphone or board took part, and none of the kernels (ESP-NN) "
        "that an ESP32-S3 runs in their place."
    ),
    "virtual board": (
        f"{VIRTUAL_BOARD_LABEL}. It heard the recordings through a virtual microphone and told its detections over "
        "ESPHome's native API. No loudspeaker, room, real microphone or ESP32 took part."
    ),
    "on-device": "a board heard the recordings through its own microphone and reported its detections.",
}
"""What each source word means, for the method section."""

VIRTUAL_BOARD_IN_AIR = (
    f"{VIRTUAL_BOARD_LABEL}. It heard the recordings, played in real time by the playing device named under Acoustics, through the recording device named "
    "there, and the simulation heard what that device recorded. No ESP32 took part."
)
"""The same, where sound went through audio devices: whether these are real ones, their names say."""


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
    write_atomically(output, render_page("harness.results", "report.html.j2", _context(result, results, verdict, max_clips)))
    return verdict


def _context(result: Result, parts: Sequence[Result], verdict: Verdict, max_clips: int) -> dict[str, Any]:
    """Everything that the template shows."""
    model, scores, source = result.model, result.scores, result.runs[0].source
    by_run = _paired_streams(result)
    paired = [one for streams in by_run for one in streams]
    traces = [one.trace for one in paired]
    answered = all(any(one.trace.has_trace for one in streams) for streams in by_run)
    curve = sweep_cutoffs(traces, model.window) if answered else None
    point = OperatingPoint(model.cutoff, scores.recall, scores.false_accepts_per_hour)
    simulated = score_simulation(result)
    reader = ClipReader()
    return {
        "result": result,
        "parts": list(dict.fromkeys((part.created, part.command, part.seed) for part in parts)),
        "model": model,
        "verdict": verdict,
        "source": source,
        "source_label": VIRTUAL_BOARD_LABEL if source == "virtual board" else None,
        "source_meaning": VIRTUAL_BOARD_IN_AIR if source == "virtual board" and _through_air(parts) else SOURCE_MEANING[source],
        "synthetic": [run.label for run in result.runs if run.provenance in ("synthetic", "partly synthetic")],
        "all_synthetic": all(run.provenance == "synthetic" for run in result.runs),
        "speakers": speaker_table(result.runs),
        "scores": scores,
        "simulated": simulated,
        "beside": comparison.beside_sentence(result),
        "rate_ruler": rate_ruler(scores.false_accepts_per_hour, simulated.false_accepts_per_hour if simulated else None),
        "recall_ruler": share_ruler(scores.recall, simulated.recall if simulated else None),
        "figures": figure_tables(result),
        "arena": arena_rows(result.arena, source),
        "curve": curve,
        "curve_source": next((trace.run.source for trace in traces if trace.run.source != source), source),
        "viable_recall": average_viable_recall(curve) if curve is not None and curve.hours and curve.utterances else None,
        "det": det_plot(curve, point) if curve is not None else None,
        "cutoffs": cutoff_plot(curve, point) if curve is not None else None,
        "cutoff_rows": cutoff_table(curve, model) if curve is not None else (),
        "misses": misses(paired, model, max_clips, reader) if scores.recall is not None else None,
        "false_accepts": false_accepts(paired, model, max_clips, reader) if scores.false_accepts_per_hour is not None else None,
        **_comparison(result, by_run, max_clips, reader),
        "sessions": [(session_facts.board_facts(one, model, source), session_facts.integrity_facts(one)) for one in _sessions(parts)],
        "acoustics": [(session_facts.acoustics_facts(air), session_facts.sound_counters(air)) for one in _sessions(parts) for air in one.acoustics],
        "voids": session_facts.void_rows(result.runs),
        "runs": [(run, _protocol(run)) for run in result.runs],
        "w": wording,
        "hold_off": HOLD_OFF_SLICES,
        "step_ms": result.model.feature_step_ms,
        "tolerance": f"{TOLERANCE_SECONDS:g}",
        "timeline_width": WIDTH,
        "timeline_height": HEIGHT,
        "context_seconds": CONTEXT_SECONDS,
        "excellent_below": EXCELLENT_BELOW,
        "acceptable_to": ACCEPTABLE_TO,
        "scales": (RATE_SCALE, RECALL_SCALE),
    }


def _through_air(parts: Sequence[Result]) -> bool:
    return any(part.session is not None and part.session.acoustics for part in parts)


def _comparison(result: Result, by_run: Sequence[Sequence[PairedStream]], max_clips: int, reader: ClipReader) -> dict[str, Any]:
    """What the section on agreement shows; only the key `agreement` with None without a simulation."""
    agreement, source = result.agreement, result.runs[0].source
    if agreement is None:
        return {"agreement": None}
    return {
        "agreement": agreement,
        "equivalence": comparison.equivalence_sentence(agreement),
        "mcnemar": comparison.mcnemar_sentence(agreement, source),
        "positions": comparison.positions_sentence(agreement),
        "paired_false_accepts": comparison.false_accepts_sentence(agreement, source) if result.scores.false_accepts_per_hour else "not measured",
        "latency_from": LATENCY_FROM[agreement.latency.measured_from],
        "latency": [
            (name, comparison.latency_text(figures)) for name, figures in ((source, agreement.latency.device), ("simulated", agreement.latency.simulated))
        ],
        "disagreement_rows": comparison.disagreement_rows(agreement.disagreements, result.runs),
        "disagreements": disagreements(agreement.disagreements, by_run, result.model, max_clips, reader),
    }


def _paired_streams(result: Result) -> list[list[PairedStream]]:
    """The streams of each run, each with the simulation's of the same audio. Voids are the device's on both sides."""
    stride, step = result.model.stride, result.model.feature_step_ms
    if not result.simulation:
        return [[PairedStream(stream) for stream in run_streams(run, stride, step)] for run in result.runs]
    return [
        [PairedStream(*both) for both in zip(run_streams(run, stride, step), run_streams(with_voids_of(simulated, run), stride, step), strict=True)]
        for run, simulated in zip(result.runs, result.simulation, strict=True)
    ]


def _sessions(parts: Sequence[Result]) -> list[SessionRecord]:
    """Each session once, in the order given."""
    return list(dict.fromkeys(part.session for part in parts if part.session is not None))


def _protocol(run: RunRecord) -> str:
    """How the audio was presented, in words."""
    protocol = run.protocol
    word = "each file is one utterance of the wake word" if protocol.truth == "wake" else "no file holds the wake word"
    if protocol.mode == "clips":
        padding = f"{protocol.lead_in_seconds:g}\N{NO-BREAK SPACE}s of lead-in and {protocol.tail_seconds:g}\N{NO-BREAK SPACE}s of tail"
        how = f"each clip after a fresh boot, with {padding}"
    elif protocol.mode == "session":
        how = f"one stream, each file followed by a pause of {protocol.gap_seconds:g}\N{NO-BREAK SPACE}s; all of it counts as time"
    else:
        how = f"one stream, files one after another with gaps of {protocol.gap_seconds:g}\N{NO-BREAK SPACE}s"
    return f"{how}; {word}"
