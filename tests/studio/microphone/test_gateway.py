"""The studio behind Home Assistant's ingress, played by nginx: everything below a path, and nobody past the gateway."""

from __future__ import annotations

import http.client
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from studio.gateway import Gateway
from tests.commands import run
from tests.programs import needs
from tests.studio.axe import violations
from tests.studio.conftest import chromium, watched
from tests.studio.gallery import tone, write_dataset
from tests.studio.ingress import ADDRESS, PREFIX, ingress
from tests.studio.servers import LOOK, StudioServer, end_jobs, serving, studio_server, wait_until
from trainer.data.clips import write_clip

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Playwright

type Visit = Callable[..., Page]
pytestmark = needs("nginx", "nginx-light")


@pytest.fixture
def studio(tmp_path: Path, simulated: Path) -> Iterator[StudioServer]:
    """One that answers the gateway alone, with something on each page."""
    workspace = tmp_path / "workspace"
    shutil.copytree(simulated, workspace)
    write_dataset(workspace / "datasets" / "mine")
    with studio_server(workspace, 0, "--behind-ingress", ADDRESS) as server:
        yield server
        end_jobs(server.workspace)


@pytest.fixture
def gateway(studio: StudioServer, tmp_path: Path) -> Iterator[int]:
    """The gateway's port."""
    with ingress(studio.port, tmp_path / "nginx") as port:
        yield port


@pytest.fixture
def visit(browser: Browser, gateway: int) -> Iterator[Visit]:
    """Open a page as a user of Home Assistant does; what it asks lies below the gateway's path, or the test fails."""
    begins = f"http://127.0.0.1:{gateway}{PREFIX}/"
    with watched(browser, begins) as opened:
        yield lambda path="/", **options: opened(begins + path.lstrip("/"), **options)


def test_every_link_of_every_page_stays_below_the_path(visit: Visit, studio: StudioServer, gateway: int) -> None:
    job = studio.workspace.desk.place("Look", "test", [LOOK])
    wait_until(studio.workspace.desk, lambda: not studio.workspace.desk.job(job.name).alive, "the job has ended")
    begins = f"http://127.0.0.1:{gateway}{PREFIX}/"
    page = visit("/")
    assert page.url == f"{begins}start/"
    waiting, seen = [page.url], {page.url}
    while waiting:
        address = waiting.pop()
        answer = page.goto(address)
        assert answer is not None
        assert answer.status == 200, address
        assert "That did not work" not in page.content(), address
        for link in page.locator("a[href]:not([download])").all():
            found = str(link.evaluate("one => one.href")).partition("#")[0]
            assert found.startswith(begins), f"{found} on {address}"
            # Lists of one kind of thing: a page of each.
            if found not in seen and "order=" not in found and not found.endswith("/report"):
                seen.add(found)
                waiting.append(found)
    paths = {urlsplit(one).path.removeprefix(PREFIX) for one in seen}
    assert {"/start/", "/record/", "/record/clips", "/record/import", "/train/", "/train/new", "/listen/"} <= paths
    assert {"/results/", "/boards/", "/boards/virtual/", "/jobs/", f"/jobs/{job.name}/"} <= paths
    assert sum(path.startswith("/results/") for path in paths) == 3, "the list, and two results"


def test_what_pages_do_works_below_the_path(visit: Visit, studio: StudioServer, official_models: Path) -> None:
    """Live parts, buttons, forms, sounds, uploads and downloads."""
    desk = studio.workspace.desk
    desk.place("Two steps", "test", [LOOK, serving(official_models)])
    page = visit("/jobs/")
    page.get_by_role("link", name="1 running").wait_for()
    page.get_by_role("link", name="Two steps").click()
    page.locator(".log").get_by_text("Wyoming").wait_for()
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("status").get_by_text("Stopped").wait_for()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Remove").click()
    page.wait_for_url(f"**{PREFIX}/jobs/")

    page.get_by_role("link", name="Record").click()
    page.get_by_role("link", name="Clips").click()
    with page.expect_response(re.compile("/record/clips/sound")) as sound:
        page.get_by_role("button", name="Play near_1.wav").click()
    assert sound.value.status == 200
    page.get_by_role("button", name="Reject").first.click()
    page.get_by_text("was rejected").wait_for()
    page.get_by_role("button", name="Undo").click()
    page.locator(".last").wait_for(state="detached")
    page.get_by_role("link", name="Import").click()
    write_clip(studio.workspace.root / "outside.wav", tone(1.3))
    page.get_by_label("Who speaks").fill("dora")
    page.get_by_label("Recordings", exact=True).set_input_files(studio.workspace.root / "outside.wav")
    page.get_by_role("button", name="Import").click()
    page.get_by_role("heading", name="1 recording imported").wait_for()
    page.get_by_role("link", name="The clips of mine").click()
    page.locator(".who", has_text="dora").wait_for()

    page.get_by_role("link", name="Results").click()
    page.locator(".measured h2 a").first.click()
    page.locator("#knows").wait_for()
    page.locator("#slider").fill("128")
    page.locator(".at-sentence[data-cutoff='128']").wait_for()
    with page.expect_download() as download:
        page.get_by_role("link", name="Manifest", exact=True).click()
    assert '"probability_cutoff": 0.50' in Path(download.value.path()).read_text()
    page.get_by_role("link", name="Train").click()
    page.get_by_role("link", name="New training").click()
    page.get_by_label("Recipe").select_option("standard")
    page.locator("#the-command pre", has_text="standard").wait_for(state="attached")


def test_the_microphone_is_heard_through_the_gateway(visit: Visit) -> None:
    page = visit("/listen/")
    page.get_by_role("button", name="Start listening").click()
    page.locator("#found li[data-slice]").first.wait_for()
    page.get_by_role("button", name="Stop").click()
    page.locator("body[data-stopped=true]").wait_for()
    page.get_by_role("button", name="Save the recording").click()
    page.locator("#saved[data-path]").wait_for()
    assert page.locator("#saved").get_attribute("data-equal") == "true"


def test_without_https_pages_work_and_the_microphone_says_what_it_needs(driver: Playwright, gateway: int) -> None:
    """As most Home Assistants are opened: by http and a name of the house, which browsers trust less."""
    rules = "--host-resolver-rules=MAP homeassistant.local 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    begins = f"http://homeassistant.local:{gateway}{PREFIX}/"
    with chromium(driver, rules) as browser, watched(browser, begins) as opened:
        page = opened(f"{begins}listen/", width=420, color_scheme="dark")
        assert not page.evaluate("isSecureContext")
        page.get_by_role("button", name="Start listening").click()
        page.locator("#fault", has_text="https://").wait_for()
        page.get_by_text("The same on the command line").click()
        page.get_by_role("button", name="Copy").first.click()
        page.get_by_role("button", name="Copied").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 420
        assert violations(page) == []


def answered(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    """What a program gets from a port of this machine, and where it is sent ("_" of a header stands for "-")."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, headers={key.replace("_", "-"): value for key, value in headers.items()})
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status, response.getheader("Location") or ""


def test_nobody_comes_in_past_the_gateway(studio: StudioServer, gateway: int) -> None:
    assert answered(gateway, f"{PREFIX}/start/")[0] == 200
    for headers in ({}, {"X_Ingress_Path": PREFIX}, {"X_Forwarded_For": ADDRESS}, {"Host": "172.30.32.2"}):
        assert answered(studio.port, "/start/", **headers)[0] == 403, headers
    assert answered(studio.port, "/static/studio.css")[0] == 403
    assert answered(studio.port, "/start/?token=x")[0] == 403
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13"}
    socket = upgrade | {"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    hear = "/record/hear?rate=16000"
    assert answered(studio.port, hear, Origin=studio.origin, **socket)[0] == 403
    own, others = f"http://127.0.0.1:{gateway}", "http://elsewhere.example"
    assert answered(gateway, f"{PREFIX}{hear}", Origin=others, **socket)[0] == 403
    assert answered(gateway, f"{PREFIX}{hear}", Origin=own, **socket)[0] == 101
    stop = f"{PREFIX}/jobs/0001/stop"
    assert answered(gateway, stop, "POST")[0] == 403
    assert answered(gateway, stop, "POST", Origin=others)[0] == 403
    assert answered(gateway, stop, "POST", Origin=own)[0] == 422, "there is no such job"
    assert not (studio.workspace.own / "token").exists()


def test_where_a_page_is_sent_is_where_the_browser_came_from(studio: StudioServer, tmp_path: Path) -> None:
    with ingress(studio.port, tmp_path / "https", scheme="https") as port:
        assert answered(port, f"{PREFIX}/")[1] == f"{PREFIX}/start/"
        assert answered(port, f"{PREFIX}/start") == (307, f"https://127.0.0.1:{port}{PREFIX}/start/")


@pytest.mark.parametrize("told", ['"/x\\"onclick=1"', "//elsewhere.example/..", "/..", "/a/./b", "relative", '"/a b"'])
def test_a_path_that_is_none_is_refused(studio: StudioServer, tmp_path: Path, told: str) -> None:
    with ingress(studio.port, tmp_path / "nginx", told) as port:
        assert answered(port, f"{PREFIX}/start/")[0] == 403


def test_a_gateway_that_is_no_address(tmp_path: Path) -> None:
    done = run(tmp_path, "mww-studio", "--workspace", str(tmp_path / "w"), "--behind-ingress", "homeassistant.local")
    assert done.returncode == 2
    assert "--behind-ingress homeassistant.local: is no IPv4 address" in done.stderr
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    ("origin", "headers", "passes"),
    [
        ("https://ha.example:8443", {"host": "ha.example"}, True),
        ("https://HA.example", {"host": "ha.example:443"}, True),
        ("https://out.example", {"host": "inner", "x-forwarded-host": "out.example, ha.example"}, True),
        ("https://elsewhere.example", {"host": "ha.example"}, False),
        ("null", {"host": ""}, False),
        ("", {}, False),
        ("https://[", {"host": "["}, False),
    ],
)
def test_a_form_is_taken_from_the_machine_that_was_asked(origin: str, headers: dict[str, str], passes: bool) -> None:
    """Proxies before Home Assistant name it with its port or without."""
    told = [(name.encode(), value.encode()) for name, value in {**headers, "origin": origin}.items()]
    scope = {"type": "http", "method": "POST", "path": "/", "client": (ADDRESS, 1), "headers": told}
    assert (Gateway(ADDRESS).refusal(scope) is None) is passes
