"""The live device hears as the simulation does, whatever the blocks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from studio.live.device import LiveDevice
from studio.live.incoming import IncomingSound
from studio.live.listening import LiveListening
from tests.spoken import Spoken
from wakeword.audio import read_samples
from wakeword.contract import SAMPLE_RATE_HZ
from wakeword.detector import sliding_averages
from wakeword.device_model import DeviceModel, load_model
from wakeword.errors import ConfigError
from wakeword.presentation import STREAM
from wakeword.simulation.board import hear
from wakeword.simulation.simulate import Options


@pytest.fixture(scope="module")
def alexa(official_models: Path) -> DeviceModel:
    return load_model(official_models / "alexa.json")


@pytest.fixture(scope="module")
def evening(spoken: Spoken, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Words with pauses, as somebody says them into a microphone."""
    pause = np.zeros(SAMPLE_RATE_HZ * 2, np.int16)
    parts = [part for word in spoken.words[:6] for part in (pause, read_samples(word))]
    path = tmp_path_factory.mktemp("evening") / "evening.wav"
    soundfile.write(path, np.concatenate([*parts, pause]), SAMPLE_RATE_HZ, subtype="PCM_16")
    return path


def blocks(samples: np.ndarray, seed: int, most: int) -> Iterator[np.ndarray]:
    draw, place = np.random.default_rng(seed), 0
    while place < len(samples):
        length = int(draw.integers(0, most))
        yield samples[place : place + length]
        place += length


@pytest.mark.parametrize("most", [90, 700, 9000])
def test_a_live_device_gives_what_the_simulation_gives(alexa: DeviceModel, evening: Path, most: int) -> None:
    """Probabilities, averages and detections, from blocks of any length."""
    simulated = hear(alexa, [evening], STREAM, Options(jobs=1))
    stream = simulated.streams[0]
    assert len(simulated.detections[0]) >= 3
    device = LiveDevice(alexa)
    heard = [device.hear(block) for block in blocks(read_samples(evening), most, most)]
    probabilities = np.concatenate([one.probabilities for one in heard])
    np.testing.assert_array_equal(probabilities, stream.probabilities)
    assert tuple(one for each in heard for one in each.detections) == simulated.detections[0]
    assert [device.seconds_of(number) for number in (0, 7)] == [stream.seconds[0], stream.seconds[7]]
    resets = [one.slice_index for one in simulated.detections[0]]
    averages = np.concatenate([one.averages for one in heard])
    expected = 255 * sliding_averages(stream.probabilities, stream.stride, alexa.point.window, resets)
    decided = {(slice_index + 1) // stream.stride - 1 for slice_index in resets}
    quiet = np.array([number not in decided for number in range(len(averages))])
    np.testing.assert_allclose(averages[quiet], expected[quiet], atol=1e-9)
    assert [one.first_inference for one in heard] == [0, *np.cumsum([len(one.probabilities) for one in heard])[:-1]]


def test_the_hold_off_is_told_as_it_passes(alexa: DeviceModel) -> None:
    device = LiveDevice(alexa)
    told = [device.hear(np.zeros(1600, np.int16)).hold_off for _ in range(14)]
    assert told[0] > told[1] > 0
    assert told[-1] == 0


def test_sound_of_any_rate_is_heard_as_a_file_of_it_is(tmp_path: Path) -> None:
    """What comes in blocks at 44.1 kHz are the samples that the project makes of the whole recording."""
    sound = np.sin(np.arange(44_100 * 2) * 0.05).astype(np.float32) * 0.4
    path = tmp_path / "sound.wav"
    soundfile.write(path, sound, 44_100, subtype="FLOAT")
    incoming = IncomingSound(44_100)
    got = [incoming.take(block.astype("<f4").tobytes())[0] for block in blocks(sound, 3, 5000)]
    joined = np.concatenate([*got, incoming.finish()])
    expected = read_samples(path)
    assert len(joined) == len(expected)
    assert np.abs(joined.astype(int) - expected).max() <= 1


def test_levels_are_told_before_rounding() -> None:
    incoming = IncomingSound(16_000)
    sine = np.sin(2 * np.pi * np.arange(1600) / 16).astype("<f4")
    _, level = incoming.take((0.5 * sine).tobytes())
    assert level.rms_dbfs == pytest.approx(-9.03, abs=0.01)
    assert not level.clips
    assert incoming.take(np.ones(10, "<f4").tobytes())[1].clips
    assert incoming.take(b"")[1].rms_dbfs == -120.0


@pytest.mark.parametrize(
    ("block", "said"), [(b"abc", "whole float32"), (np.array([np.nan], "<f4").tobytes(), "not numbers")]
)
def test_what_is_no_sound_is_refused(block: bytes, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        IncomingSound(48_000).take(block)


def test_a_rate_that_no_browser_has_is_refused() -> None:
    with pytest.raises(ConfigError, match="sample rate 100"):
        IncomingSound(100)


def test_the_recording_is_what_was_heard_and_is_bounded(alexa: DeviceModel, evening: Path, tmp_path: Path) -> None:
    """When it is full the device boots anew, and the recording is again all that this device heard."""
    samples = read_samples(evening)
    sound = (samples / np.float32(32768)).astype("<f4")
    listening = LiveListening(alexa, SAMPLE_RATE_HZ, most_seconds=8.0)
    booted = [listening.hear(block.tobytes()).booted for block in np.split(sound, range(1000, len(sound), 1000))]
    listening.finish()
    assert sum(booted) == (len(sound) - 1) // 128_000
    assert listening.kept.seconds <= 8.0
    saved = tmp_path / "saved.wav"
    listening.kept.write(saved)
    np.testing.assert_array_equal(read_samples(saved), samples[-listening.kept.samples :])
    simulated = hear(alexa, [saved], STREAM, Options(jobs=1))
    assert tuple(listening.detections) == simulated.detections[0]
    with pytest.raises(ConfigError, match="stopped"):
        listening.hear(b"")
    listening.close()


def test_the_seconds_around_a_moment_are_what_was_heard(tmp_path: Path) -> None:
    listening = LiveListening(None, SAMPLE_RATE_HZ)
    with pytest.raises(ConfigError, match="nothing was heard"):
        listening.around(0.0, 1.0, 1.0)
    with pytest.raises(ConfigError, match="nothing was heard"):
        listening.kept.write(tmp_path / "none.wav")
    assert not list(tmp_path.iterdir())
    ramp = np.arange(32_000, dtype=np.int16)
    listening.hear((ramp / np.float32(32768)).astype("<f4").tobytes())
    np.testing.assert_array_equal(listening.around(1.0, 0.25, 0.5), ramp[12_000:24_000])
    np.testing.assert_array_equal(listening.around(0.1, 1.0, 0.1), ramp[:3200])
    listening.close()


def test_when_the_disk_is_full_nothing_more_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept stays the whole stream that was heard."""
    listening = LiveListening(None, SAMPLE_RATE_HZ)
    block = np.full(1600, 0.1, "<f4").tobytes()
    listening.hear(block)

    def full(_: np.ndarray) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(listening.kept, "add", full)
    with pytest.raises(OSError, match="No space"):
        listening.hear(block)
    monkeypatch.undo()
    with pytest.raises(ConfigError, match="stopped"):
        listening.hear(block)
    assert listening.finish().seconds == 0.1, "it can be stopped, and nothing follows"
    assert listening.kept.seconds == 0.1
    listening.close()


def test_a_model_of_another_step_is_heard_at_its_own(official_models: Path, evening: Path, tmp_path: Path) -> None:
    """A manifest with a slice every 20 ms: the frontend, the seconds and the hold-off are those of that step."""
    told = json.loads((official_models / "alexa.json").read_text())
    told["micro"]["feature_step_size"] = 20
    (tmp_path / "alexa.json").write_text(json.dumps(told))
    shutil.copy(official_models / "alexa.tflite", tmp_path)
    model = load_model(tmp_path / "alexa.json", cutoff=0.02)
    simulated = hear(model, [evening], STREAM, Options(jobs=1))
    device = LiveDevice(model)
    heard = [device.hear(block) for block in blocks(read_samples(evening), 5, 3000)]
    np.testing.assert_array_equal(
        np.concatenate([one.probabilities for one in heard]), simulated.streams[0].probabilities
    )
    found = [one for each in heard for one in each.detections]
    assert tuple(found) == simulated.detections[0]
    assert found, "nothing was detected, so no second is compared"
    assert device.seconds_of(3) == simulated.streams[0].seconds[3]
