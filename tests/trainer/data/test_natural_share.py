"""How many clips slow engines say, beside fast ones and alone."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.data.speech.dealing import EngineDealer, engine_limits, engine_shares
from trainer.data.speech.engine import EngineOptions, EngineSpec, SkippedEngine, Voice
from trainer.data.speech.plan import NEAR_MISS, POSITIVE, SENTENCE, CorpusRequest
from trainer.data.speech.registry import choose_engines, engine_specs, skipped_lines, slow_engines


def dealt(slow: tuple[bool, ...], most: int, clips: int, speakers: tuple[int, ...] = (100, 4, 300)) -> list[int]:
    """The engine of each clip."""
    shares = engine_shares([[[Voice("a", "a")]] * count for count in speakers[: len(slow)]], slow)
    deal, draw = EngineDealer(shares, engine_limits(slow, most)), np.random.default_rng(0)
    return [deal(draw, [True] * len(slow)) for _ in range(clips)]


def test_a_slow_engine_says_every_second_clip_up_to_its_number() -> None:
    found = dealt((False, False, True), 300, 1000)
    counts = Counter(found)
    assert counts[2] == 300
    assert abs(Counter(found[:500])[2] - 250) <= 2
    assert counts[0] / counts[1] == pytest.approx(5, rel=0.1), (
        "among the others the square root of 100 and 4 speakers decides"
    )
    assert 2 not in found[700:]


@given(st.integers(0, 60), st.integers(0, 200))
def test_more_clips_begin_with_the_fewer_ones(most: int, clips: int) -> None:
    assert dealt((False, False, True), most, 200)[:clips] == dealt((False, False, True), most, clips)


def test_where_there_are_only_slow_engines_they_say_all() -> None:
    assert dealt((True,), 3, 50) == [0] * 50


def test_a_text_that_only_an_engine_at_its_limit_reads_is_read() -> None:
    deal, draw = EngineDealer([0.5, 0.5], [np.inf, 1]), np.random.default_rng(0)
    assert [deal(draw, [False, True]) for _ in range(3)] == [1, 1, 1]


def test_natural_voices_say_as_many_negatives_as_wake_words() -> None:
    request = CorpusRequest("alexa", natural=301)
    assert [request.most_natural(kind) for kind in (POSITIVE, NEAR_MISS, SENTENCE)] == [301, 150, 151]


def test_engines_that_are_of_no_use_are_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(_: EngineOptions) -> SkippedEngine:
        raise AssertionError

    specs = {
        **engine_specs(),
        "drawl": EngineSpec("drawl", "apt install drawl", ("en", "es"), "a drawl", never, slow=True),
    }
    specs.pop("kokoro")
    monkeypatch.setattr("trainer.data.speech.registry.engine_specs", lambda: specs)
    assert slow_engines() == {"drawl"}
    assert "drawl" not in {one.name for one in choose_engines(slow=False).skipped}
    assert "drawl" not in {engine.name for engine in choose_engines(language="de-AT").skipped}, (
        "nobody misses it in a language that it does not speak"
    )
    for language in ("es-MX", None):
        with pytest.raises(AssertionError):
            choose_engines(language=language)
    missing, tired = (
        SkippedEngine("drawl", "it is missing", "apt install drawl"),
        SkippedEngine("drawl", "it is tired", ""),
    )
    assert skipped_lines([missing, tired]) == [
        "drawl is not used: it is missing. It would add a drawl. To have it: apt install drawl",
        "drawl is not used: it is tired",
    ]
    flite = SkippedEngine("flite", "it is missing too", "apt install drawl")
    assert skipped_lines([missing, flite]) == [
        "2 engines are not installed: drawl (a drawl), flite (four people). To have them: apt install drawl"
    ]
