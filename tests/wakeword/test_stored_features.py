"""Folders of features: what the frontend gave comes back exactly, whatever its type; what it did not give is refused; a
stream of them adds up.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from mmap_ninja import RaggedMmap
from numpy.typing import NDArray

from wakeword import audio
from wakeword.contract import FEATURE_CHANNELS, FLOAT_FEATURE_SCALE, SAMPLE_RATE_HZ, quantise, slice_count
from wakeword.corpus.feature_cache import FeatureCache
from wakeword.corpus.recordings import find_recordings, hash_file
from wakeword.errors import ConfigError
from wakeword.frontend import Frontend
from wakeword.presentation import STREAM
from wakeword.simulation.features import present
from wakeword.stored_features import SLICES_AT_ONCE, folders_below, stored_clips, stored_seconds


def clips(*lengths: int, seed: int = 0) -> list[NDArray[np.uint16]]:
    generator = np.random.default_rng(seed)
    return [generator.integers(0, 700, (length, FEATURE_CHANNELS)).astype(np.uint16) for length in lengths]


def store(folder: Path, values: Sequence[NDArray[np.generic]]) -> Path:
    folder.parent.mkdir(parents=True, exist_ok=True)
    RaggedMmap.from_generator(folder, iter(values), batch_size=3)
    return folder


@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.integers(1, 50), min_size=1, max_size=8), floating=st.booleans())
def test_the_frontends_values_come_back_whatever_their_type(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], floating: bool
) -> None:
    values = clips(*lengths)
    given_values: Sequence[NDArray[np.generic]] = (
        [clip.astype(np.float32) * np.float32(FLOAT_FEATURE_SCALE) for clip in values] if floating else values
    )
    folder = store(tmp_path_factory.mktemp("set") / "x_mmap", given_values)
    for read, clip in zip(stored_clips(folder), values, strict=True):
        np.testing.assert_array_equal(read, quantise(clip))
    assert stored_seconds(folder) == pytest.approx(sum(lengths) / 100)
    assert audio.probe(folder).seconds == pytest.approx(sum(lengths) / 100)


def test_what_pymicro_features_gives_is_what_the_device_has(tmp_path: Path) -> None:
    from pymicro_features import MicroFrontend

    sound = np.random.default_rng(0).integers(-9000, 9000, 16_000, dtype=np.int16)
    frontend, rows = MicroFrontend(), []
    for start in range(0, len(sound), 160):
        rows += (
            [output.features]
            if (output := frontend.process_samples(sound[start : start + 160].tobytes())).features
            else []
        )
    folder = store(tmp_path / "x_mmap", [np.array(rows, np.float32)])
    np.testing.assert_array_equal(next(stored_clips(folder)), quantise(Frontend().process(sound)))


def test_a_clip_of_hours_comes_in_pieces(tmp_path: Path) -> None:
    folder = store(tmp_path / "x_mmap", [np.zeros((SLICES_AT_ONCE + 5, FEATURE_CHANNELS), np.uint16), *clips(3)])
    assert [len(clip) for clip in stored_clips(folder)] == [SLICES_AT_ONCE, 5, 3]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([np.zeros((5, 32), np.uint16)], "32 values wide.*gives 40"),
        ([np.full((5, 40), 1421, np.uint16)], r"go from 1421 to 1421, .*0 to 1420"),
        ([np.full((5, 40), 0.5, np.float32)], r"not steps of 0\.0390625"),
        ([np.full((5, 40), np.nan, np.float32)], r"not steps of 0\.0390625"),
        ([np.full((5, 40), -FLOAT_FEATURE_SCALE, np.float32)], "go from -1 to"),
        ([np.zeros((5, 40), np.int32)], "holds int32 values"),
        ([np.zeros(40, np.uint16)], r"wide, and the device's frontend gives 40"),
    ],
)
def test_features_of_another_frontend_are_refused(
    tmp_path: Path, values: list[NDArray[np.generic]], message: str
) -> None:
    folder = store(tmp_path / "x_mmap", values)
    with pytest.raises(ConfigError, match=message) as caught:
        list(stored_clips(folder))
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damage_is_told(tmp_path: Path) -> None:
    folder = store(tmp_path / "x_mmap", clips(5, 6))
    (folder / "data.ninja").write_bytes((folder / "data.ninja").read_bytes()[:-80])
    with pytest.raises(ConfigError, match="damaged"):
        list(stored_clips(folder))
    assert not (tmp_path / "gone").exists()
    with pytest.raises(ConfigError, match="no folder of features"):
        list(stored_clips(tmp_path / "gone"))
    assert not (tmp_path / "gone").exists(), "mmap_ninja makes the folders that it is asked for"


def test_features_cannot_be_heard(tmp_path: Path) -> None:
    folder = store(tmp_path / "x_mmap", clips(5))
    with pytest.raises(ConfigError, match="holds features, not sound"):
        audio.read_samples(folder)


@settings(max_examples=12, deadline=None)
@given(
    parts=st.lists(
        st.one_of(
            st.tuples(st.just("sound"), st.integers(3_200, 9_000)), st.tuples(st.just("features"), st.integers(1, 60))
        ),
        min_size=1,
        max_size=4,
    )
)
def test_slices_and_samples_of_a_stream_agree_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("stream")
    paths, expected = [], []
    for number, (kind, size) in enumerate(parts):
        path = folder / (f"{number}.wav" if kind == "sound" else f"{number}_mmap")
        if kind == "sound":
            soundfile.write(
                path, np.random.default_rng(number).integers(-9000, 9000, size, dtype=np.int16), SAMPLE_RATE_HZ
            )
            expected.append(size)
        else:
            store(path, clips(size, 2, seed=number))
            expected.append((size + 2) * 160)
        paths.append(path)
    cache = FeatureCache(folder / "cache")
    stream, again = (present(cache, paths, STREAM, lambda _: None).features for _ in range(2))
    silence = STREAM.gap * (len(paths) - 1)
    assert list(stream.samples) == expected
    assert stream.slices == slice_count(sum(expected) + silence) == len(stream.read())
    assert again.held is None, "found in the cache, so its lengths and slices agree"
    np.testing.assert_array_equal(again.read(), stream.read())
    start = 0
    for number, ((kind, size), samples) in enumerate(zip(parts, expected, strict=True)):
        if kind == "features":
            whole = np.concatenate([quantise(clip) for clip in clips(size, 2, seed=number)])
            np.testing.assert_array_equal(
                stream.read(slice_count(start), slice_count(start + samples)), whole[2 if number == 0 else 0 :]
            )
        start += samples + STREAM.gap


def test_lists_name_them_and_a_hash_tells_them_apart(tmp_path: Path) -> None:
    first, second = (
        store(tmp_path / "set" / "testing" / f"{name}_mmap", clips(5, seed=seed)) for seed, name in enumerate("ab")
    )
    (tmp_path / "list.txt").write_text(f"{first}\nset/testing/b_mmap\n")
    assert find_recordings([tmp_path / "list.txt"]) == [first, second]
    assert find_recordings([first]) == [first]
    assert hash_file(first) != hash_file(second)
    assert folders_below(tmp_path / "set") == [first, second]
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "testing").symlink_to(tmp_path / "set" / "testing")
    (linked / "testing" / "loop").symlink_to(linked)
    store(linked / ".hidden" / "c_mmap", clips(5))
    assert folders_below(linked) == [linked / "testing" / "a_mmap", linked / "testing" / "b_mmap"]
