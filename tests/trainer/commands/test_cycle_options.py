"""What the cycle makes of its options before anything is spoken, and what it hands to the commands."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
import soundfile

from firmware.build import RECORD_FILE, RECORD_FORMAT
from scripts import cycle
from tests.commands import Done, one_line_error
from trainer.config.loader import load_config
from trainer.config.sections import PathsSection

type Started = Callable[..., tuple[Done, list[list[str]]]]


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Started:
    """The cycle with arguments, and its commands up to the training, of which none is run."""

    def start(*arguments: object) -> tuple[Done, list[list[str]]]:
        commands: list[list[str]] = []

        def run(command: list[str]) -> int:
            commands.append([Path(command[0]).name, *command[1:]])
            return 1 if commands[-1][0] in ("mww-train", "mww-report") else 0

        monkeypatch.setattr(cycle, "_run", run)
        monkeypatch.setattr("sys.argv", ["cycle.py", "--output", str(tmp_path / "cycle"), *map(str, arguments)])
        code = cycle.main()
        said = capsys.readouterr()
        return CompletedProcess(["cycle.py"], code, said.out, said.err), commands

    return start


def sound(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(seed).integers(-9000, 9000, 16_000, dtype=np.int16), 16_000)
    return path.parent


def write_firmware(folder: Path, sha256: str) -> None:
    """What a build for the virtual board leaves, with a model of these bytes."""
    model = {"manifest_path": "w.json", "model_id": "ww", "wake_word": "W", "sha256": sha256, "bytes": 5}
    model |= {"cutoff": 200, "window": 5, "arena": 9}
    record = {"format": RECORD_FORMAT, "target": "host", "name": "mww-host", "esphome_version": "2026.10.0"}
    record |= dict.fromkeys(("program", "ota_image", "factory_image", "elf", "flash_bytes", "ram_bytes"))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECORD_FILE).write_text(json.dumps(record | {"digital": True, "models": [model]}))


def paths_of(command: list[str]) -> PathsSection:
    settings = [after for before, after in pairwise(command) if before == "--set"]
    return load_config("quick", (), settings).paths


def test_folders_of_negatives_stand_beside_the_generated_ones(tmp_path: Path, started: Started) -> None:
    radio, odd = sound(tmp_path / "radio" / "1.wav"), sound(tmp_path / "a, b [c]: ${x}" / "2.wav", 1)
    done, (_, train) = started("--negatives", radio, odd)
    assert paths_of(train).negative_dir == (tmp_path / "cycle" / "generated" / "negative", radio, odd)
    assert "Its wake words are synthetic" in done.stdout
    done, (_, train) = started()
    assert paths_of(train).negative_dir == (tmp_path / "cycle" / "generated" / "negative",)
    assert "Its corpus is synthetic" in done.stdout


def test_hours_of_peoples_speech_go_to_the_command_that_fetches_them(started: Started) -> None:
    for given, hours in (
        ([], None),
        (["--real-speech"], 2.0),
        (["--real-speech", 0.5], 0.5),
        (["--real-speech", 0], None),
    ):
        done, (generate, _) = started(*given)
        assert (
            generate[generate.index("--real-speech") + 1 :][:1] == [str(hours)]
            if hours
            else ("--real-speech" not in generate)
        )
        assert ("Its wake words are synthetic" in done.stdout) == bool(hours)
    for wrong in ("much", "nan", "-1"):
        with pytest.raises(SystemExit, match="2"):
            started(f"--real-speech={wrong}")


def test_folders_of_negatives_are_looked_at_before_anything_is_spoken(tmp_path: Path, started: Started) -> None:
    good = sound(tmp_path / "good" / "1.wav")
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "1.wav").write_bytes(b"RIFF")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "read.me").touch()
    sound(tmp_path / "dataset" / "positive" / "1.wav")
    sound(tmp_path / "dataset" / "negative" / "1.wav")
    for folders, message in (
        ([tmp_path / "none"], "none: no such folder"),
        ([good / "1.wav"], "1.wav: no such folder"),
        ([good, tmp_path / "empty"], "empty: no recording in it can be read; --negatives names folders of them"),
        ([tmp_path / "texts"], "texts: no recording in it can be read (first: "),
        ([tmp_path / "broken"], "broken: no recording in it can be read (first: "),
        ([tmp_path / "dataset"], "dataset: holds a whole dataset"),
        ([good, good], "1.wav: two of the given folders hold it"),
        ([tmp_path], "the cycle's own folder"),
    ):
        done, commands = started("--negatives", *folders)
        assert message in one_line_error(done)
        assert not commands
    assert not (tmp_path / "cycle").exists()


def test_a_teacher_that_cannot_be_is_refused_before_anything_is_spoken(started: Started) -> None:
    settings = ("training.schedule=cosine", "training.warm_up_steps=300", "training.teacher=wide")
    steps = ("--set", "training.teacher_steps=[100, 100]")
    arguments = [part for setting in settings for part in ("--set", setting)]
    refused, commands = started("--phrase", "okay house", "--config", "standard", *arguments, *steps)
    assert one_line_error(refused).startswith("error: training.teacher_steps are [100, 100], ") and commands == []


def test_a_network_that_no_device_runs_is_refused_before_anything_is_spoken(started: Started) -> None:
    done, commands = started("--set", "model.architecture=bc_resnet")
    assert "model.architecture is bc_resnet, which cannot be exported" in one_line_error(done, 2)
    assert not commands


def test_one_recording_that_can_be_read_is_enough(tmp_path: Path, started: Started) -> None:
    folder = sound(tmp_path / "radio" / "2.wav")
    (folder / "1.wav").write_bytes(b"RIFF")
    _, commands = started("--negatives", folder)
    assert [command[0] for command in commands] == ["mww-generate", "mww-train"]


def test_several_words_are_several_models_and_one_report(tmp_path: Path, started: Started) -> None:
    done, commands = started("--phrase", "okay house", "--phrase", "hola casa")
    assert [command[0] for command in commands] == ["mww-generate", "mww-train"], "the first that fails ends it"
    assert commands[0][1] == "okay house"
    assert commands[0][commands[0].index("--output") + 1] == str(tmp_path / "cycle" / "cycle_okay_house" / "generated")
    assert "Cycle for 'hola casa' in" in done.stdout
    assert "[1/15] Generate speech" in done.stdout, "seven steps each, and the report of all"


def test_a_part_needs_what_the_one_before_left(tmp_path: Path, started: Started) -> None:
    cycle = tmp_path / "cycle"
    for arguments, message in (
        (["--only", "measure"], f"no model is there; `nox -s train -- --phrase computer --output {cycle}` makes one"),
        (["--only", "flash", "--board", "virtual"], "computer.json: no model is there"),
        (["--only", "flash"], "nox -s flash: --board is missing; name a board of boards.yaml, or virtual"),
        (["--phrase", "a b", "--phrase", "A b"], "--phrase: 'a_b' is given twice; give each once"),
        (["--board", "virtual", "--board", "virtual"], "--board: 'virtual' is given twice"),
        (["--phrase", "ab", "--phrase", "cd", "--model-name", "x"], "--model-name x: names one model, and 2 phrases"),
    ):
        done, commands = started(*arguments)
        assert message in one_line_error(done)
        assert not commands
        assert not cycle.exists()
    manifest = cycle / "exported" / "computer.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("{}")
    manifest.with_suffix(".tflite").write_bytes(b"model")
    done, _ = started("--only", "measure", "--board", "virtual")
    flash = f"nox -s flash -- --phrase computer --output {cycle} --board virtual"
    assert f"no firmware for board 'virtual' is there; `{flash}` builds it" in one_line_error(done)
    write_firmware(cycle / "firmware" / "host", "0" * 64)
    done, _ = started("--only", "measure", "--board", "virtual")
    assert f"its firmware has another model than {manifest}; `{flash}` builds it anew" in one_line_error(done)


def test_parts_are_the_commands_of_the_whole(tmp_path: Path, started: Started) -> None:
    manifest = tmp_path / "cycle" / "exported" / "computer.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("{}")
    manifest.with_suffix(".tflite").write_bytes(b"model")
    done, commands = started("--only", "flash", "--board", "virtual")
    assert done.returncode == 0, done.stderr
    (build,) = commands
    firmware = tmp_path / "cycle" / "firmware" / "host"
    assert build == [
        *("mww-firmware", "build", "--target", "host", "--model", str(manifest), "--output", str(firmware)),
    ]
    assert f"nox -s measure -- --phrase computer --output {tmp_path / 'cycle'} --board virtual\n" in done.stdout
    write_firmware(firmware, hashlib.sha256(b"model").hexdigest())
    _, commands = started("--only", "measure", "--board", "virtual")
    assert [command[0] for command in commands[:1]] == ["mww-bench"]
    assert commands[0][commands[0].index("--firmware") + 1] == str(firmware)
    assert Path(commands[0][commands[0].index("--output") + 1]).name.startswith("session_virtual_")
