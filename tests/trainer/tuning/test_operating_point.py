"""Window and cutoff are chosen together, on validation data only."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.trainer.tuning.sessions import session
from trainer.data.split import Split
from trainer.tuning.operating_point import Targets, choose_point
from wakeword.errors import ConfigError
from wakeword.scoring.det import DetCurve, det_curve

TARGETS = Targets(0.5, 0.9)
WORDS = [(8, 240)] * 10


def test_single_peaks_ask_for_a_longer_window() -> None:
    chosen = choose_point(session(WORDS, [(2, 255), (2, 255)]), TARGETS)
    assert chosen.reaches_targets
    assert (chosen.window, chosen.recall, chosen.false_accepts_per_hour) == (5, 1.0, 0.0)
    short = choose_point(session(WORDS, [(2, 255), (2, 255)]), TARGETS, windows=(1, 2))
    assert not short.reaches_targets


def test_short_words_ask_for_a_shorter_one() -> None:
    chosen = choose_point(session([*WORDS, *[(2, 255)] * 10], [(9, 128)]), TARGETS)
    assert chosen.window < 5
    assert chosen.recall == 1


def test_of_equals_the_usual_window() -> None:
    assert choose_point(session(WORDS, []), TARGETS).window == 5
    assert choose_point(session(WORDS, []), TARGETS, windows=(4, 6)).window == 4
    assert choose_point(session(WORDS, []), TARGETS, preferred=3).window == 3


def test_a_missed_target_is_said() -> None:
    chosen = choose_point(session([*WORDS[:5], *[(1, 0)] * 5], []), TARGETS)
    assert (chosen.recall, chosen.reaches_recall, chosen.reaches_targets) == (0.5, False, False)


def test_the_tolerance_of_the_choice_gives_no_target_away() -> None:
    # Cutoffs up to 50 find all ten, those up to 240 nine, which the export's choice counts as equally good.
    heard = session([*WORDS[:9], (8, 50)], [])
    strict = choose_point(heard, Targets(0.5, 1.0), windows=(5,))
    assert (strict.choice.detected, strict.reaches_targets) == (10, True)
    assert 20 < strict.choice.cutoff < 40, "with a margin from false accepts, and not at the edge of a miss"
    relaxed = choose_point(heard, TARGETS, windows=(5,))
    assert (relaxed.choice.detected, relaxed.reaches_targets) == (9, True)
    assert relaxed.choice.cutoff > 100


def test_a_detection_in_the_pause_is_a_false_accept() -> None:
    chosen = choose_point(session(WORDS, [], late=3), TARGETS, windows=(5,))
    assert chosen.false_accepts_at_half == 3
    assert not chosen.reaches_targets


def test_what_the_model_itself_takes_for_the_word() -> None:
    chosen = choose_point(session([*WORDS[:7], *[(8, 100)] * 3], [(9, 200), (9, 120)]), TARGETS, windows=(5,))
    assert (chosen.missed_at_half, chosen.false_accepts_at_half) == (3, 1)
    assert 0.6 < chosen.average_viable_recall <= 1


def test_other_data_chooses_nothing() -> None:
    for split in (Split.TEST, Split.TRAIN):
        with pytest.raises(ValueError, match="data must not choose"):
            choose_point(session(WORDS, [], split), TARGETS)
    with pytest.raises(ValueError, match="no sliding window"):
        choose_point(session(WORDS, []), TARGETS, windows=())


@pytest.mark.parametrize(("rate", "recall"), [(0.0, 0.9), (-1.0, 0.9), (0.3, 0.0), (0.3, 1.1)])
def test_targets_that_no_model_can_have(rate: float, recall: float) -> None:
    with pytest.raises(ConfigError, match="--target-"):
        Targets(rate, recall)


def test_each_windows_curve_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One takes seconds where an hour is heard, and training asks at every evaluation."""
    computed = []

    def counted(*arguments: Any) -> DetCurve:
        computed.append(arguments)
        return det_curve(*arguments)

    monkeypatch.setattr("trainer.inference.splits.det_curve", counted)
    heard = session(WORDS, [])
    choose_point(replace(heard, hard_positives=(heard.positives,)), TARGETS, windows=(4, 5))
    assert sorted(window for _, window in computed) == [4, 4, 5, 5], "the words as they are, and in hard conditions"
