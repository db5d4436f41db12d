"""What all pages share: who is let in, the navigation, the look, jobs."""

from __future__ import annotations

import asyncio
import http.client
import json
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message

from studio.access import Door, kept_token
from studio.app import create_app
from studio.jobs.records import JOB_FILE, JobOrder, JobPhase, JobState, now, write_state
from studio.workspace import Workspace
from tests.studio.axe import violations
from tests.studio.servers import LOOK, StudioServer, end_jobs, serving, wait_until
from wakeword.records import write_record

if TYPE_CHECKING:
    from playwright.sync_api import Page

TABS = ["Start", "Record", "Train", "Listen", "Results", "Boards"]


def answered(studio: StudioServer, path: str, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
    """What a program gets that sends these headers ("_" stands for "-")."""
    connection = http.client.HTTPConnection("127.0.0.1", studio.port, timeout=30)
    given = {"Host": f"127.0.0.1:{studio.port}"} | {key.replace("_", "-"): value for key, value in headers.items()}
    connection.request(method, path, headers=given)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response


def test_only_who_shows_the_token_is_let_in(studio: StudioServer) -> None:
    cookie = f"studio_{studio.port}={studio.token}"
    assert answered(studio, "/start/").status == 401
    assert answered(studio, "/start/?token=guessed").status == 401
    assert answered(studio, "/start/", Cookie=f"studio_{studio.port}=guessed").status == 401
    assert answered(studio, "/start/", Cookie=cookie).status == 200
    welcome = answered(studio, f"/start/?token={studio.token}&more=1")
    assert (welcome.status, welcome.getheader("Location")) == (303, "/start/?more=1")
    given = str(welcome.getheader("Set-Cookie"))
    assert {"HttpOnly", "SameSite=strict"} <= set(given.split("; "))
    assert answered(studio, f"//elsewhere.example/?token={studio.token}").getheader("Location") == "/elsewhere.example/"
    kept = studio.workspace.own / "token"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


@pytest.mark.parametrize("others", ['prefs={"a":1,"b":2}; ', "x[y]=1; ", "a b=c; ", "=; ; "])
def test_cookies_of_other_programs_of_this_machine(studio: StudioServer, others: str) -> None:
    assert answered(studio, "/start/", Cookie=f"{others}studio_{studio.port}={studio.token}").status == 200


def test_a_token_that_others_could_read_is_made_anew(tmp_path: Path) -> None:
    token = kept_token(tmp_path / "token")
    assert kept_token(tmp_path / "token") == token
    (tmp_path / "token").chmod(0o644)
    assert kept_token(tmp_path / "token") != token
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600


def test_pages_of_others_reach_nothing(studio: StudioServer) -> None:
    cookie = f"studio_{studio.port}={studio.token}"
    own = studio.origin
    assert answered(studio, "/start/", Cookie=cookie, Host=f"studio.example:{studio.port}").status == 403
    assert answered(studio, "/start/", Cookie=cookie, Host="").status == 403
    assert answered(studio, "/static/studio.css", Host="studio.example").status == 403
    assert answered(studio, "/jobs/0001/stop", "POST", Cookie=cookie).status == 403
    assert answered(studio, "/jobs/0001/stop", "POST", Cookie=cookie, Origin="null").status == 403
    assert answered(studio, "/jobs/0001/stop", "POST", Cookie=cookie, Origin="http://elsewhere.example").status == 403
    assert answered(studio, "/jobs/0001/stop", "POST", Cookie=cookie, Origin=own).status == 422, "there is no such job"
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13"}
    socket = upgrade | {"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==", "Cookie": cookie}
    assert answered(studio, "/record/hear?rate=16000", Origin="http://elsewhere.example", **socket).status == 403
    assert answered(studio, "/record/hear?rate=16000", Origin=own, **socket).status == 101
    policy = str(answered(studio, "/start/", Cookie=cookie).getheader("Content-Security-Policy"))
    assert policy.startswith("default-src 'self';")
    assert "unsafe" not in policy


@pytest.mark.parametrize("width", [420, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_and_can_be_heard(visit: Callable[..., Page], width: int, scheme: str) -> None:
    page = visit("/", width=width, color_scheme=scheme)
    tabs = page.get_by_role("navigation", name="Pages").get_by_role("link")
    assert tabs.all_inner_texts() == TABS
    for number, tab in enumerate([*TABS, "Jobs"]):
        if tab == "Jobs":
            page.goto(page.url.replace("/boards/", "/jobs/"))
        else:
            tabs.nth(number).click()
            page.wait_for_url(f"**/{tab.lower()}/")
            assert tabs.nth(number).get_attribute("aria-current") == "page"
        assert page.get_by_role("heading", level=1).count() == 1
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{tab} is wider than the window"
        assert violations(page) == []


def test_files_of_the_workspace_and_no_others(studio: StudioServer, tmp_path: Path) -> None:
    cookie = f"studio_{studio.port}={studio.token}"
    root = studio.workspace.root
    (tmp_path / "outside.txt").write_text("outside")
    (root / "link.txt").symlink_to(tmp_path / "outside.txt")
    hidden = (".cache/kept.json", "words/.esphome/secrets.h")
    for name in ("report.html", "secrets.yaml", "firmware/host/main.cpp", "model.tflite", *hidden):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("content")
    report = answered(studio, "/files/report.html", Cookie=cookie)
    assert report.status == 200
    assert str(report.getheader("Content-Security-Policy")).startswith("sandbox; default-src 'none'")
    assert "attachment" in str(answered(studio, "/files/model.tflite", Cookie=cookie).getheader("Content-Disposition"))
    for refused in (
        "secrets.yaml",
        "firmware/host/main.cpp",
        *hidden,
        ".studio/token",
        "../outside.txt",
        "link.txt",
        "none.wav",
    ):
        assert answered(studio, f"/files/{refused}", Cookie=cookie).status == 422, refused
    assert answered(studio, "/files/report.html").status == 401


@pytest.mark.parametrize(
    "path", ["/files/%00", "/start/look", "/start/voices", "/start/made/%00/", "/train/run/%00", f"/jobs/{'9' * 5000}/"]
)
def test_an_address_that_means_nothing_is_answered_by_a_line(studio: StudioServer, path: str) -> None:
    assert answered(studio, path, Cookie=f"studio_{studio.port}={studio.token}").status == 422


def test_an_error_of_the_studio_itself_is_answered_by_a_line(tmp_path: Path) -> None:
    def fails(_: Request) -> Response:
        raise KeyError("nothing")

    app = create_app(Workspace(tmp_path), Door("x" * 32, 80))
    app.router.routes.insert(0, Route("/fails", fails, methods=["GET", "POST"]))
    headers, page = answer_of(app, "GET", "/fails")
    assert b"itself failed (KeyError)" in page
    assert headers["content-security-policy"].startswith("default-src 'self';")
    _, body = answer_of(app, "POST", "/fails")
    assert list(json.loads(body)["errors"]) == [""]


def answer_of(app: Starlette, method: str, path: str) -> tuple[dict[str, str], bytes]:
    """What an application answers to the user, whose cookie is right, without a server; it raises what went wrong after
    that.
    """
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    given = {"host": "127.0.0.1:80", "origin": "http://127.0.0.1:80", "cookie": f"studio_80={'x' * 32}"}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "http_version": "1.1",
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }
    # In a thread of its own: where a browser was open in this process, its driver's event loop runs in this one.
    with ThreadPoolExecutor(1) as thread, pytest.raises(KeyError, match="nothing"):
        thread.submit(lambda: asyncio.run(app(scope, receive, send))).result()
    assert sent[0]["status"] == 500
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return headers, b"".join(message.get("body", b"") for message in sent[1:])


def test_a_long_list_of_jobs_has_pages(visit: Callable[..., Page], studio: StudioServer) -> None:
    desk = studio.workspace.desk
    order = JobOrder(title="Try", kind="test", steps=(LOOK,), created=now())
    for number in range(1, 120):
        write_state(desk.folder / f"{number:04d}", JobState(phase=JobPhase.DONE))
        write_record(order, desk.folder / f"{number:04d}" / JOB_FILE)
    (desk.folder / "0119" / JOB_FILE).write_text("{")
    page = visit("/jobs/")
    rows = page.locator(".rows li")
    assert rows.count() == 50
    page.get_by_role("link", name="Next").click()
    page.get_by_text("Page 2 of 3").wait_for()
    page.get_by_role("link", name="Next").click()
    page.get_by_text("Page 3 of 3").wait_for()
    assert rows.count() == 18
    page.get_by_text("Job 0119:").wait_for()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Remove from the list").click()
    page.wait_for_url("**/jobs/")
    page.get_by_text("Page 1 of 3").wait_for()
    assert not desk.damaged()


def test_long_lists_of_phrases_and_of_what_was_done_with_a_board_have_pages(
    visit: Callable[..., Page], studio: StudioServer
) -> None:
    desk = studio.workspace.desk
    for number in range(1, 121):
        kind, lane, folder = ("chain", "", f"words/{number}") if number % 2 else ("board", "board virtual", "")
        order = JobOrder(title=f"No. {number}", kind=kind, lane=lane, folder=folder, steps=(LOOK,), created=now())
        write_state(desk.folder / f"{number:04d}", JobState(phase=JobPhase.DONE))
        write_record(order, desk.folder / f"{number:04d}" / JOB_FILE)
    page = visit("/start/")
    for address, last in (("/start/", "No. 1"), ("/boards/virtual/", "No. 2")):
        page.goto(studio.origin + address)
        rows = page.locator(".rows li")
        assert rows.count() == 50
        page.get_by_role("link", name="Next").click()
        page.get_by_text("Page 2 of 2").wait_for()
        assert rows.count() == 10
        page.get_by_role("link", name=last, exact=True).wait_for()
        assert violations(page) == []


def test_every_page_shows_the_command(visit: Callable[..., Page], studio: StudioServer) -> None:
    page = visit("/start/?phrase=okay+house&language=en")
    says = {
        "/start/?phrase=okay+house&language=en": "mww-generate 'okay house'",
        "/record/": "arecord",
        "/record/clips": "mww-train",
        "/record/import": "cp RECORDINGS",
        "/train/": "mww-train",
        "/train/new": "mww-export",
        "/listen/": "mww-simulate",
        "/results/": "mww-report",
        "/boards/": "mww-bench boards",
        "/boards/virtual/": "mww-bench measure",
    }
    for address, command in says.items():
        page.goto(studio.origin + address)
        assert command in "".join(page.locator("details.command pre").all_text_contents()), address


def test_no_page_holds_the_token(visit: Callable[..., Page], studio: StudioServer) -> None:
    page = visit("/")
    for tab in (*TABS, "Jobs"):
        page.goto(f"{studio.origin}/{tab.lower()}/")
        assert studio.token not in page.content()
        assert studio.token not in page.url
    assert page.evaluate("document.cookie") == ""


def test_a_job_is_followed_stopped_and_goes_on(
    visit: Callable[..., Page], studio: StudioServer, official_models: Path
) -> None:
    desk = studio.workspace.desk
    job = desk.place("Two steps", "test", [LOOK, serving(official_models)])
    page = visit(f"/jobs/{job.name}/")
    page.locator(".log").get_by_text("Wyoming").wait_for()
    assert page.get_by_role("status").inner_text() == "At work: step 2 of 2"
    assert page.locator(".steps .done").inner_text().startswith("Look")
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("status").get_by_text("Stopped").wait_for()
    page.get_by_role("button", name="Go on").click()
    page.get_by_text("At work: step 2 of 2").wait_for()
    wait_until(desk, lambda: desk.log(job.name)[0].count("$ mww-judge") == 2, "the second step has begun again")
    assert desk.log(job.name)[0].count("$ mww-verify") == 1, "what was done is not done again"
    end_jobs(studio.workspace)
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Remove").click()
    page.wait_for_url("**/jobs/")
    page.get_by_text("Nothing has been started yet").wait_for()
