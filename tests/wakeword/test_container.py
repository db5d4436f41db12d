"""Headers that were never finished: the sound behind them is read, or the reason is told."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from wakeword.audio import probe, read_samples, stream_samples
from wakeword.errors import ConfigError
from wakeword.part import Part

RATE = 16_000
UNKNOWN_64 = 0xFFFFFFFFFFFFFFFF


def noise(samples: int, seed: int = 0) -> NDArray[np.int16]:
    return np.random.default_rng(seed).integers(-9000, 9000, samples).astype("<i2")


def chunk(name: bytes, content: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(content) if size is None else size) + content


PCM_16 = struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)
TITLE = chunk(b"LIST", b"INFO" + chunk(b"INAM", b"evening\0"))


def wav(
    path: Path,
    sound: bytes,
    *,
    data: int | None = 0,
    riff: int | None = 0,
    form: bytes = PCM_16,
    before: bytes = b"",
    after: bytes = b"",
    kind: bytes = b"RIFF",
) -> Path:
    """A WAV file whose header says these sizes; None: the right ones."""
    content = b"WAVE" + before + chunk(b"fmt ", form) + chunk(b"data", sound, data) + after
    path.write_bytes(chunk(kind, content, riff))
    return path


UNFINISHED = [(0, 0), (0, 8), (0, 36), (0, None), (0, 0xFFFFFFFF), (None, 0)]
STREAMED = [(0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0), (0x7FFFF000, 0x7FFFF024), (0x80000000, 0x80000024)]


@pytest.mark.parametrize(("data", "riff"), [*UNFINISHED, *STREAMED])
@pytest.mark.parametrize("before", [b"", TITLE, chunk(b"JUNK", bytes(28))], ids=["", "title", "junk"])
def test_the_sound_behind_an_unfinished_header_is_read(
    tmp_path: Path, data: int | None, riff: int | None, before: bytes
) -> None:
    sound = noise(RATE)
    path = wav(tmp_path / "a.wav", sound.tobytes(), data=data, riff=riff, before=before)
    assert np.array_equal(read_samples(path), sound)
    assert probe(path).seconds == 1.0


@pytest.mark.parametrize(("data", "long_size"), [(0xFFFFFFFF, 0), (0, 0), (0xFFFFFFFF, None)])
def test_the_same_of_rf64(tmp_path: Path, data: int, long_size: int | None) -> None:
    sound = noise(RATE)
    size = 2 * len(sound) if long_size is None else long_size
    sizes = chunk(b"ds64", struct.pack("<QQQI", size and size + 72, size, size // 2, 0))
    path = wav(tmp_path / "a.wav", sound.tobytes(), data=data, riff=0xFFFFFFFF, before=sizes, kind=b"RF64")
    assert np.array_equal(read_samples(path), sound)
    assert probe(path).seconds == 1.0


@given(
    st.sampled_from([(1, 16), (1, 8), (1, 24), (1, 32), (3, 32), (6, 8)]),
    st.integers(1, 3),
    st.integers(1, 5000),
    st.integers(0, 3),
)
def test_what_the_format_says_decides_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, form: tuple[int, int], channels: int, frames: int, rest: int
) -> None:
    """Read as with the right header, for every format that libsndfile knows; a torn last frame is no frame."""
    tag, bits = form
    align = channels * bits // 8
    header = struct.pack("<HHIIHH", tag, channels, RATE, align * RATE, align, bits)
    folder = tmp_path_factory.mktemp("formats")
    sound = (
        bytes(range(1, 100)) * (-(-frames * align // 99))
        if tag != 3
        else np.full(frames * channels, 0.25, "<f4").tobytes()
    )
    sound = sound[: frames * align]
    whole = wav(folder / "whole.wav", sound, data=None, riff=None, form=header)
    torn = wav(folder / "torn.wav", sound + bytes([200] * min(rest, align - 1)), form=header)
    assert np.array_equal(read_samples(torn), read_samples(whole))


@pytest.mark.parametrize("after", [b"", TITLE, chunk(b"id3 ", b"x" * 9) + b"\0"])
def test_a_recording_that_holds_nothing_is_still_called_so(tmp_path: Path, after: bytes) -> None:
    with pytest.raises(ConfigError, match="holds no sound"):
        read_samples(wav(tmp_path / "a.wav", b"", data=0, riff=None, after=after))


def test_a_size_beyond_the_end_is_a_truncation(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the header promises 33036 bytes and 32036 are there"):
        read_samples(wav(tmp_path / "a.wav", noise(RATE).tobytes(), data=33_000, riff=33_036))


def test_a_part_of_an_unfinished_recording(tmp_path: Path) -> None:
    sound = noise(3 * RATE)
    path = wav(tmp_path / "a.wav", sound.tobytes())
    assert np.array_equal(read_samples(Part(path, 1, 2).path), sound[RATE : 2 * RATE])


def flac_of_unknown_length(path: Path, sound: NDArray[np.int16]) -> Path:
    """As a program writes it that cannot go back: no number of frames, no checksum of all (RFC 9639, section 8.2)."""
    soundfile.write(path, sound, RATE, "PCM_16")
    content = bytearray(path.read_bytes())
    assert content[4] & 0x7F == 0, "STREAMINFO comes first"
    content[8 + 13] &= 0xF0
    content[8 + 14 : 8 + 34] = bytes(20)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("samples", [1000, 65_536, 200_000])
def test_a_flac_that_does_not_know_its_length(tmp_path: Path, samples: int) -> None:
    sound = noise(samples)
    path = flac_of_unknown_length(tmp_path / "a.flac", sound)
    assert probe(path).seconds == 0, "the header does not say"
    assert np.array_equal(read_samples(path), sound)
    assert [len(block) for block in stream_samples(path, 50_000)] == [50_000] * (samples // 50_000) + (
        [samples % 50_000] if samples % 50_000 else []
    )


def test_a_part_of_such_a_flac(tmp_path: Path) -> None:
    sound = noise(5 * RATE)
    path = flac_of_unknown_length(tmp_path / "a.flac", sound)
    assert np.array_equal(read_samples(Part(path, 2, 3.5).path), sound[2 * RATE : 3 * RATE + RATE // 2])
    with pytest.raises(ConfigError, match=r"a\.flac"):
        read_samples(Part(path, 4, 7).path)


@pytest.mark.parametrize("suffix", [".aiff", ".caf"])
def test_other_formats_say_why_they_hold_nothing(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    soundfile.write(path, noise(RATE), RATE, "PCM_16")
    content = path.read_bytes()
    if suffix == ".aiff":
        frames, size = content.index(b"COMM") + 10, content.index(b"SSND") + 4
        content = content[:frames] + bytes(4) + content[frames + 4 : size] + struct.pack(">I", 8) + content[size + 4 :]
    else:
        size = content.index(b"data") + 4
        content = content[:size] + struct.pack(">Q", 4) + content[size + 8 :]
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"its header says that it holds no sound, but it has \d+ bytes"):
        read_samples(path)
