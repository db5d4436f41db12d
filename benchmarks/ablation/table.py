"""Rows as a table, for a terminal and as Markdown."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.ablation.measure import NOISE_FLOOR_DBFS
from benchmarks.ablation.ranks import FEWEST, RankCorrelation, rank_correlation
from benchmarks.ablation.rows import Exploratory, Figures, Row
from benchmarks.ablation.steps import Cost, minutes
from harness.results import wording
from harness.results.schema import IntervalRecord

WIDTH = 250
OVER_NOISE = f"over {NOISE_FLOOR_DBFS:g} dBFS"
HEADINGS = (
    "word",
    "recipe",
    "seed",
    "steps",
    "validation said",
    "cutoff",
    "people found",
    "false accepts, test split",
    "false accepts, all not heard",
    "other words",
    "found at 1 false accept in all (exploratory)",
    f"people found, {OVER_NOISE}",
    f"false accepts, all not heard, {OVER_NOISE}",
    f"found at 1 false accept in all, {OVER_NOISE} (exploratory)",
    "minutes: speech, training, rest",
    "processor minutes",
    "MiB",
    "commit",
)
TARGETS = ("people found", "false accepts an hour", "found at 1 false accept in all")
UNRANKED = frozenset(
    {
        "step",
        "mined",
        "hours",
        "export_utterances",
        "export_hours",
        "export_cutoff",
        "export_probability_cutoff",
        "export_reaches_target",
    }
)
"""What validation counts that is no judgement of a model."""
CAPTION = (
    "People: recordings of the corpus, each from a fresh start, at the cutoff of the manifest. False accepts: speech"
    " and noise of the corpus that the model did not hear in training; all of it, or the test split alone. Intervals:"
    f" 95 % (Clopper-Pearson, Garwood). Over {NOISE_FLOOR_DBFS:g} dBFS: white noise of that level, as a"
    " microphone has it, is under and between all recordings. Exploratory: the cutoff was read off the test. Minutes"
    " are those of a machine that may have had other work."
)


def cells(row: Row) -> list[str]:
    """A row, a text for each of `HEADINGS`."""
    figures = row.figures
    return [
        row.word,
        row.recipe,
        wording.NONE if row.published else str(row.seed),
        "+".join(map(str, row.steps)) if row.steps else wording.NONE,
        _validation(row.validation),
        wording.cutoff(figures.cutoff),
        _people(figures),
        _rate(figures.false_accepts_test),
        _rate(figures.false_accepts),
        _share(figures.other_words),
        _exploratory(figures.at_one_false_accept),
        *_over_noise(figures),
        _minutes(row.costs),
        wording.NONE if not row.costs else f"{sum(cost.cpu_seconds for cost in row.costs.values()) / 60:.1f}",
        wording.NONE if not row.costs else f"{max(cost.peak_mib for cost in row.costs.values()):.0f}",
        row.commit,
    ]


def ordered(rows: Sequence[Row]) -> list[Row]:
    """By word, published models first, then as they were made."""
    words = list(dict.fromkeys(row.word for row in rows))
    return sorted(rows, key=lambda row: (words.index(row.word), not row.published))


def looked_at(looks: Mapping[str, int]) -> str:
    """How often each word's people were listened to, in a sentence."""
    if not looks:
        return "Nobody's test recordings were listened to yet."
    return (
        "Listened to the people of:"
        f" {', '.join(f'{word} {wording.number(count, "time")}' for word, count in sorted(looks.items()))} (in this"
        " folder)."
    )


def as_markdown(rows: Sequence[Row], looks: Counter[str]) -> str:
    """The table, its caption, the looks and the rank correlations, as Markdown."""
    lines = [_line(HEADINGS), _line(["---"] * len(HEADINGS)), *(_line(cells(row)) for row in ordered(rows))]
    parts = ["\n".join(lines), CAPTION, looked_at(looks)]
    if ranks := correlations(rows):
        head = ("validation's figure", "words", *TARGETS)
        parts.append("\n".join([_line(head), _line(["---"] * len(head)), *map(_line, ranks)]))
        parts.append(RANKS_CAPTION)
    return "\n\n".join(parts) + "\n"


def as_text(rows: Sequence[Row], looks: Counter[str], width: int = WIDTH) -> str:
    """The same for a terminal."""
    out = io.StringIO()
    console = Console(file=out, width=width)
    console.print(_rich(HEADINGS, [cells(row) for row in ordered(rows)]))
    console.print(CAPTION, looked_at(looks), highlight=False)
    if ranks := correlations(rows):
        console.print(_rich(("validation's figure", "words", *TARGETS), ranks))
        console.print(RANKS_CAPTION, highlight=False)
    return out.getvalue()


RANKS_CAPTION = (
    "Spearman's rank correlation of what validation said with what people and hours said, over the trained rows of a"
    " word, or of all words, each ranked by itself; 95 % of bootstrap draws; p by random orders. 1: validation ranks as"
    " the test does. A figure of false accepts should go with false accepts."
)


def correlations(rows: Sequence[Row]) -> list[list[str]]:
    """A line for each of validation's figures that enough rows have, and each word and all words together: the rank
    correlation with each target.
    """
    trained = [row for row in rows if not row.published]
    names = sorted({name for row in trained for name in row.validation} - UNRANKED)
    lines = []
    for name in names:
        by_word: dict[str, list[Row]] = {}
        for row in trained:
            # Rows that were tested on fewer people, or fewer hours, have other figures: they are not ranked with the
            # rest.
            if (
                name in row.validation
                and row.figures.people_of == "all"
                and len(row.figures.streams) == _most_streams(trained)
            ):
                by_word.setdefault(row.word, []).append(row)
        counted = {word: found for word, found in by_word.items() if len(found) >= FEWEST}
        groups = [(word, [found]) for word, found in counted.items()]
        if len(counted) > 1:
            groups.append(("all", list(counted.values())))
        for label, words in groups:
            ranked = [
                rank_correlation(
                    [
                        ([row.validation[name] for row in found], [_target(row, target) for row in found])
                        for found in words
                    ]
                )
                for target in TARGETS
            ]
            if any(ranked):
                lines.append([name, label, *map(_rank, ranked)])
    return lines


def _most_streams(rows: Sequence[Row]) -> int:
    return max(len(row.figures.streams) for row in rows)


def _target(row: Row, target: str) -> float:
    figures = row.figures
    best = figures.at_one_false_accept
    values = (figures.people.rate, figures.false_accepts.rate, best.detected / best.of if best else 0.0)
    return values[TARGETS.index(target)] or 0.0


def _rank(found: RankCorrelation | None) -> str:
    if found is None:
        return "no differences"
    return f"{found.rho:+.2f} ({found.low:+.2f} to {found.high:+.2f}), {wording.p_value(found.p)}, {found.models} rows"


def _validation(said: Mapping[str, float]) -> str:
    if "export_detected" not in said:
        return wording.NONE
    found, of = said["export_detected"], said["export_utterances"]
    return (
        f"{found:.0f}/{of:.0f}, {said['export_false_accepts']:.0f} in {wording.hours(said['export_hours'])}, step"
        f" {said.get('step', 0):.0f}"
    )


def _people(figures: Figures) -> str:
    note = "" if figures.people_of == "all" else f" ({figures.people_of})"
    return f"{_share(figures.people)}{note}"


def _share(record: IntervalRecord) -> str:
    return f"{wording.in_short(record)} ({wording.interval(record)})"


def _rate(record: IntervalRecord) -> str:
    return f"{wording.in_short(record)}/h ({wording.interval(record)})"


def _over_noise(figures: Figures) -> tuple[str, str, str]:
    noisy = figures.over_noise
    if noisy is None or noisy.noise_floor_dbfs != NOISE_FLOOR_DBFS:
        return wording.NONE, wording.NONE, wording.NONE
    return _share(noisy.people), _rate(noisy.false_accepts), _exploratory(noisy.at_one_false_accept)


def _exploratory(best: Exploratory | None) -> str:
    return (
        wording.NONE
        if best is None
        else f"{best.detected}/{best.of} = {wording.percent(best.detected / best.of)} at {best.cutoff}/255"
    )


def _minutes(costs: Mapping[str, Cost]) -> str:
    if not costs:
        return wording.NONE
    speech = [name for name in costs if name.startswith("generate")]
    rest = [name for name in costs if name not in speech and name not in ("train", "cycle")]
    return ", ".join(f"{minutes(costs, *names):.1f}" for names in (speech, ("train", "cycle"), rest))


def _line(texts: Sequence[str]) -> str:
    return f"| {' | '.join(text.replace('|', '/') for text in texts)} |"


def _rich(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> Table:
    table = Table(show_lines=False, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for line in lines:
        table.add_row(*line)
    return table
