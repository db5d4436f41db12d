"""Phrases, near misses and sentences, in English and in other languages."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from trainer.data.speech import texts
from trainer.data.speech.bank import bank_of, languages_with_sentences
from trainer.data.speech.espeak_languages import sounds
from trainer.data.speech.phonemes import Hear, says
from wakeword.errors import ConfigError

ENGLISH = bank_of("en")
hear: Hear = partial(sounds, language="en")


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
    heard = hear([phrase, text])
    assert says(heard[0], heard[1]) is held


@pytest.mark.parametrize(
    ("language", "phrase", "text", "held"),
    [
        ("de", "hallo haus", "Er rief: hallo, Haus!", True),
        ("de", "hallo haus", "ein halbes Haus", False),
        ("de", "wal", "Wahl", True),
        ("de", "höhle", "die Hölle", False),
        ("de", "rad", "guter Rat", True),  # a voiced consonant at the end of a word is not voiced
        ("fr", "bon", "le beau", False),
        ("fr", "brun", "un brin", True),
        ("fr", "eau", "en haut", True),
        ("es", "pero", "peto", False),
        ("es", "vaca", "la baca", True),
        ("es", "cielo", "cedo", False),
        ("it", "ciao casa", "Ho detto: ciao casa.", True),
        ("nl", "hallo huis", "hallo, huis", True),
    ],
)
def test_homophones_of_other_languages(language: str, phrase: str, text: str, held: bool) -> None:
    heard = sounds([phrase, text], language)
    assert says(heard[0], heard[1]) is held


@pytest.mark.parametrize("phrase", ["computer", "hey jarvis", "okay nabu", "open the window please"])
def test_near_misses_resemble_the_phrase_and_never_hold_it(phrase: str) -> None:
    found = texts.near_misses(phrase, hear, ENGLISH)
    assert len(found) > 40
    assert len(set(found)) == len(found)
    target = hear([phrase])[0]
    assert not any(says(target, heard) for heard in hear(found))
    for word in phrase.split() if " " in phrase else ():
        assert word in found
    if " " in phrase:
        assert " ".join(reversed(phrase.split())) in found


def test_near_misses_are_near_words() -> None:
    assert {"commuter", "recruiter", "compu", "bomputer"} <= set(texts.near_misses("computer", hear, ENGLISH))
    near = texts.near_misses("jarvis", hear, ENGLISH)
    assert "larvis" in near
    assert "charvis" not in near, "many accents do not voice a j"
    assert not {"komputer", "gomputer", "computed", "compute it"} & set(texts.near_misses("computer", hear, ENGLISH))


def test_what_people_say_when_they_mean_the_phrase_is_no_near_miss() -> None:
    found = texts.near_misses("alexa", hear, ENGLISH)
    assert "lexa" not in found
    assert not [text for text in found if text.endswith("alexa")], "it's Alexa: the word is in there"
    assert len(found) > 40


@pytest.mark.parametrize(
    ("language", "phrase", "near"),
    [
        ("de", "hallo haus", {"haus hallo", "hallo", "hallo maus"}),
        ("ru", "привет алиса", {"алиса привет", "привет", "привет адиса"}),
        ("el", "γεια σου σπίτι", {"γεια σου", "σπίτι"}),
        ("zh", "小爱同学", {"小爱"}),
        ("sv", "hej huset", {"huset hej", "hej huset hej"} - {"hej huset hej"}),
    ],
)
def test_near_misses_in_other_languages(language: str, phrase: str, near: set[str]) -> None:
    own = partial(sounds, language=language)
    found = texts.near_misses(phrase, own, bank_of(language))
    assert near <= set(found)
    target, *heard = own([phrase, *found])
    assert not any(says(target, one) for one in heard)


def test_a_word_without_a_lexicon_is_respelled_in_its_own_letters() -> None:
    found = texts.near_misses("алиса", partial(sounds, language="ru"), bank_of("ru"))
    assert len(found) > 30
    assert all(texts.clean_phrase(text, "ru") == text for text in found)
    polish = texts.near_misses("domu", partial(sounds, language="pl"), bank_of("pl"))
    assert len(polish) > 30
    assert all(text.isascii() for text in polish)


def test_sentences_are_seeded_and_free_of_the_phrase() -> None:
    some = texts.sentences(60, "kitchen", 3, hear, ENGLISH)
    assert texts.sentences(20, "kitchen", 3, hear, ENGLISH) == some[:20]
    assert texts.sentences(20, "kitchen", 4, hear, ENGLISH) != some[:20]
    assert len(set(some)) > 55
    assert not any("kitchen" in text.lower() for text in some)


def test_a_phrase_of_everyday_speech_is_refused() -> None:
    with pytest.raises(ConfigError, match="choose a longer wake phrase"):
        texts.sentences(200, "the", 0, hear, ENGLISH)


@pytest.mark.parametrize(
    ("phrase", "message"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("?!", "empty"),
        ("電腦", "--language"),
        ("hey; rm", "not spoken"),
        ("a" * 61, "61 characters"),
        ("--", "not spoken"),
    ],
)
def test_phrases_that_cannot_be_spoken(phrase: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        texts.clean_phrase(phrase)


def test_a_phrase_is_cleaned() -> None:
    assert texts.clean_phrase("  Hey \n Jarvis ") == "hey jarvis"


@pytest.mark.parametrize(
    ("language", "phrase", "cleaned"),
    [
        ("de", "Schöne GRÜẞE", "schöne grüße"),
        ("es", "¡Hola, niño!", "hola niño"),
        ("fr", "Ça va, Œdipe ?", "ça va œdipe"),
        ("ru", "Привет, Алиса", "привет алиса"),
        ("el-GR", "Γεια σου", "γεια σου"),
        ("tr", "IŞIK İSTE", "ışık iste"),
        ("hi", "नमस्ते घर", "नमस्ते घर"),
        ("ja", "コンピューター", "コンピューター"),
        ("zh-TW", "小愛，同學！", "小愛 同學"),
        ("fa", "خانه\u200cام", "خانه\u200cام"),
        ("sr", "zdravo kućo", "zdravo kućo"),
    ],
)
def test_a_phrase_in_the_letters_of_its_language(language: str, phrase: str, cleaned: str) -> None:
    assert texts.clean_phrase(phrase, language) == cleaned


@pytest.mark.parametrize(
    ("language", "phrase"),
    [("en", "привет алиса"), ("de", "γεια"), ("ru", "γεια"), ("el", "привет"), ("ko", "こんにちは")],
)
def test_letters_of_another_language_are_refused_with_what_to_do(language: str, phrase: str) -> None:
    with pytest.raises(
        ConfigError,
        match=(
            rf"letters that {language} is not written in .*; name the language of the phrase with --language \(.*\), or"
        ),
    ):
        texts.clean_phrase(phrase, language)
    with pytest.raises(ConfigError, match=r"--language \(el, grc\), or"):
        texts.clean_phrase("γεια")


def test_a_phrase_without_sound_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be spoken"):
        texts.phrase_sounds("'", hear)


@pytest.mark.parametrize(
    ("phrase", "cleaned"),
    [("Café", "café"), ("cafe\u0301", "café"), ("O\u2019Clock", "o'clock"), ("hey 7", "hey 7")],
)
def test_a_phrase_is_cleaned_whatever_keyboard_wrote_it(phrase: str, cleaned: str) -> None:
    assert texts.clean_phrase(phrase) == cleaned


@pytest.mark.parametrize(
    ("phrase", "message"),
    [("hal 9000", "holds the number 9000, .*write it in words"), ("a \u00d7 b", "not spoken"), ("a ÷ b", "not spoken")],
)
def test_what_engines_read_differently_is_refused(phrase: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        texts.clean_phrase(phrase)


@pytest.mark.parametrize("language", languages_with_sentences())
def test_a_bank_is_as_large_as_promised_and_fills_every_slot(language: str) -> None:
    bank = bank_of(language)
    assert len(bank.words) >= 600
    assert len(bank.templates) >= 150
    assert len(bank.onsets) >= 12
    generator = np.random.default_rng(0)
    for template in bank.templates:
        assert "{" not in template.fill(generator), template.text


def test_no_two_slots_of_a_sentence_take_the_same_entry() -> None:
    generator = np.random.default_rng(0)
    (template,) = (
        one for one in ENGLISH.templates if one.text == "{number}, {number}, {number}, {number} and {number}."
    )
    for _ in range(50):
        numbers = template.fill(generator).lower().strip(".").replace(" and ", ", ").split(", ")
        assert len(set(numbers)) == 5


def test_a_language_without_sentences_borrows_those_of_others() -> None:
    polish = bank_of("pl")
    assert polish.borrowed
    assert not polish.words
    assert texts.sentences(5, "cześć domu", 0, partial(sounds, language="pl"), polish)


def test_own_lines_are_spoken_beside_the_banks(tmp_path: Path) -> None:
    own = tmp_path / "own.txt"
    own.write_text("\ufeff# Polish\nGdzie jest {moja} lampa?\n\n  Otwórz okno,\tproszę.  \n", encoding="utf-8")
    bank = bank_of("pl", [own])
    drawn = texts.sentences(40, "cześć domu", 0, partial(sounds, language="pl"), bank)
    assert 10 < sum(text in ("Gdzie jest {moja} lampa?", "Otwórz okno, proszę.") for text in drawn) < 30
    assert {"lampa", "okno"} <= set(bank.words), "near misses know their words"
    own.write_text("# nothing\n")
    with pytest.raises(ConfigError, match=r"own\.txt: holds no sentence"):
        bank_of("pl", [own])
    with pytest.raises(ConfigError, match=r"none\.txt"):
        bank_of("en", [tmp_path / "none.txt"])
