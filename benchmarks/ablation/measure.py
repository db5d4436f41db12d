"""What a model does on the corpus: people who say its word, hours of other sound, and people who say other words."""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ablation.commands import simulate
from benchmarks.ablation.corpus import EvaluationCorpus, write_list
from benchmarks.ablation.rows import Exploratory, Figures, OverNoise
from benchmarks.ablation.steps import Steps
from harness.results.runs import run_streams, sweep_cutoffs
from harness.results.schema import IntervalRecord, Result, read_result
from harness.results.scores import hourly_record, score_runs
from wakeword.model.float_model import read_record
from wakeword.scoring.det import DetCurve

SPLITS = ("train", "val", "test")
KINDS = ("speech", "noise")
PEOPLE, OTHER_WORDS = "people", "other_words"
ONE = 1
"""False accepts in all, at which a model's best recall is looked for."""
NOISE_FLOOR_DBFS = -60.0
"""Of the microphone's noise over which people and streams are heard besides."""


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
    """Simulate a model on all lists, people and streams also over a microphone's noise, what was done before left out,
    and count.

    Args:
        manifest: Of the model.
        what: The lists.
        steps: Runs the commands, or knows that they were run.
        results: Folder of the results, one a list and noise.
        cache: Folder of features.
        told: Takes lines of progress.

    Returns counts and intervals.
    """

    def heard(name: str, noise_floor_dbfs: float | None, over: str) -> Result:
        wake, result = name == PEOPLE, results / f"{name}{over.replace(' ', '-')}.json"
        clips = name in (PEOPLE, OTHER_WORDS)
        command = simulate(
            manifest, what.lists[name], result, cache, wake=wake, clips=clips, noise_floor_dbfs=noise_floor_dbfs
        )
        steps.run(f"simulate {name}{over}", command, told)
        return read_result(result)

    plain = {name: heard(name, None, "") for name in what.lists}
    noisy = {name: heard(name, NOISE_FLOOR_DBFS, " over noise") for name in (PEOPLE, *what.streams)}
    return figures(what.people_of, plain).model_copy(update={"over_noise": over_noise(noisy)})


def figures(people_of: str, results: dict[str, Result]) -> Figures:
    """Counts and intervals of the results of `hear` without noise, by the names of its lists."""
    people, accepted = results[PEOPLE], score_runs(results[OTHER_WORDS].runs).false_accept_clips
    assert accepted is not None
    streams = _rates(results)
    return Figures(
        cutoff=people.model.cutoff,
        window=people.model.window,
        people=_recall(people),
        people_of=people_of,
        false_accepts_test=_together([rate for name, rate in streams.items() if name.endswith("-test")]),
        false_accepts=_together(streams.values()),
        streams=streams,
        other_words=accepted,
        at_one_false_accept=at_one_false_accept(
            _curve([result for name, result in results.items() if name != OTHER_WORDS])
        ),
    )


def over_noise(results: dict[str, Result]) -> OverNoise:
    """Counts and intervals of people and streams over noise, by the names of their lists."""
    return OverNoise(
        noise_floor_dbfs=NOISE_FLOOR_DBFS,
        people=_recall(results[PEOPLE]),
        false_accepts=_together(_rates(results).values()),
        at_one_false_accept=at_one_false_accept(_curve(results.values())),
    )


def _recall(people: Result) -> IntervalRecord:
    recall = score_runs(people.runs).recall
    assert recall is not None
    return recall


def _rates(results: Mapping[str, Result]) -> dict[str, IntervalRecord]:
    """Of the streams among them."""
    rates = {}
    for name, result in results.items():
        if name in (PEOPLE, OTHER_WORDS):
            continue
        rate = score_runs(result.runs).false_accepts_per_hour
        assert rate is not None
        rates[name] = rate
    return rates


def _together(rates: Collection[IntervalRecord]) -> IntervalRecord:
    return hourly_record(sum(one.count for one in rates), sum(one.of for one in rates))


def _curve(results: Iterable[Result]) -> DetCurve:
    """Over people and streams together."""
    kept = list(results)
    streams = [
        stream
        for result in kept
        for run in result.runs
        for stream in run_streams(run, result.model.stride, result.model.feature_step_ms)
    ]
    return sweep_cutoffs(streams, kept[0].model.window)


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
