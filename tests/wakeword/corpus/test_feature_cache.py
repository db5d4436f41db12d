"""Cache entries are whole or absent, and the oldest go first."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from wakeword.corpus import feature_cache
from wakeword.corpus.feature_cache import FeatureCache, cache_limit_bytes, default_cache_folder, stream_key
from wakeword.errors import ConfigError


def fill(cache: FeatureCache, key: str, slices: int, samples: list[int]) -> None:
    with cache.write(key) as writer:
        for value in range(slices):
            writer.add_slices(np.full((1, 40), value % 100, np.int8))
        for length in samples:
            writer.end_recording(length)


def test_what_is_written_is_found(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    fill(cache, "aa11", 7, [160, 1000])  # and 280 of silence: the 1440 samples that 7 slices need
    found = cache.find("aa11", 2, 280)
    assert found is not None
    assert (found.slices, found.samples) == (7, (160, 1000))
    assert found.read()[:, 0].tolist() == list(range(7))
    assert found.read(2, 5)[:, 39].tolist() == [2, 3, 4]
    assert found.read(5, 99)[:, 0].tolist() == [5, 6]


def test_an_interrupted_entry_is_not_there(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    with pytest.raises(KeyboardInterrupt), cache.write("aa11") as writer:
        writer.add_slices(np.zeros((3, 40), np.int8))
        raise KeyboardInterrupt
    assert cache.find("aa11", 1, 0) is None
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("damage", ["empty", "zeros", "shorter", "longer", "one slice shorter"])
def test_a_damaged_entry_is_not_there(tmp_path: Path, damage: str) -> None:
    cache = FeatureCache(tmp_path)
    fill(cache, "aa11", 7, [160, 1280])
    path = tmp_path / "aa" / "aa11.features"
    whole = path.read_bytes()
    spoilt = {
        "empty": b"",
        "zeros": bytes(len(whole)),
        "shorter": whole[:-3],
        "longer": whole + b"x",
        "one slice shorter": whole[40:],
    }
    path.write_bytes(spoilt[damage])
    assert cache.find("aa11", 2, 0) is None
    fill(cache, "aa11", 7, [160, 1280])
    assert cache.find("aa11", 2, 0) is not None


def test_what_killed_processes_left_is_removed_in_time(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    fill(cache, "aa11", 7, [1440])
    old, fresh = tmp_path / "aa" / ".aa11.features.x.partial", tmp_path / "aa" / ".aa11.features.y.partial"
    for path in (old, fresh):
        path.write_bytes(b"half")
    os.utime(old, (1000, 1000))
    cache.prune()
    assert not old.exists()
    assert fresh.exists()
    assert cache.find("aa11", 1, 0) is not None


def test_the_entries_used_longest_ago_go_first(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, limit_bytes=2 * (10 * 40 + 8))
    for age, key in enumerate(("aa", "bb", "cc")):
        fill(cache, key, 10, [1920])
        os.utime(tmp_path / key / f"{key}.features", (1000 + age, 1000 + age))
    cache.find("aa", 1, 0)  # used now
    cache.prune()
    assert [cache.find(key, 1, 0) is not None for key in ("aa", "bb", "cc")] == [True, False, True]


def test_what_is_in_use_stays_and_what_was_found_is_counted(tmp_path: Path) -> None:
    for age, key in enumerate(("aa", "bb", "cc")):
        fill(FeatureCache(tmp_path), key, 10, [1920])
        os.utime(tmp_path / key / f"{key}.features", (1000 + age, 1000 + age))
    cache = FeatureCache(tmp_path, limit_bytes=1)
    assert cache.find("aa", 1, 0) is not None
    assert cache.find("dd", 1, 0) is None
    fill(cache, "dd", 10, [1920])
    assert (cache.hits, cache.misses) == (1, 1)
    held = cache.prune(in_use=True)
    assert held == 2 * 408
    assert sorted(path.stem for path in tmp_path.rglob("*.features")) == ["aa", "dd"]
    said = cache.summary(held)
    assert said.startswith("1 of 2 streams found in the feature cache, 1 computed; ")
    assert said.endswith("all of it in use")
    assert cache.prune() == 0


@pytest.mark.parametrize(
    ("variable", "given", "limit"), [("", None, 8 << 30), ("0.5", None, 1 << 29), ("0.5", 2.0, 2 << 30)]
)
def test_the_limit_can_be_chosen(
    variable: str, given: float | None, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MWW_CACHE_GB", variable)
    assert cache_limit_bytes(given) == limit


@pytest.mark.parametrize("variable", ["much", "0", "-1", "inf", "nan"])
def test_a_limit_that_is_no_size_is_refused(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MWW_CACHE_GB", variable)
    with pytest.raises(ConfigError, match=r"MWW_CACHE_GB is .*; give GiB above 0, for example 8"):
        cache_limit_bytes()


def test_keys_tell_order_and_padding_apart() -> None:
    keys = {
        stream_key(["a", "b"], 0, 1),
        stream_key(["b", "a"], 0, 1),
        stream_key(["a", "b"], 1, 0),
        stream_key(["a"], 0, 1),
    }
    assert len(keys) == 4


def test_the_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MWW_CACHE_DIR", str(tmp_path))
    assert default_cache_folder() == tmp_path
    monkeypatch.delenv("MWW_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_cache_folder() == Path("/somewhere/mww/features")


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("slices", [5, 30])
def test_few_slices_stay_in_memory_and_many_go_to_disk(
    keep: bool, slices: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_cache, "SLICES_HELD", 10)
    cache = FeatureCache(tmp_path, keep=keep)
    with cache.write("aa11") as writer:
        for value in range(slices):
            writer.add_slices(np.full((1, 40), value, np.int8))
        writer.end_recording(480 + 160 * (slices - 1))
    assert (writer.stream.held is not None) == (slices <= 10)
    assert writer.stream.read()[:, 7].tolist() == list(range(slices))
    assert writer.stream.read(3, 5)[:, 0].tolist() == [3, 4]
    assert writer.stream.path.is_file() == (keep or slices > 10)
    assert cache.find("aa11", 1, 0) == (writer.stream if keep or slices > 10 else None)
