"""The page that compares two models: its sentences, its table of figures, what each alone found or took for the wake
word.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.results import wording
from harness.results.matrix import model_names
from harness.results.merge import merge_results
from harness.results.schema import Result
from harness.results.scores import hourly_record, share_record
from harness.results.verdict import Verdict, judge
from harness.results.versus import Versus, compare
from harness.results.wording import Cell, cell
from wakeword.contract import STEP_MS
from wakeword.files import write_atomically
from wakeword.noise_floor import noise_words
from wakeword.pages import render_page
from wakeword.scoring.agreement import SIGNIFICANCE, utterances_needed

MOST_LISTED = 200
"""Of disagreements on the page; the results hold them all."""


def write_comparison(groups: Sequence[Sequence[Result]], output: Path) -> str:
    """Write the page that compares the results of two models, and return its sentence. Raises `ConfigError` as
    `compare` and merging do.
    """
    first, second = (merge_results(group) for group in groups)
    versus = compare(first, second)
    sentence = headline(versus)
    names, verdicts = model_names((first, second)), (judge(first), judge(second))
    context = {
        "versus": versus,
        "sentence": sentence,
        "models": [
            ("AB"[index], names[index], one, verdict)
            for index, (one, verdict) in enumerate(zip((first, second), verdicts, strict=True))
        ],
        "remarks": _remarks(verdicts),
        "rows": _rows(versus, verdicts, (first, second)),
        "utterances_needed": utterances_needed,
        "mcnemar": recall_sentence(versus),
        "accepts": accepts_sentence(versus),
        "source": first.runs[0].source,
        "sound": first.sound,
        "noise": noise_words(first.runs[0].protocol.noise_floor_dbfs),
        "kernels": first.runs[0].kernels,
        "judged": any(one.judge is not None for one in (first, second)),
        "listed": versus.differences[:MOST_LISTED],
        "w": wording,
    }
    write_atomically(output, render_page("harness.results", "versus.html.j2", context))
    return sentence


def headline(versus: Versus) -> str:
    """What the pairs show, in one line."""
    return " ".join(part for part in (recall_sentence(versus), accepts_sentence(versus)) if part)


def recall_sentence(versus: Versus) -> str:
    """Whether one finds more utterances, by McNemar's test."""
    counts, p = versus.utterances, versus.mcnemar_p
    if p is None:
        return "No utterance was heard by both."
    of = (
        f"Of {wording.number(counts.total, 'utterance')} heard by both, {counts.device_only} {_was(counts.device_only)}"
        " found by A only and "
    )
    return (
        f"{of}{counts.simulated_only} by B only: {_which(counts.device_only, counts.simulated_only, p, 'finds more')}"
        f" (McNemar's exact {wording.p_value(p)})."
    )


def accepts_sentence(versus: Versus) -> str:
    """Whether one has more false accepts, by the same test."""
    events, p = versus.false_accepts, versus.false_accepts_p
    if p is None:
        return ""
    if not events.matched + events.device_only + events.simulated_only:
        return f"In {wording.hours(versus.hours)} without the wake word neither had a false accept."
    of = (
        f"In {wording.hours(versus.hours)} without the wake word, {wording.number(events.matched, 'false accept')}"
        f" {_was(events.matched)} common to both, "
    )
    more = _which(events.device_only, events.simulated_only, p, "has more false accepts")
    return (
        f"{of}{events.device_only} of A only and {events.simulated_only} of B only: {more} (McNemar's exact"
        f" {wording.p_value(p)})."
    )


def _was(count: int) -> str:
    return "was" if count == 1 else "were"


def _which(first: int, second: int, p: float, does: str) -> str:
    if p >= SIGNIFICANCE:
        return f"no proof that either {does}"
    return f"{'A' if first > second else 'B'} {does}"


def _remarks(verdicts: tuple[Verdict, Verdict]) -> list[str]:
    """What a reader must know of either; what holds for both is said once."""
    owners: dict[str, list[str]] = {}
    for letter, verdict in zip("AB", verdicts, strict=True):
        for remark in verdict.remarks:
            owners.setdefault(remark, []).append(letter)
    return [f"{' and '.join(letters)}: {remark}" for remark, letters in owners.items()]


def _rows(
    versus: Versus, verdicts: tuple[Verdict, Verdict], results: tuple[Result, Result]
) -> list[tuple[str, tuple[str, str]]]:
    """The figures of both over the recordings that both heard, then what the models are."""
    counts, events = versus.utterances, versus.false_accepts
    rows: list[tuple[str, tuple[str, str]]] = []
    if versus.hours:
        cells = [
            cell(hourly_record(events.matched + own, versus.hours))
            for own in (events.device_only, events.simulated_only)
        ]
        rows.append(("False accepts per hour", _told(cells)))
        rows.append(("", (verdicts[0].false_accepts.headline, verdicts[1].false_accepts.headline)))
    if counts.total:
        cells = [
            cell(share_record(counts.both + own, counts.total)) for own in (counts.device_only, counts.simulated_only)
        ]
        rows.append(("Recall", _told(cells)))
        rows.append(("", (verdicts[0].recall.headline, verdicts[1].recall.headline)))
    models = [one.model for one in results]
    if {one.feature_step_ms for one in models} != {STEP_MS}:
        rows.append(("Feature step, ms", _both([str(one.feature_step_ms) for one in models])))
    rows.append(
        (
            "Cutoff, sliding window",
            _both([f"{wording.cutoff(one.cutoff)} ({one.cutoff_uint8} of 255), {one.window}" for one in models]),
        )
    )
    rows.append(("Model file, bytes", _both([wording.size(one.tflite_bytes) for one in models])))
    rows.append(("Tensor arena of the manifest, bytes", _both([wording.size(one.arena.manifest) for one in results])))
    rows.append(("sha256", _both([one.tflite_sha256[:16] for one in models])))
    return rows


def _told(cells: Sequence[Cell]) -> tuple[str, str]:
    return _both([f"{one.rate} ({one.interval}): {one.counted}" for one in cells])


def _both(texts: Sequence[str]) -> tuple[str, str]:
    return texts[0], texts[1]
