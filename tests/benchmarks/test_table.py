from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.ablation import ranks
from benchmarks.ablation.rows import Exploratory, OverNoise
from benchmarks.ablation.table import HEADINGS, WIDTH, as_markdown, as_text
from harness.results.scores import hourly_record, share_record
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


def test_a_row_that_was_heard_over_noise_shows_it_and_an_older_one_a_dash() -> None:
    noisy = OverNoise(
        noise_floor_dbfs=-60.0,
        people=share_record(160, 174),
        false_accepts=hourly_record(3, 1.8),
        at_one_false_accept=Exploratory(detected=155, of=174, false_accepts=1, hours=1.8, cutoff=210),
    )
    other = noisy.model_copy(update={"noise_floor_dbfs": -50.0})
    rows = [row("old"), row("new", over_noise=noisy), row("other", over_noise=other)]
    text = as_markdown(rows, Counter()).replace("\N{NO-BREAK SPACE}", " ")
    head, _, *lines = text.splitlines()[:5]
    start = head.split(" | ").index("people found, over -60 dBFS")
    columns = [line.split(" | ")[start : start + 3] for line in lines]
    assert columns[0] == columns[2] == ["\N{EM DASH}"] * 3
    assert columns[1] == [
        "160/174 = 92.0 % (86.9\N{EN DASH}95.5 %)",
        "3 in 1.80 h = 1.67/h (0.344\N{EN DASH}4.87)",
        "155/174 = 89.1 % at 210/255",
    ]


def test_published_models_stand_first_and_say_nothing_of_a_training() -> None:
    published = row("official", digest="").model_copy(
        update={"validation": {}, "costs": {}, "steps": None, "recipe": "official"}
    )
    lines = as_markdown([row(), published], Counter()).splitlines()
    assert [line.split(" | ")[1] for line in lines[2:4]] == ["official", "plain"]
    assert lines[2].count("\N{EM DASH}") == 9


def test_recipes_are_kept_whole_on_a_terminal() -> None:
    text = as_text([row()], Counter(alexa=1))
    assert "plain" in text
    assert "0123abc" in text
    assert max(map(len, text.splitlines())) <= WIDTH


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
