"""The feature store: built once, whole or not there, another set for other content."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trainer.data.ingest import Label, SampleRecord
from trainer.data.split import Split
from trainer.data.store import Features, FeatureStore
from wakeword.errors import InfrastructureError


def clips(count: int, seed: int = 0) -> list[Features]:
    rng = np.random.default_rng(seed)
    return [rng.integers(-128, 128, (int(rng.integers(1, 50)), 40)).astype(np.int8) for _ in range(count)]


def never() -> Sequence[Sequence[Features]]:
    raise AssertionError("it was there already")


def test_what_is_stored_comes_back_mapped_and_is_made_once(tmp_path: Path) -> None:
    first, second = clips(1500), clips(3, 1)
    stored = FeatureStore(tmp_path / "deep" / "store").sets("key", ("a", "b"), lambda: (iter(first), second))
    assert isinstance(stored["a"].rows.base, np.memmap)
    again = FeatureStore(tmp_path / "deep" / "store").sets("key", ("a", "b"), never)
    for expected, found in ((first, stored["a"]), (second, stored["b"]), (first, again["a"])):
        assert len(found) == len(expected)
        for one, other in zip(expected, found, strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_set_without_clips_is_a_set(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.sets("key", ("a",), lambda: ([],))
    assert len(store.sets("key", ("a",), never)["a"]) == 0


def test_an_interrupted_set_is_not_there(tmp_path: Path) -> None:
    def interrupted() -> Iterator[Features]:
        yield from clips(2000)
        raise KeyboardInterrupt

    store = FeatureStore(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        store.sets("key", ("a", "b"), lambda: (clips(3), interrupted()))
    assert [path.name for path in tmp_path.iterdir()] == ["key_a"]
    assert len(store.sets("key", ("a", "b"), lambda: (clips(3), clips(5)))["b"]) == 5


def test_a_damaged_set_is_told(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.sets("key", ("a",), lambda: (clips(3),))
    for path in (tmp_path / "key_a").iterdir():
        if path.is_file():
            path.write_bytes(b"")
    with pytest.raises(InfrastructureError, match=r"key_a: a damaged set of features .*remove this folder"):
        store.sets("key", ("a",), never)


def test_sets_that_nobody_uses_go_after_a_month(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    for name in ("old", "used"):
        store.sets("key", (name,), lambda: (clips(1),))
        os.utime(tmp_path / f"key_{name}", (0, time.time() - 40 * 24 * 3600))
    store.sets("key", ("used",), never)
    store.sets("key", ("new",), lambda: (clips(1),))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key_new", "key_used"]


def test_what_another_process_removes_meanwhile_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "renamed away").symlink_to("nowhere")
    FeatureStore(tmp_path).sets("key", ("new",), lambda: (clips(1),))
    assert (tmp_path / "key_new").is_dir()


def test_the_key_is_of_content_names_and_settings_and_not_of_the_place(tmp_path: Path) -> None:
    def record(folder: str, content: str) -> SampleRecord:
        path = tmp_path / folder / "a.wav"
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        return SampleRecord(path, Label.POSITIVE, Split.TRAIN, "somebody", 1.0, 16_000)

    one, moved, other = record("one", "x"), record("moved", "x"), record("other", "y")
    key = FeatureStore(tmp_path).key([one], 3, "seed")
    assert FeatureStore(tmp_path).key([moved], 3, "seed") == key
    differing = [([other], 3), ([one, one], 3), ([one], 4), ([replace(one, speaker="another")], 3), ([], 3)]
    keys = {FeatureStore(tmp_path).key(records, number, "seed") for records, number in differing}
    assert len(keys) == len(differing)
    assert key not in keys
