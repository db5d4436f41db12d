"""The sound of a clip: cut out of its recordings, or why there is none."""

from __future__ import annotations

import base64
import hashlib
import io
from pathlib import Path

import numpy as np
import soundfile

from harness.results.clips import ClipReader
from harness.results.schema import FileRecord
from tests.harness.results.builders import stream_run, write_tone
from wakeword.audio import read_samples


def test_a_cut_over_a_gap_has_silence_in_it(tmp_path: Path) -> None:
    run = stream_run(tmp_path, [3, 3], [])
    clip = ClipReader().read(run.files, 2.0, 5.0)
    assert clip.wav_base64 is not None
    samples, _ = soundfile.read(io.BytesIO(base64.b64decode(clip.wav_base64)), dtype="int16")
    assert len(samples) == 48_000
    assert not samples[16_000:24_000].any()
    assert np.abs(samples[:16_000]).max() > 2000 and np.abs(samples[24_000:]).max() > 2000


def test_a_recording_whose_header_was_never_finished_is_heard(tmp_path: Path) -> None:
    path = tmp_path / "killed.wav"
    write_tone(path, 3.0)
    content = bytearray(path.read_bytes())
    size = content.index(b"data") + 4
    content[size : size + 4] = bytes(4)
    path.write_bytes(content)
    file = FileRecord(
        path=str(path), sha256=hashlib.sha256(content).hexdigest(), seconds=3.0, stream_start=0.0, max_probability=0
    )
    clip = ClipReader().read([file], 1.0, 2.0)
    assert clip.wav_base64 is not None
    samples, _ = soundfile.read(io.BytesIO(base64.b64decode(clip.wav_base64)), dtype="int16")
    np.testing.assert_array_equal(samples, read_samples(path)[16_000:32_000])


def test_other_rates_are_resampled(tmp_path: Path) -> None:
    digest = write_tone(tmp_path / "hifi.wav", 2.0, 44_100)
    file = FileRecord(path=str(tmp_path / "hifi.wav"), sha256=digest, seconds=2.0, stream_start=0.0, max_probability=0)
    clip = ClipReader().read([file], 0.5, 1.5)
    assert clip.wav_base64 is not None
    samples, _ = soundfile.read(io.BytesIO(base64.b64decode(clip.wav_base64)), dtype="int16")
    spectrum = np.abs(np.fft.rfft(samples))
    assert len(samples) == 16_000 and int(spectrum.argmax()) == 440


def test_an_unreadable_recording_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    file = FileRecord(
        path=str(tmp_path / "text.wav"), sha256="0" * 64, seconds=2.0, stream_start=0.0, max_probability=0
    )
    assert ClipReader().read([file], 0, 1).problem == "audio changed since the measurement"
    same = file.model_copy(update={"sha256": hashlib.sha256(b"no sound").hexdigest()})
    assert "cannot be read" in (ClipReader().read([same], 0, 1).problem or "")
