"""Hearing recordings: kept by content, resumed after an interrupt, nothing dropped without a reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tests.trainer.clustering.voices import record
from trainer.clustering.embedder import Embedder
from trainer.clustering.voices import MAX_WINDOWS, WINDOW_SECONDS, Voices, embed_recordings
from wakeword.errors import ConfigError, InfrastructureError

MODEL = "somebody/encoder"
SECOND = 16_000


class Ear:
    """A model whose vector is the loudness of a window's halves; counts what it hears, and stops when told to."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.heard: list[int] = []
        self.loaded = 0
        self._stop_after = stop_after

    def load(self, model: str) -> Embedder:
        assert model == MODEL
        self.loaded += 1
        return self

    def embed(self, samples: NDArray[np.int16]) -> NDArray[np.float32]:
        if len(self.heard) == self._stop_after:
            raise KeyboardInterrupt
        self.heard.append(len(samples))
        halves = np.array_split(np.abs(samples.astype(np.float32)), 2)
        return np.array([half.mean() for half in halves], np.float32)


def listen(paths: list[Path], ear: Ear, cache: Path, model: str = MODEL) -> Voices:
    return embed_recordings(paths, model, ear.load, cache)


def test_a_recording_is_heard_once_whatever_its_name(tmp_path: Path) -> None:
    first, second = record(tmp_path / "a.wav"), record(tmp_path / "b.wav", amplitude=2000)
    ear, cache = Ear(), tmp_path / "cache"
    found = listen([first, second], ear, cache)
    assert [voice.path for voice in found.recordings] == [first, second]
    assert all(
        np.linalg.norm(voice.embedding) == pytest.approx(1) and voice.agreement == pytest.approx(1)
        for voice in found.recordings
    )
    moved = first.rename(tmp_path / "moved.wav")
    again = listen([moved, second], ear, cache)
    assert (len(ear.heard), ear.loaded) == (2, 1), "the second time no model is even loaded"
    assert [voice.embedding.tolist() for voice in again.recordings] == [
        voice.embedding.tolist() for voice in found.recordings
    ]
    ear_of_other = Ear()
    embed_recordings([moved], "other/encoder", lambda _model: ear_of_other, cache)
    assert len(ear_of_other.heard) == 1, "another model hears for itself"


def test_an_interrupt_loses_one_recording_at_most(tmp_path: Path) -> None:
    paths = [record(tmp_path / f"{number}.wav") for number in range(5)]
    with pytest.raises(KeyboardInterrupt):
        listen(paths, Ear(stop_after=3), tmp_path / "cache")
    ear = Ear()
    assert len(listen(paths, ear, tmp_path / "cache").recordings) == 5
    assert len(ear.heard) == 2


@pytest.mark.parametrize("damage", [b"", b"no array", None])
def test_a_damaged_entry_is_heard_again(tmp_path: Path, damage: bytes | None) -> None:
    path, cache = record(tmp_path / "a.wav"), tmp_path / "cache"
    good = listen([path], Ear(), cache)
    (entry,) = cache.rglob("*.npy")
    if damage is None:
        np.save(entry, np.full(3, np.nan, np.float32))
    else:
        entry.write_bytes(damage)
    ear = Ear()
    assert listen([path], ear, cache).recordings[0].embedding.tolist() == good.recordings[0].embedding.tolist()
    assert ear.heard


def test_unusable_files_have_reasons(tmp_path: Path) -> None:
    record(tmp_path / "good.wav")
    (tmp_path / "broken.wav").write_text("no sound")
    record(tmp_path / "short.wav", seconds=0.1)
    record(tmp_path / "silent.wav", amplitude=20)
    found = listen(sorted(tmp_path.iterdir()), Ear(), tmp_path / "cache")
    assert [voice.path.name for voice in found.recordings] == ["good.wav"]
    reasons = {entry.path.name: entry.reason for entry in found.left_out}
    assert reasons.keys() == {"broken.wav", "short.wav", "silent.wav"}
    assert "cannot be read as sound" in reasons["broken.wav"]
    assert reasons["short.wav"].startswith("too short: 0.10 s")
    assert reasons["silent.wav"].startswith("silent")


def test_a_model_that_hears_nothing_leaves_the_file_out(tmp_path: Path) -> None:
    class Deaf(Ear):
        def embed(self, samples: NDArray[np.int16]) -> NDArray[np.float32]:
            return np.zeros(min(len(samples), 2), np.float32)

    (left,) = listen([record(tmp_path / "a.wav")], Deaf(), tmp_path / "cache").left_out
    assert "no voice" in left.reason


def test_a_missing_model_is_no_fault_of_the_file(tmp_path: Path) -> None:
    def missing(_model: str) -> Embedder:
        raise ConfigError("the hub has no such model")

    with pytest.raises(ConfigError, match="the hub has no such model"):
        embed_recordings([record(tmp_path / "a.wav")], MODEL, missing, tmp_path / "cache")

    def unreachable(_model: str) -> Embedder:
        raise InfrastructureError("not reached")

    with pytest.raises(InfrastructureError, match="not reached"):
        embed_recordings([tmp_path / "a.wav"], MODEL, unreachable, tmp_path / "cache")


@pytest.mark.parametrize(
    ("seconds", "windows"),
    [
        (9, [9]),
        (11, [10]),
        (25, [10, 10, 5]),
        (80, [10] * 8),
        (85, [10, 10, 10, 10, 5]),
        (100, [10] * 5),
        (400, [10] * 5),
    ],
)
def test_long_recordings_are_heard_in_few_windows(tmp_path: Path, seconds: int, windows: list[int]) -> None:
    path = tmp_path / "long.flac"
    noise = np.random.default_rng(0).normal(0, 3000, seconds * SECOND).astype(np.int16)
    soundfile.write(path, noise, SECOND)
    ear = Ear()
    listen([path], ear, tmp_path / "cache")
    assert [length / SECOND for length in ear.heard] == windows
    assert len(windows) <= MAX_WINDOWS
    assert max(windows) <= WINDOW_SECONDS


def test_two_voices_in_one_file_disagree(tmp_path: Path) -> None:
    path = tmp_path / "two.wav"
    halves = np.concatenate(
        [np.full(5 * SECOND, 9000), np.full(5 * SECOND, 1), np.full(5 * SECOND, 1), np.full(5 * SECOND, 9000)]
    )
    soundfile.write(path, halves.astype(np.int16), SECOND)
    (voice,) = listen([path], Ear(), tmp_path / "cache").recordings
    assert voice.agreement < 0.01
