"""The page to listen to: what is chosen for it, that it is whole and quiet, and what a browser makes of it."""

from __future__ import annotations

import html
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.programs import needs
from trainer.data.clips import write_clip
from trainer.data.speech.listening_page import (
    CLIPS_OF_ENGINE,
    MOST_THROWN_OUT,
    PagedClip,
    choose_clips,
    write_listening_page,
)
from trainer.data.speech.plan import NEAR_MISS, POSITIVE, SENTENCE, ClipPlan
from trainer.data.speech.pronunciation import CUT_AT_END, OTHER, SAID, ClipVerdict

PLAN = ClipPlan(
    0, POSITIVE, "hey <house>, now", 4, 11, "espeak", "en-us", "anna", "anna", "en", "in_flow", 1.2, -1.5, 1.0, -6.0, 1
)


def paged(file: Path, index: int, engine: str, kind: str, reason: str) -> PagedClip:
    plan = ClipPlan(
        index, kind, "house", 0, 5, engine, f"voice{index % 7}", "a", "a", "en", "alone", 1.0, 0.0, 1.0, -6.0, 1
    )
    return PagedClip(file, plan, ClipVerdict(reason, "h aʊ s", -0.5))


kinds = st.tuples(st.sampled_from([POSITIVE, NEAR_MISS, SENTENCE]), st.sampled_from([SAID, SAID, OTHER, CUT_AT_END]))


@given(st.lists(kinds, max_size=40))
def test_ten_clips_of_an_engine_and_not_only_bad_ones(drawn: list[tuple[str, str]]) -> None:
    clips = [paged(Path(), index, "espeak", kind, reason) for index, (kind, reason) in enumerate(drawn)]
    chosen = choose_clips(clips)
    kept = [clip for clip in clips if not clip.reason]
    thrown = len(clips) - len(kept)
    assert len(chosen) == min(CLIPS_OF_ENGINE, len(kept) + min(thrown, MOST_THROWN_OUT))
    assert [clip.plan.index for clip in chosen] == sorted(clip.plan.index for clip in chosen)
    assert sum(bool(clip.reason) for clip in chosen) == min(thrown, MOST_THROWN_OUT)
    if {CUT_AT_END, OTHER} <= {clip.reason for clip in clips}:
        assert {CUT_AT_END, OTHER} <= {clip.reason for clip in chosen}, "each reason can be heard"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    sound = (6000 * np.sin(np.arange(8000) / 9)).astype(np.int16)
    write_clip(folder / "one.wav", sound)
    clips = [
        PagedClip(folder / "one.wav", PLAN, ClipVerdict(SAID, "h aʊ s", -0.25)),
        paged(folder / "one.wav", 1, "espeak", POSITIVE, CUT_AT_END),
        paged(folder / "one.wav", 2, "flite", NEAR_MISS, SAID),
    ]
    write_listening_page(folder / "listen.html", "hey <house>", clips, ["a note & more"])
    return folder / "listen.html"


def test_everything_is_in_the_page_and_nothing_is_loaded(page: Path) -> None:
    text = page.read_text()
    assert text.count("<audio") == 3
    assert set(re.findall(r"""(?:src|href)=["']([^"'#]{0,12})""", text)) <= {"data:audio/w", ""}
    assert not re.search(r"https?:|url\(|@import|<script", text)
    assert "hey &lt;house&gt;" in text
    assert "a note &amp; more" in text
    assert f"thrown out:</span> {CUT_AT_END} (-0.50; heard: h aʊ s)" in text
    assert "<td>its end is missing (1)</td>" in text
    assert '<span class="muted">hey </span>&lt;house&gt;<span class="muted">, now</span>' in text


@needs("chromium", "chromium")
def test_a_browser_plays_each_clip_and_filters_without_scripts(page: Path, tmp_path: Path) -> None:
    # The page allows no script, so a copy without that rule asks the browser what it made of it.
    asking = """<script>addEventListener("load", async () => {
      const shown = () => [...document.querySelectorAll(".clip")].filter(clip => clip.offsetParent).length;
      const wait = (clip, done) => clip.readyState ? done() : (clip.onloadedmetadata = clip.onerror = done);
      const ready = clip => new Promise(done => wait(clip, done));
      await Promise.all([...document.querySelectorAll("audio")].map(ready));
      const found = [...document.querySelectorAll("audio")].map(clip => clip.duration.toFixed(2));
      const none = () => getComputedStyle(document.querySelector(".none")).display;
      const counts = [shown()];
      for (const id of ["thrown", "engine-2", "kept", "engine-1"]) {
        document.getElementById(id).click();
        counts.push(shown(), none());
      }
      document.title = JSON.stringify([found, counts, document.documentElement.scrollWidth <= innerWidth]);
    })</script>"""
    copy = tmp_path / "asked.html"
    copy.write_text(
        re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text()).replace(
            "</body>", asking + "</body>"
        )
    )
    command = [
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--window-size=420,900",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    done = subprocess.run(
        [*command, "--virtual-time-budget=20000", "--dump-dom", copy.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    title = html.unescape(re.findall(r"<title>(.*?)</title>", done.stdout)[0])
    assert title == '[["0.50","0.50","0.50"],[3,1,"none",0,"block",1,"none",1,"none"],true]'
