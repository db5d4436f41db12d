"""What the pronunciation check lets pass and what it throws out, heard in eSpeak's own speech."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.trainer.data.recognised import needs_recogniser, said
from trainer.data.speech.pronunciation import CUT_AT_END, CUT_AT_START, MORE, THE_PHRASE, judge_negative, judge_positive
from trainer.data.speech.recogniser import english_sounds, recogniser_missing
from wakeword.audio import read_samples
from wakeword.corpus.utterances import utterance_bounds

pytestmark = needs_recogniser


@pytest.mark.parametrize("phrase", ["alexa", "computer", "hey mycroft", "okay house"])
@pytest.mark.parametrize("voice", ["en-us", "en-gb-x-rp+f2"])
def test_a_phrase_said_right_passes(phrase: str, voice: str) -> None:
    verdict = judge_positive(said(phrase, voice), phrase)
    assert verdict.passed, verdict
    assert verdict.heard


@pytest.mark.parametrize("text", ["banana", "good morning", "the weather", "c, o, m, p, u, t, e, r", "commuter train"])
def test_another_text_is_thrown_out(text: str) -> None:
    assert not judge_positive(said(text), "computer").passed


def test_the_reason_says_what_is_wrong() -> None:
    whole = said("computer")
    assert judge_positive(whole[: len(whole) // 2], "computer").reason == CUT_AT_END
    assert judge_positive(whole[2 * len(whole) // 5 :], "computer").reason == CUT_AT_START
    assert judge_positive(said("computer games are fun"), "computer").reason == MORE
    assert "heard: " in str(judge_positive(whole, "computer"))


def test_words_around_the_phrase_count_only_where_it_stands_alone() -> None:
    sentence = said("please tell the computer to stop")
    assert judge_positive(sentence, "computer", in_flow=True).passed
    assert not judge_positive(sentence, "computer").passed
    assert not judge_positive(said("please tell the doctor to stop"), "computer", in_flow=True).passed


def test_a_negative_that_is_heard_as_the_phrase_is_thrown_out() -> None:
    assert judge_negative(said("alexa"), "alexa", "harvest").reason == THE_PHRASE
    assert judge_negative(said("harvest"), "jarvis", "harvest").passed
    assert judge_negative(said("tell the computer to stop"), "computer", "doctor", in_flow=True).reason == THE_PHRASE


def test_silence_and_the_shortest_clip_are_judged() -> None:
    for samples in (np.zeros(1600, np.int16), np.zeros(1, np.int16)):
        assert not judge_positive(samples, "computer").passed


def test_a_text_without_sounds_is_an_error() -> None:
    with pytest.raises(ValueError, match="no sounds"):
        judge_positive(said("computer"), "-")


def test_what_cannot_be_judged_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    assert recogniser_missing("en-GB") is None
    assert "de-DE" in str(recogniser_missing("de-DE"))
    monkeypatch.setattr("trainer.data.speech.recogniser.PACKAGE", "no_such_package")
    assert "not installed" in str(recogniser_missing("en"))


def test_ipa_becomes_sounds_of_the_recogniser() -> None:
    assert english_sounds("tʃˈɪɹz (fr)əʊ") == ("t͡ʃ", "ɪ", "ɹ", "z", "oʊ")  # noqa: RUF001 - IPA
    assert english_sounds("(fr)") == ()


@pytest.mark.corpus
@pytest.mark.slow
@pytest.mark.parametrize(("word", "other"), [("alexa", "jarvis"), ("jarvis", "computer"), ("computer", "alexa")])
def test_people_pass_and_other_words_and_most_halves_do_not(word: str, other: str, corpus: Path) -> None:
    recordings = [read_samples(path) for path in sorted((corpus / word).glob("*.flac"))]
    assert np.mean([judge_positive(samples, word).passed for samples in recordings]) >= 0.97
    some = recordings[::8]
    assert not any(judge_positive(samples, other).passed for samples in some[::3])
    middles = [sum(utterance_bounds(samples)) // 2 for samples in some]
    # By loudness alone, the middle of some words with an echo is nearly their end.
    assert (
        np.mean([judge_positive(samples[:middle], word).passed for samples, middle in zip(some, middles, strict=True)])
        <= 1 / 3
    )
