"""A grade when the interval allows it, else what is missing; none for a synthesiser's speech."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wakeword.scoring.grades import (
    ACCEPTABLE_RECALL_FROM,
    ACCEPTABLE_TO,
    EXCELLENT_BELOW,
    GOOD_RECALL_FROM,
    grade_false_accepts,
    grade_recall,
)
from wakeword.scoring.rates import clopper_pearson, garwood


@pytest.mark.parametrize(
    ("events", "hours", "headline"),
    [
        (0, 1.4, "not enough sound yet: at least 1.5 h"),
        (0, 1.5, "acceptable"),
        (0, 5.9, "acceptable"),
        (0, 6.0, "excellent"),
        (3, 24, "excellent"),
        (1, 1, "not enough sound yet: at least 2.4 h"),
        (24, 24, "acceptable"),
        (3, 1, "not enough sound yet: at least 3.9 h"),
        (5, 1, "not enough sound yet: at least 5.3 h"),
        (100, 10, "too many"),
        (0, 0, "not measured"),
    ],
)
def test_false_accepts(events: int, hours: float, headline: str) -> None:
    assert grade_false_accepts(events, hours, "recorded").headline == headline


@pytest.mark.parametrize(
    ("found", "utterances", "headline"),
    [
        (97, 411, "too low"),
        (13, 13, "not enough utterances yet: at least 14"),
        (14, 14, "acceptable"),
        (28, 28, "acceptable"),
        (29, 29, "good"),
        (19, 20, "not enough utterances yet: at least 22"),
        (169, 174, "good"),
        (270, 300, "acceptable"),
        (0, 3, "too low"),
        (0, 0, "not measured"),
    ],
)
def test_recall(found: int, utterances: int, headline: str) -> None:
    assert grade_recall(found, utterances, "unknown").headline == headline


def test_a_synthesisers_speech_has_no_grade_whatever_the_figures() -> None:
    for grade in (
        grade_recall(387, 411, "synthetic"),
        grade_false_accepts(0, 1000, "synthetic"),
        grade_false_accepts(0, 1000, "partly synthetic"),
    ):
        assert grade.name is None
        assert grade.headline.startswith("no grade:")
        assert "nothing of people" in grade.remark


@given(st.integers(0, 200), st.floats(0.001, 500))
def test_a_rates_grade_holds_its_bound_and_the_hours_named_suffice(events: int, hours: float) -> None:
    grade = grade_false_accepts(events, hours, "recorded")
    bounds = garwood(events, hours, 0.9)
    if grade.name == "too many":
        assert bounds.low > ACCEPTABLE_TO
    elif grade.name is not None:
        assert bounds.high <= {"excellent": EXCELLENT_BELOW, "acceptable": ACCEPTABLE_TO}[grade.name]
    else:
        needed = float(re.findall(r"at least ([\d.]+) h", grade.headline)[0])
        assert needed > hours
        assert grade_false_accepts(events, needed, "recorded").name == "acceptable"
        assert grade_false_accepts(events, needed - 0.11, "recorded").name is None


@given(st.integers(0, 300), st.integers(0, 60))
def test_a_recalls_grade_holds_its_bound_and_the_utterances_named_suffice(found: int, missed: int) -> None:
    grade = grade_recall(found, found + missed, "recorded")
    if not found + missed:
        return
    bounds = clopper_pearson(found, found + missed, 0.9)
    if grade.name == "too low":
        assert bounds.high < ACCEPTABLE_RECALL_FROM
    elif grade.name is not None:
        assert bounds.low >= {"good": GOOD_RECALL_FROM, "acceptable": ACCEPTABLE_RECALL_FROM}[grade.name]
    else:
        needed = int(re.findall(r"at least (\d+)", grade.headline)[0])
        assert needed > found + missed
        assert grade_recall(needed - missed, needed, "recorded").name == "acceptable"
        assert grade_recall(needed - 1 - missed, needed - 1, "recorded").name is None


def test_six_hours_without_an_event_are_needed_for_half_an_event_an_hour() -> None:
    assert -math.log(0.05) / EXCELLENT_BELOW == pytest.approx(5.99, abs=0.01)
    assert "6 h 'excellent'" in grade_false_accepts(0, 0.5, "recorded").remark
