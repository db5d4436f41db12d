"""`mww-autotune` as a user runs it, with a real model that learns, is interrupted, and is measured."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tests.trainer.tuning.conftest import WEIGHTS
from trainer.config.loader import load_config
from trainer.data.dataset import read_recordings
from trainer.data.ingest import Label, SampleRecord
from trainer.data.split import Split
from trainer.data.training_sets import stored_clips
from trainer.evaluation.cli import evaluate_app
from trainer.tuning import tune as tune_module
from trainer.tuning.cli import autotune_app
from trainer.tuning.fine_tuning import FineTuner
from trainer.tuning.folder import HISTORY_NAME, RECORD_NAME, TuningFolder

pytestmark = pytest.mark.usefixtures("steps_not_compiled")

DEADLINE_S = 280
SHORT = ["--target-fah", "1", "--steps", "20", "--jobs", "1"]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MWW_CACHE_DIR", str(folder))
        patch.setenv("COLUMNS", "200")
        yield folder


def autotune(run: Path, output: Path, *arguments: str) -> Result:
    return CliRunner().invoke(
        autotune_app, ["--checkpoint", str(run / WEIGHTS), "--output-dir", str(output), *SHORT, *arguments]
    )


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def history(folder: Path) -> list[dict[str, str]]:
    with (folder / HISTORY_NAME).open(newline="") as lines:
        return list(csv.DictReader(lines))


def without_times(record: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(record.read_text())
    for iteration in values["iterations"]:
        del iteration["seconds"]
    return values


@pytest.fixture(scope="module")
def undisturbed(odd_run: Path, tmp_path_factory: pytest.TempPathFactory, cache: Path) -> tuple[Path, Result]:  # noqa: ARG001  # set before
    folder = tmp_path_factory.mktemp("undisturbed") / "tuning"
    return folder, autotune(odd_run, folder, "--target-recall", "1", "--max-iterations", "3", "--verbose")


def test_a_model_that_knows_nothing_is_brought_further(odd_run: Path, undisturbed: tuple[Path, Result]) -> None:
    folder, done = undisturbed
    rows = history(folder)
    assert [row["iteration"] for row in rows] == list("0123")
    assert rows[0]["move"] == "given"
    assert any(row["kept"] == "1" for row in rows[1:]), "twenty steps teach it a tone"
    given, best = rows[0], [row for row in rows if row["kept"] == "1"][-1]
    assert (float(best["val_recall"]), -float(best["val_fah"])) >= (
        float(given["val_recall"]),
        -float(given["val_fah"]),
    )
    config = load_config(str(folder / "config.yaml"))
    assert config.export.probability_cutoff == float(best["probability_cutoff"])
    assert config.export.sliding_window_size == int(best["sliding_window_size"])
    assert (folder / "recordings.csv").read_bytes() == (odd_run / "recordings.csv").read_bytes()
    assert (folder / "lists" / "test_positive.txt").is_file()
    assert [path.name for path in (folder / "checkpoints").iterdir()] == [WEIGHTS.name]
    assert "learning rate 0.01, negatives weigh" in done.stderr
    assert "iteration 3 (" in done.stderr


def test_missed_targets_are_exit_code_1_after_all_figures(undisturbed: tuple[Path, Result]) -> None:
    folder, done = undisturbed
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1].startswith("error: targets missed: on validation ")
    assert "Test split, float model, 95 % intervals. Test data was not used to choose" in done.stdout
    assert f"mww-export --checkpoint {folder / WEIGHTS}" in done.stdout.replace("'", "")
    assert "warning: validation has 0.01 h: one false accept is" in done.stderr


def test_the_record_has_seed_corpus_and_figures_with_intervals(odd_run: Path, undisturbed: tuple[Path, Result]) -> None:
    record = json.loads((undisturbed[0] / RECORD_NAME).read_text())
    assert record["identity"]["seed"] == 0
    corpus = record["identity"]["recordings"]
    assert {split: corpus[split]["recordings"] for split in corpus} == {"train": 9, "val": 5, "test": 5}
    assert all(len(one["sha256"]) == 64 for one in corpus.values())
    given, best = record["measurements"]
    assert given["weights_sha256"] == record["identity"]["checkpoint"]
    assert best["weights_sha256"] == record["weights_sha256"] != given["weights_sha256"]
    low, high = best["rates"]["recall_95"]
    assert 0 <= low <= best["rates"]["recall"] <= high <= 1
    assert best["utterances"] == sum(
        one.split is Split.TEST and one.label == "positive" for one in read_recordings(odd_run)
    )


def test_the_folder_is_a_run_for_other_commands(undisturbed: tuple[Path, Result]) -> None:
    folder, _ = undisturbed
    done = CliRunner().invoke(
        evaluate_app, ["--checkpoint", str(folder / WEIGHTS), "--split", "test", "--json", "--jobs", "1"]
    )
    assert done.exit_code == 0, done.output
    values = json.loads(done.stdout)
    point = values["point"]
    config = load_config(str(folder / "config.yaml"))
    assert (point["probability_cutoff"], point["window"]) == (
        config.export.probability_cutoff,
        config.export.sliding_window_size,
    )
    assert point["origin"] == "the configuration's"


def test_the_run_itself_is_never_changed(tiny_run: Path, tmp_path: Path) -> None:
    before = files(tiny_run)
    done = autotune(tiny_run, tmp_path / "tuning", "--target-recall", "1", "--max-iterations", "1")
    assert done.exit_code in (0, 1), done.output
    assert files(tiny_run) == before


def test_targets_that_a_cutoff_reaches_need_no_training(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FineTuner, "__init__", lambda *_: pytest.fail("nothing is to be trained"))
    done = autotune(tiny_run, tmp_path / "tuning", "--target-recall", "0.01", "--target-fah", "100000")
    assert "Ended: both targets are reached on validation (nothing was trained)" in done.stdout
    assert (tmp_path / "tuning" / WEIGHTS).read_bytes() == (tiny_run / WEIGHTS).read_bytes()
    assert len(history(tmp_path / "tuning")) == 1


def test_a_dry_run_writes_nothing(
    odd_run: Path, tmp_path: Path, undisturbed: tuple[Path, Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = autotune(odd_run, tmp_path / "tuning", "--target-recall", "1", "--dry-run")
    assert done.exit_code == 0, done.output
    assert list(tmp_path.iterdir()) == []
    for line in ("val  : 4 utterances of ", "First iteration: ", "steps were not timed", "Nothing was written."):
        assert line in done.stdout
    again = autotune(odd_run, undisturbed[0], "--target-recall", "1", "--dry-run")
    assert "s an iteration (median of 3 in the folder)" in again.stdout


# --- interrupts and kills
# ------------------------------------------------------------------------------------------------------


def test_what_is_interrupted_goes_on_to_the_same_end(
    odd_run: Path, undisturbed: tuple[Path, Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, arguments = tmp_path / "tuning", ["--target-recall", "1", "--max-iterations", "3"]
    train = FineTuner.train

    def interrupted(self: FineTuner, *given: Any) -> Any:
        trained = train(self, *given)
        if given[4] == 2:
            raise KeyboardInterrupt
        return trained

    with monkeypatch.context() as patch:
        patch.setattr(FineTuner, "train", interrupted)
        assert autotune(odd_run, folder, *arguments).exit_code == 130
    assert len(history(folder)) == 2
    with monkeypatch.context() as patch:
        # Killed when the record is written and nothing else yet.
        patch.setattr(TuningFolder, "settle", dying_after(TuningFolder.settle, calls=1))
        with pytest.raises(ZeroDivisionError):
            raise autotune(odd_run, folder, *arguments).exception or AssertionError
    done = autotune(odd_run, folder, *arguments)
    assert done.exit_code == 1, done.output
    assert "going on after iteration 2; best so far: iteration " in done.stderr
    assert without_times(folder / RECORD_NAME) == without_times(undisturbed[0] / RECORD_NAME)
    rows, expected = ([{**row, "seconds": ""} for row in history(one)] for one in (folder, undisturbed[0]))
    assert rows == expected
    assert (folder / "config.yaml").read_bytes() == (undisturbed[0] / "config.yaml").read_bytes()


def dying_after(settle: Any, calls: int) -> Any:
    left = [calls]

    def die(*arguments: Any) -> None:
        if not left[0]:
            raise ZeroDivisionError
        left[0] -= 1
        settle(*arguments)

    return die


def test_an_ended_tuning_is_told_again_and_not_measured_again(
    odd_run: Path, undisturbed: tuple[Path, Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(undisturbed[0], tmp_path / "tuning")
    monkeypatch.setattr(tune_module, "measure", lambda *_: pytest.fail("the test split was heard already"))
    monkeypatch.setattr(FineTuner, "train", lambda *_: pytest.fail("no iteration is left"))
    before = files(folder)
    done = autotune(odd_run, folder, "--target-recall", "1", "--max-iterations", "3")
    assert done.stdout.splitlines()[0] == undisturbed[1].stdout.splitlines()[0]
    assert files(folder) == before


def test_it_does_not_go_on_with_other_features(
    odd_run: Path, undisturbed: tuple[Path, Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(undisturbed[0], tmp_path / "tuning")

    def louder(*arguments: Any) -> Any:
        clips = stored_clips(*arguments)
        return replace(clips, positive=[np.minimum(clip, 126) + np.int8(1) for clip in clips.positive])

    monkeypatch.setattr(tune_module, "stored_clips", louder)
    before = files(folder)
    assert "the features to train on are others than when the tuning began" in refused(
        odd_run, folder, "--target-recall", "1", "--max-iterations", "4"
    )
    assert files(folder) == before


def test_what_a_kill_left_half_written_goes(odd_run: Path, undisturbed: tuple[Path, Result], tmp_path: Path) -> None:
    folder = shutil.copytree(undisturbed[0], tmp_path / "tuning")
    before = files(folder)
    for half in (".tuning.json.a1.partial", "checkpoints/.candidate.weights.h5.a1.partial.weights.h5"):
        (folder / half).touch()
    autotune(odd_run, folder, "--target-recall", "1", "--max-iterations", "3")
    assert files(folder) == before


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_process_goes_on(odd_run: Path, undisturbed: tuple[Path, Result], tmp_path: Path) -> None:
    folder = tmp_path / "tuning"
    arguments = [
        "--checkpoint",
        str(odd_run / WEIGHTS),
        "--output-dir",
        str(folder),
        *SHORT,
        "--target-recall",
        "1",
        "--max-iterations",
        "3",
    ]
    not_compiled = "from trainer.training import step; step.COMPILED = False"
    script = [sys.executable, "-c", f"{not_compiled}; from trainer.tuning.cli import autotune_app; autotune_app()"]
    script += arguments
    with subprocess.Popen(
        script, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        deadline = time.monotonic() + DEADLINE_S
        while not (folder / HISTORY_NAME).is_file() or len(history(folder)) < 3:
            assert time.monotonic() < deadline, "no iteration ended in time"
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
    done = subprocess.run(script, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 1, done.stderr
    killed, whole = without_times(folder / RECORD_NAME), without_times(undisturbed[0] / RECORD_NAME)
    # Another process may add up in another order, but not so that it shows.
    assert [one["move"] for one in killed["iterations"]] == [one["move"] for one in whole["iterations"]]
    np.testing.assert_allclose(
        [one["loss"] for one in killed["iterations"][1:]], [one["loss"] for one in whole["iterations"][1:]], rtol=1e-3
    )


# --- refusals
# ------------------------------------------------------------------------------------------------------------------


def refused(run: Path, output: Path, *arguments: str) -> str:
    done = autotune(run, output, *arguments)
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    line = done.stderr.splitlines()[-1]
    assert line.startswith("error: ")
    return line


def test_wrong_input_is_refused_before_any_work(tiny_run: Path, tmp_path: Path) -> None:
    output = tmp_path / "tuning"
    assert "--target-fah is 0; give false accepts" in refused(tiny_run, output, "--target-fah", "0")
    assert "--target-recall is 92; give a share" in refused(tiny_run, output, "--target-recall", "92")
    assert "did you mean training.batch_size?" in refused(tiny_run, output, "--set", "training.batchsize=3")
    assert "nowhere.yaml: cannot be read" in refused(tiny_run, output, "--override", "nowhere.yaml")
    assert "not the weights of this model" in refused(tiny_run, output, "--set", "model.first_conv_filters=8")
    assert "does not exist; give the checkpoints/best_weights.weights.h5" in refused(tmp_path, output)
    assert f"{tiny_run}: is the run of the checkpoint, which stays as it is" in refused(tiny_run, tiny_run)
    (tmp_path / "file").touch()
    assert "file: is a file; name a folder with --output-dir" in refused(tiny_run, tmp_path / "file")
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.yaml").touch()
    assert "holds a run that is no tuning; give another --output-dir" in refused(tiny_run, other)
    assert "holds a run that is no tuning; give another --output-dir" in refused(tiny_run, other, "--dry-run")
    assert not output.exists()


def test_what_this_machine_cannot_do_is_refused_before_any_work(tiny_run: Path, tmp_path: Path) -> None:
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        pytest.skip("this machine has a GPU")
    assert "performance.mixed_precision is true, but TensorFlow finds no GPU" in refused(
        tiny_run, tmp_path / "t", "--set", "performance.mixed_precision=true"
    )
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize(("split", "label"), [("test", "negative"), ("test", "positive"), ("val", "negative")])
def test_splits_that_miss_recordings(tiny_run: Path, tmp_path: Path, split: str, label: str) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run", ignore=shutil.ignore_patterns("audio"))
    table = run / "recordings.csv"
    table.write_text(
        "".join(line for line in table.read_text().splitlines(keepends=True) if f",{split},{label}," not in line)
    )
    assert f"its {split} split holds no {label} recordings to" in refused(run, tmp_path / "tuning")


def test_another_tuning_or_a_damaged_one_is_not_gone_on_with(
    odd_run: Path, tiny_run: Path, undisturbed: tuple[Path, Result], tmp_path: Path
) -> None:
    folder = shutil.copytree(undisturbed[0], tmp_path / "tuning")
    same = ["--target-recall", "1"]
    assert "holds a tuning with another target-recall;" in refused(odd_run, folder, "--target-recall", "0.9")
    assert "holds a tuning with another configuration;" in refused(
        odd_run, folder, *same, "--set", "training.batch_size=8"
    )
    assert "holds a tuning with another seed, configuration;" in refused(
        odd_run, folder, *same, "--set", "training.seed=8"
    )
    assert "holds a tuning with another recordings;" in refused(tiny_run, folder, *same)
    weights = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(weights[:-1])
    assert "not the weights that" in refused(odd_run, folder, *same)
    (folder / WEIGHTS).write_bytes(weights)
    record = (folder / RECORD_NAME).read_text()
    values = json.loads(record)
    damaged = [
        record[:-40],
        record.replace('"kept": true', '"kept": false'),
        record.replace('"window"', '"door"'),
        "[]",
    ]
    damaged += [json.dumps({key: value for key, value in values.items() if key != missing}) for missing in values]
    damaged.append(json.dumps(values | {"more": 1}))
    for place in (
        values["iterations"][0],
        values["iterations"][0]["recipe"],
        values["iterations"][0]["point"]["choice"],
        values["measurements"][0],
    ):
        place["more"] = 1
        damaged.append(json.dumps(values))
        del place["more"]
    for text in damaged:
        (folder / RECORD_NAME).write_text(text)
        assert "tuning.json: damaged (" in refused(odd_run, folder, *same)


def test_another_stretch_of_the_same_file_is_other_data() -> None:
    def corpus(name: str) -> dict[str, Any]:
        record = SampleRecord(Path(name), Label.NEGATIVE, Split.VAL, "negative/evening", 60.0, 16_000, sha256="0" * 64)
        return tune_module._corpus((record,), Split.VAL)

    first, later = corpus("evening.flac#t=0,60"), corpus("evening.flac#t=63,123")
    assert first["sha256"] != later["sha256"]
    assert corpus("evening.flac")["sha256"] == corpus("moved.flac")["sha256"]
