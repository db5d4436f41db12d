"""The simulation is frontend, engine and detector in a row, whatever way it computes them."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wakeword import microfrontend
from wakeword.engines.reference import ReferenceEngine
from wakeword.engines.unrolled import UnrolledEngine
from wakeword.errors import ConfigError
from wakeword.frontend import device_features
from wakeword.model.flatbuffer import TfliteModel
from wakeword.presentation import CLIPS, SESSION, STREAM, Presentation
from wakeword.simulation import simulate as simulate_module
from wakeword.simulation.simulate import Options, simulate
from wakeword.simulation.streams import Recording, SimulatedStream


def read(path: Path) -> NDArray[np.int16]:
    samples: NDArray[np.int16] = soundfile.read(path, dtype="int16")[0]
    return samples


def silence(seconds: float) -> NDArray[np.int16]:
    return np.zeros(round(seconds * 16000), np.int16)


def assert_same(left: list[SimulatedStream], right: list[SimulatedStream]) -> None:
    assert [stream.recordings for stream in left] == [stream.recordings for stream in right]
    assert [stream.slices for stream in left] == [stream.slices for stream in right]
    for one, other in zip(left, right, strict=True):
        np.testing.assert_array_equal(one.probabilities, other.probabilities)


def test_a_clip_is_padded_and_starts_from_boot(model: TfliteModel, recordings: list[Path]) -> None:
    streams = simulate(model, recordings[:3], CLIPS)
    for path, stream in zip(recordings[:3], streams, strict=True):
        features = device_features(np.concatenate([silence(1.5), read(path), silence(0.75)]))
        assert stream.slices == len(features)
        np.testing.assert_array_equal(stream.probabilities, ReferenceEngine(model).run(features))
        assert stream.recordings[0].start == 24000


def test_a_stream_is_joined_and_keeps_its_state(model: TfliteModel, recordings: list[Path]) -> None:
    (stream,) = simulate(model, recordings, STREAM)
    pieces = itertools.chain.from_iterable((silence(0.5), read(path)) for path in recordings)
    features = device_features(np.concatenate(list(pieces)[1:]))
    assert stream.slices == len(features)
    np.testing.assert_array_equal(stream.probabilities, ReferenceEngine(model).run(features))
    assert stream.recordings[1].start == len(read(recordings[0])) + 8000
    assert stream.outcome([], wake=False).scored_seconds == pytest.approx(
        sum(len(read(path)) for path in recordings) / 16000
    )


@pytest.mark.parametrize("worth_processes", [1002, 10**9], ids=["processes", "threads"])
@pytest.mark.parametrize("noise_dbfs", [None, -60.0], ids=["no noise", "noise"])
@pytest.mark.parametrize("layout", [CLIPS, SESSION, STREAM], ids=["clips", "session", "stream"])
def test_processes_threads_cache_engine_and_order_change_nothing(
    layout: Presentation,
    noise_dbfs: float | None,
    worth_processes: int,
    model: TfliteModel,
    recordings: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Ranges of five seconds, in processes from the second on or in threads, so that these small streams are cut as long
    # ones are; windows of two seconds at once.
    for name in ("SLICES_PER_RANGE", "SLICES_PER_THREADS_RANGE"):
        monkeypatch.setattr(simulate_module, name, 501)
    monkeypatch.setattr(simulate_module, "SLICES_WORTH_PROCESSES", worth_processes)
    monkeypatch.setattr(microfrontend, "WINDOWS_AT_ONCE", 201)
    if layout.mode == "clips" and worth_processes > 1002:
        pytest.skip("clips are always computed in processes")
    presentation, clips_alone = replace(layout, noise_floor_dbfs=noise_dbfs), layout.mode == "clips"
    paths = recordings[: simulate_module.FEWEST_CLIPS_FOR_PROCESSES if clips_alone else 12]
    plain = simulate(model, paths, presentation, Options(jobs=1))
    in_processes = Options(jobs=2, cache_folder=tmp_path)
    assert_same(simulate(model, paths, presentation, in_processes), plain)
    assert_same(simulate(model, paths, presentation, Options(jobs=1, cache_folder=tmp_path)), plain)
    assert_same(simulate(model, paths, presentation, replace(in_processes, engine="reference")), plain)
    if clips_alone:
        assert_same(simulate(model, paths[9:4:-1], presentation, Options(jobs=1)), plain[9:4:-1])
        assert_same(simulate(model, paths[7:8], presentation, Options(jobs=1)), plain[7:8])


def test_progress_counts_every_second_once(model: TfliteModel, recordings: list[Path], tmp_path: Path) -> None:
    for presentation in (CLIPS, SESSION, STREAM):
        for _ in ("cold", "cached"):
            seconds: list[float] = []
            streams = simulate(model, recordings, presentation, Options(cache_folder=tmp_path), seconds.append)
            assert sum(seconds) == pytest.approx(
                sum(recording.seconds for stream in streams for recording in stream.recordings)
            )


def test_a_changed_recording_is_not_found_in_the_cache(model: TfliteModel, tmp_path: Path) -> None:
    path, cache = tmp_path / "clip.wav", tmp_path / "cache"
    rng = np.random.default_rng(0)
    found = []
    for _ in range(2):
        soundfile.write(path, rng.normal(0, 3000, 16000).astype(np.int16), 16000)
        found.append(simulate(model, [path], CLIPS, Options(cache_folder=cache))[0])
    assert found[0].recordings[0].sha256 != found[1].recordings[0].sha256
    assert len(list(cache.rglob("*.features"))) == 2


def test_an_error_in_a_process_reaches_the_caller(model: TfliteModel, recordings: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF nonsense")
    with pytest.raises(ConfigError, match=r"broken\.wav"):
        simulate(model, [*recordings, broken], CLIPS, Options(jobs=2, cache_folder=tmp_path / "cache"))
    assert not list(tmp_path.rglob("*.partial"))


def test_a_recording_shorter_than_a_window(model: TfliteModel, tmp_path: Path) -> None:
    path = tmp_path / "short.wav"
    soundfile.write(path, np.ones(100, np.int16), 16000)
    (stream,) = simulate(model, [path], STREAM)
    assert (stream.slices, len(stream.probabilities)) == (0, 0)
    assert stream.max_probabilities(5).tolist() == [0]


def test_silence_belongs_to_the_recording_before_it(model: TfliteModel, recordings: list[Path]) -> None:
    (stream,) = simulate(model, recordings[:3], STREAM)
    second = stream.recordings[1].start
    # A slice ends with sample 480 + 160 * index; the second recording is heard from its first sample on.
    before, after = (second - 480) // 160, (second - 480) // 160 + 1
    assert (stream.recording_at(before), stream.recording_at(after)) == (0, 1)
    assert stream.recording_at(stream.slices - 1) == 2


def test_the_range_before_is_enough(model: TfliteModel, recordings: list[Path], tmp_path: Path) -> None:
    from wakeword.corpus.feature_cache import FeatureCache, stream_key
    from wakeword.corpus.recordings import hash_file
    from wakeword.simulation.features import present

    hashes = [hash_file(path) for path in recordings]
    cache = FeatureCache(tmp_path)
    features = present(cache, recordings, STREAM, lambda _: None).features
    engine = UnrolledEngine(model)
    whole = engine.run(features.read())
    for start, stop in ((0, 10), (1, 2), (30, 300), (len(whole) - 5, len(whole))):
        np.testing.assert_array_equal(simulate_module.run_range(engine, features, start, stop), whole[start:stop])
    assert cache.find(stream_key(hashes, 0, 8001, 0), len(recordings), 8001 * (len(recordings) - 1)) is None


def test_the_peak_of_a_clip_is_where_a_detection_is_possible(model: TfliteModel, tmp_path: Path) -> None:
    """Before the model has heard anything it answers 9 of 255 for a moment; what it says of these sounds is less, and
    for silence nothing.
    """
    rng = np.random.default_rng(8)
    noise = np.repeat(rng.uniform(0, 9000, 17), 1500)[:24000] * rng.normal(0, 0.4, 24000)
    for name, samples in (("noise", noise), ("silence", np.zeros(24000))):
        soundfile.write(tmp_path / f"{name}.wav", samples.clip(-32768, 32767).astype(np.int16), 16000)
    for name, highest in (("noise", 3), ("silence", 0)):
        for presentation in (CLIPS, SESSION):
            (stream,) = simulate(model, [tmp_path / f"{name}.wav"], presentation)
            assert int(np.argmax(stream.probabilities)) < 10
            assert stream.probabilities.max() == 9
            assert stream.max_probabilities(5).tolist() == [highest]


@given(st.data())
@settings(max_examples=50)
def test_no_detection_tells_a_maximum_above_the_peak(data: st.DataObject) -> None:
    stride, window, cutoff = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 10)), data.draw(st.integers(1, 254))
    runs = data.draw(
        st.lists(st.tuples(st.integers(1, 90), st.sampled_from([0, 90, 128, 200, 255])), min_size=1, max_size=10)
    )
    probabilities = np.array([value for length, value in runs for _ in range(length)], np.uint8)
    recording = Recording(Path("clip.wav"), "", 160 * stride * len(probabilities), CLIPS.lead_in)
    stream = SimulatedStream((recording,), CLIPS, stride * len(probabilities), stride, probabilities)
    for detection in stream.detections(cutoff, window):
        assert detection.maximum <= stream.max_probabilities(window)[0]
