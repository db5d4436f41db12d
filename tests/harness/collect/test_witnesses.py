"""Log lines as ESPHome sends them: coloured, tagged, from any task."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.collect.witnesses import (
    AlreadyRunning,
    ArenaProbed,
    ArenaProbeFailed,
    AudioLost,
    BlockedByVad,
    BoardLine,
    Detected,
    EventDropped,
    InferenceFailed,
    LogFact,
    StateChanged,
    parse_fact,
    parse_line,
)

OVERFLOW = (
    "Not enough free bytes in ring buffer to store incoming audio data. Resetting the ring buffer. Wake word detection"
    " accuracy will temporarily be reduced."
)


def board(message: str, *, level: str = "D", tag: str = "micro_wake_word:493", task: str = "") -> str:
    inner = f"\x1b[1;31m[{task}]\x1b[0;36m" if task else ""
    return f"\x1b[0;36m[{level}][{tag}]{inner}: {message}\x1b[0m"


@pytest.mark.parametrize(
    ("message", "fact"),
    [
        (
            "Detected 'hey jarvis' with sliding average probability is 0.97 and max probability is 1.00",
            Detected("hey jarvis", 0.97, 1.0),
        ),
        (
            "Detected 'it's 'me'' with sliding average probability is 0.97 and max probability is 1.00",
            Detected("it's 'me'", 0.97, 1.0),
        ),
        ("Detected 'a' with sliding average probability is 0.9.7 and max probability is 1.00", None),
        ("Wake word model predicts 'alexa', but VAD model doesn't.", BlockedByVad("alexa")),
        ("State changed from STOPPED to STARTING", StateChanged("STOPPED", "STARTING")),
        ("Probed tensor arena size: 22860 bytes", ArenaProbed(22860)),
        ("Arena size probe failed, using manifest size: 22860 bytes", ArenaProbeFailed(22860)),
        (OVERFLOW, AudioLost("ring buffer overflow")),
        (
            "Inference task paused for 1000 ms without being released, so it resumed on its own",
            AudioLost("inference paused"),
        ),
        ("Streaming interpreter invoke failed", InferenceFailed("Streaming interpreter invoke failed")),
        (
            "Encountered an error while performing an inference",
            InferenceFailed("Encountered an error while performing an inference"),
        ),
        ("Wake word detection is already running", AlreadyRunning()),
        ("Inference task is running", None),
    ],
)
@pytest.mark.parametrize("task", ["", "mww", "loopTask"])
def test_lines_of_the_detection(message: str, fact: LogFact | None, task: str) -> None:
    assert parse_fact(board(message, task=task)) == fact


def test_other_tags_say_nothing() -> None:
    assert (
        parse_fact(
            board("Detected 'a' with sliding average probability is 0.97 and max probability is 1.00", tag="main:012")
        )
        is None
    )
    assert parse_fact("Detected 'a' with sliding average probability is 0.97 and max probability is 1.00") is None


@pytest.mark.parametrize(
    ("tag", "message", "dropped"),
    [
        ("api.connection:099", "Action request dropped, TCP buffer full", True),
        ("api:546", "Home Assistant event 'esphome.mww_detection' dropped; no client connected", True),
        ("api.connection:1664", "Serial proxy response dropped, TCP buffer full", False),
    ],
)
def test_the_board_says_itself_what_it_dropped(tag: str, message: str, dropped: bool) -> None:
    assert parse_fact(board(message, level="W", tag=tag)) == (EventDropped(message) if dropped else None)


def test_the_parts_of_a_line() -> None:
    assert parse_line(board("a: [b]\nc", level="VV", tag="wifi:012", task="mww")) == BoardLine(
        "VV", "wifi", "mww", "a: [b]\nc"
    )
    assert parse_line("plain") == BoardLine("", "", "", "plain")


@given(st.text())
def test_no_line_is_too_strange(text: str) -> None:
    parse_line(text)
    parse_fact(text)
    parse_fact(board(text))
