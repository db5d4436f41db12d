"""Several results of one model become one: components are added, rates are computed from them.

What would make a merged figure a lie is refused: another model or operating point, another source, other kernels,
another noise of a microphone, the same audio counted twice. The very same run given twice is counted once. Several
sessions of one board and model may be merged; their agreement with the simulation is computed anew from the runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.results.agreement import MARGIN, make_agreement
from harness.results.device_records import IntegrityRecord, SessionRecord
from harness.results.schema import ArenaRecord, Result, RunRecord
from harness.results.scores import score_runs
from wakeword.errors import ConfigError
from wakeword.records import Record

_SAME_MODEL = {
    "wake_word": "wake word",
    "tflite_sha256": "model file",
    "stride": "stride",
    "feature_step_ms": "feature step (ms)",
    "cutoff_uint8": "cutoff",
    "window": "sliding window",
}
"""Fields of the model that a measurement depends on, with their names. Paths and the manifest's other fields may
differ."""

_ARENA = {
    "manifest": "tensor arena of the manifest",
    "host_used": "arena used on the host",
    "host_minimum": "smallest arena on the host",
    "esp32s3_estimate": "ESP32-S3 arena estimate",
    "probed": "arena probed by the device",
}

_SAME_MEASURED_CUTOFF = {"measured_cutoff": "cutoff of the measurement"}

_SAME_BOARD = {
    "name": "board",
    "kind": "kind of board",
    "target": "target",
    "mac": "MAC address",
    "room": "room",
    "microphone": "microphone",
}


def merge_results(results: Sequence[Result]) -> Result:
    """Merge results of one model, in the order given, and score them together.

    Raises `ConfigError` when there is no result, when two differ in model, operating point, source, microphone's
    noise, kernels, judge or arena, or when they share recordings without being the same run.
    """
    if not results:
        raise ConfigError("no result to report; give at least one result.json written by mww-simulate --result")
    first = results[0]
    for other in results[1:]:
        _require_same("results of different models", _SAME_MODEL, first.model, other.model)
        _require_same("results at a cutoff that they were not measured at", _SAME_MEASURED_CUTOFF, first, other)
    _require_one_noise_floor(results)
    _require_same_kernels(results)
    _require_one_judge(results)
    pairs = _distinct_runs(results)
    runs = tuple(run for run, _ in pairs)
    simulation = tuple(simulated for _, simulated in pairs if simulated is not None)
    _require_one_source(runs)
    if len(simulation) not in (0, len(runs)):
        raise ConfigError(
            "cannot merge results: one holds the simulation of its audio and another does not; report them one by one"
        )
    agreement = make_agreement(runs, simulation, _margin(results), model=first.model) if simulation else None
    judged_scores = None if first.judge is None else score_runs([run.with_judge for run in runs])
    if len(results) == 1 and len(runs) == len(first.runs):
        updated = {"scores": score_runs(runs), "agreement": agreement, "judged_scores": judged_scores}
        return first.model_copy(update=updated)
    seeds = {result.seed for result in results}
    return Result(
        created=max(result.created for result in results),
        command="\n".join(dict.fromkeys(result.command for result in results)),
        seed=first.seed if len(seeds) == 1 else None,
        versions=_merge_versions(results),
        model=first.model,
        arena=_merge_arenas(results),
        runs=runs,
        scores=score_runs(runs),
        simulation=simulation,
        agreement=agreement,
        session=merge_sessions(results),
        judge=first.judge,
        measured_cutoff=first.measured_cutoff,
        judged_scores=judged_scores,
    )


def _require_same(what: str, names: Mapping[str, str], first: Record, other: Record) -> None:
    """`names`: the fields that must be equal, and what a reader calls them."""
    for field, name in names.items():
        ours, theirs = getattr(first, field), getattr(other, field)
        if ours != theirs:
            raise ConfigError(f"cannot merge {what}: {name} {ours!r} and {theirs!r}; report them one by one")


def _require_one_source(runs: Sequence[RunRecord]) -> None:
    sources = sorted({run.source for run in runs})
    if len(sources) > 1:
        raise ConfigError(
            f"cannot merge results from different sources ({', '.join(sources)}); report each source by itself"
        )


def _require_one_noise_floor(results: Sequence[Result]) -> None:
    floors = dict.fromkeys(run.protocol.noise_floor_dbfs for result in results for run in result.runs)
    if len(floors) > 1:
        named = " and ".join("none" if level is None else f"{level:g} dBFS" for level in floors)
        raise ConfigError(
            f"cannot merge results with different noise of a microphone ({named}); report each by itself, or simulate"
            " all with the same --noise-floor"
        )


def _require_same_kernels(results: Sequence[Result]) -> None:
    kernels = dict.fromkeys(run.kernels for result in results for run in result.runs)
    if len(kernels) > 1:
        named = " and ".join(one or "with TFLM's kernels" for one in kernels)
        raise ConfigError(
            f"cannot merge results that were simulated {named}; report each by itself, or simulate all with the same"
            " --engine"
        )


def _require_one_judge(results: Sequence[Result]) -> None:
    if len({None if result.judge is None else result.judge.same for result in results}) > 1:
        raise ConfigError(
            "cannot merge results with different judges, or with and without one; report each by itself, or simulate"
            " all with the same --judge and its settings"
        )


def _distinct_runs(results: Sequence[Result]) -> tuple[tuple[RunRecord, RunRecord | None], ...]:
    """All runs with their simulations, a repeated one once. Recordings shared by different runs of different results
    are refused.
    """
    kept: list[tuple[RunRecord, RunRecord | None]] = []
    for result in results:
        earlier = tuple(run for run, _ in kept)
        for run, simulated in zip(result.runs, result.simulation or (None,) * len(result.runs), strict=True):
            if any(_same_measurement(run, other) for other, _ in kept):
                continue
            _require_new_audio(run, earlier)
            kept.append((run, simulated))
    return tuple(kept)


def _margin(results: Sequence[Result]) -> float:
    """The margin of equivalence that the results state. It was chosen before the measurement and cannot be another one
    afterwards.
    """
    margins = sorted(
        {
            result.agreement.equivalence.margin
            for result in results
            if result.agreement is not None and result.agreement.equivalence is not None
        }
    )
    if len(margins) > 1:
        raise ConfigError(
            f"cannot merge results with margins of equivalence of {' and '.join(f'{margin:g}' for margin in margins)};"
            " report them one by one"
        )
    return margins[0] if margins else MARGIN


def _same_measurement(run: RunRecord, other: RunRecord) -> bool:
    """True when the runs are one measurement; its label, its (exact) engine and the place of its files may differ."""
    return _measured(run) == _measured(other)


def _measured(run: RunRecord) -> tuple[object, ...]:
    hashes = tuple(file.sha256 for file in run.files)
    return (
        run.source,
        run.protocol,
        run.corpus_sha256,
        hashes,
        run.detections,
        run.probabilities,
        run.inferences_per_file,
        run.voids,
        run.judged,
    )


def _require_new_audio(run: RunRecord, earlier: Sequence[RunRecord]) -> None:
    ours = {file.sha256: file.path for file in run.files}
    for other in earlier:
        shared = sorted(ours.keys() & {file.sha256 for file in other.files}, key=lambda digest: ours[digest])
        if shared and other.protocol.truth == run.protocol.truth:
            raise ConfigError(
                f"runs {other.label!r} and {run.label!r} share {len(shared)} recording(s), the first is"
                f" {ours[shared[0]]}; audio counted twice narrows the intervals without new evidence: leave one"
                " result out"
            )


def _merge_versions(results: Sequence[Result]) -> dict[str, str]:
    """Each program's version; where results differ, all of them."""
    names = sorted({name for result in results for name in result.versions})
    return {
        name: ", ".join(dict.fromkeys(result.versions[name] for result in results if name in result.versions))
        for name in names
    }


def _merge_arenas(results: Sequence[Result]) -> ArenaRecord:
    """Each figure from the results that know it; two different ones are refused."""
    merged: dict[str, int | None] = {}
    for field, name in _ARENA.items():
        values = sorted({value for result in results if (value := getattr(result.arena, field)) is not None})
        if len(values) > 1:
            raise ConfigError(
                f"cannot merge results: {name} is {' and '.join(map(str, values))} bytes; measure again with one"
                " version"
            )
        merged[field] = values[0] if values else None
    return ArenaRecord.model_validate(merged)


def merge_sessions(results: Sequence[Result]) -> SessionRecord | None:
    """The sessions of several results together; None when no result has one.

    Raises `ConfigError` when only some have one, or when two differ in board or in the model that the board ran.
    """
    sessions = list(dict.fromkeys(result.session for result in results if result.session is not None))
    if not sessions:
        return None
    if any(result.session is None for result in results):
        raise ConfigError(
            "cannot merge results: one names the board it was measured on and another does not; report them one by one"
        )
    first = sessions[0]
    for other in sessions[1:]:
        _require_same("sessions of different boards", _SAME_BOARD, first.board, other.board)
        _require_same_model_on_board(first, other)
        if other.sound != first.sound:
            raise ConfigError(
                f"cannot merge sessions: the sound came {_came(first)} in one and {_came(other)} in the other; report"
                " them one by one"
            )
        if other.computed_rooms != first.computed_rooms:
            ours, theirs = ("; ".join(session.computed_rooms) for session in (first, other))
            raise ConfigError(
                f"cannot merge sessions: the room was {ours!r} in one and {theirs!r} in the other; report them one by"
                " one"
            )
    if len(sessions) == 1:
        return first
    return SessionRecord(
        board=first.board,
        esphome_version=", ".join(dict.fromkeys(session.esphome_version for session in sessions)),
        model_sha256_on_board=first.model_sha256_on_board,
        delivered=first.delivered,
        seed=first.seed if len({session.seed for session in sessions}) == 1 else None,
        legs=sum(session.legs for session in sessions),
        audio_seconds=sum(session.audio_seconds for session in sessions),
        wall_seconds=sum(session.wall_seconds for session in sessions),
        health="; ".join(dict.fromkeys(session.health for session in sessions)),
        integrity=sum((session.integrity for session in sessions), IntegrityRecord()),
        clock=None,
        acoustics=tuple(one for session in sessions for one in session.acoustics),
    )


def _came(session: SessionRecord) -> str:
    return session.sound if session.acoustics else "as samples"


def _require_same_model_on_board(first: SessionRecord, other: SessionRecord) -> None:
    if first.model_sha256_on_board != other.model_sha256_on_board:
        raise ConfigError(
            f"cannot merge sessions: the board ran model {first.model_sha256_on_board[:12]} in one and"
            f" {other.model_sha256_on_board[:12]} in the other; report them one by one"
        )
    if first.delivered != other.delivered:
        raise ConfigError(
            "cannot merge sessions: the model was delivered to the board in one and part of its firmware in the other;"
            " report them one by one"
        )
