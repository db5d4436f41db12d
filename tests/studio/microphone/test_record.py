"""The page Record: takes of a microphone, files from elsewhere, and the gallery of thousands."""

from __future__ import annotations

import http.client
import json
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np
import pytest

from studio.gallery.provenance import origins
from studio.pages.record import MOST_UPLOAD_FILES
from tests.commands import run
from tests.studio.axe import violations
from tests.studio.gallery import tone, write_dataset
from tests.studio.servers import StudioServer
from tests.studio.tones import write_tones
from trainer.data.clips import write_clip
from trainer.data.ingest import Label, find_files
from trainer.data.mined import MinedClip, write_table

if TYPE_CHECKING:
    from playwright.sync_api import Page, WebSocketRoute

type Visit = Callable[..., Page]


@pytest.fixture
def dataset(studio: StudioServer) -> Path:
    root = write_dataset(studio.workspace.datasets / "mine")
    write_clip(root / "hard_negative/cd34.wav", tone(0.9))
    rows = [
        MinedClip(f"{name}.wav", "0" * 64, "/home/evening.flac", "1" * 64, 16_000, 32_000, sure, 0.8, "2" * 64, "2026")
        for name, sure in (("ab12", 0.81), ("cd34", 0.97))
    ]
    write_table(root / "hard_negative", rows)
    return root


def test_a_take_is_judged_and_lies_in_its_speaker_s_folder(visit: Visit, studio: StudioServer, alexa: str) -> None:
    page = visit("/record/")
    assert "Recordings stay on this machine." in page.locator("main").inner_text()
    page.get_by_label("Model").select_option(alexa)
    page.get_by_role("button", name="Open the microphone").click()
    page.locator("body[data-open]").wait_for()
    page.locator("#take").click()
    page.locator("#fault", has_text="who speaks").wait_for()
    page.get_by_label("Dataset").fill("../elsewhere")
    page.get_by_label("Who speaks").fill("Anna B")
    page.keyboard.press("Tab")
    page.locator("#fault", has_text="dataset '../elsewhere': give a name of at most 59 letters").wait_for()
    page.get_by_label("Dataset").fill("mine")
    page.get_by_role("button", name=re.compile("Whispered")).click()
    page.locator("h1").click()
    page.keyboard.press(" ")
    taken = page.locator("#taken li[data-name]").first
    taken.wait_for()
    name = str(taken.get_attribute("data-name"))
    assert name.startswith("positive/Anna B/whispered_")
    assert "Heard" in taken.inner_text()
    page.locator("#ways .count", has_text="1 of 3").wait_for()
    root = studio.workspace.datasets / "mine"
    assert [file.speaker for file in find_files(root / "positive", Label.POSITIVE).files] == ["Anna B"]
    (row,) = origins(root).values()
    assert (row["how"], row["take"], row["detected"], row["wake_word"]) == ("microphone", "whispered", "yes", "Alexa")
    assert violations(page) == []
    taken.get_by_role("button", name="Reject").click()
    page.locator("#taken", has_text="was rejected").wait_for()
    assert (root / "rejected" / name).is_file()
    assert not (root / name).exists()
    page.goto(page.url.replace("/record/", "/listen/"))
    assert page.get_by_label("Who speaks").input_value() == "Anna B"


def test_a_take_over_a_boot_ends_with_a_line_that_says_so(visit: Visit, studio: StudioServer) -> None:
    """An hour's recording is full: here the studio's answers say so at once, in a take."""
    begun: list[bool] = []

    def between(page_s: WebSocketRoute) -> None:
        server = page_s.connect_to_server()

        def answer(message: str | bytes) -> None:
            told = json.loads(message)
            if told.get("do") == "begin":
                begun.append(True)
            elif begun == [True] and "level" in told:
                begun.append(False)
                told |= {"booted": True, "seconds": 0.1}
            page_s.send(json.dumps(told))

        server.on_message(answer)

    page = visit("/record/")
    page.route_web_socket(re.compile("/record/hear"), between)
    page.get_by_label("Who speaks").fill("anna")
    page.get_by_label("What").select_option("speech")
    page.get_by_role("button", name="Open the microphone").click()
    page.locator("body[data-open]").wait_for()
    page.locator("#take").click()
    page.locator("#fault", has_text="booted anew during this take; record it again").wait_for()
    page.locator("body:not(.recording)").wait_for()
    assert page.locator("#take-words").inner_text() == "Record"
    assert not studio.workspace.datasets.exists()
    page.locator("#take").click()
    page.locator("body.recording").wait_for()


def test_what_is_not_heard_as_a_recording_is_not_kept(visit: Visit, studio: StudioServer) -> None:
    """A take that is ended at once is too short."""
    page = visit("/record/", width=420)
    page.get_by_label("Who speaks").fill("anna")
    page.get_by_role("button", name="Open the microphone").click()
    page.locator("body[data-open]").wait_for()
    page.get_by_label("What").select_option("room")
    page.locator("#take").click()
    page.locator("body.recording").wait_for()
    page.locator("#take").click()
    page.locator("#taken li").first.wait_for()
    said = page.locator("#taken li").first.inner_text()
    assert "Not kept: " in said or "negative/room/" in said
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    assert not (studio.workspace.datasets / "mine" / "positive").exists()


def test_files_are_imported_and_each_refused_one_has_its_line(
    visit: Visit, studio: StudioServer, tmp_path: Path
) -> None:
    good, silent, text = tmp_path / "good.wav", tmp_path / "silent.wav", tmp_path / "notes.txt"
    write_clip(good, tone(0.8))
    write_clip(silent, np.zeros(16_000, np.int16))
    text.write_text("no sound")
    page = visit("/record/import", width=420, color_scheme="dark")
    page.get_by_role("button", name="Import").click()
    page.locator("#files-error", has_text="at least one").wait_for()
    page.get_by_label("Recordings").set_input_files([good, silent, text])
    page.get_by_role("button", name="Import").click()
    page.locator("#speaker-error", has_text="speaker").wait_for()
    page.get_by_label("Who speaks").fill("anna")
    page.get_by_role("button", name="Import").click()
    page.get_by_role("heading", name="1 recording imported, 2 refused").wait_for()
    assert page.locator(".refusals li").all_inner_texts() == [
        "silent.wav: silent: its loudest sample is 0 of 32768",
        "notes.txt: .txt is not a known kind of audio file",
    ]
    assert (studio.workspace.datasets / "mine" / "positive" / "anna" / "good.wav").read_bytes() == good.read_bytes()
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    assert violations(page) == []
    page.get_by_role("link", name="The clips of mine").click()
    page.locator(".clip .file", has_text="good.wav").wait_for()


def test_each_part_says_what_does_the_same_on_the_command_line(visit: Visit, studio: StudioServer) -> None:
    """The lines of Import are run as they stand there, and say of a silent recording what the page says."""
    root = studio.workspace.root
    write_tones(root)
    write_clip(root / "RECORDINGS" / "good.wav", tone(0.8))
    write_clip(root / "RECORDINGS" / "silent.wav", np.zeros(16_000, np.int16))
    page = visit("/record/?dataset=tone")
    lines = page.locator("details.command pre").text_content()
    assert lines is not None
    assert "arecord --format S16_LE --rate 16000 --channels 1" in lines
    assert "mww-bench record --board BOARD --output datasets/tone --holds wake" in lines
    page.get_by_role("link", name="Import").click()
    page.wait_for_url("**/record/import?dataset=tone")
    lines = page.locator("details.command pre").text_content()
    assert lines is not None
    *copying, training = lines.splitlines()
    subprocess.run("\n".join(copying), shell=True, check=True, cwd=root)
    more = ("--set", "training.split_fractions=[0.4, 0.3, 0.3]")
    done = run(root / "cache", *shlex.split(training), *more, folder=root)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())  # a terminal breaks its lines
    assert "silent.wav: silent: its loudest sample is 0 of 32768" in said
    page.get_by_role("link", name="Clips").click()
    page.wait_for_url("**/record/clips?dataset=tone")
    assert page.locator("details.command pre").text_content() == training.removesuffix(" --dry-run")
    (root / "datasets" / "tone" / "hard_negative").mkdir()
    page.reload()
    assert "paths.hard_negative_dir=datasets/tone/hard_negative" in str(
        page.locator("details.command pre").text_content()
    )


def test_many_files_are_sent_in_parts(visit: Visit, studio: StudioServer, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.wav" for number in range(MOST_UPLOAD_FILES + 3)]
    for number, path in enumerate(paths):
        write_clip(path, tone(0.4 + number / 100))
    page = visit("/record/import")
    page.get_by_label("Recordings").set_input_files(paths)
    page.get_by_label("Who speaks").fill("anna")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    page.get_by_role("button", name="Import").click()
    page.get_by_role("heading", name=f"{len(paths)} recordings imported").wait_for()
    assert len(sent) == 2
    assert len(find_files(studio.workspace.datasets / "mine" / "positive", Label.POSITIVE).files) == len(paths)


@pytest.mark.parametrize("chunked", [False, True])
def test_what_is_larger_than_a_page_takes_is_refused_before_it_is_read(studio: StudioServer, chunked: bool) -> None:
    """By the length that is told before anything is sent, and where none is told once too much has come."""
    connection = http.client.HTTPConnection("127.0.0.1", studio.port, timeout=60)
    begin = b'--x\r\nContent-Disposition: form-data; name="tflite"; filename="a.tflite"\r\n\r\n'
    connection.putrequest("POST", "/listen/models", skip_host=True)
    for name, value in (
        ("Host", f"127.0.0.1:{studio.port}"),
        ("Cookie", f"studio_{studio.port}={studio.token}"),
        ("Origin", studio.origin),
        ("Content-Type", "multipart/form-data; boundary=x"),
        ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(10 << 30)),
    ):
        connection.putheader(name, value)
    connection.endheaders()
    if chunked:
        for part in (begin, *[bytes(1 << 20)] * 18):
            connection.send(f"{len(part):x}\r\n".encode() + part + b"\r\n")
    response = connection.getresponse()
    assert response.status == 422
    assert "more than 16 MiB" in json.loads(response.read())["errors"][""]
    connection.close()
    assert not studio.workspace.models.exists()
    status, content = asked(studio, "/listen/")
    assert (status, b"no model in this workspace yet" in content) == (200, True)


def test_the_gallery_plays_rejects_relabels_and_takes_back(visit: Visit, dataset: Path) -> None:
    page = visit("/record/clips")
    assert page.locator(".clip").count() == 5
    radio = page.locator(".clip[data-name='negative/radio.wav']")
    # Counts how often anything begins to play, in the page itself: two at once are one request where it is kept.
    page.evaluate("""() => {
        window.plays = 0;
        const play = HTMLMediaElement.prototype.play;
        HTMLMediaElement.prototype.play = function () { window.plays++; return play.call(this); };
    }""")
    button = radio.get_by_role("button", name="Play radio.wav")
    with page.expect_response(lambda response: "/record/clips/sound" in response.url) as played:
        button.click()
    assert (played.value.status, played.value.headers["content-type"]) == (200, "audio/wav")
    assert page.evaluate("window.plays") == 1
    page.locator(".play[aria-pressed=false]").wait_for()
    radio.get_by_role("button", name="Reject").click()
    page.get_by_text("radio.wav was rejected.").wait_for()
    assert (dataset / "rejected/negative/radio.wav").is_file()
    page.locator("h1").click()
    page.keyboard.press("u")
    radio.wait_for()
    assert (dataset / "negative/radio.wav").is_file()
    radio.locator("summary").click()
    radio.get_by_role("button", name="Move").click()
    radio.locator(".fault", has_text="who speaks").wait_for()
    radio.get_by_label("Speaker").fill("carla")
    radio.get_by_role("button", name="Move").click()
    page.locator(".clip[data-name='positive/carla/radio.wav']").wait_for()
    assert (dataset / "positive/carla/radio.wav").is_file()
    assert violations(page) == []


def test_what_is_typed_stays_when_the_list_is_put_anew(visit: Visit, dataset: Path) -> None:
    page = visit("/record/clips?order=name")
    radio = page.locator(".clip[data-name='negative/radio.wav']")
    radio.locator("summary").click()
    radio.get_by_label("It is").select_option("hard_negative")
    field = radio.get_by_label("Speaker")
    field.press_sequentially("carl")
    write_clip(dataset / "negative/another.wav", tone(0.6))
    page.locator(".clip[data-name='negative/another.wav']").wait_for()
    field.press_sequentially("a")
    assert field.input_value() == "carla"
    radio.get_by_role("button", name="Move").click()
    page.locator(".clip[data-name='hard_negative/carla/radio.wav']").wait_for()


def test_mined_hard_negatives_are_accepted_or_thrown_out_by_key(visit: Visit, dataset: Path) -> None:
    page = visit("/record/clips?label=hard_negative&order=surest&unheard=yes", width=420, color_scheme="dark")
    clips = page.locator(".clip")
    assert [one.get_attribute("data-name") for one in clips.all()] == [
        "hard_negative/cd34.wav",
        "hard_negative/ab12.wav",
    ]
    assert "model 0.970, evening.flac at 1.0 s" in clips.first.inner_text()
    page.locator("h1").click()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("a")
    page.locator(".shelf-head", has_text="1 clip · 1 not listened to").wait_for()
    page.locator("#clip-1:focus").wait_for()
    page.keyboard.press("r")
    page.get_by_text("No clip is like that.").wait_for()
    assert (dataset / "hard_negative/cd34.wav").is_file()
    assert (dataset / "rejected/hard_negative/ab12.wav").is_file()
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    assert violations(page) == []


def asked(studio: StudioServer, path: str, method: str = "GET", body: str | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", studio.port, timeout=60)
    headers = {
        "Host": f"127.0.0.1:{studio.port}",
        "Cookie": f"studio_{studio.port}={studio.token}",
        "Origin": studio.origin,
        "Content-Type": "application/x-www-form-urlencoded",
    }
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, content


def test_no_address_reads_or_moves_what_is_not_a_clip_of_the_dataset(studio: StudioServer, dataset: Path) -> None:
    secret = studio.workspace.root.parent / "secret.wav"
    write_clip(secret, tone())
    write_clip(studio.workspace.root / "recordings" / "own.wav", tone())
    (dataset / "negative/link.wav").symlink_to(secret)
    for name in (
        "../secret.wav",
        "negative/../../../../secret.wav",
        "negative/../../../recordings/own.wav",
        str(secret),
        "negative/link.wav",
        "recordings.csv",
        "..%2f..%2fsecret.wav",
    ):
        it = f"dataset=mine&name={quote(name)}"
        assert asked(studio, f"/record/clips/sound?{it}")[0] == 422, name
        for action in ("reject", "restore", "accept"):
            assert asked(studio, f"/record/clips/{action}?{it}", "POST")[0] == 422, name
        assert asked(studio, "/record/clips/relabel", "POST", f"{it}&label=negative&speaker=x")[0] == 422, name
    for folder in ("../..", "..", "/etc", ".studio", "a/b"):
        for address in ("/record/clips", "/record/", "/record/clips/list", "/record/import", "/record/takes"):
            assert asked(studio, f"{address}?dataset={quote(folder, safe='')}")[0] == 422, (address, folder)
    status, content = asked(studio, "/record/clips/burn?dataset=mine&name=negative/radio.wav", "POST")
    assert status == 422
    assert b"no move of a clip; these are: reject, restore, accept, undo" in content
    status, content = asked(studio, "/record/clips/relabel", "POST", "dataset=mine&name=negative/radio.wav&label=x")
    assert (status, "label" in json.loads(content)["errors"][""]) == (422, True)
    status, _ = asked(
        studio, "/record/clips/relabel", "POST", "dataset=mine&name=negative/radio.wav&label=positive&speaker=../../x"
    )
    assert status == 422
    assert secret.is_file()
    assert sorted(path.name for path in studio.workspace.root.parent.iterdir()) == ["secret.wav", "workspace"]


def test_five_thousand_clips_page_by_page(studio: StudioServer, visit: Visit) -> None:
    """A page shows as many as ever, whatever lies in the folder; and each page can be reached."""
    root = studio.workspace.datasets / "many"
    content = tone(0.4)
    write_clip(root / "positive/speaker00/clip0000.wav", content)
    for number in range(1, 5000):
        path = root / "positive" / f"speaker{number % 40:02}" / f"clip{number:04}.wav"
        path.parent.mkdir(exist_ok=True)
        path.hardlink_to(root / "positive/speaker00/clip0000.wav")
    page = visit("/record/clips?dataset=many&order=name")
    assert page.locator(".clip").count() == 48
    assert "Page 1 of 105" in page.locator(".pager").inner_text()
    page.get_by_role("link", name="Next").click()
    page.get_by_text("Page 2 of 105").wait_for()
    page.get_by_label("Speaker", exact=True).first.select_option("speaker07")
    page.get_by_text("Page 1 of 3").wait_for()
    status, body = asked(studio, "/record/clips/list?dataset=many&page=105&order=name")
    assert (status, body.count(b'class="clip"')) == (200, 5000 - 104 * 48)
