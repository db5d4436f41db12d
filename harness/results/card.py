"""A model card: what was measured of a model, small enough to stand beside it where it is published.

The card is JSON with counts, intervals, corpora and the command; the badge is an SVG that says the same in one line.
Both begin with how it was measured: `simulated` is never left out. Nothing of the machine's folders is in them: of a
path in the command its name is kept.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Literal

from harness.results import wording
from harness.results.schema import ArenaRecord, IntervalRecord, Result, ScoresRecord, Source
from harness.results.verdict import judge
from wakeword.corpus.provenance import Provenance
from wakeword.errors import ConfigError
from wakeword.files import partial_file
from wakeword.pages import render_page
from wakeword.presentation import Mode
from wakeword.records import Record

CARD_SUFFIX, BADGE_SUFFIX = ".json", ".svg"


class CardModel(Record):
    """The model, by content, and where it decides."""

    file: str
    manifest_sha256: str
    tflite_sha256: str
    tflite_bytes: int
    feature_step_ms: int
    cutoff: float
    sliding_window: int
    tensor_arena_bytes: int


class CardFigure(Record):
    """A figure with what it was counted from."""

    name: str
    """Of the field of `result.json`'s scores."""
    title: str
    """The same in the report's words."""
    counted: str
    """Count, and of what, in words: `170 of 174`."""
    grade: str
    """Or what is missing for one."""
    figure: IntervalRecord


class CardCorpus(Record):
    """What was heard."""

    name: str
    truth: Literal["wake", "none"]
    presented: Mode
    """How, see `wakeword.presentation`."""
    provenance: Provenance
    """Who spoke."""
    recordings: int
    hours: float
    sha256: str
    """Of the sorted hashes of its recordings."""


class ModelCard(Record):
    """What people put beside a published model."""

    schema_version: Literal[1] = 1
    wake_word: str
    source: Source
    """How it was measured; the words are the report's."""
    how: str
    """The same with whose kernels and what noise, or how the sound came to a virtual board."""
    sentence: str
    remarks: tuple[str, ...]
    figures: tuple[CardFigure, ...]
    corpora: tuple[CardCorpus, ...]
    model: CardModel
    command: str
    seed: int | None
    created: str
    """ISO 8601, UTC."""
    versions: dict[str, str]


def make_card(result: Result) -> ModelCard:
    """The card of one model's merged results. Raises `ConfigError` where the board ran another model, and for figures
    at another cutoff than the command's.
    """
    if result.measured_cutoff is not None:
        raise ConfigError(
            f"{result.model.manifest_path}: no card: its figures are at cutoff {result.model.cutoff:g}, and were"
            f" measured at {result.measured_cutoff:g}; simulate it again with --cutoff {result.model.cutoff:g}"
        )
    verdict = judge(result)
    if verdict.withheld:
        raise ConfigError(f"{result.model.manifest_path}: no card: {verdict.sentence}")
    grades = {"false_accepts_per_hour": verdict.false_accepts.headline, "recall": verdict.recall.headline}
    first = result.runs[0]
    return ModelCard(
        wake_word=result.model.wake_word,
        source=first.source,
        how=result.way,
        sentence=verdict.sentence,
        remarks=verdict.remarks,
        figures=tuple(
            CardFigure(
                name=field,
                title=name.title,
                counted=wording.cell(figure).counted,
                grade=grades.get(field, ""),
                figure=figure,
            )
            for field, name in ScoresRecord.figures().items()
            if (figure := result.scores.figure(field)) is not None
        ),
        corpora=tuple(
            CardCorpus(
                name=run.label,
                truth=run.protocol.truth,
                presented=run.protocol.mode,
                provenance=run.provenance,
                recordings=len(run.files),
                hours=round(run.seconds / 3600, 4),
                sha256=run.corpus_sha256,
            )
            for run in result.runs
        ),
        model=_model(result, result.arena),
        command=without_folders(result.command),
        seed=result.seed,
        created=result.created,
        versions=result.versions,
    )


_FOLDERS = re.compile(r"""(?<![\w.~/-])(?:file://)?(?:/|~/|(?:\.\./)+)(?:[^\s"',\]/]+/)*""")
"""Folders from the root, from home or from above, within a word."""


def without_folders(commands: str) -> str:
    """Command lines without the folders of the machine that they were given on: of each path that is absolute, or
    begins at home or above the current folder, its name is kept. Paths below the current folder stay.
    """
    return "\n".join(shlex.join(map(_without_folders, words)) for words in _command_lines(commands))


def _command_lines(commands: str) -> Iterator[list[str]]:
    """The words of each command; one ends with its line, unless that is within quotes."""
    command = ""
    for line in commands.splitlines(keepends=True):
        command += line
        with suppress(ValueError):  # quotes that are open
            yield shlex.split(command)
            command = ""
    if command:
        yield command.split()


def _without_folders(word: str) -> str:
    if word.startswith(("/", "~")):
        return PurePath(word).name
    before, equals, given = word.partition("=")
    if given.startswith(("/", "~")):
        return f"{before}{equals}{PurePath(given).name}"
    return _FOLDERS.sub("", word)


def _model(result: Result, arena: ArenaRecord) -> CardModel:
    model = result.model
    return CardModel(
        file=PurePath(model.manifest_path).name,
        manifest_sha256=model.manifest_sha256,
        tflite_sha256=model.tflite_sha256,
        tflite_bytes=model.tflite_bytes,
        feature_step_ms=model.feature_step_ms,
        cutoff=model.cutoff,
        sliding_window=model.window,
        tensor_arena_bytes=arena.manifest,
    )


def badge(card: ModelCard) -> str:
    """The card in one line, as SVG: source, recall and false accepts per hour with their 95 % intervals."""
    figures = {one.name: one.figure for one in card.figures}
    parts = [f"{card.wake_word} · {card.how if card.source == 'virtual board' else card.source}"]
    recall, rate = figures.get("recall"), figures.get("false_accepts_per_hour")
    if recall is not None and recall.rate is not None:
        parts.append(f"recall {_plain(wording.cell(recall))}")
    if rate is not None and rate.rate is not None:
        parts.append(f"{_plain(wording.cell(rate))} false accepts/h")
    synthetic = {one.provenance for one in card.corpora} & {"synthetic", "partly synthetic"}
    if synthetic:
        parts.append("synthetic speech" if synthetic == {"synthetic"} else "partly synthetic speech")
    widths = [_width(text) + 2 * _MARGIN for text in parts]
    places = [sum(widths[:index]) for index in range(len(parts))]
    context = {
        "parts": list(zip(parts, places, widths, strict=True)),
        "width": sum(widths),
        "margin": _MARGIN,
        "title": f"{' · '.join(parts)} ({_counted(card)}; 95 % intervals)",
    }
    return render_page("harness.results", "badge.svg.j2", context)


def badge_path(card: Path) -> Path:
    """Where the badge of a card lies. Raises `ConfigError` for a card's name with another ending than its own."""
    if card.suffix != CARD_SUFFIX:
        raise ConfigError(
            f"{card}: a card is JSON; give a name that ends in {CARD_SUFFIX}, the badge gets {BADGE_SUFFIX}"
        )
    return card.with_suffix(BADGE_SUFFIX)


def write_card(card: ModelCard, path: Path) -> tuple[Path, Path]:
    """Write the card to `path` (.json) and the badge beside it (.svg), and return both. Raises `ConfigError` as
    `badge_path` does, and `OSError` when the disk is full.
    """
    picture = badge_path(path)
    with partial_file(picture) as svg, partial_file(path) as json:
        svg.write_text(badge(card), encoding="utf-8")
        json.write_text(card_text(card), encoding="utf-8")
    return path, picture


def card_text(card: ModelCard) -> str:
    """The card as its file holds it."""
    return card.model_dump_json(indent=2) + "\n"


_MARGIN = 9
_WIDE, _NARROW = frozenset("mwMWABCDGHKNOQRSUVXYZ%@"), frozenset("iljtfrI.,:;'()[]|! ·/1")


def _width(text: str) -> int:
    """About how wide a line of 11 pixels is; the SVG stretches the letters to it, whatever font a reader has."""
    return round(sum(9.0 if one in _WIDE else 4.2 if one in _NARROW else 6.6 for one in text))


def _plain(cell: wording.Cell) -> str:
    """A rate with its interval: `97.1 % (93.4-99.1)`."""
    low_high = cell.interval.removesuffix("\N{NO-BREAK SPACE}%")
    return f"{cell.rate} ({low_high})".replace("\N{NO-BREAK SPACE}", " ")


def _counted(card: ModelCard) -> str:
    said = "; ".join(f"{one.title.lower()}: {one.counted}" for one in card.figures)
    return said.replace("\N{NO-BREAK SPACE}", " ")
