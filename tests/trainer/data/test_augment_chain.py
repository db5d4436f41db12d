"""The chain of effects: what each does, that nothing but (seed, clip, draw) decides it, and where the word lies."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from trainer.config.sections import AugmentationSection
from trainer.data.augment import chain
from trainer.data.augment.chain import EFFECTS, Augmenter, place_anywhere, place_onset, place_word
from trainer.data.augment.sounds import Sounds, store_backgrounds, store_impulses
from trainer.data.words import WordPlace
from wakeword.draws import derived_generator
from wakeword.errors import ConfigError, InfrastructureError

Samples = NDArray[np.int16]
OFF = dict.fromkeys(EFFECTS, 0.0)
DEFAULT = AugmentationSection()
SHORT = AugmentationSection(augmentation_duration_s=0.3)


def only(*effects: str, **changes: float) -> AugmentationSection:
    return AugmentationSection.model_validate(OFF | dict.fromkeys(effects, 1.0) | changes)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Sounds:
    folder = tmp_path_factory.mktemp("sounds")
    generator = np.random.default_rng(7)
    backgrounds, impulses = [], []
    for number, seconds in enumerate((0.7, 5.0)):
        backgrounds.append(folder / f"noise{number}.wav")
        soundfile.write(backgrounds[-1], generator.normal(0, 800, round(seconds * 16_000)).astype(np.int16), 16_000)
    for number, decay in enumerate((400, 2000)):
        response = generator.normal(0, 6000, 6000) * np.exp(-np.arange(6000) / decay)
        response[0] = 30_000
        impulses.append(folder / f"room{number}.wav")
        soundfile.write(
            impulses[-1], np.concatenate([np.zeros(300), response]).clip(-32768, 32767).astype(np.int16), 16_000
        )
    return Sounds(
        store_backgrounds(backgrounds, folder / "store", jobs=1), store_impulses(impulses, folder / "store", jobs=1)
    )


@pytest.fixture(scope="module")
def clip() -> Samples:
    """A second of two tones in three seconds of silence."""
    time = np.arange(16_000) / 16_000
    tones = 6000 * (np.sin(2 * np.pi * 300 * time) + np.sin(2 * np.pi * 1100 * time)) * np.hanning(16_000)
    return np.concatenate([np.zeros(32_000), tones, np.zeros(3200)]).astype(np.int16)


def rms(samples: NDArray[np.generic]) -> float:
    return float(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))


@pytest.mark.parametrize("effect", EFFECTS)
def test_each_effect_acts_and_leaves_silence_alone(effect: str, sounds: Sounds, clip: Samples) -> None:
    augmenter = Augmenter(only(effect, max_gain_db=-1.0), sounds)
    changed = augmenter.augment(clip, 0, "a", 0)
    assert changed.dtype == np.int16
    assert changed.shape == clip.shape
    assert not np.array_equal(changed, clip)
    assert not augmenter.augment(np.zeros(8000, np.int16), 0, "a", 0).any()


def test_without_effects_a_clip_stays_what_it_is(clip: Samples) -> None:
    np.testing.assert_array_equal(Augmenter(only()).augment(clip, 0, "a", 0), clip)


def test_the_global_generators_neither_matter_nor_change(sounds: Sounds, clip: Samples) -> None:
    augmenter = Augmenter(only(*EFFECTS), sounds)
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    first = augmenter.augment(clip, 0, "a", 0)
    assert random.getstate() == python
    for before, after in zip(numpy, np.random.get_state(), strict=True):  # noqa: NPY002
        np.testing.assert_array_equal(before, after)
    random.seed(2)
    np.random.seed(2)  # noqa: NPY002
    np.testing.assert_array_equal(augmenter.augment(clip, 0, "a", 0), first)


def test_the_global_generators_are_put_back_after_an_error(clip: Samples, monkeypatch: pytest.MonkeyPatch) -> None:
    augmenter = Augmenter(only("Gain"))

    def fails(_samples: object, _rate: int) -> None:
        random.random()
        raise RuntimeError("effect")

    monkeypatch.setattr(augmenter, "_effects", {"Gain": chain._seeded(fails)})
    python = random.getstate()
    with pytest.raises(RuntimeError, match="effect"):
        augmenter.augment(clip, 0, "a", 0)
    assert random.getstate() == python


def test_seed_clip_and_draw_each_matter(sounds: Sounds, clip: Samples) -> None:
    augmenter = Augmenter(DEFAULT, sounds)
    drawn = [augmenter.augment(clip, *which) for which in ((0, "a", 0), (1, "a", 0), (0, "b", 0), (0, "a", 1))]
    assert len({samples.tobytes() for samples in drawn}) == 4


def test_an_effect_that_is_off_changes_nothing_that_others_draw(sounds: Sounds, clip: Samples) -> None:
    """Gain is drawn the same whether the effects before it act or not."""
    alone = Augmenter(only("Gain", max_gain_db=-12), sounds).augment(clip, 0, "a", 0)
    shifted = Augmenter(only("BandStopFilter", "Gain", max_gain_db=-12), sounds)
    filtered = Augmenter(only("BandStopFilter"), sounds).augment(clip, 0, "a", 0)
    assert rms(shifted.augment(clip, 0, "a", 0)) / rms(filtered) == pytest.approx(rms(alone) / rms(clip), rel=1e-2)


@pytest.mark.parametrize("ratio", [-5.0, 10.0])
def test_the_background_has_the_ratio_that_is_asked_for(ratio: float, sounds: Sounds, clip: Samples) -> None:
    augmenter = Augmenter(only("AddBackgroundNoise", background_min_snr_db=ratio, background_max_snr_db=ratio), sounds)
    for draw in range(4):
        quiet = clip // 8  # far from full scale, where the sum would be scaled down
        noise = augmenter.augment(quiet, 0, "a", draw).astype(int) - quiet
        assert 20 * np.log10(rms(quiet) / rms(noise)) == pytest.approx(ratio, abs=0.05)
        assert all(
            rms(part) > 0.5 * rms(noise) for part in np.split(noise, 8)
        )  # also where the clip is silent, and past a short noise's end


def test_a_background_without_sound_adds_nothing(tmp_path: Path, clip: Samples) -> None:
    path = tmp_path / "almost.wav"
    soundfile.write(path, np.ones(16_000, np.int16), 16_000)
    bank = store_backgrounds([path], tmp_path / "store", jobs=1)
    np.testing.assert_array_equal(Augmenter(only("AddBackgroundNoise"), Sounds(bank)).augment(clip, 0, "a", 0), clip)


def test_gain_lies_between_its_limits_and_a_room_keeps_it(sounds: Sounds, clip: Samples) -> None:
    """audiomentations' own impulse response scales to a peak of 0.5, so that gain would mean nothing."""
    quiet, loud = (
        Augmenter(only("Gain", "RIR", min_gain_db=gain, max_gain_db=gain), sounds) for gain in (-30.0, -10.0)
    )
    for draw in range(3):
        change = rms(loud.augment(clip, 0, "a", draw)) / rms(quiet.augment(clip, 0, "a", draw))
        assert 20 * np.log10(change) == pytest.approx(20, abs=0.2)
    plain = Augmenter(only("Gain"), sounds)
    levels = [20 * np.log10(max(rms(plain.augment(clip, 0, "a", draw)), 1e-3) / rms(clip)) for draw in range(60)]
    assert -46 < min(levels) < -38
    assert -7 < max(levels) <= 0.01


def test_a_room_leaves_the_word_in_its_place(sounds: Sounds) -> None:
    click = np.zeros(16_000, np.int16)
    click[8000] = 20_000
    for draw in range(4):
        assert np.abs(Augmenter(only("RIR"), sounds).augment(click, 0, "a", draw).astype(int)).argmax() == 8016


def test_what_exceeds_full_scale_is_scaled_not_clipped(sounds: Sounds) -> None:
    loud = (32_000 * np.sin(2 * np.pi * 440 * np.arange(51_200) / 16_000)).astype(np.int16)
    result = Augmenter(only("AddBackgroundNoise"), sounds).augment(loud, 0, "a", 0)
    assert np.sum(np.abs(result.astype(int)) >= 32_767) <= 2


def test_missing_sounds_are_an_error_that_says_what_to_do() -> None:
    with pytest.raises(
        ConfigError,
        match=(
            r"background_paths gives no usable sound.*augmentation\.AddBackgroundNoise is 0\.75.*set the probability"
            r" to 0"
        ),
    ):
        Augmenter(DEFAULT)
    with pytest.raises(ConfigError, match=r"impulse_paths gives no usable sound"):
        Augmenter(only("RIR"))
    Augmenter(only("Gain"))


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, clip: Samples) -> None:
    monkeypatch.setitem(sys.modules, "audiomentations", None)
    with pytest.raises(InfrastructureError, match=r'pip install "\.\[train\]"'):
        Augmenter(only("Gain")).augment(clip, 0, "a", 0)


@given(st.integers(1, 8000), st.integers(0, 2000), st.integers(0, 1000))
@settings(max_examples=40)
def test_a_word_ends_one_jitter_before_the_clip(word: int, after: int, seed: int) -> None:
    samples = np.arange(1, word + after + 1).clip(max=30_000).astype(np.int16)
    placed = place_word(samples, WordPlace(word // 3, word), SHORT, np.random.default_rng(seed))
    assert placed.samples.shape == (4800,)
    assert placed.word_end is not None
    assert 0.195 * 16_000 <= 4800 - placed.word_end <= 0.205 * 16_000
    assert placed.samples[placed.word_end - 1] == samples[word - 1]
    kept = min(word, placed.word_end)
    np.testing.assert_array_equal(placed.samples[placed.word_end - kept : placed.word_end], samples[word - kept : word])
    tail = placed.samples[placed.word_end :]
    np.testing.assert_array_equal(tail[:after], samples[word : word + len(tail)])
    assert not tail[after:].any()
    assert not placed.samples[: placed.word_end - kept].any()


@given(st.integers(1, 12_000), st.integers(0, 1000))
@settings(max_examples=40)
def test_other_clips_lie_anywhere_whole_or_cut(length: int, seed: int) -> None:
    samples = np.arange(1, length + 1).astype(np.int16)
    placed = place_anywhere(samples, SHORT, np.random.default_rng(seed))
    sound = placed.samples[placed.samples > 0]
    assert placed.word_end is None
    assert placed.samples.shape == (4800,)
    assert len(sound) == min(length, 4800)
    assert (np.diff(sound) == 1).all()


def test_all_places_are_drawn() -> None:
    starts = {
        int(place_anywhere(np.arange(1, 4803).astype(np.int16), SHORT, np.random.default_rng(seed)).samples[0])
        for seed in range(40)
    }
    assert starts == {1, 2, 3}


def test_draws_are_those_of_earlier_releases(sounds: Sounds, clip: Samples) -> None:
    """Golden values; the samples within what other processors round differently."""
    assert derived_generator("augment", 0, "a", 0, "gain").integers(1 << 30, size=3).tolist() == GOLDEN_DRAWS
    result = Augmenter(only(*REFERENCE, min_gain_db=-6.0), sounds).augment(clip, 0, "a", 0)
    np.testing.assert_allclose(result[40_000:48_000:1000], GOLDEN_SAMPLES, atol=2)
    result = Augmenter(only(*BEFORE_TIME_STRETCH, min_level_dbfs=-6.0), sounds).augment(clip, 0, "a", 0)
    np.testing.assert_allclose(result[40_000:48_000:1000], GOLDEN_WITH_MICROPHONE, atol=4)


def test_where_the_microphone_and_the_context_are_off_all_is_as_it_was(sounds: Sounds, clip: Samples) -> None:
    """The place of a clip too: what is drawn for it does not depend on what else there is."""
    plain = only("Gain", SpeechBefore=0, SpeechAfter=0, Onset=0, BackgroundAlone=0)
    for draw in range(3):
        placed = Augmenter(plain, sounds).placed(clip[32_000:], None, 3, "a", draw)
        expected = place_anywhere(clip[32_000:], plain, derived_generator("place", 3, "a", draw))
        np.testing.assert_array_equal(placed.samples, expected.samples)


@given(st.integers(1, 60_000), st.integers(0, 1000))
@settings(max_examples=40)
def test_an_onset_lies_in_the_clip_after_silence(length: int, seed: int) -> None:
    placed = place_onset(np.ones(length, np.int16), DEFAULT, np.random.default_rng(seed))
    first, last = placed.own
    assert 0.3 * 16_000 <= first <= 0.67 * 51_200 + 1
    assert not placed.samples[:first].any()
    assert placed.samples[first:last].all()
    assert last == min(51_200, first + length) or length > 51_200


@pytest.mark.parametrize("onset", [0, 1])
def test_a_background_stands_in_the_place_of_a_negative(sounds: Sounds, clip: Samples, onset: int) -> None:
    """With the negative's peak, to the clip's end; never in the place of a word."""
    here = only(Onset=onset, BackgroundAlone=1)
    augmenter, without = Augmenter(here, sounds), Augmenter(here.model_copy(update={"BackgroundAlone": 0.0}), sounds)
    for draw in range(4):
        placed, negative = (
            augmenter.placed(clip[32_000:], None, 3, "a", draw),
            without.placed(clip[32_000:], None, 3, "a", draw),
        )
        first = negative.own[0] if onset else 0
        assert placed.own == (first, len(placed.samples))
        assert not placed.samples[:first].any()
        assert np.abs(placed.samples.astype(int)).max() == pytest.approx(
            np.abs(negative.samples.astype(int)).max(), abs=1
        )
        assert len(_excerpts(placed.samples[first:], sounds)) == 1
    word = WordPlace(33_000, 40_000, in_flow=False)
    np.testing.assert_array_equal(
        augmenter.placed(clip, word, 3, "a", 0).samples, without.placed(clip, word, 3, "a", 0).samples
    )


def _excerpts(samples: Samples, sounds: Sounds) -> list[int]:
    """The backgrounds, by number, of which the samples are an excerpt at some level."""
    return [
        number
        for number, sound in enumerate(sounds.backgrounds.sounds)
        if _highest_correlation(samples, sound.read()) > 0.99
    ]


def _highest_correlation(samples: Samples, sound: Samples) -> float:
    wanted, heard = samples.astype(float), sound.astype(float)
    if len(heard) < len(wanted):
        heard = np.tile(heard, len(wanted) // len(heard) + 2)
    products = fftconvolve(heard, wanted[::-1], "valid")
    energies = np.maximum(fftconvolve(heard**2, np.ones(len(wanted)), "valid"), 1)
    return float(np.max(products / np.sqrt(energies * (wanted @ wanted))))


BEFORE_TIME_STRETCH = tuple(name for name in EFFECTS if name != "TimeStretch")
REFERENCE = BEFORE_TIME_STRETCH[:8]
GOLDEN_WITH_MICROPHONE = [-1553, -6119, -2232, -850, -3647, -4384, -2520, -1601]
GOLDEN_DRAWS = [842818932, 1015837197, 235786283]
GOLDEN_SAMPLES = [446, -1597, -724, -1150, 235, -1937, -1108, -906]


@pytest.mark.parametrize("draw", range(4))
def test_another_rate_leaves_the_end_of_the_word_and_the_pitch(draw: int) -> None:
    """A tone of half a second that ends as a word does, 0.2 s before the clip."""
    time = np.arange(8000) / 16_000
    tone = (8000 * np.sin(2 * np.pi * 500 * time)).astype(np.int16)
    clip = np.concatenate([np.zeros(40_000, np.int16), tone, np.zeros(3200, np.int16)])
    stretched = Augmenter(only("TimeStretch")).augment(clip, 0, "a", draw)
    assert len(stretched) == len(clip)
    envelope = np.sqrt(np.convolve(stretched.astype(np.float64) ** 2, np.ones(160) / 160, "same"))
    loud = np.flatnonzero(envelope > envelope.max() / 2)
    assert loud[-1] == pytest.approx(48_000, abs=320)  # 20 ms, which the stretching smears
    length = loud[-1] - loud[0]
    assert 8000 / 1.1 - 480 < length < 8000 / 0.9 + 480
    assert abs(length - 8000) > 80
    spectrum = np.abs(np.fft.rfft(stretched[loud[0] + 1000 : loud[-1] - 1000], 16_000))
    assert np.argmax(spectrum) == pytest.approx(500, abs=10)
