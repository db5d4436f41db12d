"""The exported model over validation recordings, decided as the device decides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wakeword.model.flatbuffer import TfliteModel
from wakeword.scoring.det import DetCurve, Stream, det_curve
from wakeword.simulation.presentation import CLIPS, STREAM
from wakeword.simulation.simulate import Options, recorded_hours, simulate
from wakeword.simulation.streams import SimulatedStream


def validation_curve(model: TfliteModel, positives: Sequence[Path], negatives: Sequence[Path], window: int, options: Options) -> DetCurve:
    """The exported model over the validation recordings, at every cutoff."""
    clips = simulate(model, positives, CLIPS, options)
    streams = simulate(model, sorted(negatives, key=Path.as_posix), STREAM, options)
    return det_curve([_stream(clip) for clip in clips], [_stream(stream) for stream in streams], window, recorded_hours(streams))


def _stream(simulated: SimulatedStream) -> Stream:
    return Stream(simulated.probabilities, simulated.stride, simulated.slices)
