"""The page Results: real simulations of a real model, at its cutoff and at others, compared, heard and handed out."""

from __future__ import annotations

import http.client
import io
import json
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.results.merge import merge_results
from harness.results.other_cutoff import result_at, result_curve
from harness.results.schema import read_result, write_result
from studio.measured.found import found_results, measured_by
from studio.measured.measuring import measuring_steps
from studio.measured.sweep import MOST_SHOWN, sweep
from studio.workspace import Workspace
from tests.spoken import Spoken
from tests.studio.axe import violations
from tests.studio.servers import StudioServer, wait_until
from wakeword.contract import cutoff_to_uint8
from wakeword.device_model import load_model
from wakeword.errors import ConfigError

if TYPE_CHECKING:
    from playwright.sync_api import Page

type Visit = Callable[..., Page]


@pytest.fixture
def workspace(studio: StudioServer, simulated: Path) -> Workspace:
    shutil.copytree(simulated, studio.workspace.root, dirs_exist_ok=True)
    return studio.workspace


def of_cutoff(workspace: Workspace, cutoff: float) -> str:
    return next(one.key for one in found_results(workspace).measured if one.result.model.cutoff == cutoff)


def test_results_of_a_model_stand_together_as_the_report_merges_them(simulated: Path) -> None:
    found = found_results(Workspace(simulated))
    (own,) = (one for one in found.measured if one.result.model.cutoff == 0.9)
    assert sorted(own.files) == ["results/own_speech.json", "results/own_words.json"]
    merged = merge_results([read_result(simulated / "results" / f"own_{part}.json") for part in ("words", "speech")])
    assert own.result.scores == merged.scores
    assert len(found.measured) == 2
    assert found.problems == ()


def test_the_sweep_is_the_curve_of_the_report(simulated: Path) -> None:
    one = found_results(Workspace(simulated)).measured[0]
    curve, told = result_curve(one.result), sweep(one)
    assert curve is not None
    assert [row[3] for row in told["recall"]] == curve.detected[1:255].tolist()
    assert [row[3] for row in told["rate"]] == curve.false_accepts[1:255].tolist()
    for cutoff in (100, 229):
        recall = result_at(one.result, cutoff).scores.recall
        assert recall is not None
        assert told["recall"][cutoff - 1][:3] == [recall.rate, recall.low, recall.high]
        assert cutoff_to_uint8(told["probabilities"][cutoff - 1]) == cutoff


def test_results_that_cannot_stand_together_stand_alone_with_the_reason(simulated: Path, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    first = read_result(simulated / "results" / "own_words.json")
    write_result(first, tmp_path / "results" / "one.json")
    other = first.runs[0].model_copy(update={"label": "again", "detections": first.runs[0].detections[:-1]})
    write_result(first.model_copy(update={"runs": (other,)}), tmp_path / "results" / "two.json")
    (tmp_path / "results" / "broken.json").write_text('{\n "schema_version": 1,\n "created": "x"}')
    (tmp_path / "results" / "card.json").write_text('{"schema_version": 1, "wake_word": "x"}')
    found = found_results(Workspace(tmp_path))
    assert [len(one.files) for one in found.measured] == [1, 1]
    assert all(one.apart for one in found.measured)
    assert len({one.key for one in found.measured}) == 2
    (problem,) = found.problems
    assert problem.startswith("results/broken.json: ")
    with pytest.raises(ConfigError, match="there is no result"):
        measured_by(Workspace(tmp_path), "0" * 12)


def test_the_slider_shows_what_another_cutoff_gives_and_what_it_misses(
    visit: Visit, workspace: Workspace, studio: StudioServer
) -> None:
    page = visit("/results/")
    assert page.locator(".measured li").count() == 2
    key = of_cutoff(workspace, 0.9)
    page.locator(f".measured a[href='/results/{key}']").click()
    page.locator("#knows").wait_for()
    one = measured_by(workspace, key)
    assert one.result.scores.recall is not None
    words = int(one.result.scores.recall.of)
    assert f"{one.result.scores.recall.count} of {words}" in page.locator("#at-recall-interval").inner_text()
    cutoff = 254
    page.get_by_label("Probability cutoff").fill(str(cutoff))
    page.locator(f".at-sentence[data-cutoff='{cutoff}']").wait_for()
    decided = result_at(one.result, cutoff).scores
    assert decided.recall is not None
    missed = int(decided.recall.of) - decided.recall.count
    assert missed > 0, "this cutoff misses nothing, so nothing of it is shown"
    assert page.get_by_role("region", name="Missed").get_by_role("heading").inner_text().split() == [
        "Missed",
        str(missed),
    ]
    assert f"{decided.recall.count} of {words}" in page.locator("#at-recall-interval").inner_text()
    why = page.get_by_text("leaves them out, since they would stand beside a manifest with other figures")
    assert why.is_visible(), "a card is of the cutoff that was measured, and the page says so"
    assert page.get_by_role("region", name="Missed").locator(".exhibit").count() == min(missed, MOST_SHOWN)
    page.locator("[data-wav]").first.click()
    page.locator(".listen.playing").first.wait_for()
    assert violations(page) == []
    with page.expect_download() as download:
        page.get_by_role("link", name="Manifest").click()
    folder = studio.workspace.models / "alexa"
    taken = folder / "taken.json"
    download.value.save_as(taken)
    assert load_model(taken).point.cutoff == cutoff
    manifests = [json.loads(path.read_text()) for path in (taken, folder / "alexa.json")]
    for each in manifests:
        each["micro"].pop("probability_cutoff")
    assert manifests[0] == manifests[1]
    page.get_by_role("button", name="Back to it").click()
    why.wait_for(state="hidden")


def test_two_are_compared_pair_by_pair_and_the_report_opens(visit: Visit, workspace: Workspace) -> None:
    page = visit("/results/", width=420, color_scheme="dark")
    compare = page.get_by_role("button", name="Compare")
    assert compare.is_disabled()
    for box in page.get_by_role("checkbox").all():
        box.check()
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    assert violations(page) == []
    compare.click()
    frame = page.frame_locator("iframe")
    frame.get_by_text(re.compile(r"Of \d+ utterances heard by both")).first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    page.goto(page.url.split("/results/")[0] + f"/results/{of_cutoff(workspace, 0.9)}")
    page.locator("#knows").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    assert violations(page) == []
    page.get_by_text("The report, in this page").click()
    page.frame_locator("iframe").get_by_role("heading", name="Alexa").wait_for()
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Open the report").click()
    opened.value.get_by_role("heading", name="Alexa").wait_for()


def test_a_long_list_of_results_has_pages_and_what_is_chosen_on_one_is_compared_with_another(
    visit: Visit, workspace: Workspace
) -> None:
    words = read_result(workspace.results / "own_words.json")
    for cutoff in range(100, 125):
        write_result(result_at(words, cutoff), workspace.results / f"at_{cutoff}.json")
    page = visit("/results/")
    rows = page.locator(".measured li")
    assert rows.count() == 20
    first = page.get_by_role("checkbox").first
    first.check()
    chosen = [str(first.get_attribute("value"))]
    page.get_by_role("link", name="Next").click()
    page.get_by_text("Page 2 of 2").wait_for()
    assert rows.count() == 7
    assert page.locator("#compare-help").inner_text() == "1 chosen; choose one more."
    assert page.get_by_role("button", name="Compare").is_disabled()
    last = page.get_by_role("checkbox").last
    last.check()
    chosen.append(str(last.get_attribute("value")))
    page.get_by_role("link", name="Previous").click()
    page.get_by_text("Page 1 of 2").wait_for()
    assert page.get_by_role("checkbox").first.is_checked()
    assert page.locator("#compare-help").inner_text() == "2 chosen."
    assert violations(page) == []
    page.get_by_role("button", name="Compare").click()
    page.get_by_role("heading", name="Compared").wait_for()
    links = page.locator(".sentence a")
    assert {str(one.get_attribute("href")).rpartition("/")[2] for one in links.all()} == set(chosen)


def asked(studio: StudioServer, path: str) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", studio.port, timeout=120)
    headers = {"Host": f"127.0.0.1:{studio.port}", "Cookie": f"studio_{studio.port}={studio.token}"}
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, str(response.getheader("Content-Security-Policy")), content


def test_all_that_a_device_and_a_reader_need_is_handed_out(studio: StudioServer, workspace: Workspace) -> None:
    key = of_cutoff(workspace, 0.9)
    status, policy, content = asked(studio, f"/results/{key}/all")
    assert (status, "default-src 'none'" in policy) == (200, True)
    archive = zipfile.ZipFile(io.BytesIO(content))
    assert sorted(archive.namelist()) == [
        "alexa.card.json",
        "alexa.card.svg",
        "alexa.esphome.yaml",
        "alexa.json",
        "alexa.tflite",
    ]
    assert archive.read("alexa.tflite") == (workspace.models / "alexa" / "alexa.tflite").read_bytes()
    assert archive.read("alexa.json") == (workspace.models / "alexa" / "alexa.json").read_bytes()
    card = json.loads(archive.read("alexa.card.json"))
    assert (card["source"], card["model"]["cutoff"]) == ("simulated", 0.9), "the card tells what was measured"
    assert str(workspace.root) not in archive.read("alexa.card.json").decode()
    assert "simulated" in archive.read("alexa.card.svg").decode()
    assert asked(studio, f"/results/{key}/manifest")[2] == (workspace.models / "alexa" / "alexa.json").read_bytes()
    other = zipfile.ZipFile(io.BytesIO(asked(studio, f"/results/{key}/all?cutoff=200")[2]))
    assert cutoff_to_uint8(json.loads(other.read("alexa.json"))["micro"]["probability_cutoff"]) == 200
    assert sorted(other.namelist()) == ["alexa.esphome.yaml", "alexa.json", "alexa.tflite"], (
        "a card and a badge beside this manifest would tell of another cutoff"
    )


def test_a_manifest_of_version_1_is_not_handed_out_at_another_cutoff(
    studio: StudioServer, workspace: Workspace
) -> None:
    """Its cutoff cannot be changed here, and it must not look as if it were."""
    key = of_cutoff(workspace, 0.9)
    path = workspace.models / "alexa" / "alexa.json"
    told = json.loads(path.read_text()) | {"version": 1}
    told["micro"] = {"probability_cutoff": 0.9, "sliding_window_average_size": told["micro"]["sliding_window_size"]}
    path.write_text(json.dumps(told))
    assert asked(studio, f"/results/{key}/manifest")[2] == path.read_bytes()
    for kind in ("manifest", "all"):
        status, _, content = asked(studio, f"/results/{key}/{kind}?cutoff=200")
        assert (status, b"version 1" in content) == (422, True), kind


def test_what_a_result_names_outside_of_the_workspace_is_not_handed_out(
    studio: StudioServer, workspace: Workspace, official_models: Path
) -> None:
    outside = workspace.root.parent / "outside"
    shutil.copytree(official_models, outside)
    path = workspace.results / "own_words.json"
    result = read_result(path)
    for manifest in ("../outside/alexa.json", str(outside / "alexa.json")):
        moved = result.model.model_copy(update={"manifest_path": manifest, "cutoff_uint8": 100})
        write_result(result.model_copy(update={"model": moved}), path)
        key = next(one.key for one in found_results(workspace).measured if one.result.model.cutoff_uint8 == 100)
        for kind in ("model", "manifest", "all"):
            assert asked(studio, f"/results/{key}/{kind}")[0] == 422, kind
        assert b"outside of the workspace" in asked(studio, f"/results/{key}")[2]
    for address in (
        "/results/..%2f..%2fetc",
        f"/results/{key}/..%2falexa.json",
        "/results/compare?of=../x&of=../y",
        "/results/compare",
    ):
        assert asked(studio, address)[0] in (404, 422), address


def test_a_model_that_changed_since_is_not_handed_out(studio: StudioServer, workspace: Workspace) -> None:
    key = of_cutoff(workspace, 0.9)
    model = workspace.models / "alexa" / "alexa.tflite"
    model.write_bytes(model.read_bytes() + b"more")
    assert asked(studio, f"/results/{key}/model")[0] == 422
    assert b"another one than was measured" in asked(studio, f"/results/{key}")[2]


def test_a_model_is_measured_on_a_dataset_as_a_job(visit: Visit, workspace: Workspace, spoken: Spoken) -> None:
    for label, paths in (("positive/anna", spoken.words[:3]), ("negative", spoken.speech[:1])):
        folder = workspace.datasets / "mine" / label
        folder.mkdir(parents=True)
        for path in paths:
            shutil.copy(path, folder)
    page = visit("/results/")
    page.get_by_label("Who spoke").select_option("recorded")
    page.get_by_role("button", name="Measure").click()
    page.wait_for_url("**/jobs/0001/")
    wait_until(workspace.desk, lambda: not workspace.desk.job("0001").alive, "it is measured")
    assert workspace.desk.job("0001").phase == "done", workspace.desk.log("0001")[0]
    *results, report = (step.command[-1] for step in workspace.desk.job("0001").order.steps)
    (one,) = (one for one in found_results(workspace).measured if results[0] in one.files)
    assert one.result.model.cutoff == 0.9
    assert one.apart, "these words were in the other results too, and are not counted twice"
    assert (workspace.root / report).is_file()


def test_two_models_of_one_file_name_have_results_of_their_own(
    simulated: Path, official_models: Path, tmp_path: Path
) -> None:
    """Neither another model, nor another cutoff, nor a dataset that is called nearly the same takes a result away."""
    workspace = Workspace(tmp_path)
    told = json.loads((official_models / "alexa.json").read_text())
    for version, model, cutoff in (("v1", "alexa", 0.9), ("v2", "okay_nabu", 0.9), ("v3", "alexa", 0.5)):
        folder = workspace.models / version
        folder.mkdir(parents=True)
        told["micro"]["probability_cutoff"] = cutoff
        (folder / "alexa.json").write_text(json.dumps(told))
        shutil.copy(official_models / f"{model}.tflite", folder / "alexa.tflite")
    for dataset in ("a b", "a_b"):
        shutil.copytree(simulated / "corpus" / "words", workspace.datasets / dataset / "positive" / "anna")

    def written(version: str, dataset: str) -> list[str]:
        steps = measuring_steps(workspace, f"models/{version}/alexa.json", dataset, None)
        return [step.command[-1] for step in steps]

    asked = [(version, dataset) for version in ("v1", "v2", "v3") for dataset in ("a b", "a_b")]
    files = [file for version, dataset in asked for file in written(version, dataset)]
    assert len(set(files)) == len(files) == 12
    assert written("v1", "a b") == files[:2], "measured again it takes the place of what it was"
    assert re.fullmatch(r"results/alexa_a_b_[0-9a-f]{8}_words\.json", files[0])


def test_an_empty_dataset_and_a_foreign_model_are_not_measured(simulated: Path) -> None:
    workspace = Workspace(simulated)
    with pytest.raises(ConfigError, match="holds neither"):
        measuring_steps(workspace, "models/alexa/alexa.json", "mine", None)
    with pytest.raises(ConfigError, match="not in the workspace"):
        measuring_steps(workspace, "../x.json", "mine", None)
    with pytest.raises(ConfigError, match="dataset"):
        measuring_steps(workspace, "models/alexa/alexa.json", "../..", None)


def test_without_results_the_page_says_where_they_come_from(visit: Visit) -> None:
    assert "Nothing has been measured in this workspace yet" in visit("/results/").locator("main").inner_text()
