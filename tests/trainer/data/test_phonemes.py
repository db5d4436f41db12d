"""Folded IPA: what is one sound in a language, and how far two are apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.data.speech.phonemes import distance, distance_within, fold, nearest, says

folded = st.text("abdeiktuəɛøœyãõ", max_size=8)
ipa = st.text("abdeɛœøyɑɔəɾrʁɹʔðβɲʎxç ˈˌː\u0303\u0329ʲ", max_size=12)
languages = st.sampled_from(["en", "de", "fr", "es", "it", "nl", "ru"])


@given(folded, folded)
def test_distance_is_symmetric_and_zero_only_for_equals(first: str, second: str) -> None:
    assert distance(first, second) == pytest.approx(distance(second, first))
    assert (distance(first, second) == 0) == (first == second)


@given(folded, folded, folded)
def test_distance_takes_no_detour(first: str, second: str, third: str) -> None:
    assert distance(first, third) <= distance(first, second) + distance(second, third) + 1e-9


@given(ipa, languages)
def test_what_is_folded_stays_as_it_is(text: str, language: str) -> None:
    once = fold(text, language)
    assert fold(once, language) == once
    assert not set(once) & set(" ˈˌː\u0303\u0329ʲɾʁɹʔ")


@given(ipa, ipa, languages)
def test_a_part_is_held_by_the_whole(first: str, second: str, language: str) -> None:
    # A nasal mark belongs to the vowel before it.
    second = second.lstrip("\u0303")
    part, whole = fold(first, language), fold(f"{first} {second}", language)
    assert says((part,), (whole,)) == bool(part)


@given(folded, folded)
def test_the_distance_within_is_that_of_the_nearest_stretch(part: str, whole: str) -> None:
    stretches = {whole[start:end] for start in range(len(whole) + 1) for end in range(start, len(whole) + 1)}
    assert distance_within(part, whole) == pytest.approx(min(distance(part, stretch) for stretch in stretches))


def test_distance_by_hand() -> None:
    assert distance("kat", "gat") == pytest.approx(0.3)
    assert distance("kat", "kit") == pytest.approx(0.7)
    assert distance("kat", "kats") == 1
    assert distance("hølə", "hœlə") == pytest.approx(0.3), "Höhle, Hölle"
    assert distance("bõ", "bo") == pytest.approx(0.7), "bon, beau: one vowel for another"
    assert nearest("kat", [("kite", "kit"), ("gat", "gat"), ("nothing", "")], 5) == ["gat", "kite"]


@pytest.mark.parametrize(
    ("language", "text", "sounds"),
    [
        ("en", "(fr)kəmpjˈuːɾɚ(en) nˌaʊ", "kəmpjurənaʊ"),
        ("en", "kəmpjˈuːɾɚ", "kəmpjutə"),
        ("de", "ʃtɾˈɑːsə", "ʃtrasə"),
        ("de", "(en)kəmpjˈuːɾɚ(de) hˈaʊs", "kəmpjutəhaʊs"),
        ("fr", "bɔ̃ʒˈuʁ", "bõʒur"),
        ("fr", "œ̃ bʁˈɛ̃", "ẽbrẽ"),
        ("es", "ˌaβoɣˈaðo", "abogado"),
        ("es", "pˌeɾo", "pero"),
        ("ru", "prʲivʲˈet", "privet"),
        ("ja", "kˌo̞ũpʲˈɯᵝɯᵝtä", "koũpuuta"),
    ],
)
def test_fold_by_hand(language: str, text: str, sounds: str) -> None:
    assert fold(text, language) == sounds
