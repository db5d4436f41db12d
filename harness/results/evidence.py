"""The evidence behind the figures: each miss, false accept and disagreement with its timeline and its sound."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from harness.results import wording
from harness.results.clips import Clip, ClipReader
from harness.results.device_records import DisagreementRecord
from harness.results.runs import RunStream, ScoredRun, sweep_cutoffs
from harness.results.schema import FileRecord, ModelRecord
from harness.results.timeline import Timeline, draw
from wakeword.scoring.det import DetCurve

CONTEXT_SECONDS = 2.0
"""Shown and heard before and after a detection in a long recording."""
WHOLE_CLIP_SECONDS = 6.0
"""A recording up to this length is shown whole."""
TAIL_SHOWN_SECONDS = 1.0
"""Of the silence after a clip: the model answers late, often after the word's end."""
_PAST_DETECTION_SECONDS = 0.2
"""Shown past a detection that falls into silence, so that its mark does not stand on the edge."""


@dataclass(frozen=True)
class Exhibit:
    """One miss, one false accept or one disagreement."""

    path: str
    speaker: str | None
    run: str
    facts: tuple[str, ...]
    timelines: tuple[tuple[str | None, Timeline], ...]
    """Pictures, each with the source of its probabilities where that needs saying."""
    clip: Clip


@dataclass(frozen=True)
class PairedStream:
    """A stream and, beside a device's, the simulation of the same audio."""

    stream: RunStream
    simulated: RunStream | None = None

    @property
    def trace(self) -> RunStream:
        """The side whose probabilities are shown: its own, or the simulation's where the board told none."""
        return self.simulated if self.simulated is not None and not self.stream.has_trace else self.stream

    @property
    def trace_label(self) -> str | None:
        """What to say about borrowed probabilities."""
        return (
            None
            if self.trace is self.stream
            else f"probabilities simulated; the detections are {self.stream.run.source}"
        )


def pair_streams(
    measured: Sequence[ScoredRun[RunStream]], simulation: Sequence[ScoredRun[RunStream]]
) -> list[list[PairedStream]]:
    """The streams of each run, with those of its simulation where there is one (`simulation[i]` of `measured[i]`)."""
    if not simulation:
        return [[PairedStream(stream) for stream in one.parts] for one in measured]
    return [
        [PairedStream(*both) for both in zip(one.parts, other.parts, strict=True)]
        for one, other in zip(measured, simulation, strict=True)
    ]


def paired_curve(by_run: Sequence[Sequence[PairedStream]], window: int) -> DetCurve | None:
    """Counts at every cutoff by the probabilities that there are; None where a run has none at all."""
    if not all(any(one.trace.has_trace for one in streams) for streams in by_run):
        return None
    return sweep_cutoffs([one.trace for streams in by_run for one in streams], window)


@dataclass(frozen=True)
class Evidence:
    """Exhibits, at most as many as asked for, and how many there were."""

    exhibits: tuple[Exhibit, ...]
    total: int

    @property
    def left_out(self) -> int:
        """Exhibits that the limit left out."""
        return self.total - len(self.exhibits)


def misses(streams: Iterable[PairedStream], model: ModelRecord, limit: int, reader: ClipReader) -> Evidence:
    """Utterances without a detection, the nearest misses first. Void ones are neither found nor missed."""
    found = [(paired, index) for paired in streams for index in paired.stream.missed]
    found.sort(key=lambda miss: -(_highest(*miss) or 0.0))
    return Evidence(tuple(_miss(paired, index, model, reader) for paired, index in found[:limit]), len(found))


def false_accepts(streams: Iterable[PairedStream], model: ModelRecord, limit: int, reader: ClipReader) -> Evidence:
    """Detections without an utterance where the rate counts them and no time is void, the most confident first."""
    rated = [paired for paired in streams if paired.stream.run.protocol.tells_rate]
    found = [(paired, number) for paired in rated for number in paired.stream.false]
    found.sort(key=lambda accept: -accept[0].stream.run.detections[accept[1]].average)
    return Evidence(tuple(_false_accept(paired, number, model, reader) for paired, number in found[:limit]), len(found))


def disagreements(
    records: Sequence[DisagreementRecord],
    streams: Sequence[Sequence[PairedStream]],
    model: ModelRecord,
    limit: int,
    reader: ClipReader,
) -> Evidence:
    """Disagreements of device and simulation in their order, each with the probabilities of both. `streams[i]` are
    those of run `i`.
    """
    exhibits: list[Exhibit] = []
    for record in records[:limit]:
        paired = next(
            one
            for one in streams[record.run]
            if one.stream.first_file <= record.file_index < one.stream.first_file + len(one.stream.files)
        )
        exhibits.append(_disagreement(paired, record, model, reader))
    return Evidence(tuple(exhibits), len(records))


def _highest(paired: PairedStream, index: int) -> float | None:
    """The highest probability in a file of the run, from the side that has one."""
    return paired.trace.run.files[index].max_probability if paired.trace.has_trace else None


def _miss(paired: PairedStream, index: int, model: ModelRecord, reader: ClipReader) -> Exhibit:
    file, highest = paired.stream.run.files[index], _highest(paired, index)
    begin, end = file.stream_start, file.stream_start + file.seconds
    if file.seconds > WHOLE_CLIP_SECONDS:
        begin, end = _around(_loudest_answer(paired.trace, begin, end, model.window), begin, end)
    facts = [f"{file.seconds:.2f}\N{NO-BREAK SPACE}s long"]
    if highest is not None:
        facts.insert(
            0,
            f"highest probability {wording.probability(highest)}"
            + ("" if paired.trace is paired.stream else " (simulated)"),
        )
    return _exhibit(paired, file, facts, (begin, end), model, reader)


def _false_accept(paired: PairedStream, number: int, model: ModelRecord, reader: ClipReader) -> Exhibit:
    stream = paired.stream
    detection = stream.run.detections[number]
    file = stream.run.files[detection.file_index]
    facts = [f"average {wording.probability(detection.average)}", f"max {wording.probability(detection.max)}"]
    if stream.run.judged:
        answer = stream.run.judged[number]
        facts.append(f"the judge says {'yes' if answer.yes else 'no'} ({wording.probability(answer.score)})")
    where = detection.seconds - file.stream_start
    if stream.run.protocol.mode != "clips":
        facts.append(f"at {wording.clock(detection.seconds)} of the stream, {wording.clock(where)} of the file")
        view = _around(
            detection.seconds, stream.files[0].stream_start, stream.files[-1].stream_start + stream.files[-1].seconds
        )
    else:
        facts.append(f"at {where:.2f}\N{NO-BREAK SPACE}s")
        view = (file.stream_start, file.stream_start + file.seconds)
        if file.seconds > WHOLE_CLIP_SECONDS:
            view = _around(detection.seconds, *view)
    return _exhibit(paired, file, facts, view, model, reader)


def _exhibit(
    paired: PairedStream,
    file: FileRecord,
    facts: Sequence[str],
    view: tuple[float, float],
    model: ModelRecord,
    reader: ClipReader,
) -> Exhibit:
    """The timeline begins with the audio; it goes on into the silence after a recording, where the answer often falls,
    as far as the last one there.
    """
    stream = paired.stream
    begin, end = view
    shown_to, recorded_to = end, file.stream_start + file.seconds
    if end >= recorded_to:
        following = _following(stream, recorded_to)
        last = max(
            (
                one.seconds + _PAST_DETECTION_SECONDS
                for one in stream.detections
                if recorded_to <= one.seconds <= following
            ),
            default=0.0,
        )
        shown_to = max(end, min(following, max(recorded_to + TAIL_SHOWN_SECONDS, last)))
    trace = paired.trace
    timeline = draw(trace, model, begin, shown_to, stream.detections) if shown_to > begin else None
    timelines = () if timeline is None else ((paired.trace_label, timeline),)
    return Exhibit(
        file.path, file.speaker, stream.run.label, tuple(facts), timelines, reader.read(stream.files, begin, end)
    )


def _following(stream: RunStream, recorded_to: float) -> float:
    """Where the silence after a recording ends: at the next recording, or with the stream. Seconds of the stream."""
    starts = [file.stream_start for file in stream.files if file.stream_start >= recorded_to]
    return min(
        starts, default=stream.files[-1].stream_start + stream.files[-1].seconds + stream.run.protocol.tail_seconds
    )


def _disagreement(paired: PairedStream, record: DisagreementRecord, model: ModelRecord, reader: ClipReader) -> Exhibit:
    """Both sides' probabilities; one picture where they are equal, which says that something else differs."""
    file = paired.stream.run.files[record.file_index]
    begin, end = max(record.begin - _PAST_DETECTION_SECONDS, 0.0), record.end + _PAST_DETECTION_SECONDS
    timelines: list[tuple[str | None, Timeline]] = []
    for side in (paired.stream, paired.simulated):
        timeline = draw(side, model, begin, end) if side is not None else None
        if side is not None and timeline is not None:
            timelines.append((side.run.source, timeline))
    if (
        len(timelines) == 2
        and timelines[0][1].probability == timelines[1][1].probability
        and timelines[0][1].detections == timelines[1][1].detections
    ):
        timelines = [(f"{timelines[0][0]} and {timelines[1][0]}: equal", timelines[0][1])]
    facts = [record.words(paired.stream.run.source)]
    if record.device.seconds is not None and not paired.stream.has_trace:
        facts.append(f"{paired.stream.run.source} detected at {wording.seconds(record.device.seconds - begin)}")
    clip = reader.read(paired.stream.files, begin, end)
    return Exhibit(file.path, file.speaker, paired.stream.run.label, tuple(facts), tuple(timelines), clip)


def _around(seconds: float, earliest: float, latest: float) -> tuple[float, float]:
    """The context of a moment, cut at the limits; a moment past them, in the silence that follows, is still inside."""
    end = min(seconds + CONTEXT_SECONDS, max(latest, seconds + _PAST_DETECTION_SECONDS))
    return max(seconds - CONTEXT_SECONDS, earliest), end


def _loudest_answer(stream: RunStream, begin: float, end: float, window: int) -> float:
    """The moment of the highest probability between two moments of the stream that can take part in a detection."""
    inside = stream.decisive(begin, end, window)
    if not len(inside):
        return begin
    return float(stream.inference_seconds()[inside[int(np.argmax(stream.stream.probabilities[inside]))]])
