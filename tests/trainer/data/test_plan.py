"""The plan of a corpus: the same voices in positives and negatives, ways of speaking by their shares, a plan that a
larger one begins with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data.speech.context import in_flow, may_follow, may_precede
from trainer.data.speech.engine import Speech, Voice
from trainer.data.speech.espeak_languages import sounds
from trainer.data.speech.foreign import accents_of, accents_read, foreign_voices, heard_otherwise
from trainer.data.speech.phonemes import says
from trainer.data.speech.plan import (
    NEAR_MISS,
    POSITIVE,
    SENTENCE,
    ClipPlan,
    Contexts,
    CorpusRequest,
    Spoken,
    plan_clips,
)
from trainer.data.speech.ways import (
    ALONE,
    AS_THE_ENGINES_SPEAK,
    ASKED,
    CALLED,
    CHILD,
    DEFAULT_WAYS,
    FORMANT_LIMITS,
    IN_FLOW,
    WAYS,
    WHISPERED,
    Manner,
    manner_of,
)
from wakeword.errors import ConfigError

NEAR = [f"near {number}" for number in range(40)]
LINES = [f"Sentence number {number}." for number in range(600)]
AROUND = Contexts(("turn it off", "and the"), ("what time is it", "stop"))
SPOKEN = Spoken({POSITIVE: ["alexa"], NEAR_MISS: NEAR, SENTENCE: LINES}, {POSITIVE: AROUND, NEAR_MISS: AROUND})


@dataclass(frozen=True)
class Silent:
    """An engine that is planned for and never speaks."""

    name: str
    speakers: int
    marks_words: bool = False
    pitch_moves_formants: bool = False

    def voices(self, language: str) -> tuple[Voice, ...]:
        traits = Voice(
            "", "", language=language, pitch_moves_formants=self.pitch_moves_formants, marks_words=self.marks_words
        )
        return tuple(
            replace(traits, name=f"{number}{accent}", speaker=f"{self.name}_{number}", family="")
            for number in range(self.speakers)
            for accent in "ab"
        )

    def unreadable(self, texts: Sequence[str], language: str) -> dict[str, str]:
        del texts, language
        return {}

    def synthesise(self, text: str, voice: str, rate: float, pitch: float, seed: int) -> Speech:
        raise AssertionError(f"a plan speaks nothing, not {(text, voice, rate, pitch, seed)}")


counts = st.tuples(*[st.integers(60, 160)] * 3).map(
    lambda numbers: dict(zip((POSITIVE, NEAR_MISS, SENTENCE), numbers, strict=True))
)
engines = st.lists(st.integers(1, 150), min_size=1, max_size=3).map(
    lambda numbers: [Silent(f"engine{place}", number) for place, number in enumerate(numbers)]
)


def by_speaker(plans: Sequence[ClipPlan], *kinds: str) -> Counter[tuple[str, str]]:
    return Counter((plan.engine, plan.speaker) for plan in plans if plan.kind in kinds)


@settings(max_examples=15, deadline=None)
@given(counts, engines, st.integers(0, 1000))
def test_no_voice_says_the_wake_word_alone_or_more_than_its_part(
    counts: dict[str, int], engines: list[Silent], seed: int
) -> None:
    plans = plan_clips(
        CorpusRequest("alexa", counts[POSITIVE], counts[NEAR_MISS], counts[SENTENCE], seed=seed), SPOKEN, engines
    )
    assert len({plan.path for plan in plans}) == len(plans) == sum(counts.values())
    assert set(by_speaker(plans, POSITIVE)) == set(by_speaker(plans, NEAR_MISS, SENTENCE))
    for engine in engines:
        for kind, number in counts.items():
            clips = [count for (name, _), count in by_speaker(plans, kind).items() if name == engine.name]
            assert max(clips) - min(clips) <= 1, "all speakers of an engine speak before one returns"
            share = engine.speakers**0.5 / sum(other.speakers**0.5 for other in engines)
            assert sum(clips) == pytest.approx(share * number, abs=4)


@settings(max_examples=6, deadline=None)
@given(engines, st.integers(0, 1000), st.integers(150, 200), st.integers(0, 100))
def test_a_larger_plan_begins_with_the_smaller_one(engines: list[Silent], seed: int, count: int, more: int) -> None:
    def plan(number: int) -> list[ClipPlan]:
        return plan_clips(CorpusRequest("alexa", number, number, number, seed=seed), SPOKEN, engines)

    small = {clip.path for clip in plan(count) if clip.index < count // 4}
    assert small <= {clip.path for clip in plan(count + more)}


def test_the_ways_have_their_shares_among_positives_and_negatives_alike() -> None:
    plans = plan_clips(
        CorpusRequest("alexa", 1200, 1200, 200), SPOKEN, [Silent("marking", 60, marks_words=True), Silent("plain", 60)]
    )
    total = sum(DEFAULT_WAYS.values())
    for kind in (POSITIVE, NEAR_MISS):
        ways = Counter(plan.way for plan in plans if plan.kind == kind)
        assert {way: ways[way] / 1200 for way in DEFAULT_WAYS} == pytest.approx(
            {way: share / total for way, share in DEFAULT_WAYS.items()}, abs=0.04
        )
    assert {plan.way for plan in plans if plan.kind == SENTENCE} == {IN_FLOW, CALLED, WHISPERED, CHILD}
    for plan in plans:
        low, high = (1.15, 1.35) if plan.way == CHILD else (0.87, 1.15)
        assert low <= plan.formant <= high
        assert WAYS[plan.way].rate[0] <= plan.rate <= WAYS[plan.way].rate[1]


def test_words_follow_a_wake_word_only_where_its_end_will_be_known() -> None:
    plans = plan_clips(
        CorpusRequest("alexa", 600, 0, 0, manner=manner_of("in_flow=1")),
        SPOKEN,
        [Silent("marking", 9, marks_words=True), Silent("plain", 9)],
    )
    forms = {
        name: {
            (bool(before), bool(after)) for before, _, after in (plan.parts for plan in plans if plan.engine == name)
        }
        for name in ("marking", "plain")
    }
    assert forms == {"marking": {(True, False), (False, True), (True, True)}, "plain": {(True, False)}}
    assert {plan.parts[1] for plan in plans} == {"alexa"}
    found = plan_clips(
        CorpusRequest("alexa", 100, 0, 0, manner=manner_of("in_flow=1")), SPOKEN, [Silent("plain", 9)], locates=True
    )
    assert {(bool(before), bool(after)) for before, _, after in (plan.parts for plan in found)} == forms["marking"]
    request = CorpusRequest("alexa", 50, 0, 0, manner=manner_of("in_flow=1"))
    without = plan_clips(request, replace(SPOKEN, contexts={}), [Silent("marking", 9, marks_words=True)])
    assert {plan.way for plan in without} == {ALONE}, "there are no words to stand around it"


@given(
    st.sampled_from(["alone=1", "child=1", "called=1"]),
    st.sampled_from(["1,1", "0.87,1.15", "0.8,0.9"]),
    st.integers(0, 100),
)
@settings(max_examples=10, deadline=None)
def test_a_pitch_that_moves_formants_makes_no_giants(ways: str, formants: str, seed: int) -> None:
    manner = manner_of(ways, formants)
    (way,) = manner.shares
    low, high = manner.formant_range(way)
    for plan in plan_clips(
        CorpusRequest("alexa", 40, 0, 0, seed=seed, manner=manner),
        SPOKEN,
        [Silent("played", 3, pitch_moves_formants=True)],
    ):
        assert min(low, 0.84) * 0.995 <= plan.formant * 2 ** (plan.pitch / 12) <= max(high, 1.19) * 1.005


def test_some_say_the_phrase_and_other_texts_with_a_foreign_accent() -> None:
    spoken = replace(SPOKEN, accents={"plain": ("es", "pl")}, accented=frozenset(("alexa", *NEAR[:20])))
    plans = plan_clips(
        CorpusRequest("alexa", 400, 400, 100, manner=replace(manner_of(), accents=0.25)), spoken, [Silent("plain", 40)]
    )
    for kind, share in ((POSITIVE, 0.25), (NEAR_MISS, 0.125), (SENTENCE, 0)):
        own = [plan for plan in plans if plan.kind == kind]
        assert sum(plan.language != "en" for plan in own) / len(own) == pytest.approx(share, abs=0.07)
    assert {plan.language for plan in plans} == {"en", "es", "pl"}
    assert not any(plan.language != "en" and plan.parts[1] in NEAR[20:] for plan in plans)
    none = plan_clips(
        CorpusRequest("alexa", 100, 0, 0, manner=replace(manner_of(), accents=0)), spoken, [Silent("plain", 40)]
    )
    assert {plan.language for plan in none} == {"en"}


def test_an_engine_has_the_accents_in_which_it_reads_the_phrase() -> None:
    class German(Silent):
        def voices(self, language: str) -> tuple[Voice, ...]:
            return super().voices(language) if language in ("en", "de", "pl") else ()

        def unreadable(self, texts: Sequence[str], language: str) -> dict[str, str]:
            return dict.fromkeys(texts, "no") if language == "pl" else {}

    engine = German("own", 2)
    assert accents_read(engine, "alexa", ("de", "es", "pl")) == ("de",)
    assert {
        speaker: {voice.language for voice in voices} for speaker, voices in foreign_voices(engine, ("de",)).items()
    } == {voice.speaker: {"de"} for voice in engine.voices("en")}


def test_accents_leave_a_phrase_itself() -> None:
    assert {"es", "it", "pl", "de"} <= set(accents_of("alexa", "en", sounds))
    assert not {"da", "pt-BR"} & set(accents_of("alexa", "en", sounds))
    assert not {"de", "es", "pl"} & set(accents_of("jarvis", "en", sounds)), "it would begin like 'yes' or 'loch'"
    assert "it" in accents_of("jarvis", "en", sounds)
    assert not accents_of("hallo haus", "de", sounds), "in other languages nothing is measured"
    assert heard_otherwise(["halexa", "computer"], "alexa", ["es"], sounds) == ["computer"], "Spanish has no h"


def test_voices_can_be_left_as_the_engines_have_them() -> None:
    plans = plan_clips(CorpusRequest("alexa", 100, 100, 100, manner=AS_THE_ENGINES_SPEAK), SPOKEN, [Silent("plain", 9)])
    assert {(plan.formant, plan.way) for plan in plans} == {(1.0, ALONE), (1.0, IN_FLOW)}
    assert {plan.way for plan in plans if plan.kind == POSITIVE} == {ALONE}


@given(
    st.text("ab", min_size=1, max_size=4),
    st.text("ab", max_size=5),
    st.text("ab", max_size=5),
    st.text("ab", max_size=5),
)
def test_words_around_a_near_miss_never_make_it_the_phrase(phrase: str, before: str, near: str, after: str) -> None:
    may = (
        may_precede([before], [phrase])
        and may_follow([after], [phrase])
        and not any(says([phrase], [part]) for part in (before, near, after))
    )
    assert not may or not says([phrase], [before + near + after])


@given(st.text("xyz ", min_size=1), st.text("abc"), st.text("abc"), st.integers(0, 99))
def test_a_text_in_flow_says_where_its_word_stands(word: str, before: str, after: str, seed: int) -> None:
    flow = in_flow(word, before, after, np.random.default_rng(seed))
    assert flow.text[flow.start : flow.end] == word
    assert flow.text.startswith(before)
    assert flow.text.endswith(after)


@pytest.mark.parametrize(
    ("ways", "formants", "message"),
    [
        ("sung=1", None, "'sung' is no way of speaking; choose from alone, in_flow, asked"),
        ("alone", None, "'alone' is not a way and its share"),
        ("alone=0", None, "one of them is more"),
        ("alone=1,asked=-1", None, "shares are numbers from 0"),
        ("alone=nan", None, "shares are numbers from 0"),
        (None, "1", "'1' is not two factors"),
        (None, "1.2,1", "no range"),
        (None, "0.1,1", f"no range within {FORMANT_LIMITS[0]:g} to {FORMANT_LIMITS[1]:g}"),
    ],
)
def test_settings_that_are_refused(ways: str | None, formants: str | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        manner_of(ways, formants)


def test_settings_that_are_taken() -> None:
    assert manner_of(" alone = 1, asked=2 ", "1, 1.1") == Manner({ALONE: 1.0, ASKED: 2.0}, (1.0, 1.1))
