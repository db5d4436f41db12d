"""Tags of languages, and what speaks them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.data.speech.engine import Voice, speaking
from trainer.data.speech.engines.espeak import EspeakEngine
from trainer.data.speech.espeak_languages import accents, check_language, known_languages, language_title
from trainer.data.speech.languages import canonical, is_tag, matching
from wakeword.errors import ConfigError


@pytest.mark.parametrize(
    ("written", "tag"),
    [("de", "de"), ("DE_de", "de-DE"), ("de_DE.UTF-8", "de-DE"), ("pt-br", "pt-BR"), ("ES-419", "es-419"),
     ("zh-hant-tw", "zh-Hant-TW"), ("no", "nb"), ("cmn", "zh"),
     ("zh-cmn", "zh"), ("zh-yue", "yue"), ("en-GB-X-RP", "en-GB-x-rp"), (" fr ", "fr")],
)  # fmt: skip
def test_tags_as_people_write_them(written: str, tag: str) -> None:
    assert canonical(written) == tag
    assert canonical(tag) == tag


@given(st.text(max_size=12))
def test_any_text_is_a_tag_or_refused_in_one_line(text: str) -> None:
    try:
        tag = check_language(text)
    except ConfigError as error:
        assert "\n" not in str(error).replace(repr(text), "")
        assert "not known" in str(error)
    else:
        assert is_tag(tag)
        assert accents(tag)


@pytest.mark.parametrize(
    ("wanted", "voices"),
    [
        ("en-US", ("en-us", "en-us-nyc")),
        ("en-GB", ("en", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-gb-x-rp")),
        ("de-AT", ("de",)),
        ("fr", ("fr", "fr-be", "fr-ch")),
        ("fr-FR", ("fr",)),
        ("es", ("es", "es-419")),
        ("es-ES", ("es",)),
        ("es-AR", ("es-419",)),
        ("pt", ("pt", "pt-br")),
        ("pt-PT", ("pt",)),
        ("zh", ("cmn",)),
        ("zh-Latn", ("cmn-latn-pinyin",)),
        ("yue", ("yue",)),
        ("nb", ("nb",)),
        ("xx", ()),
        ("fo", ()),  # the package has no dictionary of it
    ],
)
def test_a_region_falls_back_to_its_language(wanted: str, voices: tuple[str, ...]) -> None:
    assert accents(wanted) == voices


def test_all_of_english_but_another_alphabet() -> None:
    assert len(accents("en")) == 8
    assert accents("en-AU") == accents("en")
    assert "en-shaw" not in accents("en")


def test_an_unknown_language_is_told_with_the_known_ones() -> None:
    with pytest.raises(
        ConfigError,
        match=r"--language 'xx': not known; known are af, am, .*, de, el, en, .*; a region may follow, as in en-GB",
    ):
        check_language("xx")
    with pytest.raises(ConfigError, match=r"--language 'German': not known; its tag is de"):
        check_language("German")
    assert len(known_languages()) > 100
    assert language_title("nl-BE") == "Dutch"


def test_every_known_language_has_a_voice_that_starts() -> None:
    engine = EspeakEngine()
    for language in ("de", "fr-CA", "es-MX", "it", "nl", "pt-BR", "ru", "ja", "zh"):
        voice = engine.voices(language)[0]
        assert canonical(voice.language) == voice.language
        assert len(engine.synthesise("a", voice.name, 1, 0, 0).samples) > 500


def test_voices_that_speak_a_language() -> None:
    british, american, german = (Voice(tag, tag, language=tag) for tag in ("en-GB", "en-US", "de"))
    every = (british, american, german)
    assert speaking(every, "en") == (british, american)
    assert speaking(every, "en-US") == (american,)
    assert speaking(every, "en-AU") == (british, american)
    assert speaking(every, "de-CH") == (german,)
    assert speaking(every, "fr") == ()
    assert matching("de", {1: ("de-DE", "fr"), 2: ("nl",)}) == (1,)
