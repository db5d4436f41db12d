"""Augmented features: the device's own, whatever the order of clips or the number of processes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from trainer.config.sections import AugmentationSection
from trainer.data.augment.chain import EFFECTS, Augmenter
from trainer.data.augment.features import augmented_clip, augmented_features
from trainer.data.augment.sounds import Sounds, store_backgrounds, store_impulses
from trainer.data.ingest import Label, SampleRecord
from trainer.data.split import Split
from trainer.data.words import WordPlace
from wakeword import contract
from wakeword.audio import read_samples
from wakeword.errors import ConfigError
from wakeword.frontend import device_features

ALL = AugmentationSection.model_validate(dict.fromkeys(EFFECTS, 0.7))
NONE = AugmentationSection.model_validate(dict.fromkeys(EFFECTS, 0.0))


@pytest.fixture
def records(tmp_path: Path) -> list[SampleRecord]:
    made = []
    for number, label in enumerate((Label.POSITIVE, Label.NEGATIVE, Label.HARD_NEGATIVE, Label.POSITIVE)):
        path = tmp_path / f"{number}.wav"
        soundfile.write(
            path, np.random.default_rng(number).normal(0, 4000, 9600 + 30_000 * (number == 1)).astype(np.int16), 16_000
        )
        made.append(SampleRecord(path, label, Split.TRAIN, "a", 0.6, 16_000))
    return made


@pytest.fixture
def sounds(tmp_path: Path) -> Sounds:
    noise, room = tmp_path / "noise.wav", tmp_path / "room.wav"
    soundfile.write(noise, np.random.default_rng(8).normal(0, 500, 60_000).astype(np.int16), 16_000)
    soundfile.write(room, np.array([30_000, 0, 9000, -3000, 500], np.int16), 16_000)
    return Sounds(
        store_backgrounds([noise], tmp_path / "store", jobs=1), store_impulses([room], tmp_path / "store", jobs=1)
    )


def by_name(
    records: list[SampleRecord], drawn: list[tuple[int, int, NDArray[np.int8]]]
) -> dict[tuple[str, int], bytes]:
    return {(records[index].path.name, draw): features.tobytes() for index, draw, features in drawn}


def test_neither_processes_nor_order_nor_other_clips_matter(records: list[SampleRecord], sounds: Sounds) -> None:
    one = list(augmented_features(records, ALL, 5, 20, 1, sounds))
    assert [(index, draw) for index, draw, _ in one] == [(index, draw) for index in range(4) for draw in range(20)]
    three = list(augmented_features(records[::-1], ALL, 5, 20, 3, sounds))
    expected = by_name(records, one)
    assert by_name(records[::-1], three) == expected
    later = by_name(records[2:], list(augmented_features(records[2:], ALL, 5, 3, 1, sounds, first_draw=17)))
    assert later == {
        key: features for key, features in expected.items() if key[0] in ("2.wav", "3.wav") and key[1] >= 17
    }
    assert len(set(expected.values())) == 80


def test_features_are_the_devices(records: list[SampleRecord]) -> None:
    (index, draw, features), *_ = augmented_features(records, NONE, 0, 1)
    assert (index, draw) == (0, 0)
    assert features.dtype == np.int8
    assert features.shape == (contract.slice_count(51_200), 40) == (318, 40)
    samples = read_samples(records[0].path)
    placed = augmented_clip(Augmenter(NONE), records[0], samples, WordPlace(0, len(samples)), 0, 0)
    np.testing.assert_array_equal(features, device_features(placed.samples))
    assert placed.word_end is not None
    sounding = np.flatnonzero(placed.samples)
    assert sounding[-1] == placed.word_end - 1


def test_what_cannot_be_done_is_said_before_work_begins(records: list[SampleRecord]) -> None:
    with pytest.raises(ConfigError, match="0 draws"):
        augmented_features(records, NONE, 0, 0)
    with pytest.raises(ConfigError, match="0 processes"):
        augmented_features(records, NONE, 0, 1, 0)
    with pytest.raises(ConfigError, match="background_paths"):
        augmented_features(records, ALL, 0, 1)


def test_no_clips_give_nothing() -> None:
    assert list(augmented_features([], NONE, 0, 3, 2)) == []


@pytest.mark.parametrize("processes", [1, 2])
def test_an_unreadable_clip_is_an_error(records: list[SampleRecord], processes: int) -> None:
    missing = dataclasses.replace(records[0], path=Path("gone.wav"))
    with pytest.raises(ConfigError, match=r"gone\.wav: no such file"):
        list(augmented_features([missing, *records], NONE, 0, 1, processes))
