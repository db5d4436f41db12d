"""Backgrounds and impulse responses: decoded once, one sound once, split by content, bad files reported."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from trainer.data.augment import sounds
from trainer.data.augment.sounds import (
    SoundBank,
    StoredSound,
    find_sounds,
    impulse_samples,
    split_sounds,
    store_backgrounds,
    store_impulses,
)
from trainer.data.split import Split
from wakeword.errors import ConfigError


def noise(count: int, seed: int = 0) -> np.typing.NDArray[np.int16]:
    return np.random.default_rng(seed).normal(0, 3000, count).astype(np.int16)


def write(path: Path, samples: np.typing.NDArray[np.int16], rate: int = 16_000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype="PCM_16")
    return path


def stored(samples: np.typing.NDArray[np.int16], folder: Path) -> StoredSound:
    (sound,) = store_backgrounds([write(folder / "one.wav", samples)], folder / "store", jobs=1).sounds
    return sound


def test_a_sound_is_stored_as_it_is(tmp_path: Path) -> None:
    samples = noise(70_000)
    sound = stored(samples, tmp_path)
    np.testing.assert_array_equal(sound.read(), samples)
    np.testing.assert_array_equal(sound.read(100, 50), samples[100:150])
    assert len(sound.read(69_990, 50)) == 10
    assert sound.samples == 70_000
    assert sound.peak == np.abs(samples.astype(int)).max()
    assert sound.content == hashlib.sha256(samples.tobytes()).hexdigest()


def test_other_rates_become_16_khz(tmp_path: Path) -> None:
    (sound,) = store_backgrounds([write(tmp_path / "a.wav", noise(44_100), 44_100)], tmp_path / "store", jobs=1).sounds
    assert sound.samples == 16_000


def test_a_file_is_decoded_once_whatever_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.wav", noise(1000))
    before = store_backgrounds([path], tmp_path / "store", jobs=1)
    monkeypatch.setattr(sounds, "stream_samples", lambda _: pytest.fail("decoded again"))
    renamed = path.rename(tmp_path / "b.wav")
    (again,) = store_backgrounds([renamed], tmp_path / "store", jobs=1).sounds
    assert again.source == renamed
    assert again.stored == before.sounds[0].stored
    assert not list((tmp_path / "store").rglob("*.partial"))


@pytest.mark.parametrize("damage", [b"", b"no array", None])
def test_a_damaged_store_is_mended(tmp_path: Path, damage: bytes | None) -> None:
    path, samples = write(tmp_path / "a.wav", noise(1000)), noise(1000)
    (sound,) = store_backgrounds([path], tmp_path / "store", jobs=1).sounds
    if damage is None:
        sound.stored.unlink()
    else:
        sound.stored.write_bytes(damage)
    for note in (tmp_path / "store" / "files").iterdir():
        np.testing.assert_array_equal(store_backgrounds([path], tmp_path / "store", jobs=1).sounds[0].read(), samples)
        note.write_bytes(b"{")
    np.testing.assert_array_equal(store_backgrounds([path], tmp_path / "store", jobs=1).sounds[0].read(), samples)


def test_the_same_sound_in_two_files_is_one(tmp_path: Path) -> None:
    paths = [write(tmp_path / name, noise(1000)) for name in ("a.wav", "b.flac")] + [
        write(tmp_path / "c.wav", noise(1000, 1))
    ]
    bank = store_backgrounds(paths, tmp_path / "store", jobs=1)
    assert {sound.source.name for sound in bank.sounds} == {"a.wav", "c.wav"}
    assert [sound.content for sound in bank.sounds] == sorted(sound.content for sound in bank.sounds)


def test_bad_files_are_reported_each_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_bytes(b"RIFF no sound")
    (tmp_path / "empty.wav").write_bytes(b"")
    paths = [
        tmp_path / "broken.wav",
        tmp_path / "empty.wav",
        tmp_path / "missing.wav",
        write(tmp_path / "silent.wav", np.zeros(1000, np.int16)),
        write(tmp_path / "good.wav", noise(1000)),
    ]
    for _ in range(2):  # the second time from the store's notes
        bank = store_backgrounds(paths, tmp_path / "store", jobs=1)
        reasons = {rejection.path.name: rejection.reason for rejection in bank.rejections}
        assert [sound.source.name for sound in bank.sounds] == ["good.wav"]
        assert set(reasons) == {"broken.wav", "empty.wav", "missing.wav", "silent.wav"}
        assert "cannot be read as sound" in reasons["broken.wav"]
        assert "empty" in reasons["empty.wav"]
        assert "No such file" in reasons["missing.wav"]
        assert "silent" in reasons["silent.wav"]


def test_a_long_recording_is_no_impulse_response(tmp_path: Path) -> None:
    path = write(tmp_path / "music.wav", noise(21 * 16_000))
    assert not store_impulses([path], tmp_path / "store", jobs=1).sounds
    (rejection,) = store_impulses([path], tmp_path / "store", jobs=1).rejections
    assert "21.0 s" in rejection.reason
    assert store_backgrounds([path], tmp_path / "store", jobs=1).sounds


def test_workers_give_what_one_process_gives(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{number}.wav", noise(1000, number)) for number in range(4)]
    assert store_backgrounds(paths, tmp_path / "a", jobs=2).sounds == tuple(
        StoredSound(
            sound.source,
            sound.content,
            tmp_path / "a" / sound.stored.relative_to(tmp_path / "b"),
            sound.samples,
            sound.peak,
        )
        for sound in store_backgrounds(paths[::-1], tmp_path / "b", jobs=1).sounds
    )


def test_audio_files_are_found_below_folders(tmp_path: Path) -> None:
    for name in ("b.wav", "deep/a.FLAC", ".hidden/c.wav", "deep/._d.wav", "notes.txt"):
        path = tmp_path / "sounds" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = find_sounds([tmp_path / "sounds", tmp_path / "sounds" / "deep"])
    assert [path.name for path in found.recordings] == ["b.wav", "a.FLAC"]
    assert [one.path.name for one in found.rejections] == ["notes.txt"]
    with pytest.raises(ConfigError, match="no such folder"):
        find_sounds([tmp_path / "none"])


def made(numbers: list[int]) -> SoundBank:
    return SoundBank(
        tuple(
            StoredSound(Path(f"{number}.wav"), hashlib.sha256(str(number).encode()).hexdigest(), Path("x"), 1, 1)
            for number in numbers
        )
    )


@given(st.lists(st.integers(0, 10_000), unique=True, max_size=60), st.integers(0, 5), st.data())
def test_no_sound_serves_two_splits_and_none_moves_when_others_come(
    numbers: list[int], seed: int, data: st.DataObject
) -> None:
    kept = data.draw(st.lists(st.sampled_from(numbers), unique=True) if numbers else st.just([]))
    few, many = split_sounds(made(kept), seed), split_sounds(made(numbers), seed)
    contents = [sound.content for bank in many.values() for sound in bank.sounds]
    assert sorted(contents) == sorted(sound.content for sound in made(numbers).sounds)
    for split in Split:
        assert set(few[split].sounds) <= set(many[split].sounds)


def test_most_sounds_train() -> None:
    splits = split_sounds(made(list(range(2000))), seed=3)
    assert len(splits[Split.TRAIN].sounds) == pytest.approx(1400, abs=70)
    assert len(splits[Split.VAL].sounds) == pytest.approx(300, abs=50)


def test_an_impulse_response_begins_at_its_direct_sound_with_energy_1(tmp_path: Path) -> None:
    response = np.zeros(8000, np.int16)
    response[900:4000] = (noise(3100) * np.exp(-np.arange(3100) / 500) * 0.3).astype(np.int16)
    response[1000] = 32_000
    ready = impulse_samples(stored(response, tmp_path), 51_200)
    assert ready.dtype == np.float32
    assert np.abs(ready).argmax() == 16
    assert len(ready) == 8000 - 984
    assert np.sum(ready.astype(float) ** 2) == pytest.approx(1, rel=1e-5)
    assert len(impulse_samples(stored(response, tmp_path), 100)) == 100
