"""Device against simulation of the same audio: which utterances, which detections, where, how late, and what they
disagree about.

Conventions
-----------
- Runs come in pairs of the same audio in the same order; the device's voids are the simulation's too, so an utterance
  that is void on the device is in no figure of either side, and a pair of detections is void when one of them is.
- Two detections are a pair when they find the same utterance; the others are paired by position, nearest first, up to
  `PAIR_SLICES` apart.
- Latency counts from the estimated end of the word; utterances whose end noise hides are left out. Where no recording
  has an estimate, as in older results, it counts from the end of the recording.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from harness.results.device_records import (
    AgreementRecord,
    Disagreement,
    DisagreementRecord,
    EquivalenceRecord,
    LatencyFigures,
    LatencyRecord,
    OffsetRecord,
    PairedEvents,
    PairedUtterances,
    PositionsRecord,
    SeenRecord,
)
from harness.results.probabilities import compare_probabilities
from harness.results.runs import RunPart, RunStream, ScoredRun, run_streams, score_run, with_voids_of
from harness.results.schema import DetectionRecord, FileRecord, ModelRecord, RunRecord
from wakeword.contract import HOLD_OFF_SLICES, PROBABILITY_MAX
from wakeword.errors import ConfigError
from wakeword.scoring.agreement import EQUIVALENCE_METHOD, equivalence, mcnemar, pair_positions
from wakeword.scoring.matching import TOLERANCE_SECONDS

MARGIN = 0.03
"""Recalls that differ by less than three points are the same to a listener; stated here, before any measurement."""
PAIR_SLICES = HOLD_OFF_SLICES // 2 - 1
"""Slices up to which detections without an utterance are a pair. A hold-off lies between two detections of one stream,
so none has two candidates."""
EVENT_CONTEXT_SECONDS = 1.0
"""What is looked at before and after a detection that only one side has."""

_LATENCY_PERCENTILES = (5, 50, 95)


type _Side = ScoredRun[RunPart]


@dataclass(frozen=True)
class _PairedRun:
    """A run on both sides, and which of their detections belong together."""

    index: int
    device: _Side
    simulated: _Side
    pairs: tuple[tuple[int, int], ...]
    """Of detections, device first. Without void ones."""
    device_only: tuple[int, ...]
    simulated_only: tuple[int, ...]


def make_agreement(
    device_runs: Sequence[RunRecord],
    simulated_runs: Sequence[RunRecord],
    margin: float = MARGIN,
    *,
    model: ModelRecord | None = None,
) -> AgreementRecord:
    """Compare the runs of a device with the simulation of the same audio, run by run.

    With `model` the disagreements carry the highest probability and the highest sliding average of each side that has a
    trace, and the probabilities are compared one by one. Raises `ConfigError` when the two are not of the same audio or
    a run contradicts itself, `ValueError` for a margin outside 0-1.
    """
    paired = _pair_runs(device_runs, simulated_runs)
    utterances = _utterances(paired)
    disagreements = [disagreement for one in paired for disagreement in _disagreements(one)]
    if model is not None:
        traces = _Traces(paired, model)
        disagreements = [traces.complete(disagreement) for disagreement in disagreements]
    probabilities = None if model is None else compare_probabilities(device_runs, simulated_runs, model)
    return AgreementRecord(
        utterances=utterances,
        mcnemar_p=mcnemar(utterances.device_only, utterances.simulated_only) if utterances.total else None,
        equivalence=equivalence_record(utterances, margin),
        false_accepts=_false_accepts(paired),
        positions=_positions(paired),
        latency=_latencies(paired),
        probabilities=probabilities,
        disagreements=tuple(disagreements),
    )


def _pair_runs(device_runs: Sequence[RunRecord], simulated_runs: Sequence[RunRecord]) -> list[_PairedRun]:
    if len(device_runs) != len(simulated_runs):
        raise ConfigError(
            f"{len(device_runs)} measured runs have a simulation of {len(simulated_runs)}; simulate each run's audio"
            " once"
        )
    paired: list[_PairedRun] = []
    for index, (device, simulated) in enumerate(zip(device_runs, simulated_runs, strict=True)):
        _require_same_audio(device, simulated)
        scored = with_voids_of(simulated, device)
        paired.append(_pair_detections(index, score_run(device), score_run(scored)))
    return paired


def _require_same_audio(device: RunRecord, simulated: RunRecord) -> None:
    ours, theirs = (
        [(file.sha256, round(file.stream_start, 6), round(file.seconds, 6)) for file in run.files]
        for run in (device, simulated)
    )
    if ours != theirs or (device.protocol.mode, device.protocol.truth) != (
        simulated.protocol.mode,
        simulated.protocol.truth,
    ):
        raise ConfigError(
            f"run {device.label!r} and its simulation {simulated.label!r} are not of the same audio; simulate what was"
            " played"
        )


def _pair_detections(index: int, device: _Side, simulated: _Side) -> _PairedRun:
    """Detections of the same utterance first, the others by position within their stream. Void ones take part and then
    leave with their partner.
    """
    common = device.found.keys() & simulated.found.keys()
    pairs = [(device.found[file], simulated.found[file]) for file in sorted(common)]
    ours, theirs = {first for first, _ in pairs}, {second for _, second in pairs}
    for first, second in _by_stream(device.run, ours, simulated.run, theirs):
        pairing = pair_positions(
            [device.run.detections[one].slice for one in first],
            [simulated.run.detections[one].slice for one in second],
            PAIR_SLICES,
        )
        pairs += [(first[one], second[other]) for one, other in pairing.pairs]
    ours, theirs = {first for first, _ in pairs}, {second for _, second in pairs}
    return _PairedRun(
        index,
        device,
        simulated,
        pairs=tuple(
            sorted((first, second) for first, second in pairs if first in device.live and second in simulated.live)
        ),
        device_only=tuple(sorted(device.live - ours)),
        simulated_only=tuple(sorted(simulated.live - theirs)),
    )


def _by_stream(
    device: RunRecord, ours: set[int], simulated: RunRecord, theirs: set[int]
) -> Iterator[tuple[list[int], list[int]]]:
    """Indices of the detections that have no partner yet, of each stream since boot: a clip, or the whole run."""
    clips = device.protocol.mode == "clips"
    streams: dict[int, tuple[list[int], list[int]]] = {}
    for side, (run, taken) in enumerate(((device, ours), (simulated, theirs))):
        for number, detection in enumerate(run.detections):
            if number not in taken:
                streams.setdefault(detection.file_index if clips else 0, ([], []))[side].append(number)
    yield from streams.values()


def _utterances(paired: Sequence[_PairedRun]) -> PairedUtterances:
    counts = Counter[tuple[bool, bool]]()
    for one in paired:
        counts.update(
            (file in one.device.found, file in one.simulated.found) for file in (*one.device.found, *one.device.missed)
        )
    return PairedUtterances(
        both=counts[True, True],
        device_only=counts[True, False],
        simulated_only=counts[False, True],
        neither=counts[False, False],
    )


def equivalence_record(utterances: PairedUtterances, margin: float) -> EquivalenceRecord | None:
    """The test of equal recall on pairs; None without an utterance."""
    if not utterances.total:
        return None
    tested = equivalence(utterances.device_only, utterances.simulated_only, utterances.total, margin)
    return EquivalenceRecord(
        margin=margin,
        difference=tested.difference,
        low=tested.low,
        high=tested.high,
        p=tested.p,
        equivalent=tested.equivalent,
        method=EQUIVALENCE_METHOD,
    )


def _false_accepts(paired: Sequence[_PairedRun]) -> PairedEvents:
    rated = [one for one in paired if one.device.tells_rate]
    return PairedEvents(
        matched=sum(
            first in one.device.false and second in one.simulated.false for one in rated for first, second in one.pairs
        ),
        device_only=sum(number in one.device.false for one in rated for number in one.device_only),
        simulated_only=sum(number in one.simulated.false for one in rated for number in one.simulated_only),
    )


def _positions(paired: Sequence[_PairedRun]) -> PositionsRecord:
    offsets = Counter(
        one.device.run.detections[first].slice - one.simulated.run.detections[second].slice
        for one in paired
        for first, second in one.pairs
    )
    return PositionsRecord(
        paired=offsets.total(),
        same_slice=offsets[0],
        largest_offset=max((abs(offset) for offset in offsets), default=0),
        tolerance=PAIR_SLICES,
        offsets=tuple(OffsetRecord(slices=offset, pairs=pairs) for offset, pairs in sorted(offsets.items()) if pairs),
    )


def _latencies(paired: Sequence[_PairedRun]) -> LatencyRecord:
    spoken = [
        (one.device, file)
        for one in paired
        if one.device.run.protocol.truth == "wake"
        for file in range(len(one.device.run.files))
    ]
    files = [side.run.files[file] for side, file in spoken]
    estimated = any(file.word_end is not None or file.word_end_hidden for file in files)
    hidden = sum(file.word_end is None for file in files) if estimated else 0
    return LatencyRecord(
        device=_latency((one.device for one in paired), estimated),
        simulated=_latency((one.simulated for one in paired), estimated),
        measured_from="estimated end of the word" if estimated else "end of the recording",
        hidden=hidden,
    )


def _latency(sides: Iterator[_Side], estimated: bool) -> LatencyFigures | None:
    def end(file: FileRecord) -> float | None:
        return file.word_end if estimated else file.seconds

    delays = [
        side.run.detections[number].seconds - side.run.files[file].stream_start - ended
        for side in sides
        for file, number in side.found.items()
        if (ended := end(side.run.files[file])) is not None
    ]
    if not delays:
        return None
    low, median, high = (float(value) for value in np.percentile(delays, _LATENCY_PERCENTILES))
    return LatencyFigures(n=len(delays), median=median, low=low, high=high)


def _disagreements(one: _PairedRun) -> Iterator[DisagreementRecord]:
    """Utterances that one side missed, then detections without an utterance that one side has, each in the order of the
    audio.
    """
    device, simulated = one.device, one.simulated
    partners = dict(one.pairs)
    partner_of = {second: first for first, second in one.pairs}
    for file in sorted(device.found.keys() ^ simulated.found.keys()):
        if file in simulated.found:
            second: int | None = simulated.found[file]
            first = partner_of.get(simulated.found[file])
            what: Disagreement = "utterance missed by the device"
        else:
            first = device.found[file]
            second = partners.get(device.found[file])
            what = "utterance missed by the simulation"
        begin = device.run.files[file].stream_start
        end = begin + device.run.files[file].seconds + TOLERANCE_SECONDS
        yield _disagreement(one, file, what, (begin, end), _detection(device, first), _detection(simulated, second))
    kind: tuple[Disagreement, Disagreement] = (
        "further detection of the device only",
        "further detection of the simulation only",
    )
    if device.tells_rate:
        kind = ("false accept of the device only", "false accept of the simulation only")
    alone = [(device.run.detections[number], True) for number in one.device_only if number in device.false]
    alone += [(simulated.run.detections[number], False) for number in one.simulated_only if number in simulated.false]
    for detection, by_device in sorted(alone, key=lambda item: (item[0].file_index, item[0].seconds)):
        view = (max(detection.seconds - EVENT_CONTEXT_SECONDS, 0.0), detection.seconds + EVENT_CONTEXT_SECONDS)
        seen = (detection, None) if by_device else (None, detection)
        yield _disagreement(one, detection.file_index, kind[0] if by_device else kind[1], view, *seen)


def _detection(side: _Side, number: int | None) -> DetectionRecord | None:
    return None if number is None else side.run.detections[number]


def _disagreement(
    one: _PairedRun,
    file: int,
    what: Disagreement,
    view: tuple[float, float],
    device: DetectionRecord | None,
    simulated: DetectionRecord | None,
) -> DisagreementRecord:
    return DisagreementRecord(
        run=one.index,
        file_index=file,
        what=what,
        begin=view[0],
        end=view[1],
        device=_seen(device),
        simulated=_seen(simulated),
    )


def _seen(detection: DetectionRecord | None) -> SeenRecord:
    if detection is None:
        return SeenRecord()
    return SeenRecord(slice=detection.slice, seconds=detection.seconds, average=detection.average, max=detection.max)


class _Traces:
    """The probabilities of both sides where they have any; each run is unpacked once."""

    def __init__(self, paired: Sequence[_PairedRun], model: ModelRecord) -> None:
        self._paired = paired
        self._model = model
        self._kept: dict[tuple[int, bool], tuple[RunStream, ...]] = {}

    def complete(self, disagreement: DisagreementRecord) -> DisagreementRecord:
        """The disagreement with the highest probabilities of both sides."""
        device = disagreement.device.model_copy(update=self._highest(disagreement, simulated=False))
        simulated = disagreement.simulated.model_copy(update=self._highest(disagreement, simulated=True))
        return disagreement.model_copy(update={"device": device, "simulated": simulated})

    def _highest(self, disagreement: DisagreementRecord, *, simulated: bool) -> dict[str, float]:
        one = self._paired[disagreement.run]
        run = one.simulated.run if simulated else one.device.run
        key = (disagreement.run, simulated)
        if key not in self._kept:
            self._kept[key] = run_streams(run, self._model.stride, self._model.feature_step_ms)
        stream = self._kept[key][disagreement.file_index if run.protocol.mode == "clips" else 0]
        inside = stream.decisive(disagreement.begin, disagreement.end, self._model.window)
        if not len(inside):
            return {}
        averages = stream.averages(self._model.window)
        return {
            "highest_probability": int(stream.stream.probabilities[inside].max()) / PROBABILITY_MAX,
            "highest_average": float(averages[inside].max()),
        }
