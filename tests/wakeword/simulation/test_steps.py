"""A model at a step of its own: features, cache and times follow the manifest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from wakeword import contract
from wakeword.contract import quantise
from wakeword.corpus.feature_cache import FeatureCache
from wakeword.engines import open_engine
from wakeword.microfrontend import Microfrontend
from wakeword.model.flatbuffer import TfliteModel
from wakeword.presentation import CLIPS, SESSION, STREAM, Presentation
from wakeword.simulation.features import present
from wakeword.simulation.simulate import Options, simulate
from wakeword.simulation.streams import Recording, SimulatedStream


def samples_of(paths: list[Path], presentation: Presentation) -> np.ndarray:
    parts = [np.zeros(presentation.lead_in, np.int16)]
    for index, path in enumerate(paths):
        parts += [np.zeros(presentation.gap if index else 0, np.int16), soundfile.read(path, dtype="int16")[0]]
    return np.concatenate([*parts, np.zeros(presentation.tail, np.int16)])


@pytest.mark.parametrize("step_ms", [5, 20, 30])
@pytest.mark.parametrize("presentation", [CLIPS, STREAM])
def test_a_stream_is_heard_at_the_step(
    model: TfliteModel, recordings: list[Path], presentation: Presentation, step_ms: int
) -> None:
    paths = recordings[:3]
    streams = simulate(model, paths, presentation, step_ms=step_ms)
    for stream, heard in zip(
        streams, [[path] for path in paths] if presentation.mode == "clips" else [paths], strict=True
    ):
        samples = samples_of(heard, presentation)
        features = Microfrontend(step_ms * 16).process(samples)
        assert stream.slices == len(features) == contract.slice_count(len(samples), step_ms)
        engine, _ = open_engine(model, "reference")
        np.testing.assert_array_equal(stream.probabilities, engine.run(quantise(features)))


@pytest.mark.parametrize("step_ms", [5, 20, 30])
def test_a_detection_is_where_its_slice_ends(step_ms: int) -> None:
    silent, samples = 3_200 * step_ms, 4_800 * step_ms  # 200 slices, of which the hold-off takes a half, and 300
    recordings = tuple(
        Recording(Path(name), "", samples, start) for name, start in (("a", silent), ("b", silent + samples))
    )
    slices = contract.slice_count(silent + 2 * samples, step_ms)
    probabilities = np.zeros(slices // 3, np.uint8)
    for rise in (250, 550):
        probabilities[rise // 3 : rise // 3 + 4] = 250
    stream = SimulatedStream(recordings, CLIPS, slices, 3, probabilities, step_ms)
    found = stream.detections(200, 2)
    assert [one.seconds for one in found] == pytest.approx(
        [0.03 + (rise // 3 + 2) * 3 * step_ms / 1000 - step_ms / 1000 for rise in (250, 550)]
    )
    assert [stream.recording_at(one.slice_index) for one in found] == [0, 1]
    assert stream.max_probabilities(2).tolist() == [250, 250]
    assert stream.outcome(found, wake=True).found == 2


def test_processes_change_nothing(model: TfliteModel, recordings: list[Path]) -> None:
    one, two = (simulate(model, recordings, CLIPS, Options(jobs=jobs), step_ms=20) for jobs in (1, 2))
    for first, second in zip(one, two, strict=True):
        assert (first.slices, first.step_ms) == (second.slices, second.step_ms) == (first.slices, 20)
        np.testing.assert_array_equal(first.probabilities, second.probabilities)


def test_each_step_has_features_of_its_own_in_the_cache(recordings: list[Path], tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    computed = {step: present(cache, recordings[:2], STREAM, lambda _: None, step).features for step in (10, 20)}
    assert computed[10].slices > 1.9 * computed[20].slices
    for step in (10, 20):
        found = present(cache, recordings[:2], STREAM, lambda _: None, step).features
        assert found.held is None, "read from the disk"
        assert (found.slices, found.step_ms) == (computed[step].slices, step)
        np.testing.assert_array_equal(found.read(), computed[step].read())


def test_the_silence_before_a_clip_outlasts_the_hold_off(model: TfliteModel, recordings: list[Path]) -> None:
    for presentation in (CLIPS, SESSION):
        slow = presentation.at_step(20)
        assert slow.lead_in_seconds == 3.0
        assert contract.slice_count(slow.lead_in, 20) > contract.HOLD_OFF_SLICES
        assert presentation.at_step(10) == presentation
    (stream,) = simulate(model, recordings[:1], CLIPS.at_step(20), step_ms=20)
    assert stream.recordings[0].start == 48_000
