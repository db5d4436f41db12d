"""The exported model over validation recordings, decided as the device decides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trainer.training.session import WORDS, session_curve, word_spans
from wakeword.model.flatbuffer import TfliteModel
from wakeword.scoring.det import DetCurve, Stream
from wakeword.simulation.presentation import STREAM
from wakeword.simulation.simulate import Options, recorded_hours, simulate
from wakeword.simulation.streams import SimulatedStream


def validation_curve(model: TfliteModel, positives: Sequence[Path], negatives: Sequence[Path], window: int, options: Options) -> DetCurve:
    """The exported model over the session that training validated on, at every cutoff."""
    (words,) = simulate(model, sorted(positives, key=Path.as_posix), WORDS, options)
    streams = simulate(model, sorted(negatives, key=Path.as_posix), STREAM, options)
    spans = word_spans([recording.samples for recording in words.recordings])
    return session_curve(_stream(words), spans, _stream(streams[0]), window, recorded_hours(streams))


def _stream(simulated: SimulatedStream) -> Stream:
    return Stream(simulated.probabilities, simulated.stride, simulated.slices)
