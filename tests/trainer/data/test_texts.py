"""Phonemes, near misses and sentences."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.data.speech import texts
from trainer.data.speech.espeak import phonemise
from trainer.data.speech.phonemes import distance, fold, nearest, says
from wakeword.errors import ConfigError

sounds = st.text("abdeiktuəɛ", max_size=8)


@given(sounds, sounds)
def test_distance_is_symmetric_and_zero_only_for_equals(first: str, second: str) -> None:
    assert distance(first, second) == pytest.approx(distance(second, first))
    assert (distance(first, second) == 0) == (first == second)


def test_distance_by_hand() -> None:
    assert distance("kat", "gat") == pytest.approx(0.3)
    assert distance("kat", "kit") == pytest.approx(0.7)
    assert distance("kat", "kats") == 1
    assert nearest("kat", [("kite", "kit"), ("gat", "gat"), ("nothing", "")], 5) == ["gat", "kite"]


def test_fold_removes_stress_and_language_marks() -> None:
    assert fold("(fr)kəmpjˈuːɾɚ(en) nˌaʊ") == "kəmpjutənaʊ"  # noqa: RUF001 - IPA


@pytest.mark.parametrize(
    ("phrase", "text", "held"),
    [
        ("computer", "my computers are old", True),
        ("computer", "the commuter", False),
        ("right", "I want to write", True),
        ("court", "she caught it", True),  # without a spoken r
        ("ice cream", "I scream", True),
        ("hey jarvis", "hey, jarvis!", True),
        ("hey jarvis", "jarvis hey", False),
    ],
)
def test_homophones_are_found(phrase: str, text: str, held: bool) -> None:
    heard = phonemise([phrase, text])
    assert says(heard[0], heard[1]) is held


@pytest.mark.parametrize("phrase", ["computer", "hey jarvis", "okay nabu", "open the window please"])
def test_near_misses_resemble_the_phrase_and_never_hold_it(phrase: str) -> None:
    found = texts.near_misses(phrase, phonemise)
    assert len(found) > 40
    assert len(set(found)) == len(found)
    target = phonemise([phrase])[0]
    assert not any(says(target, heard) for heard in phonemise(found))
    for word in phrase.split() if " " in phrase else ():
        assert word in found
    if " " in phrase:
        assert " ".join(reversed(phrase.split())) in found


def test_near_misses_are_near_words() -> None:
    assert {"commuter", "recruiter", "compu", "bomputer"} <= set(texts.near_misses("computer", phonemise))
    assert "lexa" not in texts.near_misses("alexa", phonemise), "that is how people say alexa"


def test_sentences_are_seeded_and_free_of_the_phrase() -> None:
    some = texts.sentences(60, "kitchen", 3, phonemise)
    assert texts.sentences(20, "kitchen", 3, phonemise) == some[:20]
    assert texts.sentences(20, "kitchen", 4, phonemise) != some[:20]
    assert len(set(some)) > 55
    assert not any("kitchen" in text.lower() for text in some)


def test_a_phrase_of_everyday_speech_is_refused() -> None:
    with pytest.raises(ConfigError, match="choose a longer wake phrase"):
        texts.sentences(200, "the", 0, phonemise)


@pytest.mark.parametrize(
    ("phrase", "message"),
    [("", "empty"), (" \n", "empty"), ("電腦", "not spoken"), ("hey; rm", "not spoken"), ("a" * 61, "61 characters"), ("--", "not spoken")],
)
def test_phrases_that_cannot_be_spoken(phrase: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        texts.clean_phrase(phrase)


def test_a_phrase_is_cleaned() -> None:
    assert texts.clean_phrase("  Hey \n Jarvis ") == "hey jarvis"


def test_a_phrase_without_sound_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be spoken"):
        texts.phrase_sounds("'", phonemise)


def test_the_word_banks_are_as_large_as_promised() -> None:
    banks = texts.word_banks()
    words = {word for name, bank in banks.items() if name != texts.SENTENCE_BANK for word in bank}
    assert len(words) >= 600
    assert len(banks[texts.SENTENCE_BANK]) >= 150


@pytest.mark.parametrize(
    ("phrase", "cleaned"),
    [("Café", "café"), ("cafe\u0301", "café"), ("O\u2019Clock", "o'clock"), ("hey 7", "hey 7")],
)
def test_a_phrase_is_cleaned_whatever_keyboard_wrote_it(phrase: str, cleaned: str) -> None:
    assert texts.clean_phrase(phrase) == cleaned


@pytest.mark.parametrize(
    ("phrase", "message"), [("hal 9000", "holds the number 9000, .*write it in words"), ("a \u00d7 b", "not spoken"), ("a ÷ b", "not spoken")]
)
def test_what_engines_read_differently_is_refused(phrase: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        texts.clean_phrase(phrase)
