"""Loudspeaker and microphone through PulseAudio's null sink: every sample, at the rate that was asked for, and clear
words where a device is not there.
"""

from __future__ import annotations

import importlib
import sys
import threading
import wave
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bench_audio.devices import Device, find_device, list_devices, portaudio, to_int32
from bench_audio.markers import find_marker, marker
from bench_audio.playback.capture import GrowingWav, Microphone, read_kept
from bench_audio.playback.integrity import examine
from bench_audio.playback.player import Speaker
from bench_audio.playback.resampling import FilterStage, Resampling
from tests.virtual_audio import MICROPHONE, RATE_HZ, SPEAKER
from wakeword.errors import ConfigError, InfrastructureError

TIMEOUT = 60.0


@pytest.mark.usefixtures("air")
def test_devices_are_found_by_name_and_the_list_is_told() -> None:
    assert {SPEAKER, MICROPHONE} <= {one.name for one in list_devices("output")}
    assert find_device(SPEAKER.upper()[:7], "output", 48_000).rate == 48_000
    with pytest.raises(ConfigError, match=f"no microphone 'studio' on this machine; there are: .*{MICROPHONE}"):
        find_device("studio", "input")
    with pytest.raises(ConfigError, match="may be any of"):
        find_device("air", "output")


@pytest.mark.usefixtures("air")
def test_what_is_played_is_heard_to_the_sample(tmp_path: Path) -> None:
    speaker = Speaker(find_device(SPEAKER, "output", RATE_HZ))
    microphone = Microphone(find_device(MICROPHONE, "input", RATE_HZ))
    played = np.concatenate([np.zeros(4000), marker(), np.random.default_rng(0).normal(0, 3000, 24_000)]).astype(
        np.int16
    )
    wanted = len(played) + 2 * RATE_HZ * 4
    arrived = threading.Event()
    try:
        with GrowingWav(tmp_path / "heard.wav") as wav:

            def listener(samples: NDArray[np.int16]) -> None:
                wav.write(samples)
                if microphone.heard > wanted:
                    arrived.set()

            microphone.start()
            speaker.start()
            speaker.begin()
            microphone.listen(listener)
            for start in range(0, len(played), 1000):
                speaker.write(played[start : start + 1000])
            speaker.finish()
            assert arrived.wait(TIMEOUT)
            microphone.ignore()
        flags = [*speaker.news(), *microphone.news()]
    finally:
        speaker.close()
        microphone.close()
    heard = np.asarray(read_kept(tmp_path / "heard.wav"))
    found = find_marker(heard, 4000.0)
    assert found is not None
    begin = round(found.heard) - 4000
    assert begin == pytest.approx(found.heard - 4000, abs=0.01)
    if not np.array_equal(heard[begin : begin + len(played)], played):
        # A machine that is too busy loses sound, at times without a flag. It must be found then.
        faults = examine(lambda: [played], len(played), heard, [4000]).faults
        assert faults
        pytest.skip(f"this machine was too busy for real time, which was found: {faults[0].reason}; flags: {flags}")
    assert speaker.true_peak_dbfs < 0
    with pytest.raises(InfrastructureError, match="was closed"):
        speaker.finish()


def test_a_file_is_whole_at_every_moment(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    wav = GrowingWav(path)
    for count in range(1, 4):
        wav.write(np.full(100, count, np.int16))
        with wave.open(str(path)) as read:
            assert (read.getnframes(), read.getframerate(), read.getnchannels()) == (100 * count, RATE_HZ, 1)
        assert len(read_kept(path)) == 100 * count
    wav.close()
    wav.close()
    path.write_bytes(path.read_bytes()[:-1])  # a kill may tear a sample
    assert len(read_kept(path)) == 299


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as context:
        context.setitem(sys.modules, "sounddevice", None)
        with pytest.raises(InfrastructureError, match=r'pip install "\.\[audio\]"'):
            portaudio()

    def without_its_library(_: str) -> None:
        raise OSError("PortAudio library not found")

    with monkeypatch.context() as context:
        context.setattr(importlib, "import_module", without_its_library)
        with pytest.raises(InfrastructureError, match="libportaudio2"):
            portaudio()


def test_samples_of_16_bits_pass_unchanged() -> None:
    every = np.arange(-32768, 32768, dtype=np.int16)
    assert np.array_equal(to_int32(every.astype(np.float32) / 32768) >> 16, every)
    assert to_int32(np.array([2.0, -2.0])).tolist() == [2**31 - 1, -(2**31)]


@pytest.mark.parametrize("size", [1, 77, 4000])
def test_a_filter_has_no_seams(size: int) -> None:
    random = np.random.default_rng(0)
    taps, sound = random.normal(0, 0.1, 300), random.normal(0, 0.1, 8000).astype(np.float32)
    stage = FilterStage(taps)
    joined = np.concatenate([stage.process(sound[start : start + size]) for start in range(0, len(sound), size)])
    np.testing.assert_allclose(joined, np.convolve(sound, taps)[: len(sound)], atol=1e-6)


def test_resampling_keeps_the_place_in_time() -> None:
    up, down = Resampling(16_000, 48_000), Resampling(48_000, 16_000)
    sound = np.concatenate([np.zeros(5000), marker() / 32768, np.zeros(16_000)]).astype(np.float32)
    there = [
        up.process(sound[start : start + 999], last=start + 999 >= len(sound)) for start in range(0, len(sound), 999)
    ]
    back = np.concatenate([down.process(block) for block in there] + [down.process(np.zeros(0, np.float32), last=True)])
    found = find_marker(back, 0.0)
    assert found is not None
    assert found.heard == pytest.approx(5000, abs=0.01)


@pytest.fixture
def audio_system() -> Iterator[Executor]:
    """A thread that stands for the audio system's: the first thing that a stream does in it is to go before
    all others."""
    with ThreadPoolExecutor(1) as thread:
        yield thread


class FakeStatus:
    output_underflow = False
    input_overflow = False


class FakeTimes:
    outputBufferDacTime = 0.5  # noqa: N815 - PortAudio's name
    currentTime = 0.0  # noqa: N815


def test_an_empty_queue_is_told_once_with_its_length_and_place(audio_system: Executor) -> None:
    speaker = Speaker(Device("none", "output", 0, 1, RATE_HZ, "test"))

    def ask(frames: int) -> NDArray[np.int32]:
        out = np.full((frames, 1), 7, np.int32)
        audio_system.submit(speaker._fill, out, frames, FakeTimes(), FakeStatus()).result(TIMEOUT)
        return out[:, 0]

    assert not ask(100).any()  # nothing flows before the queue is full
    speaker._called = float("inf")
    speaker.write(np.ones(32_000, np.int16))
    assert len(speaker.news()) == 0
    taken = 0
    while speaker._queued:
        taken += len(ask(1000))
    ask(4800)
    ask(4800)
    assert speaker.news() == []  # it is not known yet how long it lasts
    speaker.write(np.ones(3200, np.int16))
    ask(480)
    (fault,) = speaker.news()
    assert fault.kind == "starved"
    assert fault.position == pytest.approx(32_000, abs=1)
    assert fault.samples == pytest.approx(taken + 9600 - 32_000, abs=1)
    assert speaker.moment is not None


def run_through(audio_system: Executor, microphone: Microphone, block: NDArray[np.int32]) -> None:
    """As the audio system would hand it over, and the worker take it."""
    for start in range(0, len(block), 480):
        audio_system.submit(
            microphone._take, block[start : start + 480].reshape(-1, 1), 480, FakeTimes(), FakeStatus()
        ).result(TIMEOUT)
    microphone._blocks.put(None)
    microphone._work()


@pytest.mark.parametrize("bits", [16, 24])
def test_a_converter_that_clips_is_noticed_at_its_own_rate(bits: int, audio_system: Executor) -> None:
    time = np.arange(48_000) / 48_000
    largest = 2 ** (bits - 1) - 1
    for peak, clips in ((0.99, False), (1.5, True)):
        samples = np.clip(np.rint(np.sin(2 * np.pi * 5000 * time) * peak * largest), -largest - 1, largest).astype(
            np.int64
        )
        microphone = Microphone(Device("none", "input", 0, 1, 48_000, "test"))
        microphone.listen(lambda _: None)
        run_through(audio_system, microphone, (samples << (32 - bits)).astype(np.int32))
        told = [one.kind for one in microphone.news()]
        assert told == (["overdriven"] * 2 if clips else []), told
        microphone.check()


def test_whatever_fails_while_sound_is_taken_ends_the_session(audio_system: Executor) -> None:
    class Broken:
        def process(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
            raise ValueError(f"no such room for {len(samples)} samples")

    microphone = Microphone(Device("none", "input", 0, 1, RATE_HZ, "test"), stages=[Broken()])
    microphone.listen(lambda _: None)
    run_through(audio_system, microphone, np.zeros(480, np.int32))
    with pytest.raises(InfrastructureError, match="no such room"):
        microphone.check()
