"""Where output is kept, long work says where it stands, also while it reports nothing; on a terminal a bar does."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from firmware.terminal import stages
from harness.session.progress import session_progress
from harness.session.runner import Moment
from trainer.training.terminal import TrainingTerminal
from wakeword import progress
from wakeword.progress import PlainLines, audio_progress, plain_lines, working

TIMEOUT = 30.0


class Heard(io.StringIO):
    """A file that lets a test wait for words in it."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = threading.Condition()

    def write(self, text: str) -> int:
        with self.changed:
            written = super().write(text)
            self.changed.notify_all()
        return written

    def waits_for(self, words: str) -> str:
        with self.changed:
            assert self.changed.wait_for(lambda: words in self.getvalue(), TIMEOUT), self.getvalue()
        return self.getvalue()


def keeping(monkeypatch: pytest.MonkeyPatch) -> Heard:
    """Standard error as a file, with lines due at once. Not a fixture: pytest puts its own file there again when the
    test begins.
    """
    heard = Heard()
    monkeypatch.setattr(sys, "stderr", heard)
    monkeypatch.setattr(progress, "FIRST_LINE_S", 0.01)
    monkeypatch.setattr(progress, "EACH_LINE_S", 0.01)
    return heard


def step_of_audio(advance: Callable[[float], None]) -> str:
    advance(30.0)
    return "listening: 0.5 of 2.0 min of audio ("


def step_of_session(watch: Callable[[Moment], None]) -> str:
    watch(Moment(1, 60.0, 3))
    return "alexa: 1.0 of 2.0 min of audio, "


def step_of_build(both: Any) -> str:
    report, count = both
    report("compiling")
    count(3, 20)
    return "compiling: step 3 of 20 ("


def step_of_trainer(terminal: TrainingTerminal) -> str:
    terminal.counting("speaking")(2, 7)
    return "speaking: 2 of 7 ("


@pytest.mark.parametrize(
    ("opened", "step"),
    [
        (lambda: audio_progress("listening", 120.0), step_of_audio),
        (lambda: session_progress("alexa", 120.0), step_of_session),
        (stages, step_of_build),
        (TrainingTerminal, step_of_trainer),
        (lambda: working("reading"), lambda _: "reading ("),
    ],
    ids=["audio", "session", "build", "trainer", "work"],
)
def test_all_long_work_says_where_it_stands(
    monkeypatch: pytest.MonkeyPatch, opened: Callable[[], AbstractContextManager[Any]], step: Callable[[Any], str]
) -> None:
    kept = keeping(monkeypatch)
    with opened() as given:
        assert " so far)" in kept.waits_for(step(given))
    said = kept.getvalue()
    assert all(thread.name != "progress" for thread in threading.enumerate())
    assert "\x1b" not in said


def test_work_that_reports_nothing_is_heard_of(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = keeping(monkeypatch)
    with TrainingTerminal() as terminal:
        terminal.counting("speaking")(7, 7)
        kept.waits_for("still at work (")


def test_the_first_line_comes_soon_and_the_others_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (progress.FIRST_LINE_S, progress.EACH_LINE_S) == (15.0, 60.0)
    monkeypatch.setattr(progress, "FIRST_LINE_S", 0.0)
    said: list[str] = []
    first = threading.Event()

    def say(line: str) -> None:
        said.append(line)
        first.set()

    with PlainLines(say) as plain:
        plain.stands("half")
        assert first.wait(TIMEOUT)
        plain.stands("more")
    assert len(said) == 1


def test_a_terminal_gets_no_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = keeping(monkeypatch)
    with plain_lines(Console(file=kept, force_terminal=True)) as plain:
        plain.stands("half")
        assert not any(thread.name == "progress" for thread in threading.enumerate())
    assert kept.getvalue() == ""


def test_an_onlooker_finds_the_newest_line_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "progress.txt"
    monkeypatch.setenv(progress.FILE_VARIABLE, str(file))
    with PlainLines(lambda _: None) as plain:
        plain.stands("speaking: 10 of 800")
        assert file.read_text().rstrip() == "speaking: 10 of 800"
        plain.stands("ä" * 1000)
        assert len(file.read_bytes()) == progress.FILE_BYTES
        plain.stands("last")
        assert file.read_text().rstrip() == "last"
    assert not file.read_text().strip(), "it has ended"


def test_an_onlookers_file_that_cannot_be_written_stops_no_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(progress.FILE_VARIABLE, str(tmp_path / "none" / "progress.txt"))
    with PlainLines(lambda _: None) as plain:
        plain.stands("speaking")
