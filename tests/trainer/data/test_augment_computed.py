"""Computed backgrounds, and the speech that they and the words' surroundings are made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data.augment import backgrounds
from trainer.data.augment.computed import computed_backgrounds, speech_bank
from trainer.data.ingest import Label, SampleRecord
from trainer.data.split import Split
from wakeword.synthetic_speech import synthetic_speech


@pytest.fixture
def talk(tmp_path: Path) -> list[SampleRecord]:
    records = []
    for number, seconds in enumerate((2.0, 3.0, 20.0, 1.0)):
        path = tmp_path / f"talk{number}.wav"
        soundfile.write(path, synthetic_speech(seconds, number), 16_000)
        records.append(SampleRecord(path, Label.NEGATIVE, Split.TRAIN, "a", seconds, 16_000))
    return records


@given(st.integers(0, 10_000), st.sampled_from([backgrounds.noise, backgrounds.music]), st.floats(0.3, 3))
@settings(max_examples=40, deadline=None)
def test_a_background_is_sound_of_the_length_that_was_asked_for(seed: int, kind: object, seconds: float) -> None:
    make = backgrounds.music if kind is backgrounds.music else backgrounds.noise
    sound = make(seconds, np.random.default_rng(seed))
    assert sound.shape == (round(seconds * 16_000),)
    assert np.isfinite(sound).all()
    assert np.abs(sound).max() > 0
    np.testing.assert_array_equal(sound, make(seconds, np.random.default_rng(seed)))


def test_backgrounds_are_shared_out_and_made_once(
    tmp_path: Path, talk: list[SampleRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    speech = speech_bank(store, talk, 10, jobs=1)
    bank = computed_backgrounds(store, Split.TRAIN, 10, speech, jobs=1)
    kinds = [str(sound.source).split()[1] for sound in bank.sounds]
    assert {kind: kinds.count(kind) for kind in kinds} == {"speech": 4, "music": 3, "noise": 3}
    assert all(sound.samples == 240_000 and sound.peak >= 32_000 for sound in bank.sounds)
    assert len({sound.content for sound in bank.sounds}) >= 9, "of four recordings, two voices may say the same"
    monkeypatch.setattr(backgrounds, "music", lambda *_: pytest.fail("made again"))
    monkeypatch.setattr(backgrounds, "noise", lambda *_: pytest.fail("made again"))
    assert computed_backgrounds(store, Split.TRAIN, 10, speech, jobs=1) == bank
    monkeypatch.undo()
    other = computed_backgrounds(store, Split.VAL, 10, speech, jobs=2)
    assert not {sound.content for sound in other.sounds} & {sound.content for sound in bank.sounds}
    alone = computed_backgrounds(store, Split.TRAIN, 10, jobs=1)
    assert [str(sound.source).split()[1] for sound in alone.sounds] == ["music"] * 5 + ["noise"] * 5


def test_speech_is_the_beginning_of_recordings_short_ones_first(tmp_path: Path, talk: list[SampleRecord]) -> None:
    bank = speech_bank(tmp_path / "store", talk, 3, jobs=1)
    assert sorted(sound.samples for sound in bank.sounds) == [16_000, 32_000, 48_000]
    assert speech_bank(tmp_path / "store", talk[::-1], 3, jobs=1) == bank
    longest = speech_bank(tmp_path / "store", talk[2:3], 3, jobs=1).sounds[0]
    np.testing.assert_array_equal(longest.read(), synthetic_speech(20.0, 2)[:240_000])
    talk[3].path.write_bytes(b"none")
    assert len(speech_bank(tmp_path / "other", talk, 4, jobs=1).rejections) == 1
    assert not speech_bank(tmp_path / "store", [], 3, jobs=1).sounds
