"""Start: a phrase looked at, heard, and made."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from studio.chain import ChainOptions, begin_chain, begin_voices, chain_steps, folder_name, made_model, made_of
from studio.jobs.records import JobPhase
from studio.phrase_look import NearWord, PhraseLook, look_at
from studio.workspace import Workspace
from tests.studio.axe import violations
from tests.studio.servers import StudioServer, end_jobs, studio_server, wait_until
from wakeword.errors import ConfigError

if TYPE_CHECKING:
    from playwright.sync_api import Page

ENDING_MS = 180_000
"""A command that is told to end finishes what it has begun; a busy machine takes its time for that."""
SMALL = ChainOptions("computer", "en", clips=10, natural=0)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    made = Workspace(tmp_path)
    made.own.mkdir()
    monkeypatch.chdir(tmp_path)
    return made


def test_what_makes_a_phrase_hard() -> None:
    look = look_at("Computer!", "en")
    assert (look.phrase, look.syllables) == ("computer", 3)
    assert {word.text for word in look.near_words[:2]} == {"commuter", "compute"}
    assert look.verdict == "Long enough, but “commuter” and “compute” sound like it."
    assert look_at("yes", "en").verdict.startswith("An everyday word")
    assert look_at("hey jarvis", "en").verdict == "A good length, and no everyday word is close to it."
    assert look_at("hallo haus", "de").near_words


def test_a_phrase_in_other_letters_has_a_name_too(workspace: Workspace) -> None:
    look = look_at("Привет, дом", "ru")
    assert (look.phrase, look.known_words, look.syllables) == ("привет дом", 0, 3)
    assert look.verdict == "A good length; which everyday words are close to it is not known for this language."
    job = begin_voices(workspace, look.phrase, look.language)
    try:
        assert re.fullmatch(r"words/word_[0-9a-f]{8}_ru_voices", job.order.folder)
        _, steps = chain_steps(ChainOptions(look.phrase, look.language), Path("words/here"))
        assert steps[2].command[-2:] == ("--model-name", folder_name(look.phrase))
    finally:
        end_jobs(workspace)


def test_a_short_phrase_is_told_from_little_speech() -> None:
    near = (NearWord(text="use", distance=1.0),)
    look = PhraseLook(
        phrase="zus",
        language="en",
        sounds="zus",
        syllables=1,
        near_words=near,
        known_words=9,
        near_misses=(),
        near_miss_count=0,
    )
    assert look.verdict == "Short, so there is little to tell it from other speech by; “use” sound like it."


def test_a_phrase_is_looked_at_and_heard(visit: Callable[..., Page], studio: StudioServer) -> None:
    page = visit("/start/")
    page.get_by_label("Phrase").fill("x2000")
    page.get_by_role("button", name="Look and listen").click()
    fault = page.locator("#phrase-error")
    fault.get_by_text("holds the number 2000").wait_for()
    assert page.get_by_label("Phrase").get_attribute("aria-invalid") == "true"
    assert page.evaluate("document.activeElement.id") == "phrase"
    assert violations(page) == []
    page.get_by_label("Phrase").fill("Okay house")
    page.get_by_label("Language").fill("xx-nowhere")
    page.keyboard.press("Enter")
    page.locator("#language-error").get_by_text("not known").wait_for()
    page.get_by_label("Language").fill("en")
    page.keyboard.press("Enter")
    page.wait_for_url("**/start/?phrase=okay+house&language=en")
    page.get_by_text("A good length").wait_for()
    voices = page.get_by_role("list", name="Voices").get_by_role("button")
    voices.first.wait_for()
    (job,) = studio.workspace.desk.jobs()
    wait_until(
        studio.workspace.desk,
        lambda: studio.workspace.desk.job(job.name).phase is JobPhase.DONE,
        "all voices have spoken",
    )
    page.get_by_role("listitem").nth(9).wait_for()
    voices.first.click()
    page.locator("[aria-pressed=true]").wait_for()
    page.locator("[aria-pressed=true]").wait_for(state="detached")
    page.get_by_text("The same on the command line").first.click()
    assert "mww-generate 'okay house'" in page.get_by_label("Commands").first.inner_text()
    assert violations(page) == []


def test_a_chain_is_begun_left_found_running_and_stopped(visit: Callable[..., Page], studio: StudioServer) -> None:
    page = visit("/start/?phrase=computer&language=en")
    page.get_by_text("More choices").click()
    clips = page.get_by_label("Clips of the phrase")
    clips.fill("some")
    page.get_by_role("button", name="Make it").click()
    page.locator("#clips-error").get_by_text("'some' is not a number from 10 to 100000").wait_for()
    clips.fill("1500")
    page.get_by_label("Of these, by natural voices").fill("0")
    page.get_by_role("button", name="Make it").click()
    page.wait_for_url("**/start/made/computer/")
    page.locator(".steps .now").get_by_text("Generate speech").wait_for()
    page.locator(".progress-line").get_by_text(re.compile(r"speaking: \d+ of 7500")).wait_for(timeout=120_000)
    page.close()
    again, beside = visit("/start/"), visit("/start/made/computer/", width=420)
    again.get_by_role("link", name="“computer”").click()
    again.get_by_text("At work: step 1 of 7").wait_for()
    beside.get_by_role("button", name="Stop").click()
    for window in (again, beside):
        window.get_by_role("status").get_by_text("Stopped").wait_for(timeout=ENDING_MS)
        assert violations(window) == []
    (job,) = studio.workspace.desk.jobs()
    assert [step.command[0] for step in job.order.steps] == [
        *("mww-generate", "mww-train", "mww-export", "mww-verify"),
        *("mww-simulate", "mww-simulate", "mww-report"),
    ]


def test_an_open_page_outlives_a_killed_server(visit: Callable[..., Page], studio: StudioServer) -> None:
    page = visit("/start/?phrase=computer&language=en")
    page.get_by_text("More choices").click()
    page.get_by_label("Clips of the phrase").fill("1500")
    page.get_by_role("button", name="Make it").click()
    page.get_by_text("At work: step 1 of 7").wait_for()
    studio.kill()
    page.get_by_role("alert").get_by_text("The studio does not answer").wait_for()
    with studio_server(studio.workspace.root, studio.port):
        page.get_by_role("alert").get_by_text("The studio does not answer").wait_for(state="hidden")
        page.get_by_role("button", name="Stop").click()
        page.get_by_role("status").get_by_text("Stopped").wait_for(timeout=ENDING_MS)


def test_the_same_is_made_once_and_other_settings_beside_it(workspace: Workspace) -> None:
    with contextlib.ExitStack() as stack:
        stack.callback(end_jobs, workspace)
        first = begin_chain(workspace, SMALL)
        assert begin_chain(workspace, SMALL).name == first.name
        other = begin_chain(workspace, ChainOptions("computer", "en", clips=11, natural=0))
        assert (first.order.folder, other.order.folder) == ("words/computer", "words/computer_2")
        assert other.state.after, "one training at a time"
        with pytest.raises(ConfigError, match="nowhere"):
            begin_chain(workspace, ChainOptions("computer", "en", negatives=(Path("nowhere"),)))


def test_two_pages_that_begin_the_same_at_once_begin_it_once(workspace: Workspace) -> None:
    ready = threading.Barrier(2)

    def begin(_: int) -> tuple[str, str]:
        ready.wait(30)
        return begin_chain(workspace, SMALL).name, begin_voices(workspace, "computer", "en").name

    with contextlib.ExitStack() as stack:
        stack.callback(end_jobs, workspace)
        with ThreadPoolExecutor(2) as two:
            assert len(set(two.map(begin, range(2)))) == 1
        assert len(workspace.desk.jobs()) == 2


def test_what_begins_with_a_dash_is_refused(workspace: Workspace) -> None:
    for options in (ChainOptions("-x", "en"), ChainOptions("computer", "--help"), ChainOptions("computer", "en", "-")):
        with pytest.raises(ConfigError, match="begins with a dash"):
            begin_chain(workspace, options)
    with pytest.raises(ConfigError, match="nobody can say"):
        look_at("a\0b", "en")


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_from_an_empty_folder_to_a_report_and_a_model(visit: Callable[..., Page], studio: StudioServer) -> None:
    """A phrase to a simulated report and a downloaded model, in the browser alone."""
    page = visit("/start/?phrase=okay+house&language=en")
    page.get_by_text("More choices").click()
    page.get_by_label("Clips of the phrase").fill("100")
    page.get_by_label("Of these, by natural voices").fill("0")
    page.get_by_role("button", name="Make it").click()
    page.get_by_role("link", name="Open the report").wait_for(timeout=1_200_000)
    assert "okay house, simulated" in page.locator(".verdict").inner_text()
    with page.expect_download() as waited:
        page.get_by_role("link", name="Model").click()
    job = made_of(studio.workspace, "okay_house")
    assert job is not None
    model = studio.workspace.root / made_model(studio.workspace, job).model
    assert waited.value.path().read_bytes() == model.read_bytes()
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Open the report").click()
    opened.value.get_by_role("heading", level=1).wait_for()
    assert violations(page) == []
