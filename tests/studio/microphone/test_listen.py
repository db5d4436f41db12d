"""The page Listen in a browser whose microphone says the wake word: what it detects is what the simulation detects."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from studio.gallery.provenance import origins
from studio.live.models import add_model
from studio.workspace import Workspace
from tests.commands import run
from tests.spoken import Spoken
from tests.studio.axe import violations
from tests.studio.microphone.hearing import write_sound
from tests.studio.servers import StudioServer
from wakeword.audio import read_samples
from wakeword.errors import ConfigError

if TYPE_CHECKING:
    from playwright.sync_api import Page

type Visit = Callable[..., Page]


def listening(page: Page) -> Page:
    page.get_by_role("button", name="Start listening").click()
    page.locator("body[data-listening=true]").wait_for()
    return page


def test_live_detections_are_those_of_the_simulation(visit: Visit, studio: StudioServer, alexa: str) -> None:
    """The recording that the browser sent, saved, and heard by the real command: the same samples."""
    page = listening(visit("/listen/"))
    found = page.locator("#found li[data-slice]")
    found.nth(1).wait_for()
    page.get_by_role("button", name="Stop").click()
    page.locator("body[data-stopped=true]").wait_for()
    page.get_by_role("button", name="Save the recording").click()
    saved = page.locator("#saved[data-path]")
    saved.wait_for()
    assert saved.get_attribute("data-equal") == "true"
    live = [int(str(one.get_attribute("data-slice"))) for one in reversed(found.all())]
    assert len(live) >= 2
    command = saved.locator("pre").inner_text().split()
    assert command[:2] == ["mww-simulate", alexa]
    done = run(studio.workspace.root / "cache", *command, folder=studio.workspace.root)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (studio.workspace.root / command[-1]).read_text().splitlines()]
    assert [one["slice"] for one in lines[0]["detections"]] == live
    seconds = [float(one.inner_text().split()[0]) for one in reversed(found.locator(".num").all())]
    assert [one["seconds"] for one in lines[0]["detections"]] == pytest.approx(seconds, abs=0.0051)


@pytest.mark.usefixtures("alexa")
def test_a_false_accept_and_a_miss_go_into_the_dataset(visit: Visit, studio: StudioServer) -> None:
    page = listening(visit("/listen/", width=420, color_scheme="dark"))
    page.locator("#found li[data-slice]").first.wait_for()
    page.get_by_role("button", name="That was no wake word").first.click()
    kept = page.locator("#found .kept").first
    kept.wait_for()
    root = studio.workspace.datasets / "mine"
    name = kept.inner_text().rpartition(": ")[2]
    assert name.startswith("hard_negative/live/false_accept_")
    assert 2.0 <= len(read_samples(root / name)) / 16_000 <= 3.0
    page.locator("#missed").click()
    page.locator("#fault", has_text="who speaks").wait_for()
    page.get_by_label("Who speaks").fill("anna")
    page.locator("h1").click()
    page.keyboard.press("m")
    page.locator("#found .kept", has_text="positive/anna/missed_").wait_for()
    rows = {row["how"]: row for row in origins(root).values()}
    assert rows["false accept"]["wake_word"] == "Alexa"
    assert rows["false accept"]["detected"] == "yes"
    assert float(rows["false accept"]["average"]) > 0.89
    assert rows["miss"]["file"].startswith("positive/anna/")
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    page.get_by_role("button", name="Stop").click()
    page.locator("body[data-stopped=true]").wait_for()
    assert violations(page) == []


@pytest.mark.usefixtures("alexa")
def test_what_cannot_listen_is_said(visit: Visit, studio: StudioServer) -> None:
    page = visit("/listen/")
    page.get_by_label("Cutoff", exact=True).fill("1.5")
    page.get_by_role("button", name="Start listening").click()
    page.locator("#fault", has_text="between 0 and 1").wait_for()
    page.get_by_label("Cutoff", exact=True).fill("")
    (studio.workspace.models / "alexa" / "alexa.tflite").write_bytes(b"no model")
    page.get_by_role("button", name="Start listening").click()
    page.locator("#fault", has_text="alexa.tflite").wait_for()


def test_without_a_model_the_page_says_where_one_comes_from(visit: Visit) -> None:
    assert "no model in this workspace yet" in visit("/listen/").locator("main").inner_text()


def test_a_model_from_elsewhere_is_added_once_a_device_would_load_it(
    visit: Visit, studio: StudioServer, official_models: Path, tmp_path: Path
) -> None:
    page = visit("/listen/", width=420)
    page.get_by_role("button", name="Add it").click()
    page.locator("#tflite-error", has_text="Choose the model").wait_for()
    broken = tmp_path / "alexa.tflite"
    broken.write_bytes(b"no model")
    page.get_by_label("Manifest").set_input_files(official_models / "alexa.json")
    page.get_by_label("Model", exact=True).set_input_files(broken)
    page.get_by_role("button", name="Add it").click()
    page.locator("[data-fault-of-all]", has_text="alexa.tflite").wait_for()
    assert list(studio.workspace.models.iterdir()) == []
    page.get_by_label("Model", exact=True).set_input_files(official_models / "alexa.tflite")
    page.get_by_role("button", name="Add it").click()
    page.wait_for_url("**/listen/?model=*")
    assert page.locator("#model").input_value() == "models/alexa/alexa.json"
    added = studio.workspace.models / "alexa" / "alexa.tflite"
    assert added.read_bytes() == (official_models / "alexa.tflite").read_bytes()
    assert violations(page) == []


def test_a_manifest_cannot_name_a_model_elsewhere(tmp_path: Path, official_models: Path) -> None:
    manifest, model = ((official_models / f"alexa{suffix}").read_bytes() for suffix in (".json", ".tflite"))
    for name in ("../alexa.tflite", "/alexa.tflite", ".hidden", "x.json"):
        told = json.loads(manifest) | {"model": name}
        with pytest.raises(ConfigError, match="name of a file beside it"):
            add_model(Workspace(tmp_path), "x.json", json.dumps(told).encode(), model)
    with pytest.raises(ConfigError, match=r"^x\.json: not JSON"):
        add_model(Workspace(tmp_path), "x.json", b"hello", model)
    assert list(tmp_path.rglob("*.*")) == []
    assert add_model(Workspace(tmp_path), "../a b.json", manifest, model) == "models/a_b/a_b.json"
    assert add_model(Workspace(tmp_path), "a b.json", manifest, model) == "models/a_b-2/a_b.json"


def socket(studio: StudioServer, query: str, cookie: str | None = None, origin: str | None = None) -> ClientConnection:
    given = f"studio_{studio.port}={studio.token}" if cookie is None else cookie
    return connect(
        f"ws://127.0.0.1:{studio.port}/listen/hear?{query}",
        origin=Origin(origin or studio.origin),
        additional_headers={"Cookie": given},
    )


def test_the_microphone_s_connection_needs_the_token_and_a_page_of_the_studio(studio: StudioServer, alexa: str) -> None:
    query = f"model={alexa}&rate=16000"
    for given in ({"cookie": "studio=guessed"}, {"origin": "http://elsewhere.example"}):
        with pytest.raises((ConnectionClosed, InvalidStatus)):
            socket(studio, query, **given).recv(30)
    with socket(studio, query) as connection:
        assert json.loads(connection.recv(30))["wake_word"] == "Alexa"


@pytest.mark.usefixtures("alexa")
def test_a_model_outside_of_the_workspace_is_not_opened(studio: StudioServer, official_models: Path) -> None:
    outside = studio.workspace.root.parent / "outside"
    shutil.copytree(official_models, outside)
    (studio.workspace.models / "linked.json").symlink_to(outside / "alexa.json")
    (studio.workspace.models / "far.json").write_text(
        (outside / "alexa.json").read_text().replace('"alexa.tflite"', '"../../outside/alexa.tflite"')
    )
    for query in (
        "model=../outside/alexa.json&rate=16000",
        "model=%2Fetc%2Fpasswd&rate=16000",
        "model=.studio/token&rate=16000",
        "model=models/linked.json&rate=16000",
        "model=models/far.json&rate=16000",
        "rate=16000",
        "model=models/alexa/alexa.json&rate=7",
        "model=models/alexa/alexa.json&rate=x",
    ):
        with socket(studio, query) as connection:
            assert "error" in json.loads(connection.recv(30)), query
            with pytest.raises(ConnectionClosed):
                connection.recv(30)


def test_what_is_no_sound_and_no_request_is_told_and_the_device_goes_on(studio: StudioServer, alexa: str) -> None:
    with socket(studio, f"model={alexa}&rate=16000") as connection:
        connection.recv(30)
        for sent, said in (
            (b"abc", "whole float32"),
            ("not JSON", "Expecting value"),
            ('{"do": "format the disk"}', "nothing to do"),
            ('{"do": "save"}', "nothing was heard"),
            ('{"do": "keep", "kind": "false accept", "seconds": 1}', "nothing was detected"),
            ('{"do": "keep", "kind": "miss", "seconds": 0, "speaker": "../x", "dataset": "a"}', "nothing was heard"),
            ('{"do": "keep", "kind": "miss", "seconds": 0, "speaker": "x", "dataset": "../../a"}', "dataset"),
        ):
            connection.send(sent)
            assert said in json.loads(connection.recv(30))["error"]
        connection.send(np.zeros(1600, "<f4").tobytes())
        assert json.loads(connection.recv(30))["seconds"] == 0.1
        connection.send('{"do": "keep", "kind": "miss", "seconds": 0, "speaker": "../x", "dataset": "a"}')
        assert "speaker" in json.loads(connection.recv(30))["error"]
    assert not studio.workspace.datasets.exists()
    assert not (studio.workspace.root / "recordings").exists()


def test_two_pages_listen_at_once_and_neither_hears_the_other(
    studio: StudioServer, alexa: str, spoken: Spoken, tmp_path: Path
) -> None:
    sound = write_sound(tmp_path / "words.wav", spoken.words[:2])
    heard = (sound / np.float32(32768)).astype("<f4")
    found: tuple[list[int], list[int]] = ([], [])
    query = f"model={alexa}&rate=16000"
    with socket(studio, query) as speaking, socket(studio, query) as silent:
        for page in (speaking, silent):
            page.recv(30)
        for block in np.array_split(heard, len(heard) // 2000):
            for page, sent, slices in ((speaking, block, found[0]), (silent, np.zeros_like(block), found[1])):
                page.send(sent.tobytes())
                slices += [one["slice"] for one in json.loads(page.recv(30))["detections"]]
    done = run(
        tmp_path / "cache",
        "mww-simulate",
        studio.workspace.root / alexa,
        tmp_path / "words.wav",
        "--mode",
        "stream",
        "--json",
        tmp_path / "lines.jsonl",
    )
    assert done.returncode == 0, done.stderr
    line = json.loads((tmp_path / "lines.jsonl").read_text())
    assert found == ([one["slice"] for one in line["detections"]], [])
    assert len(found[0]) == 2
