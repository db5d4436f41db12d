"""A microphone's noise under all that the simulated device hears: how loud, and the same however it is computed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.wakeword.simulation.test_simulate import read
from tests.wakeword.test_stored_features import clips, store
from wakeword.contract import quantise
from wakeword.corpus.feature_cache import FeatureCache
from wakeword.corpus.recordings import hash_file
from wakeword.errors import ConfigError
from wakeword.frontend import device_features
from wakeword.microfrontend import Microfrontend
from wakeword.model.flatbuffer import TfliteModel
from wakeword.noise_floor import HIGHEST_DBFS, LOWEST_DBFS, checked_noise_floor, microphone
from wakeword.presentation import CLIPS, SESSION, STREAM, Presentation
from wakeword.simulation import features as features_module
from wakeword.simulation.features import present
from wakeword.simulation.simulate import simulate, unwatched

NOISE = -60.0
LAYOUTS = pytest.mark.parametrize("presentation", [CLIPS, SESSION, STREAM], ids=["clips", "session", "stream"])


def over_noise(presentation: Presentation, dbfs: float = NOISE) -> Presentation:
    return replace(presentation, noise_floor_dbfs=dbfs)


def silence(samples: int) -> NDArray[np.int16]:
    return np.zeros(samples, np.int16)


def heard(paths: Sequence[Path], presentation: Presentation) -> NDArray[np.int16]:
    """All samples of one stream, written out: each stretch through a microphone of its own."""
    dbfs, hashes = presentation.noise_floor_dbfs, [hash_file(path) for path in paths]
    parts = [microphone(dbfs, "before", hashes[0])(silence(presentation.lead_in))]
    for path, digest in zip(paths, hashes, strict=True):
        last = path == paths[-1]
        parts.append(microphone(dbfs, "recording", digest)(read(path)))
        parts.append(microphone(dbfs, "after", digest)(silence(presentation.tail if last else presentation.gap)))
    return np.concatenate(parts)


def features(cache: Path, paths: Sequence[Path], presentation: Presentation, step_ms: int = 10) -> NDArray[np.int8]:
    return present(FeatureCache(cache), paths, presentation, unwatched, step_ms).features.read()


@pytest.mark.parametrize("dbfs", [-90.0, -60.0, -55.0, -20.0])
def test_the_noise_is_as_loud_as_is_asked_for_and_white(dbfs: float) -> None:
    noise = microphone(dbfs, "recording", "a")(silence(160_000)) / 32768
    # Rounding to int16 adds a twelfth of a unit's square, which tells at -90 dBFS alone.
    expected = 10 * math.log10(10 ** (dbfs / 10) + 1 / 12 / 32768**2)
    assert 10 * math.log10(np.mean(noise**2)) == pytest.approx(expected, abs=0.1)
    power = np.abs(np.fft.rfft(noise.reshape(-1, 1600), axis=1)) ** 2
    bands = power[:, 1:-1].mean(axis=0)[:796].reshape(4, -1).mean(axis=1)
    assert 10 * np.log10(bands.max() / bands.min()) < 0.5
    assert abs(np.mean(noise)) < 10 ** (dbfs / 20) / 50


def test_what_is_too_loud_is_clipped() -> None:
    for sign in (-1, 1):
        sound = np.full(16_000, sign * 32767, np.int16)
        noisy = microphone(-20.0, "recording", "a")(sound)
        assert noisy.dtype == np.int16
        assert np.all(np.sign(noisy) == sign)
        assert int(np.abs(noisy.astype(int)).max()) == (32768 if sign < 0 else 32767)


def test_without_a_floor_nothing_is_added() -> None:
    sound = np.arange(-300, 300, dtype=np.int16)
    assert microphone(None, "recording", "a")(sound) is sound


@given(st.lists(st.integers(0, 700), min_size=1, max_size=8), st.floats(LOWEST_DBFS, HIGHEST_DBFS))
@settings(max_examples=40)
def test_blocks_change_nothing(lengths: list[int], dbfs: float) -> None:
    sound = (1000 * np.sin(np.arange(sum(lengths)))).astype(np.int16)
    hears = microphone(dbfs, "recording", "a")
    blocks = np.split(sound, np.cumsum(lengths)[:-1])
    np.testing.assert_array_equal(
        np.concatenate([hears(block) for block in blocks]), microphone(dbfs, "recording", "a")(sound)
    )


def test_stretches_and_recordings_have_noise_of_their_own_and_levels_the_same() -> None:
    sound = silence(16_000)
    draws = [microphone(-40.0, place, name)(sound) for place in ("before", "recording", "after") for name in ("a", "b")]
    assert np.abs(np.corrcoef(draws) - np.eye(6)).max() < 0.05
    louder = microphone(-34.0, "before", "a")(sound)
    assert np.corrcoef(draws[0], louder)[0, 1] > 0.9999


@LAYOUTS
@pytest.mark.parametrize("step_ms", [10, 20])
def test_the_device_hears_noise_under_everything(
    presentation: Presentation, step_ms: int, recordings: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Blocks of half a second, so that they end within silences; a recording of nine seconds has several anyway.
    monkeypatch.setattr(features_module, "BLOCK_SAMPLES", 8_000)
    long = tmp_path / "long.wav"
    soundfile.write(long, np.concatenate([read(path) for path in recordings[:20]])[:144_000], 16_000)
    paths, noisy = [*recordings[:2], long], over_noise(presentation)
    for stream in [[path] for path in paths] if presentation.mode == "clips" else [paths]:
        sound = heard(stream, noisy)
        expected = device_features(sound) if step_ms == 10 else quantise(Microfrontend(320).process(sound))
        np.testing.assert_array_equal(features(tmp_path, stream, noisy, step_ms), expected)


def test_a_clip_and_a_stream_of_the_same_samples_are_heard_alike(recordings: list[Path], tmp_path: Path) -> None:
    """A stream that is laid out as a clip has its features, and a recording's noise is the same among others."""
    clip, path = over_noise(CLIPS), recordings[0]
    as_stream = replace(clip, mode="stream")
    np.testing.assert_array_equal(features(tmp_path / "a", [path], clip), features(tmp_path / "b", [path], as_stream))
    session = over_noise(SESSION)
    alone, joined = heard([path], clip), heard([recordings[1], path], session)
    length, starts = len(read(path)), session.starts([len(read(recordings[1])), len(read(path))])
    np.testing.assert_array_equal(
        alone[clip.lead_in : clip.lead_in + length + clip.tail], joined[starts[1] :][: length + clip.tail]
    )


@LAYOUTS
def test_a_cache_keeps_levels_apart_and_finds_what_was_kept_without_noise(
    presentation: Presentation, recordings: list[Path], tmp_path: Path
) -> None:
    kinds = [
        presentation,
        over_noise(presentation),
        over_noise(presentation, -60.0000001),
        over_noise(presentation, -40),
    ]
    alone = [features(tmp_path / str(number), recordings[:1], kind) for number, kind in enumerate(kinds)]
    for _ in ("cold", "cached"):
        for kind, expected in zip(kinds, alone, strict=True):
            np.testing.assert_array_equal(features(tmp_path / "shared", recordings[:1], kind), expected)
    entries = {path.relative_to(tmp_path / "shared") for path in (tmp_path / "shared").rglob("*.features")}
    assert len(entries) == 4
    assert not np.array_equal(alone[0], alone[1])
    assert not np.array_equal(alone[1], alone[3])
    # -60 and -60.0 are one level.
    features(tmp_path / "shared", recordings[:1], over_noise(presentation, -60))
    assert len(list((tmp_path / "shared").rglob("*.features"))) == 4


def test_features_get_no_noise(model: TfliteModel, tmp_path: Path) -> None:
    folder = store(tmp_path / "speech_mmap", clips(30))
    with pytest.raises(ConfigError, match=r"speech_mmap: holds features, and noise can be added to sound alone; give"):
        simulate(model, [folder], over_noise(STREAM))


@pytest.mark.parametrize("wrong", [-100.5, -19.9, 0, 60, math.nan, math.inf, -math.inf, "loud", True])
def test_a_level_that_is_no_microphones_is_refused(wrong: object) -> None:
    with pytest.raises(
        ConfigError, match=rf"^noise_floor {wrong}: give -100 to -20 dBFS, or leave it out for no noise$"
    ):
        checked_noise_floor("noise_floor", wrong)


def test_levels_of_microphones_are_taken() -> None:
    assert [checked_noise_floor("x", level) for level in (None, -100, -60.5, np.float32(-55), -20)] == [
        None,
        -100.0,
        -60.5,
        -55.0,
        -20.0,
    ]


def test_a_step_keeps_the_noise() -> None:
    assert over_noise(SESSION).at_step(20).noise_floor_dbfs == NOISE


def test_a_recording_that_was_silenced_is_heard_over_noise(model: TfliteModel, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silence.wav", silence(32_000), 16_000)
    plain, noisy = (
        simulate(model, [tmp_path / "silence.wav"], presentation)[0] for presentation in (CLIPS, over_noise(CLIPS, -50))
    )
    assert not np.array_equal(plain.probabilities, noisy.probabilities)
