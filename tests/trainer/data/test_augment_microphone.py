"""What a microphone does: bands, levels, noise and gain that are measured on tones and noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from trainer.data.augment.conditions import with_room_and_noise
from trainer.data.augment.context import PlacedClip, active_rms, speech_after, speech_before
from trainer.data.augment.microphone import automatic_gain, band_limits, clipping, level, self_noise
from trainer.data.augment.sounds import SoundBank, StoredSound, store_backgrounds, store_impulses
from wakeword.synthetic_speech import synthetic_speech

TIME = np.arange(32_000) / 16_000


def tone(frequency: float, amplitude: float = 0.1) -> NDArray[np.float32]:
    return (amplitude * np.sin(2 * np.pi * frequency * TIME)).astype(np.float32)


def db(after: NDArray[np.float32], before: NDArray[np.float32]) -> float:
    return float(10 * np.log10(np.mean(after[8000:].astype(float) ** 2) / np.mean(before[8000:].astype(float) ** 2)))


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_a_band_has_a_middle_that_stays_and_ends_that_go(seed: int) -> None:
    for frequency, least, most in ((30, -200, -6), (1000, -3, 0.5), (7900, -200, -2.5)):
        assert least <= db(band_limits(tone(frequency), np.random.default_rng(seed)), tone(frequency)) <= most


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_a_level_is_a_peak_whatever_it_was(seed: int) -> None:
    quiet, loud = (level(tone(500, amplitude), np.random.default_rng(seed), (-45, 0)) for amplitude in (0.001, 0.9))
    np.testing.assert_allclose(quiet, loud, rtol=1e-4, atol=1e-7)
    assert 10 ** (-45 / 20) * 0.999 <= np.abs(loud).max() <= 1.00001


@given(st.integers(0, 10_000), st.floats(-45, 0))
@settings(max_examples=30, deadline=None)
def test_a_microphones_noise_is_weak_and_hides_nothing(seed: int, peak_dbfs: float) -> None:
    sound = tone(500, 10 ** (peak_dbfs / 20))
    noise = (self_noise(sound, np.random.default_rng(seed)) - sound).astype(float)
    noise = noise[np.flatnonzero(np.abs(noise) > 1e-9)[0] :]
    rms = 20 * np.log10(np.sqrt(np.mean(noise**2)))
    assert -96 <= rms <= min(-44, peak_dbfs - 24)


def test_a_microphones_noise_is_dark_white_and_bright_and_often_begins_within_the_clip() -> None:
    """The spectrum's tilt goes from dark noise to that of noise-shaped dither, which has 30 dB more at 6 to 8 kHz than
    at 250 Hz to 2 kHz.
    """
    silence_first, tilts = [], []
    for seed in range(200):
        sound = tone(500, 0.5)
        noise = (self_noise(sound, np.random.default_rng(seed)) - sound).astype(float)
        (begins,) = np.flatnonzero(np.abs(noise) > 1e-7)[:1]
        silence_first.append(begins / len(noise))
        power = np.abs(np.fft.rfft(noise[begins : begins + 4096])) ** 2
        hertz = np.fft.rfftfreq(min(4096, len(noise) - begins), 1 / 16000)
        low, high = (power[(first <= hertz) & (hertz < last)].mean() for first, last in ((250, 2000), (6000, 8000)))
        tilts.append(10 * np.log10(high / low))
    started = np.array(silence_first)
    assert 0.5 < (started > 0.001).mean() < 0.7
    assert started.max() < 0.86
    assert np.percentile(tilts, 2) < -10
    assert np.percentile(tilts, 98) > 20
    assert (np.abs(tilts) < 3).mean() > 0.05


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_gain_goes_down_for_what_is_loud_and_up_for_what_is_quiet(seed: int) -> None:
    sound = np.concatenate([tone(500, 0.9), tone(500, 0.01), tone(500, 0.01)])
    ridden = automatic_gain(sound, np.random.default_rng(seed))
    loud, at_once, later = (
        np.abs(ridden[place : place + 1600]).max() / np.abs(sound[place : place + 1600]).max()
        for place in (30_000, 32_500, 94_000)
    )
    assert loud < 0.5
    assert later > 1.5
    assert at_once < later, "released slowly"
    assert np.abs(ridden).max() <= 1


@given(st.integers(0, 10_000), st.floats(0.001, 1))
@settings(max_examples=30, deadline=None)
def test_clipping_cuts_peaks_off(seed: int, amplitude: float) -> None:
    sound = tone(500, amplitude)
    cut = clipping(sound, np.random.default_rng(seed))
    ceiling = np.abs(cut).max()
    assert 0.31 * amplitude <= ceiling <= 0.9 * amplitude
    np.testing.assert_array_equal(cut, np.clip(sound, -ceiling, ceiling))


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> SoundBank:
    folder = tmp_path_factory.mktemp("speech")
    paths = []
    for number in range(3):
        paths.append(folder / f"{number}.wav")
        soundfile.write(paths[-1], synthetic_speech(4, number), 16_000)
    return store_backgrounds(paths, folder / "store", jobs=1)


def placed(start: int, end: int) -> PlacedClip:
    samples = np.zeros(51_200, np.int16)
    samples[start:end] = synthetic_speech((end - start) / 16_000, 9)
    return PlacedClip(samples, end, (start, end))


@pytest.mark.parametrize("seed", range(6))
def test_speech_before_a_word_ends_where_it_begins(seed: int, bank: SoundBank) -> None:
    word = placed(36_000, 48_000)
    after = speech_before(word, bank, np.random.default_rng(seed))
    np.testing.assert_array_equal(after.samples[36_000:], word.samples[36_000:])
    said = after.samples[:36_000].astype(float)
    assert np.abs(said[-800:]).max() > 0.02 * np.abs(said).max(), "no pause before the word"
    assert -12 < 20 * np.log10(active_rms(said) / active_rms(word.samples[36_000:48_000].astype(float))) < 9
    assert after.word_end == 48_000


@pytest.mark.parametrize("seed", range(6))
def test_speech_after_a_word_begins_within_a_tenth_of_a_second(seed: int, bank: SoundBank) -> None:
    word = placed(36_000, 48_000)
    after = speech_after(word, bank, np.random.default_rng(seed))
    np.testing.assert_array_equal(after.samples[:48_000], word.samples[:48_000])
    assert after.samples[48_000 : 48_000 + 1600 + 400].any()
    assert after.samples.shape == (51_200,)


def test_a_word_that_fills_its_clip_is_left_alone(bank: SoundBank) -> None:
    word = placed(0, 51_200)
    for put in (speech_before, speech_after):
        np.testing.assert_array_equal(put(word, bank, np.random.default_rng(0)).samples, word.samples)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> StoredSound:
    folder = tmp_path_factory.mktemp("room")
    response = np.random.default_rng(1).normal(0, 3000, 4000) * np.exp(-np.arange(4000) / 800)
    response[0] = 30_000
    soundfile.write(folder / "room.wav", np.concatenate([np.zeros(200), response]).astype(np.int16), 16_000)
    return store_impulses([folder / "room.wav"], folder / "store", jobs=1).sounds[0]


@pytest.mark.parametrize("snr_db", [0.0, 12.0])
def test_a_condition_has_the_ratio_and_the_level_that_are_asked_for(
    snr_db: float, bank: SoundBank, room: StoredSound
) -> None:
    clip = np.pad(synthetic_speech(1.0, 5), 24_000)
    alone = with_room_and_noise(clip, room, None, snr_db, 3, level_dbfs=-20)
    assert 20 * np.log10(np.abs(alone.astype(float)).max() / 32768) == pytest.approx(-20, abs=0.05)
    both = with_room_and_noise(clip, room, bank.sounds[0], snr_db, 3, level_dbfs=-20)
    noise = both.astype(float) - alone
    assert 20 * np.log10(active_rms(alone.astype(float)) / np.sqrt(np.mean(noise**2))) == pytest.approx(snr_db, abs=1.5)
    assert noise[:8000].any(), "noise in the pauses too"
    np.testing.assert_array_equal(both, with_room_and_noise(clip, room, bank.sounds[0], snr_db, 3, level_dbfs=-20))
    assert (both != with_room_and_noise(clip, room, bank.sounds[0], snr_db, 4, level_dbfs=-20)).any()


def test_in_a_room_a_word_keeps_its_place_and_silence_stays_silent(bank: SoundBank, room: StoredSound) -> None:
    click = np.zeros(16_000, np.int16)
    click[8000] = 20_000
    assert np.abs(with_room_and_noise(click, room, None, 0, 0).astype(int)).argmax() == 8016
    np.testing.assert_array_equal(with_room_and_noise(click, None, None, 0, 0), click)
    assert not with_room_and_noise(np.zeros(8000, np.int16), room, bank.sounds[0], 0, 0).any()


def test_a_sum_beyond_full_scale_is_scaled(bank: SoundBank) -> None:
    clip = synthetic_speech(2.0, 5)
    loud = with_room_and_noise(clip, None, bank.sounds[0], -10, 0, level_dbfs=0)
    assert np.sum(np.abs(loud.astype(int)) >= 32_767) <= 2


def test_paths_are_not_looked_at(tmp_path: Path, room: StoredSound) -> None:
    """Who renames a room's file hears the same room."""
    moved = StoredSound(tmp_path / "other", room.content, room.stored, room.samples, room.peak)
    clip = synthetic_speech(1.0, 5)
    np.testing.assert_array_equal(
        with_room_and_noise(clip, room, None, 0, 0), with_room_and_noise(clip, moved, None, 0, 0)
    )
