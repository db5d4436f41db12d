"""Train: the form of all settings, faults at their fields, cost, a training left and found, runs side by side."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from studio.jobs.desk import TRAINING
from studio.jobs.records import JobPhase
from studio.training.asked import AskedTraining, asked_training, begin_training
from studio.training.curves import HEIGHT, WIDTH, curve
from studio.training.form import FIRST, OUTPUT, form_of
from studio.training.runs import differing, run_of, runs_of
from studio.workspace import Workspace
from tests.studio.axe import violations
from tests.studio.servers import DEAF, StudioServer, end_jobs, wait_until
from tests.studio.tones import TINY, write_tones
from trainer.config.loader import load_config, preset_names
from wakeword.errors import ConfigError

if TYPE_CHECKING:
    from playwright.sync_api import Page

LOADING_MS = 240_000
"""A training imports TensorFlow first; on a busy machine that takes its time."""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    made = Workspace(tmp_path)
    made.own.mkdir()
    write_tones(tmp_path)
    monkeypatch.chdir(tmp_path)
    return made


@pytest.mark.parametrize("preset", preset_names())
def test_the_form_holds_every_setting_and_says_what_the_preset_says(preset: str) -> None:
    form = form_of(preset)
    given = [field.setting(field.value) for field in form.fields() if field.key != "export.wake_word"]
    word = "export.wake_word=word"
    assert load_config(preset, (), [word, *given]) == load_config(preset, (), [word])
    assert all(field.help for field in form.fields())
    keys = {field.key for field in form.fields()}
    assert set(FIRST) < keys
    fixed = {"hardware.sample_rate_hz", "hardware.mel_bins", "hardware.window_size_ms", "hardware.window_step_ms"}
    of_device = {"export.inference_input_type", "export.inference_output_type", "training.minimization_metric"}

    def leaves(values: dict[str, object], prefix: str) -> set[str]:
        return {
            one
            for key, value in values.items()
            for one in (leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}"})
        }

    every = leaves(load_config(preset, (), [word]).model_dump(mode="json"), "")
    assert every - keys == {OUTPUT, *fixed, *of_device}


def test_each_fault_is_told_at_its_field_as_the_command_tells_it(workspace: Workspace) -> None:
    form = {field.key: field.value for field in form_of("quick").fields()} | TINY | {"preset": "quick", "name": "tone"}
    wrong = {"training.batch_size": "0", "model.stride": "many", "training.optimizer": "foo"}
    _, faults = asked_training(workspace, form | wrong | {"name": "a b", "export.wake_word": ""})
    assert set(faults) == {*wrong, "name", "export.wake_word"}
    assert faults["training.batch_size"] == "is 0: it must be 1 or more, for example 128; correct it"
    assert faults["export.wake_word"].startswith(("is missing", "is ''"))
    _, faults = asked_training(workspace, form | {"training.learning_rates": "[0.1, 0.2, 0.3]"})
    assert faults, "values that do not go together"
    assert all("phase" in line for line in faults.values()), faults
    _, faults = asked_training(workspace, form | {"export.website": "here"})
    assert faults["export.website"].startswith("'here' is no full address")
    _, faults = asked_training(
        workspace, form | {"paths.negative_dir": "nowhere", "paths.positive_dir": "datasets/tone"}
    )
    assert faults["paths.negative_dir"].endswith("no such folder; it must hold the negative recordings")
    assert "paths.positive_dir" in faults
    (workspace.runs / "tone").mkdir(parents=True)
    _, faults = asked_training(workspace, form)
    assert faults == {"name": "there is a run tone; give another name, or go on with it on its own page"}


def test_the_name_of_a_training_that_waits_is_taken(workspace: Workspace) -> None:
    form = {field.key: field.value for field in form_of("quick").fields()} | TINY | {"preset": "quick", "name": "tone"}
    try:
        workspace.desk.place("First", "test", [DEAF], TRAINING)
        asked, _ = asked_training(workspace, form)
        assert asked is not None
        job = begin_training(workspace, asked)
        assert not (workspace.runs / "tone").exists()
        assert set(asked_training(workspace, form)[1]) == {"name"}
    finally:
        end_jobs(workspace, at_once=True)
    workspace.desk.remove(job.name)
    assert asked_training(workspace, form)[1] == {}, "what never began is nobody's"


@pytest.mark.parametrize(
    "content", ["{ a: [", "training:\nexport:\n", "training: {training_steps: many}\n", "[]\n", ""]
)
def test_a_run_whose_settings_are_damaged_hides_no_other(workspace: Workspace, content: str) -> None:
    written_run(workspace, "good", 3, [0.5])
    (workspace.runs / "bad").mkdir()
    (workspace.runs / "bad" / "config.yaml").write_text(content)
    bad, good = sorted(runs_of(workspace), key=lambda run: run.name)
    assert (bad.planned_steps, bad.wake_word) == (0, "")
    assert bool(bad.problem) is (not content.startswith("training"))
    assert good.wake_word == "tone"
    assert not good.problem


def test_only_what_was_changed_is_set(workspace: Workspace) -> None:
    form = {field.key: field.value for field in form_of("quick").fields()} | {"preset": "quick", "name": "tone"}
    form |= {"export.wake_word": "tone", "paths.positive_dir": TINY["paths.positive_dir"], "model.stride": "2"}
    asked, faults = asked_training(workspace, form | {"paths.negative_dir": TINY["paths.negative_dir"]})
    assert not faults
    assert asked is not None
    assert asked.command[:5] == ("mww-train", "--config", "quick", "--output", "runs/tone")
    assert asked.settings == (
        "export.wake_word=tone",
        "paths.positive_dir=datasets/tone/positive",
        "paths.negative_dir=datasets/tone/negative",
        "model.stride=2",
    )


def test_a_curve_stays_in_its_picture_and_is_told_in_words() -> None:
    drawn = curve("Recall", [500, 1000, 1500], [0.2, 1.0, 0.75], 1, 1.0, "%")
    assert all(0 <= across <= WIDTH and 0 <= up <= HEIGHT for across, up in drawn.points)
    assert drawn.marked == drawn.points[1]
    assert [tick.label for tick in drawn.across] == ["500", "1,000", "1,500"]
    assert [tick.label for tick in drawn.up] == ["0%", "50%", "100%"]
    assert drawn.summary == "Recall: from 20% at step 500 to 75% at step 1,500."
    rates = curve("False accepts per hour", [1, 2], [37.0, 0.0], None, 1.0, "")
    assert max(up for _, up in rates.points) <= HEIGHT
    assert min(up for _, up in rates.points) >= 0


def written_run(workspace: Workspace, name: str, stride: int, recalls: list[float]) -> None:
    folder = workspace.runs / name
    folder.mkdir(parents=True)
    values = load_config("quick", (), ["export.wake_word=tone", f"model.stride={stride}"]).model_dump(mode="json")
    (folder / "config.yaml").write_text(yaml.safe_dump(values))
    with (folder / "validation.csv").open("w", newline="") as table:
        rows = csv.writer(table)
        rows.writerow(["step", "recall", "false_accepts_per_hour", "average_viable_recall", "hours", "best"])
        for number, recall in enumerate(recalls, 1):
            rows.writerow([500 * number, recall, 0.5, recall, 1.25, int(recall == max(recalls[:number]))])
        table.write("2500,0.9")  # a row that is just being written


def test_runs_are_read_while_they_are_written(workspace: Workspace) -> None:
    written_run(workspace, "one", 3, [0.5, 0.8, 0.7])
    run = run_of(workspace, "runs/one")
    assert (run.last_step, run.planned_steps, run.wake_word) == (1500, 4500, "tone")
    assert run.best is not None
    assert (run.best.step, run.best.recall) == (1000, 0.8)
    written_run(workspace, "two", 2, [0.6])
    assert differing(runs_of(workspace)) == ["model.stride"]
    with pytest.raises(ConfigError, match="there is no such run"):
        run_of(workspace, "runs/three")
    with pytest.raises(ConfigError, match="not in the workspace"):
        run_of(workspace, "../elsewhere")


def test_runs_stand_side_by_side(visit: Callable[..., Page], studio: StudioServer) -> None:
    written_run(studio.workspace, "one", 3, [0.5, 0.8, 0.7])
    written_run(studio.workspace, "two", 2, [0.6])
    page = visit("/train/", width=420)
    page.get_by_label("Compare one").check()
    page.get_by_role("button", name="Side by side").click()
    page.get_by_text("choose 2 to 6 runs").wait_for()
    page.go_back()
    page.get_by_label("Compare one").check()
    page.get_by_label("Compare two").check()
    page.get_by_role("button", name="Side by side").click()
    row = page.get_by_role("row").filter(has_text="model.stride")
    assert sorted(row.get_by_role("cell").all_inner_texts()) == ["2", "3"]
    assert violations(page) == []
    page.get_by_role("link", name="one").click()
    page.get_by_role("img", name="Recall: from 50% at step 500 to 70% at step 1,500.").wait_for()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 420


def test_faults_are_shown_at_their_fields(visit: Callable[..., Page], studio: StudioServer) -> None:
    write_tones(studio.workspace.root)
    page = visit("/train/new", width=420)
    assert page.get_by_label("Recordings of the wake word").input_value() == "datasets/tone/positive"
    page.get_by_label("Name", exact=True).fill("tone")
    page.get_by_label("Wake word", exact=True).fill("tone")
    page.get_by_label("Find a setting").fill("batch size")
    page.locator("[id='training.batch_size']").fill("0")
    page.get_by_label("Find a setting").fill("")
    page.get_by_role("button", name="Begin training").click()
    page.get_by_text("is 0: it must be 1 or more, for example 128; correct it").wait_for()
    assert page.evaluate("document.activeElement.id") == "training.batch_size"
    assert page.locator("#section-training [data-changed]").inner_text() == "1 changed"
    assert violations(page) == []
    page.get_by_label("Recipe").select_option("standard")
    page.locator("[data-default='[20000, 10000]']").wait_for(state="attached")
    assert page.locator("[id='training.batch_size']").input_value() == "0", "what was changed by hand stays"
    assert page.locator("[id='training.training_steps']").input_value() == "[20000, 10000]"
    assert not studio.workspace.desk.jobs()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_training_is_priced_begun_left_found_stopped_and_ends(
    visit: Callable[..., Page], studio: StudioServer
) -> None:
    write_tones(studio.workspace.root)
    page = visit("/train/new")
    page.get_by_label("Name", exact=True).fill("tone")
    for key, value in (TINY | {"training.training_steps": "[4000]", "training.eval_step_interval": "100"}).items():
        page.evaluate(
            "([key, value]) => { const one = document.getElementById(key); one.value = value; "
            "one.dispatchEvent(new Event('input', {bubbles: true})); }",
            [key, value],
        )
    page.get_by_role("button", name="What would it cost?").click()
    page.get_by_text("All checks are passed, and nothing was written.").wait_for(timeout=LOADING_MS)
    assert "ESP32-S3" in page.get_by_label("Dry run").inner_text()
    assert not studio.workspace.runs.exists()
    page.get_by_role("button", name="Begin training").click()
    page.wait_for_url("**/train/run/runs/tone")
    page.close()
    again = visit("/train/")
    again.get_by_role("link", name="tone").click()
    again.get_by_text("At work: step 1 of 2").wait_for()
    again.get_by_role("img", name="Recall: from").wait_for(timeout=LOADING_MS)
    again.get_by_role("button", name="Stop").click()
    again.get_by_text("Stopped", exact=True).wait_for(timeout=LOADING_MS)
    stopped_at = run_of(studio.workspace, "runs/tone").last_step
    assert 0 < stopped_at < 4000
    again.get_by_role("button", name="Go on").click()
    again.locator(".log").get_by_text("going on after step").wait_for(timeout=LOADING_MS)
    again.get_by_text("Done", exact=True).wait_for(timeout=LOADING_MS)
    assert run_of(studio.workspace, "runs/tone").last_step == 4000
    assert (studio.workspace.models / "tone" / "tone.tflite").is_file()
    assert violations(again) == []


def test_two_trainings_wait_for_a_third(visit: Callable[..., Page], studio: StudioServer) -> None:
    write_tones(studio.workspace.root)
    settings = tuple(f"{key}={value}" for key, value in (TINY | {"training.training_steps": "[100000]"}).items())
    jobs = [
        begin_training(studio.workspace, AskedTraining(name, "fast_test", settings, export=False))
        for name in ("one", "two", "three")
    ]
    page = visit("/jobs/")
    page.get_by_text("Waits for its turn, behind job 0001, 0002").wait_for()
    page.get_by_text("1 running, 2 waiting").wait_for()
    assert violations(page) == []
    page.goto(f"{studio.origin}/train/run/runs/three")
    page.get_by_text("Waits for its turn").wait_for()
    wait_until(studio.workspace.desk, lambda: studio.workspace.desk.job(jobs[2].name).state.pid, "its process waits")
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("Stopped", exact=True).wait_for()
    end_jobs(studio.workspace)
    assert {studio.workspace.desk.job(job.name).phase for job in jobs} == {JobPhase.STOPPED}
    shutil.rmtree(studio.workspace.runs, ignore_errors=True)
