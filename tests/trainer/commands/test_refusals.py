"""Wrong input: exactly one line, nothing left behind."""

from __future__ import annotations

import json
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from scripts import cycle
from tests.commands import one_line_error, run
from tests.trainer.commands.cycle import CONFIGURATION


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("mww-generate", ["   "], "the wake phrase is empty"),
        ("mww-generate", ["東京"], "東京"),
        ("mww-generate", ["computer", "--engine", "festival"], "festival"),
        ("mww-generate", ["computer", "--output", "own.yaml"], "own.yaml: is a file"),
        ("mww-train", [], "export.wake_word is missing"),
        ("mww-train", ["--config", "fast_tst"], "did you mean fast_test?"),
        ("mww-train", ["--config", "own.yaml"], "dataset/positive: no such folder"),
        (
            "mww-train",
            ["--config", "own.yaml", "--set", "paths.positive_dir=empty"],
            "dataset/negative: no such folder",
        ),
        (
            "mww-train",
            ["--config", "own.yaml", "--set", "paths.positive_dir=empty", "--set", "paths.negative_dir=empty"],
            "no usable positive recording",
        ),
        ("mww-train", ["--config", "own.yaml", "--set", "training.batchsize=3"], "did you mean training.batch_size?"),
        (
            "mww-train",
            ["--config", "own.yaml", "--set", "training.learning_rates=[1]"],
            "has 2 values, so there are 2 phases, and training.learning_rates has 1",
        ),
        (
            "mww-train",
            ["--config", "own.yaml", "--set", "model.pointwise_filters=6,6,6"],
            "give one entry a block to each",
        ),
        ("mww-train", ["--config", "own.yaml", "--override", "none.yaml"], "none.yaml: cannot be read"),
        (
            "mww-train",
            ["--config", "own.yaml", "--set", "training.time_mask_max_size=[999, 0]"],
            "time_mask_max_size has 999; a training window has",
        ),
        (
            "mww-train",
            ["--config", "own.yaml", "--set", "paths.rir_dir=none"],
            "none: no such folder; correct paths.rir_dir",
        ),
        (
            "mww-train",
            ["--config", "own.yaml", "--set", "export.author=${MWW_NOBODY}"],
            "export.author needs the environment variable MWW_NOBODY",
        ),
        ("mww-train", ["--config", "own.yaml", "--set", "hardware.mel_bins=80"], "this is always 40, because"),
        (
            "mww-train",
            ["--config", "own.yaml", "--set", "paths.checkpoint_dir=own.yaml"],
            "own.yaml: is a file; name a folder",
        ),
        ("mww-train", ["--config", "own.yaml", "--output", "own.yaml"], "own.yaml: is a file; name a folder"),
        ("mww-train", ["--config", "own.yaml", "--output", "own.yaml/run"], "own.yaml is not a folder"),
        ("mww-train", ["--config", "own.yaml", "--output", "own.yaml/run", "--dry-run"], "own.yaml is not a folder"),
        ("mww-export", ["--checkpoint", "none.weights.h5"], "none.weights.h5: does not exist; give"),
        ("mww-export", ["--checkpoint", "empty/x.h5"], "empty/x.h5: does not exist"),
    ],
)
def test_wrong_input_is_refused_in_one_line(tmp_path: Path, name: str, arguments: list[str], message: str) -> None:
    (tmp_path / "own.yaml").write_text(CONFIGURATION)
    (tmp_path / "empty").mkdir()
    refused = one_line_error(run(tmp_path / "cache", name, *arguments, folder=tmp_path))
    assert message in refused
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["empty", "own.yaml"]


@pytest.mark.parametrize("phrase", ["   ", "東京"])
def test_where_an_engine_is_missing_it_is_one_line_too(tmp_path: Path, phrase: str) -> None:
    """Without the program flite, a line about it stood before the refusal."""
    refused = run(tmp_path / "cache", "mww-generate", phrase, "--output", tmp_path / "speech", PATH=str(tmp_path))
    assert "phrase" in one_line_error(refused)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "quikc"], "--config quikc: neither a preset nor a file; did you mean quick?"),
        (
            ["--set", "training.training_steps=[3]"],
            "training.training_steps has 1 value, so there is one phase, and training.learning_rates has 2",
        ),
        (["--set", "training.batch_sise=3"], "unknown key training.batch_sise; did you mean training.batch_size?"),
        (["--phrase", "電腦"], "gives no file name"),
    ],
)
def test_the_cycle_refuses_before_it_speaks(
    tmp_path: Path,
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["cycle.py", "--output", str(tmp_path / "cycle"), *arguments])
    code = cycle.main()
    said = capsys.readouterr()
    assert message in one_line_error(CompletedProcess(["cycle.py"], code, said.out, said.err))
    assert not list(tmp_path.iterdir())


def test_the_schema_is_printed_without_a_configuration(tmp_path: Path) -> None:
    done = run(tmp_path, "mww-train", "--schema")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["properties"].keys() >= {"paths", "export"}
