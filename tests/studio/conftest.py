"""A studio and a browser for its tests."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.once import made_once
from tests.programs import install
from tests.spoken import Spoken
from tests.studio.servers import StudioServer, end_jobs, studio_server
from tests.studio.simulations import simulate_a_model

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Playwright

HERE_ALONE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
"""No other machine has a name for this browser."""
BROKEN = (404, 500)
"""Answers that no page should get."""
NOTES = ("Failed to load resource", "The Cross-Origin-Opener-Policy header has been ignored")
"""How lines begin that the browser notes as errors and that are none: refusals, which tests provoke, and a header that
does nothing on a page without https."""


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[StudioServer]:
    """A studio of an empty workspace."""
    with studio_server(tmp_path / "workspace") as server:
        yield server
        end_jobs(server.workspace)


@pytest.fixture(scope="session")
def simulated(official_models: Path, spoken: Spoken, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which a model was simulated at two cutoffs, made once for all tests."""
    return made_once(tmp_path_factory, "studio-results", lambda root: simulate_a_model(root, official_models, spoken))


@pytest.fixture(scope="module")
def driver() -> Iterator[Playwright]:
    """What starts browsers; a process can have one of it alone. Its event loop runs in the tests' thread until it ends,
    and no other may run there meanwhile: so it ends with the tests of a module.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="the group test is not installed")
    with playwright.sync_playwright() as one:
        yield one


@contextmanager
def chromium(driver: Playwright, *flags: str) -> Iterator[Browser]:
    """The system's Chromium, which reaches this machine alone unless flags say otherwise."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip(f"needs chromium {install('chromium')}")
    one = driver.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu", HERE_ALONE, *flags])
    yield one
    one.close()


@pytest.fixture(scope="module")
def browser(driver: Playwright) -> Iterator[Browser]:
    """A Chromium for all pages; a module that needs one with a microphone has its own fixture of this name."""
    with chromium(driver) as one:
        yield one


@pytest.fixture
def visit(browser: Browser, studio: StudioServer) -> Iterator[Callable[..., Page]]:
    """Open a page of the studio as its user, in a window of its own: `visit("/train/", width=420)`. Whatever it asks of
    another machine, and each error of a script, fails the test.
    """
    with watched(browser, studio.origin) as opened:
        yield lambda path="/", **options: opened(
            f"{studio.origin}{path}{'&' if '?' in path else '?'}token={studio.token}", **options
        )


@contextmanager
def watched(browser: Browser, begins: str) -> Iterator[Callable[..., Page]]:
    """Open addresses, each in a window of its own. What they ask of any that does not begin like this, and each error
    of a script, fails when the block ends.
    """
    asked: list[str] = []
    faults: list[str] = []

    def note(line: str) -> None:
        if not line.startswith(NOTES):
            faults.append(line)

    with ExitStack() as stack:

        def opened(address: str, width: int = 1200, height: int = 900, **options: Any) -> Page:
            context = browser.new_context(viewport={"width": width, "height": height}, **options)
            stack.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(30_000)
            page.on("request", lambda request: asked.append(request.url))
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.on("console", lambda message: note(message.text) if message.type == "error" else None)
            page.on(
                "response",
                lambda answer: faults.append(f"{answer.status} {answer.url}") if answer.status in BROKEN else None,
            )
            page.goto(address)
            return page

        yield opened
    others = [address for address in asked if not address.startswith((begins, "data:", "blob:"))]
    assert not others, "a page asked another machine"
    assert not faults
