"""What all pages share: who is let in, the navigation, the look, jobs."""

from __future__ import annotations

import http.client
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.studio.axe import violations
from tests.studio.servers import LOOK, StudioServer, end_jobs, serving, wait_until

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
    assert answered(studio, "/listen/live", Origin="http://elsewhere.example", **socket).status == 403
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
    for name in ("report.html", "secrets.yaml", "firmware/host/main.cpp", "model.tflite"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("content")
    report = answered(studio, "/files/report.html", Cookie=cookie)
    assert report.status == 200
    assert str(report.getheader("Content-Security-Policy")).startswith("sandbox; default-src 'none'")
    assert "attachment" in str(answered(studio, "/files/model.tflite", Cookie=cookie).getheader("Content-Disposition"))
    for refused in (
        "secrets.yaml",
        "firmware/host/main.cpp",
        ".studio/token",
        "../outside.txt",
        "link.txt",
        "none.wav",
    ):
        assert answered(studio, f"/files/{refused}", Cookie=cookie).status == 422, refused
    assert answered(studio, "/files/report.html").status == 401


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
    wait_until(lambda: desk.log(job.name)[0].count("$ mww-judge") == 2, "the second step has begun again")
    assert desk.log(job.name)[0].count("$ mww-verify") == 1, "what was done is not done again"
    end_jobs(studio.workspace)
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Remove").click()
    page.wait_for_url("**/jobs/")
    page.get_by_text("Nothing has been started yet").wait_for()
