"""What the test split says of the targets, and that nothing else may say it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.trainer.tuning.conftest import WEIGHTS
from tests.trainer.tuning.sessions import point, session
from trainer.data.split import Split
from trainer.inference.runs import find_candidate
from trainer.tuning.measurement import (
    SplitMeasurement,
    TargetVerdict,
    false_accepts_verdict,
    hours_to_prove,
    measure,
    recall_verdict,
)
from trainer.tuning.operating_point import Targets
from trainer.tuning.policy import TuningLimits
from trainer.tuning.report import Narrator
from trainer.tuning.tune import TuningTask, _SplitRunner
from wakeword.corpus.feature_cache import FeatureCache
from wakeword.scoring.rates import clopper_pearson, garwood

TARGETS = Targets(0.3, 0.92)


def measured(found: int = 0, utterances: int = 1, accepts: int = 0, hours: float = 1.0) -> SplitMeasurement:
    return SplitMeasurement("", 5, 128, found, utterances, accepts, 0, hours)


@pytest.mark.parametrize(
    ("found", "utterances", "verdict"),
    [
        (1000, 1000, TargetVerdict.PROVEN),
        (19, 20, TargetVerdict.MET),
        (18, 20, TargetVerdict.MISSED),
        (800, 1000, TargetVerdict.DISPROVEN),
    ],
)
def test_recall(found: int, utterances: int, verdict: TargetVerdict) -> None:
    assert recall_verdict(measured(found, utterances), TARGETS) is verdict


@pytest.mark.parametrize(
    ("accepts", "hours", "verdict"),
    [
        (0, 13.0, TargetVerdict.PROVEN),
        (0, 10.0, TargetVerdict.MET),
        (1, 1.0, TargetVerdict.MISSED),
        (20, 1.0, TargetVerdict.DISPROVEN),
    ],
)
def test_false_accepts(accepts: int, hours: float, verdict: TargetVerdict) -> None:
    assert false_accepts_verdict(measured(accepts=accepts, hours=hours), TARGETS) is verdict


@pytest.mark.parametrize("target", [0.05, 0.3, 2.0])
def test_the_hours_that_are_asked_for_do_prove_the_target(target: float) -> None:
    hours, targets = hours_to_prove(target), Targets(target, 0.92)
    assert false_accepts_verdict(measured(hours=hours * 1.001), targets) is TargetVerdict.PROVEN
    assert false_accepts_verdict(measured(hours=hours * 0.999), targets) is TargetVerdict.MET


def test_counts_are_those_of_the_session() -> None:
    heard = session([(8, 240)] * 8 + [(8, 100)] * 2, [(9, 200), (9, 120)], Split.TEST, hours=2.0, late=1)
    figures = measure(heard, point(0, 0, window=5, cutoff=128), "abc")
    assert (figures.found, figures.utterances, figures.weights_sha256) == (8, 10, "abc")
    assert (figures.false_accepts - figures.after_words, figures.after_words) == (1, 1)
    assert 2 < figures.hours < 2.1
    assert figures.recall_interval == clopper_pearson(8, 10)
    assert figures.per_hour_interval == garwood(2, figures.hours)


@pytest.mark.parametrize("split", [Split.VAL, Split.TRAIN])
def test_data_that_chose_measures_nothing(split: Split) -> None:
    with pytest.raises(ValueError, match="data has chosen what it would measure"):
        measure(session([(8, 240)], [], split), point(0, 0), "")


def test_features_that_another_command_removes_are_still_measured_with(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MWW_CACHE_DIR", str(tmp_path))
    candidate = find_candidate(tiny_run / WEIGHTS, None, None, (), (), None)
    task = TuningTask(candidate, TARGETS, TuningLimits())
    records = task.records(Split.VAL)
    before = _SplitRunner(task, Narrator(TARGETS)).run(records)
    runner = _SplitRunner(task, Narrator(TARGETS))
    runner.present(records)
    assert FeatureCache(tmp_path, limit_bytes=1).prune() == 0, "another command's cache is full"
    for (expected, _), (found, _) in zip(before.streams, runner.run(records).streams, strict=True):
        np.testing.assert_array_equal(found.probabilities, expected.probabilities)
