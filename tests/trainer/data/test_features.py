"""Features: the device's own, in context, whatever the order of clips or the number of processes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile

from trainer.data.features import FeatureSettings, first_slice_after, negative_features, positive_features
from trainer.data.ingest import Label, SampleRecord
from trainer.data.split import Split
from wakeword import contract
from wakeword.corpus.utterances import speech_bounds, utterance_end
from wakeword.frontend import device_features

ZEROS = FeatureSettings(zeros_share=1.0, alone_share=1.0)
NOISE = FeatureSettings(zeros_share=0.0)


def burst(lead: int, length: int, tail: int, seed: int = 0) -> np.typing.NDArray[np.int16]:
    generator = np.random.default_rng(seed)
    return (
        np.concatenate([np.zeros(lead), generator.normal(0, 5000, length), np.zeros(tail)])
        .clip(-32768, 32767)
        .astype(np.int16)
    )


def record(path: Path, samples: np.typing.NDArray[np.int16], label: Label = Label.NEGATIVE) -> SampleRecord:
    soundfile.write(path, samples, 16_000)
    return SampleRecord(path, label, Split.TRAIN, path.stem, len(samples) / 16_000, 16_000)


@pytest.fixture
def records(tmp_path: Path) -> list[SampleRecord]:
    return [record(tmp_path / f"{number}.wav", burst(0, 8000 + 800 * number, 0, number)) for number in range(6)]


def test_first_slice_after_is_the_first_window_that_reaches_so_far() -> None:
    for samples in (0, 1, 480, 481, 640, 641, 24_000):
        index = first_slice_after(samples)
        assert contract.slice_end_seconds(index) * 16_000 >= samples
        assert index == 0 or contract.slice_end_seconds(index - 1) * 16_000 < samples


def test_a_positive_stands_after_silence_with_its_end_marked(tmp_path: Path) -> None:
    clip = burst(0, 9600, 0)
    (positive,) = positive_features([record(tmp_path / "a.wav", clip)], settings=ZEROS, jobs=1)
    stream = np.concatenate([np.zeros(24_000, np.int16), clip, np.zeros(52_000, np.int16)])
    np.testing.assert_array_equal(positive.features, device_features(stream))
    assert positive.features.dtype == np.int8
    assert positive.word_end == first_slice_after(24_000 + 9600)
    assert len(positive.features) - positive.word_end == pytest.approx(325, abs=1)


def test_what_a_recording_holds_after_the_word_is_the_tail(tmp_path: Path) -> None:
    quiet = np.random.default_rng(1).normal(0, 30, 24_000).astype(np.int16)
    clip = np.concatenate([quiet[:8000], burst(0, 8000, 0), quiet])
    (positive,) = positive_features([record(tmp_path / "a.wav", clip)], settings=ZEROS, jobs=1)
    assert positive.word_end == pytest.approx(first_slice_after(24_000 + 16_000), abs=3)
    end = utterance_end(clip)
    expected = device_features(
        np.concatenate([np.zeros(24_000, np.int16), clip[: end + 4000], np.zeros(48_000, np.int16)])
    )
    np.testing.assert_array_equal(positive.features, expected)


def test_noise_lies_under_the_whole_stream_at_a_low_level(tmp_path: Path) -> None:
    one = record(tmp_path / "a.wav", burst(0, 8000, 0))
    noisy = positive_features([one], settings=NOISE, jobs=1)[0]
    silent = positive_features([one], settings=ZEROS, jobs=1)[0]
    assert noisy.features.shape == silent.features.shape
    assert (silent.features[:100] == -128).all()
    assert (noisy.features[:100] > -128).any()
    assert not np.array_equal(noisy.features, positive_features([one], seed=1, settings=NOISE, jobs=1)[0].features)


def test_a_clip_depends_on_itself_alone(records: list[SampleRecord]) -> None:
    whole = positive_features(records, seed=3, jobs=2)
    backwards = positive_features(records[::-1], seed=3, jobs=1)[::-1]
    for one, other in zip(whole, backwards, strict=True):
        np.testing.assert_array_equal(one.features, other.features)
        assert one.word_end == other.word_end


def test_negatives_are_joined_through_one_frontend(records: list[SampleRecord]) -> None:
    result = negative_features(records, settings=ZEROS, jobs=1)
    assert len(result.alone) == 6
    (joined,) = result.joined
    samples = 24_000 + sum(round(one.duration * 16_000) for one in records) + 5 * 8000 + 12_000
    assert joined.shape == (contract.slice_count(samples), 40)
    lengths = sorted(len(features) for features in result.alone)
    assert lengths == [contract.slice_count(24_000 + 8000 + 800 * number + 12_000) for number in range(6)]


def test_streams_are_closed_when_long_enough_and_do_not_depend_on_jobs(records: list[SampleRecord]) -> None:
    settings = dataclasses.replace(ZEROS, stream_s=2.0, zeros_share=0.5, alone_share=0.3)
    alone, many = (
        negative_features(records, settings=settings, jobs=1),
        negative_features(records[::-1], settings=settings, jobs=2),
    )
    assert 2 <= len(alone.joined) <= 4
    for one, other in zip([*alone.alone, *alone.joined], [*many.alone, *many.joined], strict=True):
        np.testing.assert_array_equal(one, other)


def test_bounds_of_speech() -> None:
    assert speech_bounds(burst(1600, 8000, 3200)) == (1600, 9600)
    assert speech_bounds(np.zeros(100, np.int16)) == speech_bounds(np.zeros(0, np.int16)) == (0, 0)
    assert utterance_end(np.zeros(100, np.int16)) == 100


def test_a_click_after_a_pause_does_not_move_the_end() -> None:
    clip = burst(1600, 8000, 16_000)
    clip[20_000:20_080] = 9000
    assert utterance_end(clip) == pytest.approx(9600, abs=400)
