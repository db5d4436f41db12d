"""Stretches of a simulated stream: the very sound that its features were computed from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from wakeword.contract import quantise, slice_count
from wakeword.corpus.feature_cache import FeatureCache
from wakeword.frontend import compute_features
from wakeword.presentation import Presentation
from wakeword.simulation.features import present
from wakeword.simulation.simulate import unwatched
from wakeword.simulation.sound import stream_excerpts
from wakeword.simulation.streams import PresentedStream

LAYOUTS = (
    Presentation("stream", gap_seconds=0.5),
    Presentation("session", lead_in_seconds=1.5, tail_seconds=0.7, gap_seconds=0.4, noise_floor_dbfs=-50.0),
    Presentation("stream", gap_seconds=0.0, noise_floor_dbfs=-40.0),
)


def presented(layout: Presentation, recordings: list[Path], folder: Path) -> PresentedStream:
    return present(FeatureCache(folder), recordings, layout, unwatched)


def length_of(stream: PresentedStream) -> int:
    last = stream.recordings[-1]
    return last.start + last.samples + stream.presentation.tail


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_whole_stream_gives_its_features(layout: Presentation, recordings: list[Path], tmp_path: Path) -> None:
    stream = presented(layout, recordings[:6], tmp_path)
    (sound,) = stream_excerpts(stream.recordings, layout, [(0, length_of(stream))])
    assert stream.features.slices == slice_count(len(sound))
    assert np.array_equal(quantise(compute_features(sound)), stream.features.read())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_stretches_are_parts_of_the_whole(layout: Presentation, recordings: list[Path], tmp_path: Path) -> None:
    """Overlapping ones, one in silence, one over the end: behind it lies silence, which the microphone hears too."""
    stream = presented(layout, recordings[:6], tmp_path)
    length = length_of(stream)
    rng = np.random.default_rng(1)
    starts = sorted(int(start) for start in rng.integers(0, length, 20))
    spans = [(start, start + 8000) for start in starts] + [(length - 100, length + 9000)]
    (whole,) = stream_excerpts(stream.recordings, layout, [(0, length + 9000)])
    found: list[NDArray[np.int16]] = list(stream_excerpts(stream.recordings, layout, spans))
    assert len(found) == len(spans)
    for (start, stop), sound in zip(spans, found, strict=True):
        assert sound.dtype == np.int16
        assert np.array_equal(sound, whole[start:stop])
    assert whole[length:].any() == (layout.noise_floor_dbfs is not None)


def test_recordings_that_nobody_asks_for_are_not_read(recordings: list[Path], tmp_path: Path) -> None:
    layout = LAYOUTS[0]
    stream = presented(layout, recordings[:6], tmp_path)
    gone = stream.recordings[3]
    kept = [one for one in stream.recordings if one is not gone]
    spans = [(one.start, one.start + one.samples) for one in kept]
    missing = [
        one if one is not gone else type(one)(tmp_path / "gone.wav", one.sha256, one.samples, one.start)
        for one in stream.recordings
    ]
    assert len(list(stream_excerpts(missing, layout, spans))) == 5
    assert list(stream_excerpts(missing, layout, [])) == []
