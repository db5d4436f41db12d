from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.ablation import ranks
from benchmarks.ablation.table import HEADINGS, as_markdown, as_text
from tests.benchmarks.ablation_rows import row


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "DRAWS", 99)


def test_a_row_shows_counts_rates_and_intervals() -> None:
    text = as_markdown([row()], Counter(alexa=3, computer=1))
    head, rule, line, *_ = text.splitlines()
    assert head.count("|") == rule.count("|") == line.count("|") == len(HEADINGS) + 1
    line = line.replace("\N{NO-BREAK SPACE}", " ")
    assert "| 150/174 = 86.2 % (80.2\N{EN DASH}91.0 %) |" in line
    assert "| 2 in 1.80 h = 1.11/h (0.135\N{EN DASH}4.01) |" in line
    assert "| 99/100, 0 in 0.50 h, step 1000 |" in line
    assert "| 140/174 = 80.5 % at 200/255 |" in line
    assert "| 1.0, 2.0, 0.0 | 1.5 | 500 |" in line
    assert "alexa 3 times, computer 1 time" in text
    assert "Spearman" not in text


def test_published_models_stand_first_and_say_nothing_of_a_training() -> None:
    published = row("official", digest="").model_copy(
        update={"validation": {}, "costs": {}, "steps": None, "recipe": "official"}
    )
    lines = as_markdown([row(), published], Counter()).splitlines()
    assert [line.split(" | ")[1] for line in lines[2:4]] == ["official", "plain"]
    assert lines[2].count("\N{EM DASH}") == 6


def test_recipes_are_kept_whole_on_a_terminal() -> None:
    text = as_text([row()], Counter(alexa=1))
    assert "plain" in text
    assert "0123abc" in text
    assert max(map(len, text.splitlines())) <= 220


def test_validation_is_ranked_against_people_and_hours() -> None:
    rows = [
        row(f"row-{number}", found=100 + number, false_accepts=9 - number, validation={"new": 0.5 + number / 10})
        for number in range(5)
    ]
    text = as_markdown(rows, Counter())
    (line,) = [line for line in text.splitlines() if line.startswith("| new ")]
    word, people, false_accepts, best = line.strip("| ").split(" | ")[1:]
    assert word == "alexa"
    assert people.startswith("+1.00 (")
    assert false_accepts.startswith("-1.00 (")
    assert best.startswith("+1.00 (")
    assert "5 rows" in people
    assert not [line for line in text.splitlines() if line.startswith("| recall ")], (
        "all rows have the same: there is nothing to rank"
    )


def test_rows_that_were_tested_on_less_are_not_ranked_with_the_rest() -> None:
    rows = [row(f"row-{number}", found=100 + number, validation={"new": 0.5 + number / 10}) for number in range(4)]
    heard = row("heard", found=1, validation={"new": 1.0}, streams=("speech-test",))
    fewer = row("fewer", found=1, validation={"new": 1.0}, people_of="test split")
    text = as_markdown([*rows, heard, fewer], Counter())
    (line,) = [line for line in text.splitlines() if line.startswith("| new ")]
    assert "+1.00" in line
    assert "4 rows" in line
