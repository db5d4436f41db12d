"""What a model does on the corpus: people who say its word, hours of other sound, and people who say other words."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ablation.commands import simulate
from benchmarks.ablation.corpus import EvaluationCorpus, write_list
from benchmarks.ablation.rows import Exploratory, Figures
from benchmarks.ablation.steps import Steps
from harness.results.runs import run_streams, sweep_cutoffs
from harness.results.schema import Result, read_result
from harness.results.scores import hourly_record, score_runs
from wakeword.model.float_model import read_record
from wakeword.scoring.det import DetCurve

SPLITS = ("train", "val", "test")
KINDS = ("speech", "noise")
PEOPLE, OTHER_WORDS = "people", "other_words"
ONE = 1
"""False accepts in all, at which a model's best recall is looked for."""


@dataclass(frozen=True)
class Listening:
    """What a model is tested on: nothing of it was heard in training."""

    people_of: str
    """all, or test split."""
    lists: dict[str, Path]
    """Lists of recordings: `people`, `other_words`, and streams named KIND-SPLIT."""

    @property
    def streams(self) -> list[str]:
        """Names of the streams."""
        return [name for name in self.lists if name not in (PEOPLE, OTHER_WORDS)]


def listening(
    corpus: EvaluationCorpus, word: str, others: Sequence[str], folder: Path, *, heard_people: bool, heard_sounds: bool
) -> Listening:
    """Write the lists for a word.

    Args:
        corpus: Of real recordings.
        word: The wake word.
        others: Words that must not be accepted.
        folder: Of the lists.
        heard_people: Its people were heard in training: only those of the test split are left.
        heard_sounds: Its speech and noise were heard in training: only the test split is left.

    Returns the lists by their names.
    """
    lists = {PEOPLE: write_list(folder / f"{PEOPLE}.txt", corpus.people(word, *(("test",) if heard_people else ())))}
    for kind in KINDS:
        for split in SPLITS:
            sounds = corpus.sounds(kind, split)
            if sounds and (split == "test" or not heard_sounds):
                name = f"{kind}-{split}"
                lists[name] = write_list(folder / f"{name}.txt", sounds)
    lists[OTHER_WORDS] = write_list(
        folder / f"{OTHER_WORDS}.txt", [path for other in others for path in corpus.people(other)]
    )
    return Listening("test split" if heard_people else "all", lists)


def hear(
    manifest: Path, what: Listening, steps: Steps, results: Path, cache: Path, told: Callable[[str], None]
) -> Figures:
    """Simulate a model on all lists, those that were done before left out, and count.

    Args:
        manifest: Of the model.
        what: The lists.
        steps: Runs the commands, or knows that they were run.
        results: Folder of the results, one a list.
        cache: Folder of features.
        told: Takes lines of progress.

    Returns counts and intervals.
    """
    for name, recordings in what.lists.items():
        clips = name in (PEOPLE, OTHER_WORDS)
        steps.run(
            f"simulate {name}",
            simulate(manifest, recordings, results / f"{name}.json", cache, wake=name == PEOPLE, clips=clips),
            told,
        )
    return figures(what.people_of, {name: read_result(results / f"{name}.json") for name in what.lists})


def figures(people_of: str, results: dict[str, Result]) -> Figures:
    """Counts and intervals of the results of `hear`, by the names of its lists."""
    people, other = results[PEOPLE], results[OTHER_WORDS]
    streams = {}
    for name, result in results.items():
        rate = score_runs(result.runs).false_accepts_per_hour
        if name not in (PEOPLE, OTHER_WORDS):
            assert rate is not None
            streams[name] = rate
    recall, accepted = score_runs(people.runs).recall, score_runs(other.runs).false_accept_clips
    assert recall is not None
    assert accepted is not None
    tested = [rate for name, rate in streams.items() if name.endswith("-test")]
    everything = [people, *(results[name] for name in streams)]
    curve = sweep_cutoffs(
        [
            stream
            for result in everything
            for run in result.runs
            for stream in run_streams(run, result.model.stride, result.model.feature_step_ms)
        ],
        people.model.window,
    )
    return Figures(
        cutoff=people.model.cutoff,
        window=people.model.window,
        people=recall,
        people_of=people_of,
        false_accepts_test=hourly_record(sum(one.count for one in tested), sum(one.of for one in tested)),
        false_accepts=hourly_record(
            sum(one.count for one in streams.values()), sum(one.of for one in streams.values())
        ),
        streams=streams,
        other_words=accepted,
        at_one_false_accept=at_one_false_accept(curve),
    )


def at_one_false_accept(curve: DetCurve) -> Exploratory | None:
    """The cutoff with most utterances among those with at most one false accept; of equals the highest. None where no
    cutoff has so few.
    """
    usable = [
        int(cutoff) for cutoff in curve.cutoffs if cutoff and curve.false_accepts[cutoff] <= ONE
    ]  # at 0 the device never detects
    if not usable:
        return None
    best = max(usable, key=lambda cutoff: (int(curve.detected[cutoff]), cutoff))
    return Exploratory(
        detected=int(curve.detected[best]),
        of=curve.utterances,
        false_accepts=int(curve.false_accepts[best]),
        hours=round(curve.hours, 3),
        cutoff=best,
    )


def validation_says(run: Path, model: Path) -> dict[str, float]:
    """What a run's validation says of the weights that were kept, and its export of the cutoff: every number
    of both."""
    said: dict[str, float] = {}
    with (run / "validation.csv").open(newline="") as file:
        kept = [row for row in csv.DictReader(file) if row["best"] == "1"]
    if kept:
        said |= {
            name: number
            for name, value in kept[-1].items()
            if name != "best" and (number := _number(value)) is not None
        }
    record = read_record(model)
    chosen = record.chosen_on_validation if record is not None else None
    return said | {
        f"export_{name}": number for name, value in (chosen or {}).items() if (number := _number(value)) is not None
    }


def _number(value: object) -> float | None:
    try:
        return float(str(value)) if not isinstance(value, bool) else float(value)
    except ValueError:
        return None
