"""What the cycle makes of its options before anything is spoken, and what it hands to the commands."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
import soundfile

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
            return 1 if commands[-1][0] == "mww-train" else 0

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


def test_one_recording_that_can_be_read_is_enough(tmp_path: Path, started: Started) -> None:
    folder = sound(tmp_path / "radio" / "2.wav")
    (folder / "1.wav").write_bytes(b"RIFF")
    _, commands = started("--negatives", folder)
    assert [command[0] for command in commands] == ["mww-generate", "mww-train"]
