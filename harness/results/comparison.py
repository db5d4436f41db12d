"""Device beside simulation in words: agreement, latency, disagreements, the session and its voids, as the report's template shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.results import wording
from harness.results.device_records import (
    AcousticsRecord,
    AgreementRecord,
    DisagreementRecord,
    EquivalenceRecord,
    LatencyFigures,
    PairedUtterances,
    SeenRecord,
    SessionRecord,
)
from harness.results.schema import ModelRecord, Result, RunRecord
from harness.results.scores import tells_rate, void_stretches
from wakeword.scoring.agreement import SIGNIFICANCE, utterances_needed

_MS_PER_SLICE = 10
_OFFSETS_SHOWN = 12
_HASH_SHOWN = 12
_SILENCE_DBFS = -150.0


@dataclass(frozen=True)
class DisagreementRow:
    """One line of the list of disagreements."""

    what: str
    path: str
    where: str
    device: str
    simulated: str


@dataclass(frozen=True)
class VoidRow:
    """One stretch of time that is in no figure."""

    run: str
    begin: str
    end: str
    seconds: str
    recorded: str
    """Of it within recordings."""
    reason: str
    total: bool = False


@dataclass(frozen=True)
class Fact:
    """A name and what it is; `bad` where a reader must not overlook it."""

    name: str
    text: str
    bad: bool = False


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


def board_facts(session: SessionRecord, model: ModelRecord, source: str) -> tuple[Fact, ...]:
    """The board, what ran on it, and how long."""
    board = session.board
    same = session.model_sha256_on_board == model.tflite_sha256
    told = f"{session.model_sha256_on_board[:_HASH_SHOWN]}\N{HORIZONTAL ELLIPSIS}" if session.model_sha256_on_board else "not told"
    ran = "the model file's, by hash" if same else f"another one: {told}, the file is {model.tflite_sha256[:_HASH_SHOWN]}\N{HORIZONTAL ELLIPSIS}"
    place = [f"room {board.room}"] if board.room else []
    place += [f"microphone {board.microphone}"] if board.microphone else []
    facts = [
        Fact("Board", ", ".join([f"{board.name} ({source})", f"target {board.target}", *([board.mac] if board.mac else []), *place])),
        Fact("ESPHome", session.esphome_version),
        Fact("Model on the board", ran, bad=not same),
        Fact("Health check", session.health),
        Fact("Order of playback", "seeds of several sessions" if session.seed is None else f"seed {session.seed}"),
        Fact("Heard", f"{_length(session.audio_seconds)} of sound in {_length(session.wall_seconds)}, {_legs(session.legs)}{_speed(session)}"),
        Fact("Clock", _clock(session)),
    ]
    return tuple(facts)


def integrity_facts(session: SessionRecord) -> tuple[Fact, ...]:
    """Counters; those that are zero in a clean session are marked where they are not."""
    counts = session.integrity
    quiet = (
        ("Reported by the event only, no log line", counts.event_only),
        ("Seen in the log only, no event", counts.log_only),
        ("Duplicates, counted once", counts.duplicates),
        ("Lost (gaps in the board's count)", counts.lost),
        ("Reboots", counts.reboots),
        ("Reconnects", counts.reconnects),
        ("Ring buffer overflows", counts.ring_overflows),
    )
    return (
        Fact("Detections", str(counts.detections)),
        Fact("Reported by both event and log line", str(counts.both_witnesses)),
        *(Fact(name, str(count), bad=count > 0) for name, count in quiet),
        Fact("API gaps", f"{counts.api_gap_seconds:.1f}\N{NO-BREAK SPACE}s", bad=counts.api_gap_seconds > 0),
    )


def acoustics_facts(acoustics: AcousticsRecord) -> tuple[Fact, ...]:
    """The way of the sound through the air, and what happened to it."""
    nbsp = "\N{NO-BREAK SPACE}"
    devices = _device(acoustics.speaker, acoustics.speaker_rate)
    facts = [Fact("Loudspeaker", f"{devices}, gain {acoustics.gain_db:+g}{nbsp}dB".replace("-", wording.MINUS))]
    if acoustics.microphone is not None:
        facts.append(Fact("Microphone", f"{_device(acoustics.microphone, acoustics.microphone_rate)}, {acoustics.listener}"))
    else:
        facts.append(Fact("Microphone", "none: nobody knows what became of the sound but the player", bad=True))
    facts.append(Fact("Room", acoustics.room or "not named"))
    facts.append(Fact("Geometry", acoustics.geometry or "not stated"))
    known = acoustics.calibration is not None and acoustics.calibration_sha256 is not None
    facts.append(
        Fact("Calibration", f"{acoustics.calibration}, {(acoustics.calibration_sha256 or '')[:_HASH_SHOWN]}" if known else "none: levels are relative")
    )
    if acoustics.markers_played:
        missed = acoustics.markers_heard < acoustics.markers_played
        aligned = _of(acoustics.markers_heard, acoustics.markers_played) + " markers heard"
        if acoustics.residual_rms_ms is not None:
            aligned += f", residuals {acoustics.residual_rms_ms:.3f}{nbsp}ms rms"
        if acoustics.drift_ppm is not None:
            aligned += f", drift {round(acoustics.drift_ppm, 1) + 0.0:.1f}{nbsp}ppm".replace("-", wording.MINUS)
        facts.append(Fact("Alignment", aligned, bad=missed))
    levels = (("Noise", acoustics.noise_dbfs), ("Played to heard", acoustics.channel_gain_db), ("True peak played", acoustics.true_peak_dbfs))
    for name, value in levels:
        if value is not None:
            unit = "dB" if name == "Played to heard" else "dBFS"
            text = "digital silence" if value <= _SILENCE_DBFS else f"{value:.1f}{nbsp}{unit}".replace("-", wording.MINUS)
            facts.append(Fact(name, text, bad=name == "True peak played" and value > 0))
    return tuple(facts)


def sound_counters(acoustics: AcousticsRecord) -> tuple[Fact, ...]:
    """What went wrong with the sound; all are zero in a clean session."""
    counted = (
        ("Nothing to play", acoustics.starved),
        ("Loudspeaker late (flags)", acoustics.underflows),
        ("Microphone late (flags)", acoustics.overflows),
        ("Sound lost", acoustics.lost),
        ("Sound repeated", acoustics.repeated),
        ("Not heard", acoustics.not_heard),
        ("Level off", acoustics.level_faults),
        ("Clipped", acoustics.clipped),
        ("Other sound", acoustics.ambient),
    )
    return tuple(Fact(name, str(count), bad=count > 0) for name, count in counted)


def void_rows(runs: Sequence[RunRecord]) -> tuple[VoidRow, ...]:
    """All void time, in the order of the runs, and its sum: the recorded part of it is what the verdict names."""
    rows: list[VoidRow] = []
    length = recorded = 0.0
    for run in runs:
        for void in void_stretches(run):
            name = run.label if void.file_index is None else f"{run.label}, {run.files[void.file_index].path}"
            seconds = void.span.end - void.span.start
            length, recorded = length + seconds, recorded + void.recorded_seconds
            begin, end = wording.clock(void.span.start), wording.clock(void.span.end)
            rows.append(VoidRow(name, begin, end, _tenths(seconds), _tenths(void.recorded_seconds), "; ".join(void.reasons)))
    if rows:
        rows.append(VoidRow("In all", "", "", _tenths(length), _tenths(recorded), "", total=True))
    return tuple(rows)


def _tenths(seconds: float) -> str:
    return f"{seconds:.1f}\N{NO-BREAK SPACE}s"


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


def _legs(count: int) -> str:
    if count == 1:
        return "in one leg (one stream without a restart)"
    return f"in {count} legs (a leg is one stream without a restart; a reboot or a resumed session begins another)"


def _length(seconds: float) -> str:
    return wording.hours(wording.to_hours(seconds)) if seconds >= 60 else f"{seconds:.1f}\N{NO-BREAK SPACE}s"


def _speed(session: SessionRecord) -> str:
    if not session.wall_seconds:
        return ""
    return f", {session.audio_seconds / session.wall_seconds:.3g} times real time"


def _device(name: str, rate: int | None) -> str:
    return name if rate is None else f"{name} at {rate / 1000:g}\N{NO-BREAK SPACE}kHz"


def _clock(session: SessionRecord) -> str:
    clock = session.clock
    if clock is None:
        return "not fitted"
    return (
        f"offset {clock.offset_ms:.1f}\N{NO-BREAK SPACE}ms, drift {clock.drift_ppm:.1f}\N{NO-BREAK SPACE}ppm, residuals "
        f"{clock.residual_rms_ms:.2f}\N{NO-BREAK SPACE}ms rms, {wording.number(clock.probes, 'probe')}"
    ).replace("-", wording.MINUS)
