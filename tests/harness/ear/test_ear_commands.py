"""What a virtual board's own microphone hears is recorded, and kept around its detections; nothing without consent."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from firmware.boards.entry import VIRTUAL_BOARD
from firmware.build import Firmware
from firmware.credentials import new_api_key
from harness.diagnosis.reference import framed, heard_by
from harness.ear.capture import CaptureRequest, RecentSound, capture
from harness.ear.consent import ASKED, GIVEN, ask_consent
from harness.ear.kept import TABLE_NAME, KeptRow, keep
from harness.ear.listening import DetectionLog, Listened, TimedDetection
from harness.ear.loss import LOSS_FILE, AcousticLoss, PlayedWord, acoustic_loss, loss_lines
from tests.commands import Run, one_line_error
from tests.spoken import Spoken, listed
from wakeword.audio import read_samples
from wakeword.contract import SAMPLE_RATE_HZ
from wakeword.device_model import load_model
from wakeword.errors import ConfigError, InfrastructureError
from wakeword.records import read_record

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(autouse=True)
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MWW_LOCK_DIR", str(tmp_path / "locks"))


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / TABLE_NAME).open(newline="", encoding="utf-8") as table:
        return list(csv.DictReader(table))


def found_words(spoken: Spoken, manifest: Path, count: int) -> list[Path]:
    """Words that the simulation detects, each alone."""
    model = load_model(manifest)
    found = (path for path in spoken.words if heard_by(model, framed(read_samples(path)))[1])
    return [next(found) for _ in range(count)]


def test_what_is_lost_on_the_way_is_measured_word_by_word(
    run: Run, host_firmware: Firmware, official_models: Path, spoken: Spoken, tmp_path: Path
) -> None:
    manifest, output = official_models / "alexa.json", tmp_path / "heard"
    words = listed(tmp_path / "words.txt", found_words(spoken, manifest, 2))
    given = ["--board", "virtual", "--firmware", host_firmware.folder, "--output", output]
    done = run("mww-bench", "record", *given, "--play", words, "--model", manifest)
    assert done.returncode == 0, done.stderr
    (path,) = output.glob(f"*_{LOSS_FILE}")
    loss = read_record(path, AcousticLoss, "a comparison", "record", "record")
    assert [word.played for word in loss.words] == [True, True]
    # A quiet room with a good microphone: the board hears what the simulation hears in what it told.
    assert loss.otherwise == 0
    assert loss.heard.count == loss.board.count == 2
    assert "The board itself: 2 of 2 words" in done.stdout
    (row,) = rows(output)
    path = output / row["file"]
    # Two utterances in one file are no example of the wake word.
    assert path.parent == output / "unsorted" / "virtual"
    samples = read_samples(path)
    assert hashlib.sha256(samples.astype("<i2").tobytes()).hexdigest() == row["sha256"]
    assert (row["holds"], row["lost_samples"], row["target"]) == ("wake", "0", "host")
    assert float(row["rate"]) == pytest.approx(SAMPLE_RATE_HZ, rel=0.02)


def test_a_board_that_does_not_run_the_model_is_not_compared(
    run: Run, two_models_firmware: Firmware, official_models: Path, spoken: Spoken, tmp_path: Path
) -> None:
    words = listed(tmp_path / "words.txt", spoken.words[:1])
    given = ["--board", "virtual", "--firmware", two_models_firmware.folder, "--output", tmp_path / "heard"]
    done = run("mww-bench", "record", *given, "--play", words, "--model", official_models / "alexa.json")
    assert done.returncode == 4
    assert "does not run this model ('Alexa') but 'Hey Mycroft'" in done.stderr
    assert not list((tmp_path / "heard").rglob("*.wav"))


def test_a_word_with_a_gap_is_in_no_figure(official_models: Path, spoken: Spoken) -> None:
    model = load_model(official_models / "alexa.json")
    path = next(path for path in spoken.words if heard_by(model, framed(read_samples(path)))[1])
    sound = framed(read_samples(path))
    heard = np.concatenate([sound, sound])
    words = [PlayedWord(path, 0, len(sound)), PlayedWord(path, len(sound), len(heard), "1.00 s of the sound were lost")]
    loss = acoustic_loss(model, words, heard, [len(sound) - SAMPLE_RATE_HZ])
    assert (len(loss.words), len(loss.void)) == (1, 1)
    assert (loss.played.count, loss.heard.count, loss.board.count, loss.otherwise) == (1, 1, 1, 0)
    assert loss_lines(loss)[-1] == "Left out: 1 word with gaps (1.00 s of the sound were lost)"
    with pytest.raises(InfrastructureError, match="no word was heard without a gap"):
        acoustic_loss(model, words[1:], heard, [])


def test_a_recording_of_nothing_but_the_room(run: Run, host_firmware: Firmware, tmp_path: Path) -> None:
    output = tmp_path / "heard"
    given = ["--board", "virtual", "--firmware", host_firmware.folder, "--output", output]
    for _ in range(2):
        assert run("mww-bench", "record", *given, "--seconds", 1, "--holds", "none").returncode == 0
    first, second = rows(output)
    assert first["file"] != second["file"]
    assert Path(first["file"]).parent == Path("hard_negative/virtual")
    level = 20 * np.log10(read_samples(output / second["file"])[4000:].std() / 32768)
    assert level == pytest.approx(-62, abs=1)


def test_seconds_around_each_detection_are_kept(
    host_firmware: Firmware, official_models: Path, spoken: Spoken, tmp_path: Path
) -> None:
    manifest = official_models / "alexa.json"
    said: list[str] = []

    def speak(board: Listened) -> None:
        assert board.room is not None
        for path in found_words(spoken, manifest, 2):
            board.room.play(framed(read_samples(path)))

    request = CaptureRequest(tmp_path, "none", GIVEN, before=1.5, after=0.5, seconds=60.0, most=2)
    kept = asyncio.run(capture(VIRTUAL_BOARD, host_firmware, request, said.append, speak))
    assert len(kept) == len(said) == 2
    model = load_model(manifest)
    for row, told in zip(kept, rows(tmp_path), strict=True):
        samples = read_samples(tmp_path / row.file)
        assert len(samples) == 2 * SAMPLE_RATE_HZ
        assert row.detected_seconds == pytest.approx(1.5)
        assert heard_by(model, framed(samples))[1], "the word is in it"
        assert told["file"] == row.file == str(Path("hard_negative/virtual") / Path(row.file).name)
        assert (told["wake_word"], told["model_sha256"]) == ("Alexa", model.model.sha256)
        assert float(told["probability"]) > 0.8
        assert told["consent"] == GIVEN


def test_a_real_board_is_not_listened_to_without_consent(run: Run, tmp_path: Path) -> None:
    boards = tmp_path / "boards.yaml"
    entry = {"name": "desk", "kind": "serial", "target": "esp32-s3-box-3", "mac": "A0:85:E3:12:34:56"}
    boards.write_text(json.dumps({"boards": [entry | {"address": "127.0.0.1"}]}))
    for command in ("record", "capture"):
        done = run(
            "mww-bench",
            command,
            "--board",
            "desk",
            "--boards",
            boards,
            "--output",
            tmp_path / "heard",
            MWW_API_KEY=new_api_key(),
        )
        assert done.returncode == 2
        assert "nobody can be asked for consent here; give --yes" in done.stderr
        assert "Everybody who can be heard there should know that, and agree" in done.stderr
        assert not (tmp_path / "heard").exists()


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


def test_consent_is_asked_for_in_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert ask_consent("desk", "Words.", tmp_path, yes=True) == GIVEN
    monkeypatch.setattr(sys, "stdin", Terminal("yes\n"))
    assert ask_consent("desk", "Words.", tmp_path, yes=False) == ASKED
    for typed in ("no\n", "\n", ""):
        monkeypatch.setattr(sys, "stdin", Terminal(typed))
        with pytest.raises(ConfigError, match="without consent nothing is listened to"):
            ask_consent("desk", "Words.", tmp_path, yes=False)


def test_a_board_that_is_a_program_needs_its_firmware(run: Run, tmp_path: Path) -> None:
    line = one_line_error(run("mww-bench", "record", "--board", "virtual", "--output", tmp_path / "heard"))
    assert "give the folder of mww-firmware build --target host by --firmware" in line


def test_a_loss_is_that_of_the_clips_around_it() -> None:
    recent = RecentSound(8.0)
    block = np.zeros(1600, np.int16)
    for number in range(100):
        recent.take(block, 800 if number >= 50 else 0)
    assert recent.lost_within(40_000, 72_000) == 0
    # It was counted when 80,000 samples had come, and lies in what the board held then.
    assert recent.lost_within(60_000, 90_000) == recent.lost_within(85_000, 95_000) == 800
    assert recent.lost_within(120_000, 150_000) == 0
    assert (recent.lost_before(70_000), recent.lost_before(150_000)) == (0, 800)


def test_the_row_is_there_before_its_file(tmp_path: Path) -> None:
    row = KeptRow("positive/desk/one.wav", "", "2026-01-01T00:00:00.000+00:00", 0.1, "desk", "host", "", "wake")
    (tmp_path / "positive").write_text("no folder")
    with pytest.raises(InfrastructureError, match="cannot be kept"):
        keep(tmp_path, np.zeros(1600, np.int16), row)
    assert [one["file"] for one in rows(tmp_path)] == [row.file]


def test_detections_that_were_never_told_are_counted(tmp_path: Path) -> None:
    told: list[TimedDetection] = []
    with DetectionLog(tmp_path / "raw.jsonl", told.append) as log:
        for boot, seq in (("a" * 8, 3), ("a" * 8, 4), ("a" * 8, 7), ("b" * 8, 1)):
            data = {"boot_id": boot, "seq": str(seq), "t_ms": "5", "wake_word": "Alexa", "sample": "1600"}
            log.write("detection", data=data)
    assert len(told) == 4
    assert log.missing == 2


def test_only_the_last_seconds_are_held() -> None:
    recent = RecentSound(1.0)
    sound = np.arange(40_000, dtype=np.int16)
    for start in range(0, 40_000, 700):
        recent.take(sound[start : start + 700])
    assert recent.end == 40_000
    assert np.array_equal(recent.part(30_000, 31_000), sound[30_000:31_000])
    assert len(recent.part(0, 40_000)) < 16_000 + 700
    assert np.array_equal(recent.part(39_000, 50_000), sound[39_000:])
