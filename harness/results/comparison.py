"""Device beside simulation in words: agreement, latency and disagreements, as the report's template shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.results import wording
from harness.results.device_records import (
    AgreementRecord,
    DisagreementRecord,
    EquivalenceRecord,
    LatencyFigures,
    PairedUtterances,
    SeenRecord,
)
from harness.results.schema import Result, RunRecord
from harness.results.scores import tells_rate
from wakeword.scoring.agreement import SIGNIFICANCE, utterances_needed

_MS_PER_SLICE = 10
_OFFSETS_SHOWN = 12


@dataclass(frozen=True)
class DisagreementRow:
    """One line of the list of disagreements."""

    what: str
    path: str
    where: str
    device: str
    simulated: str


class _Paired(Protocol):
    """Two detectors on the same utterances."""

    @property
    def utterances(self) -> PairedUtterances: ...

    @property
    def equivalence(self) -> EquivalenceRecord | None: ...


def equivalence_sentence(agreement: _Paired) -> str:
    """Whether the recalls are the same but for the margin; that it was not shown is said as such, and what would show it."""
    tested = agreement.equivalence
    if tested is None:
        return "No utterance was heard by both: nothing can be said of the recall."
    margin = wording.points(tested.margin)
    found = f"the difference in recall is {_difference(tested)}, {wording.p_value(tested.p)}"
    if tested.equivalent:
        return f"Equivalent within {margin}: {found}."
    return f"Equivalence within {margin} was not shown: {found}. {_needed(agreement.utterances, tested)}"


def mcnemar_sentence(agreement: AgreementRecord, source: str) -> str:
    """What McNemar's test says, and what it cannot."""
    utterances, p = agreement.utterances, agreement.mcnemar_p
    if p is None:
        return ""
    counted = (
        f"{wording.number(utterances.device_only, 'utterance')} found by the {_side(source)} alone and {utterances.simulated_only} by the simulation alone, "
        f"McNemar's exact {wording.p_value(p)}"
    )
    if p < SIGNIFICANCE:
        more = "more" if utterances.device_only > utterances.simulated_only else "fewer"
        return f"The {_side(source)} finds {more} utterances than its simulation: {counted}."
    return f"{counted[0].upper()}{counted[1:]}: no proof that one of them finds more, which is not proof that they find the same."


def positions_sentence(agreement: AgreementRecord) -> str:
    """Where paired detections lie."""
    positions = agreement.positions
    if not positions.paired:
        return "No detection of one has a partner in the other."
    if positions.same_slice == positions.paired:
        return f"{_of(positions.paired, positions.paired)} paired detections fall on the same {_MS_PER_SLICE}\N{NO-BREAK SPACE}ms slice."
    shown = positions.offsets[:_OFFSETS_SHOWN]
    offsets = ", ".join(f"{wording.whole(offset.slices)} ({offset.pairs})" for offset in shown)
    more = f" and {len(positions.offsets) - len(shown)} more" if len(shown) < len(positions.offsets) else ""
    return (
        f"{_of(positions.same_slice, positions.paired)} paired detections fall on the same {_MS_PER_SLICE}\N{NO-BREAK SPACE}ms slice; the largest offset is "
        f"{wording.number(positions.largest_offset, 'slice')}. Offsets in slices, device minus simulation, with their pairs: {offsets}{more}."
    )


def false_accepts_sentence(agreement: AgreementRecord, source: str) -> str:
    """False accepts of both sides, paired by position."""
    events = agreement.false_accepts
    if not events.matched + events.device_only + events.simulated_only:
        return "Neither had a false accept."
    return f"{events.matched} at the same place in both, {events.device_only} of the {_side(source)} alone, {events.simulated_only} of the simulation alone."


def latency_text(figures: LatencyFigures | None) -> str:
    """Median, 5th to 95th percentile and number."""
    if figures is None:
        return wording.NONE
    spread = f"{wording.seconds(figures.low)} to {wording.seconds(figures.high)}"
    return f"{wording.seconds(figures.median)} ({spread}), n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{figures.n}"


def disagreement_rows(records: Sequence[DisagreementRecord], runs: Sequence[RunRecord]) -> tuple[DisagreementRow, ...]:
    """Every disagreement in one line each, none left out."""
    rows: list[DisagreementRow] = []
    for record in records:
        run = runs[record.run]
        file = run.files[record.file_index]
        moment = next((seen.seconds for seen in (record.device, record.simulated) if seen.seconds is not None), record.begin)
        inside = max(moment - file.stream_start, 0.0)
        where = f"{run.label}, {wording.seconds(inside)} into the recording"
        if run.protocol.mode != "clips":
            where += f", {wording.clock(moment)} of the run"
        rows.append(DisagreementRow(disagreement_words(record, run.source), file.path, where, _seen(record.device), _seen(record.simulated)))
    return tuple(rows)


def disagreement_words(record: DisagreementRecord, source: str) -> str:
    """What a disagreement is, with the measured side named as what it is."""
    return record.what.replace("the device", f"the {_side(source)}")


def beside_sentence(result: Result) -> str | None:
    """The line under the verdict that sets the device beside its simulation; None without one."""
    if result.agreement is None or result.runs_another_model:
        return None
    utterances, tested = result.agreement.utterances, result.agreement.equivalence
    parts: list[str] = []
    if tested is not None:
        agree = utterances.total - utterances.discordant
        shown = "equivalent" if tested.equivalent else "equivalence not shown"
        parts.append(f"the same answer for {_of(agree, utterances.total)} utterances, recall {shown} within {wording.points(tested.margin)}")
    events = result.agreement.false_accepts
    alone = events.device_only + events.simulated_only
    if any(tells_rate(run) for run in result.runs):
        both = events.matched + alone
        parts.append(f"{_of(events.matched, both)} false accepts at the same place" if both else "no false accept in either")
    return f"Beside the simulation of the same audio: {'; '.join(parts)}." if parts else None


def _side(source: str) -> str:
    """The measured side as a noun: a virtual board is not a device."""
    return "virtual board" if source == "virtual board" else "device"


def _of(count: int, total: int) -> str:
    return f"{count} of {total}"


def _difference(tested: EquivalenceRecord) -> str:
    interval = f"{wording.points(tested.low, signed=True)} to {wording.points(tested.high, signed=True)}"
    return f"{wording.points(tested.difference, signed=True)} points, 90\N{NO-BREAK SPACE}% interval {interval}"


def _needed(utterances: PairedUtterances, tested: EquivalenceRecord) -> str:
    if tested.low >= tested.margin or tested.high <= -tested.margin:
        return "The interval lies beyond the margin: the two do differ."
    needed = utterances_needed(utterances.discordant / utterances.total, tested.margin)
    if needed <= utterances.total:
        return "The utterances would suffice for two that find equally many; these may not."
    return f"Where two find equally many and disagree as often as here, about {needed} utterances show it; these are {utterances.total}."


def _seen(seen: SeenRecord) -> str:
    """What one side did at a disagreement, with its probabilities."""
    if seen.seconds is not None and seen.average is not None and seen.max is not None:
        parts = [f"detected, slice {seen.slice}", f"average {wording.probability(seen.average)}", f"max {wording.probability(seen.max)}"]
    else:
        parts = ["not detected"]
    if seen.highest_probability is None or seen.highest_average is None:
        parts.append("no probabilities told")
    elif seen.seconds is None:
        parts += [f"highest average {wording.probability(seen.highest_average)}", f"highest probability {wording.probability(seen.highest_probability)}"]
    return "; ".join(parts)
