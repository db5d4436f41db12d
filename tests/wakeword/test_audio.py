"""Reading recordings: pass-through, conversion, and every way in which a file can be short or broken."""

from __future__ import annotations

import os
import stat
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.programs import needs
from wakeword import audio
from wakeword.errors import ConfigError


def noise(samples: int, seed: int = 0) -> NDArray[np.int16]:
    return np.random.default_rng(seed).integers(-20000, 20000, samples, dtype=np.int16)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".aiff", ".caf", ".w64", ".au"])
def test_16_khz_mono_16_bit_passes_through_bit_for_bit(tmp_path: Path, suffix: str) -> None:
    samples = noise(70_001)
    path = tmp_path / f"clip{suffix}"
    soundfile.write(path, samples, 16_000, subtype="PCM_16")
    read = audio.read_samples(path)
    assert read.dtype == np.int16
    np.testing.assert_array_equal(read, samples)
    info = audio.probe(path)
    assert (info.seconds, info.sample_rate, info.channels, info.decoder) == (70_001 / 16_000, 16_000, 1, "libsndfile")


@settings(max_examples=20, deadline=None)
@given(
    rate=st.sampled_from([8000, 11025, 16_000, 44_100, 48_000]),
    channels=st.integers(1, 3),
    block=st.integers(1, 90_000),
    frames=st.integers(100, 150_000),
)
def test_the_result_does_not_depend_on_the_block_size(
    tmp_path_factory: pytest.TempPathFactory, rate: int, channels: int, block: int, frames: int
) -> None:
    path = tmp_path_factory.mktemp("audio") / "clip.wav"
    soundfile.write(path, noise(frames * channels).reshape(frames, channels), rate, subtype="PCM_16")
    whole = audio.read_samples(path)
    blocks = list(audio.stream_samples(path, max(block, len(whole) // 500 + 1)))
    assert all(len(part) for part in blocks)
    assert len({len(part) for part in blocks[:-1]}) <= 1
    np.testing.assert_array_equal(np.concatenate(blocks), whole)
    assert abs(len(whole) - frames * 16_000 / rate) <= 1


def test_channels_are_averaged_and_rounded_once(tmp_path: Path) -> None:
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.array([[100, 101], [-3, -4], [32767, 32767], [-32768, -32768]], np.int16), 16_000)
    np.testing.assert_array_equal(audio.read_samples(path), np.rint([100.5, -3.5, 32767, -32768]).astype(np.int16))


def test_resampling_is_soxr_in_high_quality(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    samples = noise(200_000).astype(np.float32) / np.float32(32768)
    soundfile.write(path, samples, 44_100, subtype="FLOAT")
    expected = audio.to_int16(soxr.resample(samples, 44_100, 16_000, quality="HQ"))
    np.testing.assert_array_equal(audio.read_samples(path), expected)


def test_values_beyond_full_scale_are_clipped(tmp_path: Path) -> None:
    path = tmp_path / "loud.wav"
    soundfile.write(path, np.array([1.5, -1.5, 0.5], np.float32), 16_000, subtype="FLOAT")
    np.testing.assert_array_equal(audio.read_samples(path), [32767, -32768, 16384])


def test_values_that_are_not_numbers_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "nan.wav"
    soundfile.write(path, np.array([0, np.nan], np.float32), 16_000, subtype="FLOAT")
    with pytest.raises(ConfigError, match=r"nan\.wav.*not numbers"):
        audio.read_samples(path)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".au", ".caf", ".w64", ".rf64"])
def test_a_truncated_file_is_an_error(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"clip{suffix}"
    kind = {".opus": ("OGG", "OPUS"), ".rf64": ("RF64", "PCM_16")}.get(suffix, (None, None))
    soundfile.write(path, noise(80_000), 16_000, format=kind[0], subtype=kind[1])
    assert len(audio.read_samples(path)) == 80_000
    os.truncate(path, path.stat().st_size * 6 // 10)
    with pytest.raises(ConfigError, match="clip"):
        audio.read_samples(path)


@pytest.mark.parametrize("tenth", [3, 5, 8])
@pytest.mark.parametrize("suffix", [".flac", ".ogg", ".mp3"])
def test_damage_in_the_middle_is_an_error(tmp_path: Path, suffix: str, tenth: int) -> None:
    path = tmp_path / f"clip{suffix}"
    soundfile.write(path, noise(160_000), 16_000)
    content = bytearray(path.read_bytes())
    start = len(content) * tenth // 10
    content[start : start + 4000] = bytes(4000)
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="damaged"):
        audio.read_samples(path)


def test_a_header_written_while_streaming_is_no_truncation(tmp_path: Path) -> None:
    path = tmp_path / "stream.wav"
    with wave.open(str(path), "wb") as writer:
        writer.setparams((1, 2, 16_000, 0, "NONE", ""))
        writer.writeframes(noise(1000).tobytes())
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    np.testing.assert_array_equal(audio.read_samples(path), noise(1000))


@pytest.mark.parametrize("name", ["empty.wav", "missing.wav", "folder.wav", "text.wav", "headeronly.wav"])
def test_files_without_sound_are_errors(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "text.wav").write_text("this is no sound")
    soundfile.write(tmp_path / "headeronly.wav", np.zeros(0, np.int16), 16_000)
    with pytest.raises(ConfigError, match=name):
        audio.read_samples(tmp_path / name)


def test_a_block_size_below_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="block_samples"):
        next(audio.stream_samples(tmp_path / "any.wav", 0))


def program(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def m4a(tmp_path: Path) -> Path:
    path = tmp_path / "clip.m4a"
    path.write_bytes(b"not known to libsndfile")
    return path


def test_other_formats_need_ffmpeg_and_the_error_says_so(m4a: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(m4a.parent / "nothing"))
    for read in (audio.read_samples, audio.probe):
        with pytest.raises(ConfigError, match=r"clip\.m4a.*install ffmpeg"):
            read(m4a)


def test_ffmpeg_is_asked_for_16_khz_mono_16_bit(m4a: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(m4a.parent), prepend=os.pathsep)
    samples = noise(200_001)
    (m4a.parent / "sound.raw").write_bytes(samples.tobytes())
    program(m4a.parent, "ffmpeg", 'dir=$(dirname "$0"); echo "$@" > "$dir/arguments"; cat "$dir/sound.raw"')
    stream = '{"codec_name":"aac","sample_rate":"44100","channels":2}'
    answer = f'{{"streams":[{stream}],"format":{{"format_name":"mov","duration":"12.5"}}}}'
    program(m4a.parent, "ffprobe", f"echo '{answer}'")
    np.testing.assert_array_equal(audio.read_samples(m4a), samples)
    arguments = (m4a.parent / "arguments").read_text()
    assert "-ac 1 -ar 16000 -f s16le" in arguments
    assert f"-i file:{m4a}" in arguments
    assert audio.probe(m4a) == audio.AudioInfo(12.5, 44_100, 2, "mov aac", "ffmpeg")


@pytest.mark.parametrize(
    "body", ["head -c 1000 /dev/zero; exit 1", "head -c 1000 /dev/zero; echo partial file >&2", "exit 0"]
)
def test_a_partly_decoded_file_is_an_error_even_if_ffmpeg_exits_0(
    m4a: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    monkeypatch.setenv("PATH", str(m4a.parent), prepend=os.pathsep)
    program(m4a.parent, "ffmpeg", body)
    with pytest.raises(ConfigError, match=r"clip\.m4a"):
        audio.read_samples(m4a)


def test_a_reader_that_stops_early_leaves_no_ffmpeg_behind(m4a: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(m4a.parent), prepend=os.pathsep)
    program(m4a.parent, "ffmpeg", f'echo $$ > "{m4a.parent}/pid"; exec cat /dev/zero')
    stream = audio.stream_samples(m4a)
    next(stream)
    del stream
    with pytest.raises(ProcessLookupError):
        os.kill(int((m4a.parent / "pid").read_text()), 0)


@needs("ffmpeg", "ffmpeg")
def test_a_real_ffmpeg_decodes_what_libsndfile_does_not(tmp_path: Path) -> None:
    import subprocess

    tone = (8000 * np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100)).astype(np.int16)
    soundfile.write(tmp_path / "tone.wav", tone, 44_100)
    path = tmp_path / "tone.mka"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-i", tmp_path / "tone.wav", "-c:a", "aac", "-f", "matroska", path], check=True
    )
    info = audio.probe(path)
    assert (info.sample_rate, info.channels, info.decoder) == (44_100, 1, "ffmpeg")
    samples = audio.read_samples(path)
    assert abs(len(samples) - 16_000) < 1500
    spectrum = np.abs(np.fft.rfft(samples[4000:12_000]))
    assert np.argmax(spectrum) == 220


def test_an_mp3_that_is_none_is_not_called_missing(tmp_path: Path) -> None:
    (tmp_path / "track.mp3").write_bytes(b"junk" * 100)
    with pytest.raises(
        ConfigError, match=r"track\.mp3: cannot be read as sound \(no MP3 frame in it\); remove or replace the file"
    ):
        list(audio.stream_samples(tmp_path / "track.mp3"))
