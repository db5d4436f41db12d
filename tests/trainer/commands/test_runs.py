"""Trainings in a run's folder: tried, learning from an earlier one, longer, refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.commands import one_line_error, run, run_apart
from tests.trainer.commands.cycle import WEIGHTS, Cycle
from trainer.config.loader import load_config
from trainer.data.dataset import read_recordings
from trainer.data.split import Split
from wakeword.locks import FOLDER_LOCK, hold_folder
from wakeword.model.float_model import read_record

pytestmark = pytest.mark.usefixtures("steps_not_compiled")


def test_a_run_learns_from_the_one_before(cycle: Cycle, tmp_path: Path) -> None:
    before = (cycle.run / WEIGHTS).read_bytes()
    taught = [
        "--set",
        f"training.teachers=[{cycle.run / WEIGHTS}]",
        "--set",
        "training.seed=1",
        "--set",
        f"paths.splits={cycle.run / 'recordings.csv'}",
    ]
    arguments = [*cycle.train_arguments(tmp_path / "run"), *taught, "--jobs", 1]
    dry = run(cycle.cache, "mww-train", *arguments, "--dry-run")
    trained = run(cycle.cache, "mww-train", *arguments)
    assert trained.returncode == 0, trained.stderr
    for said in (dry.stdout, trained.stderr + trained.stdout):
        assert "90% of the loss is what an earlier model says" in said
    assert (tmp_path / "run" / WEIGHTS).is_file()
    assert (cycle.run / WEIGHTS).read_bytes() == before
    other_split = run(
        cycle.cache, "mww-train", *cycle.train_arguments(tmp_path / "other"), *taught[:2], "--set", "training.seed=3"
    )
    assert other_split.returncode == 2, other_split.stderr
    assert "which validates or tests this run" in other_split.stderr.splitlines()[-1]
    assert not (tmp_path / "other").exists()


def test_learning_rates_are_tried_and_nothing_but_a_plot_is_left(cycle: Cycle, tmp_path: Path) -> None:
    arguments = [*cycle.train_arguments(tmp_path / "run"), "--jobs", 1, "--find-lr"]
    done = run(cycle.cache, "mww-train", *arguments, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["run.find-lr.png"]
    assert (tmp_path / "run.find-lr.png").read_bytes().startswith(b"\x89PNG")
    assert "a tenth of" in done.stdout
    assert "To train with it: --set training.learning_rates=[" in done.stdout
    again = run(cycle.cache, "mww-train", *arguments, folder=tmp_path)
    assert again.stdout.splitlines()[0] == done.stdout.splitlines()[0], "the same configuration gives the same rate"
    both = run(cycle.cache, "mww-train", *arguments, "--dry-run", folder=tmp_path)
    assert (both.returncode, both.stdout) == (2, "")
    assert "--dry-run writes nothing, and --find-lr draws a plot" in one_line_error(both)


def test_ratios_want_hard_negatives_that_are_there(cycle: Cycle, tmp_path: Path) -> None:
    ratios = ["--set", "training.batch_ratios=[1,2,1]"]
    refused = run(cycle.cache, "mww-train", *cycle.train_arguments(tmp_path / "run"), *ratios)
    assert refused.returncode == 2
    assert "training.batch_ratios [1, 2, 1] want hard negatives, and none train" in refused.stderr.splitlines()[-1]
    assert not (tmp_path / "run").exists()


def test_a_dry_run_tells_what_would_be_trained_and_writes_nothing(cycle: Cycle, tmp_path: Path) -> None:
    cycle_before = [(path, path.stat().st_mtime_ns) for path in sorted(cycle.root.rglob("*"))]
    cache, corpus = tmp_path / "cache", shutil.copytree(cycle.corpus, tmp_path / "corpus")
    (corpus / "negative" / "notes, and more.txt").write_text("x")
    before = sorted(tmp_path.rglob("*"))
    arguments = cycle.train_arguments(tmp_path / "run", corpus)
    done = run(cache, "mww-train", *arguments, "--dry-run", "--set", "performance.max_memory_gb=2", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    table = read_recordings(cycle.run)
    clips = sum(record.label == "positive" for record in table)
    for said in (
        "ESP32-S3 N8R8",
        "tensor arena",
        "MACs",
        f"warning: only {clips} positive clips",
        "notes, and more.txt",
        ".txt is not a known kind of audio file",
        f"folder {tmp_path / 'run'}: a new run",
        "150 + 10 steps of 8 windows, 8 evaluations",
        "limited to 2",
        "All checks are passed, and nothing was written.",
    ):
        assert "".join(said.split()) in "".join(done.stdout.split()), (
            done.stdout
        )  # lines are broken at the terminal's width
    for split in Split:
        positives = [record for record in table if record.split is split and record.label == "positive"]
        (row,) = [line.split() for line in done.stdout.splitlines() if line.startswith(f"{split.value} ")]
        assert row[1:3] == [str(len(positives)), str(len({record.speaker for record in positives}))]
    assert sorted(tmp_path.rglob("*")) == before
    assert [(path, path.stat().st_mtime_ns) for path in sorted(cycle.root.rglob("*"))] == cycle_before

    refused = run(
        cache, "mww-train", *arguments, "--dry-run", "--set", "performance.max_memory_gb=0.25", folder=tmp_path
    )
    assert refused.returncode == 2
    assert "max_memory_gb is 0.25, but training takes about" in refused.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_is_fine_tuned_for_int8_arithmetic_and_its_export_tells_what_that_gained(
    cycle: Cycle, tmp_path: Path
) -> None:
    folder = shutil.copytree(cycle.run, tmp_path / "run")
    phase = ["--set", "training.quantization_aware_steps=30", "--jobs", 1]
    arguments = [*cycle.train_arguments(folder), *phase]
    dry = run(cycle.cache, "mww-train", *arguments, "--dry-run")
    assert "then 30 quantisation-aware steps, 2 evaluations" in dry.stdout
    trained = run(cycle.cache, "mww-train", *arguments)
    assert trained.returncode == 0, trained.stderr
    weights = folder / "quantization_aware" / WEIGHTS.name
    assert f"Weights: {weights}" in trained.stdout
    assert "(simulated int8 arithmetic, validation data, which chose them)" in trained.stdout
    assert "Before the fine-tuning, in the same arithmetic: recall" in trained.stdout
    assert (folder / WEIGHTS).read_bytes() == (cycle.run / WEIGHTS).read_bytes()
    table = (weights.parent / "validation.csv").read_text().splitlines()
    assert [line.partition(",")[0] for line in table[1:]] == ["20", "30"]

    exported = run(cycle.cache, "mww-export", "--checkpoint", weights, "--output", tmp_path / "out", "--jobs", 1)
    assert exported.returncode == 0, exported.stderr
    record = read_record(tmp_path / "out" / "computer.tflite")
    assert record is not None
    assert [figures.form for figures in record.forms] == ["float", "int8", "int8, quantisation-aware"]
    assert record.forms[0].agreement is None
    assert record.forms[2].agreement == record.agreement
    for figures in record.forms:
        assert f"{figures.form}: {figures.detected}/{figures.utterances} utterances found" in exported.stdout


def test_a_run_with_other_settings_or_recordings_is_refused_and_unharmed(cycle: Cycle, tmp_path: Path) -> None:
    folder = shutil.copytree(cycle.run, tmp_path / "run")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    arguments = cycle.train_arguments(folder)
    refused = one_line_error(
        run(cycle.cache, "mww-train", *arguments, "--set", "training.seed=1", "--set", "export.author=me")
    )
    assert f"{folder}: holds a run with another training.seed, export.author;" in refused
    moved = [
        *arguments,
        "--set",
        "performance.num_workers=1",
        "--set",
        "paths.export_dir=elsewhere",
        "--set",
        "training.seed=1",
    ]
    assert f"{folder}: holds a run with another training.seed;" in one_line_error(run(cycle.cache, "mww-train", *moved))

    (folder / "recordings.csv").write_bytes(before[folder / "recordings.csv"].replace(b",val,", b",test,", 1))
    done = run(cycle.cache, "mww-train", *arguments)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(
        f"error: {folder}: holds a run with other recordings than are found now; give another --output"
    )
    (folder / "recordings.csv").write_bytes(before[folder / "recordings.csv"])
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_finished_run_goes_on_with_more_steps_of_its_last_phase_and_with_nothing_else(
    cycle: Cycle, tmp_path: Path
) -> None:
    folder = shutil.copytree(cycle.run, tmp_path / "run")
    arguments = cycle.train_arguments(folder)
    for steps in ("[151, 10]", "[150, 9]", "[150, 10, 5]"):
        others = (
            [
                f"training.{name}=[1, 1, 1]"
                for name in ("learning_rates", "positive_class_weight", "negative_class_weight")
            ]
            if steps.count(",") == 2
            else []
        )
        given = [part for setting in (f"training.training_steps={steps}", *others) for part in ("--set", setting)]
        masks = (
            ["--set", "training.time_mask_max_size=[5, 0, 0]", "--set", "training.time_mask_count=[1, 0, 0]"]
            if others
            else []
        )
        refused = one_line_error(run(cycle.cache, "mww-train", *arguments, *given, *masks))
        assert "of training.training_steps [150, 10] the last number alone may change, to 10 or more" in refused
    done = run(cycle.cache, "mww-train", *arguments, "--set", "training.training_steps=[150, 30]", "--jobs", 1)
    assert done.returncode == 0, done.stderr
    assert "going on after step 160" in done.stderr
    assert "180 steps in all; 160 were planned before" in (folder / "training.log").read_text()
    assert [row.partition(",")[0] for row in (folder / "validation.csv").read_text().splitlines()[1:]] == [
        str(step) for step in range(20, 181, 20)
    ]
    assert load_config(str(folder / "config.yaml")).training.training_steps == (150, 30)


def test_a_folder_that_another_process_trains_in_is_left_alone(cycle: Cycle, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with hold_folder(folder, ""):
        refused = one_line_error(run_apart(cycle.cache, "mww-train", *cycle.train_arguments(folder)), 3)
        assert [path.name for path in folder.iterdir()] == [FOLDER_LOCK]
    assert f"{folder}: in use by pid {os.getpid()} (" in refused
    assert refused.endswith("wait until it has ended, or give another --output")
