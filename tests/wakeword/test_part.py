"""Parts of recordings by name: what is read, what it is called, what is refused."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from wakeword import audio
from wakeword.corpus.recordings import hash_file, hash_part
from wakeword.errors import ConfigError
from wakeword.part import Part, file_of, part_of, resolved


def recording(path: Path, seconds: float = 20.0, rate: int = 16_000) -> Path:
    samples = np.random.default_rng(0).integers(-20000, 20000, round(seconds * rate), dtype=np.int16)
    soundfile.write(path, samples, rate, subtype="PCM_16")
    return path


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".aiff"])
@settings(max_examples=15, deadline=None)
@given(times=st.tuples(st.integers(0, 19_999), st.integers(1, 20_000)).filter(lambda times: times[0] < times[1]))
def test_a_part_holds_the_very_samples_of_its_file(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, times: tuple[int, int]
) -> None:
    file = recording(tmp_path_factory.mktemp("part") / f"evening{suffix}")
    part = Part(file, times[0] / 1000, times[1] / 1000)
    expected = audio.read_samples(file)[times[0] * 16 : times[1] * 16]
    np.testing.assert_array_equal(audio.read_samples(part.path), expected)
    assert audio.probe(part.path).seconds == pytest.approx(len(expected) / 16_000)
    assert (part_of(part.path), file_of(part.path)) == (part, file)


def test_a_part_of_another_rate_is_as_long_as_its_times_say(tmp_path: Path) -> None:
    file = recording(tmp_path / "evening.wav", 10.0, 44_100)
    parts = [audio.read_samples(Part(file, start, start + 2.5).path) for start in (0.0, 2.5, 5.0, 7.5)]
    assert all(abs(len(part) - 40_000) <= 1 for part in parts)
    np.testing.assert_allclose(
        parts[1][200:-200].astype(np.int32), audio.read_samples(file)[40_200:79_800].astype(np.int32), atol=2
    )


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_a_part_of_what_ffmpeg_decodes(tmp_path: Path) -> None:
    file = tmp_path / "evening.m4a"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-i", recording(tmp_path / "evening.wav"), "-c:a", "aac", file], check=True
    )
    assert abs(len(audio.read_samples(Part(file, 5, 12.5).path)) - 120_000) <= 2


def test_a_part_that_the_file_does_not_reach_is_an_error(tmp_path: Path) -> None:
    file = recording(tmp_path / "evening.wav")
    assert len(audio.read_samples(Part(file, 19, 20.9).path)) == 16_000  # times are rounded up at the end of a file
    for part in (Part(file, 25, 30), Part(file, 10, 30)):
        with pytest.raises(ConfigError, match=r"only 20\.00 s long"):
            audio.read_samples(part.path)
    with pytest.raises(ConfigError, match="no such file"):
        audio.read_samples(Part(tmp_path / "gone.wav", 0, 1).path)


def test_a_file_of_that_name_goes_first(tmp_path: Path) -> None:
    recording(tmp_path / "evening.wav")
    named = tmp_path / "evening.wav#t=1,2"
    shutil.copy(recording(tmp_path / "short.wav", 3.0), named)
    assert part_of(named) is None
    assert len(audio.read_samples(named)) == 48_000


@pytest.mark.parametrize("name", ["a.wav#t=2,1", "a.wav#t=1", "a.wav#t=1,1", "#t=1,2", "a.wav#t=1.0001,2"])
def test_what_names_no_part(name: str) -> None:
    assert part_of(Path(name)) is None


def test_parts_have_hashes_of_their_own_and_links_are_followed(tmp_path: Path) -> None:
    file = recording(tmp_path / "evening.wav")
    first, second = Part(file, 0, 1), Part(file, 1, 2)
    assert len({hash_file(file), hash_file(first.path), hash_file(second.path)}) == 3
    assert hash_file(first.path) == hash_part(hash_file(file), first)
    recording(file, 21.0)
    assert hash_file(first.path) == hash_part(hash_file(file), first)  # not the hash of what the file held before
    (tmp_path / "link.wav").symlink_to(file)
    assert resolved(Part(tmp_path / "link.wav", 0, 1).path) == resolved(first.path)
