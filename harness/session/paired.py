"""Device and simulation of the same audio as runs of the same shape: one for each section of each leg."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from harness.results.schema import FileRecord, PresentationRecord, RunRecord, Source, VoidRecord, pack_probabilities
from harness.session.schedule import PlacedSection, PlannedLeg, PlannedRecording, Schedule, Truth
from harness.simulated.simulated_result import detection_record, file_record
from wakeword.audio import read_samples
from wakeword.contract import SAMPLE_RATE_HZ, STEP_SAMPLES, WINDOW_SAMPLES, quantise, slice_count
from wakeword.corpus.provenance import together
from wakeword.corpus.recordings import hash_corpus
from wakeword.corpus.utterances import known_utterance_end
from wakeword.detector import Detection
from wakeword.engines import Engine
from wakeword.frontend import open_recording_frontend
from wakeword.presentation import Presentation
from wakeword.read_ahead import read_ahead
from wakeword.simulation.streams import Recording, SimulatedStream

SLICES_AT_ONCE = 6000
"""A minute of features a call of the engine: enough for its batches, little memory."""


@dataclass(frozen=True)
class LegDetections:
    """One side of a leg: what a board or the simulation made of it. Positions are the leg's."""

    source: Source
    engine: str
    detections: tuple[Detection, ...]
    """With slices of the leg."""
    probabilities: NDArray[np.uint8]
    """From the leg's first inference on; empty for a board that does not tell them."""


@dataclass(frozen=True)
class VoidSpan:
    """Samples [start, end) of a leg that are in no figure."""

    start: int
    end: int
    reason: str


def simulate_audio(engine: Engine, blocks: Iterable[NDArray[np.int16]]) -> NDArray[np.uint8]:
    """Probabilities of one stream from a fresh start: uint8 `[slices // stride]`, whatever its length in bounded
    memory.
    """
    engine.reset()
    frontend = open_recording_frontend()
    parts: list[NDArray[np.uint8]] = []
    pending: list[NDArray[np.int8]] = []
    with read_ahead(blocks) as ahead:
        for block in ahead:
            pending.append(quantise(frontend.process(block)))
            if sum(map(len, pending)) >= SLICES_AT_ONCE:
                parts.append(engine.run(np.concatenate(pending)))
                pending = []
    if pending:
        parts.append(engine.run(np.concatenate(pending)))
    return np.concatenate([np.zeros(0, np.uint8), *parts])


def played_part(leg: PlannedLeg, last_item: int) -> PlannedLeg:
    """The leg up to the item that was begun last, with the silence after it."""
    sections = []
    for section in leg.sections:
        items = tuple(placed for placed in section.items if placed.item.index <= last_item)
        if items:
            stop = items[-1].following
            sections.append(
                replace(section, items=items, stop=stop, markers=tuple(one for one in section.markers if one < stop))
            )
    return replace(leg, sections=tuple(sections))


def leg_runs(
    schedule: Schedule, leg: PlannedLeg, number: int, heard: LegDetections, voids: Sequence[VoidSpan], window: int
) -> list[RunRecord]:
    """A run for each section of a leg.

    Args:
        schedule: The session's, with the sections that were planned.
        leg: As far as it was played, in the board's stream.
        number: Of the measured legs from 1 on, in the session's order; the first one's is not in its labels.
        heard: What one side made of the leg.
        voids: What of it is in no figure.
        window: Inferences of the model's sliding window.

    Returns the runs, in the order of the sections, with detections and probabilities (uint8) of each.
    """
    return [_run(schedule, section, number, heard, voids, window) for section in leg.sections]


def _run(
    schedule: Schedule,
    section: PlacedSection,
    number: int,
    heard: LegDetections,
    voids: Sequence[VoidSpan],
    window: int,
) -> RunRecord:
    planned = schedule.sections[section.index]
    stride, settings = schedule.settings.stride, schedule.settings
    first_slice, first_inference = section.start // STEP_SAMPLES, section.start // settings.alignment
    # Not floor but ceiling: a leg that was cut may end anywhere, and its last inferences belong to its last section.
    end_slice, end_inference = -(-section.stop // STEP_SAMPLES), -(-section.stop // settings.alignment)
    probabilities = heard.probabilities[first_inference:end_inference]
    recordings = [
        Recording(
            placed.item.recording.path,
            placed.item.recording.sha256,
            placed.item.recording.samples,
            placed.start - section.start,
        )
        for placed in section.items
    ]
    slices = min(end_slice - first_slice, slice_count(section.stop - section.start))
    pause = settings.guard if planned.truth == "wake" else settings.gap
    presentation = Presentation(
        "stream", *(samples / SAMPLE_RATE_HZ for samples in (settings.lead_in, settings.guard, pause))
    )
    stream = SimulatedStream(tuple(recordings), presentation, slices, stride, probabilities)
    own = [
        replace(one, slice_index=one.slice_index - first_slice)
        for one in heard.detections
        if first_slice <= one.slice_index < end_slice
    ]
    detections = tuple(detection_record(one, stream.recording_at(one.slice_index)) for one in own)
    speakers_known = planned.truth == "wake" and len({recording.path.parent for recording in planned.recordings}) > 1
    highest = _highest(stream, own, window)
    return RunRecord(
        label=planned.label if number == 1 else f"{planned.label} (leg {number})",
        protocol=PresentationRecord.of(presentation, planned.truth),
        corpus_sha256=hash_corpus(recording.sha256 for recording in recordings),
        provenance=together(placed.item.recording.provenance for placed in section.items),
        source=heard.source,
        notes=planned.notes,
        engine=heard.engine,
        files=tuple(
            _file(recording, placed.item.recording, maximum, speakers_known, planned.truth)
            for recording, placed, maximum in zip(recordings, section.items, highest, strict=True)
        ),
        detections=detections,
        probabilities=pack_probabilities(probabilities),
        voids=tuple(_voids_of(section, voids)),
        inferences_per_file=(len(probabilities),),
    )


def _highest(stream: SimulatedStream, detections: Sequence[Detection], window: int) -> list[int]:
    """Of each recording. A board that tells no probabilities is known by those of its detections alone."""
    if len(stream.probabilities):
        return [int(value) for value in stream.max_probabilities(window)]
    highest = [0] * len(stream.recordings)
    for one in detections:
        owner = stream.recording_at(one.slice_index)
        highest[owner] = max(highest[owner], one.maximum)
    return highest


def _file(
    recording: Recording, planned: PlannedRecording, highest: int, speakers_known: bool, truth: Truth
) -> FileRecord:
    word_end = planned.word_end
    if word_end is None and truth == "wake":
        word_end = known_utterance_end(read_samples(recording.path))
    speaker = planned.speaker or (recording.path.parent.name if speakers_known else None)
    return file_record(recording, highest, speaker, word_end, word_end_hidden=truth == "wake" and word_end is None)


def _voids_of(section: PlacedSection, voids: Sequence[VoidSpan]) -> Iterator[VoidRecord]:
    for void in voids:
        start, end = max(void.start, section.start), min(void.end, section.stop)
        if start < end:
            yield VoidRecord(
                start=(start - section.start) / SAMPLE_RATE_HZ,
                end=(end - section.start) / SAMPLE_RATE_HZ,
                reason=void.reason,
            )


def decided_slice(position: int) -> int:
    """The slice on which a detection was decided when the stream had so many samples."""
    return max((position - WINDOW_SAMPLES) // STEP_SAMPLES, 0)


def window_at(
    probabilities: NDArray[np.uint8], stride: int, slice_index: int, window: int, last_reset: int
) -> NDArray[np.uint8]:
    """The probabilities that a detection was decided on: the last `window` inferences, none before the detection that
    cleared them.
    """
    newest = (slice_index + 1) // stride
    first_fresh = (last_reset + 1) // stride
    return probabilities[max(newest - window, first_fresh, 0) : newest]
