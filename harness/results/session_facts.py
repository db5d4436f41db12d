"""What the report says of a session: the board, the counters that prove that all was heard, the way of the sound, and void time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.results import wording
from harness.results.device_records import AcousticsRecord, SessionRecord
from harness.results.schema import ModelRecord, RunRecord
from harness.results.scores import void_stretches

_HASH_SHOWN = 12
_SILENCE_DBFS = -150.0


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
        aligned = f"{acoustics.markers_heard} of {acoustics.markers_played} markers heard"
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
