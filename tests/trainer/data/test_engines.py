"""Speech engines: eSpeak-NG for real, flite as a stand-in program, and what Piper knows of a voice before it speaks."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.programs import needs
from trainer.data.speech import engines
from trainer.data.speech.engine import EngineOptions, Voice
from trainer.data.speech.engines.espeak import EspeakEngine
from trainer.data.speech.engines.flite import FliteEngine
from trainer.data.speech.engines.piper import PiperEngine, _bundled, check_voice
from trainer.data.speech.registry import choose_engines, engine_specs
from wakeword.errors import ConfigError, InfrastructureError
from wakeword.extras import MODULES

STAND_IN = f"""#!{sys.executable}
import json, sys, wave
from pathlib import Path
out = Path(sys.argv[-1])
with wave.open(str(out), "wb") as w:
    w.setparams((1, 2, 16000, 0, "NONE", ""))
    w.writeframes(b"\\1\\2" * 1600)
Path(__file__).with_suffix(".json").write_text(json.dumps(sys.argv[1:]))
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "bin" / "flite"
    path.parent.mkdir()
    path.write_text(STAND_IN)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


def called(programs: Path, name: str) -> list[str]:
    arguments: list[str] = json.loads((programs / "bin" / f"{name}.json").read_text())
    return arguments


def piper_model(folder: Path, speakers: int, name: str = "amy", /, **settings: object) -> Path:
    model = folder / f"{name}.onnx"
    model.touch()
    table = {sign: [number] for number, sign in enumerate("_^$hˈeɪdʒɑːɹvs ")}
    known = {
        "num_speakers": speakers,
        "espeak": {"voice": "en-us"},
        "audio": {"sample_rate": 22050},
        "phoneme_id_map": table,
    }
    Path(f"{model}.json").write_text(json.dumps(known | settings))
    return model


# One voice of each of the library's synthesisers: formants, formants with breath, Klatt, SpeechPlayer.
@pytest.mark.parametrize("voice", ["en-us+m1", "en-us+f3", "en+klatt", "en-us+caleb"])
def test_espeak_speaks_the_same_whatever_was_spoken_before(voice: str) -> None:
    engine = EspeakEngine()
    first = engine.synthesise("computer", voice, 1.0, 0.0, 5).samples
    engine.synthesise("another voice", "en+Reed", 1.3, 2.0, 6)
    again = engine.synthesise("computer", voice, 1.0, 0.0, 5).samples
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, engine.synthesise("computer", voice, 1.0, 0.0, 7).samples)


def test_espeak_follows_rate_and_pitch() -> None:
    engine = EspeakEngine()
    slow, fast = (len(engine.synthesise("computer", "en-us", rate, 0.0, 1).samples) for rate in (0.8, 1.3))
    assert 1.3 < slow / fast < 2
    low, high = (
        _median_pitch(engine.synthesise("mama mama mama", "en-us", 1.0, pitch, 1).samples) for pitch in (-6.0, 6.0)
    )
    assert 1.6 < high / low < 2.4, "an octave"


def _median_pitch(samples: np.typing.NDArray[np.int16]) -> float:
    """Voice pitch in Hz: the strongest autocorrelation lag of 50..300 Hz, median over frames of 93 ms."""
    pitches = []
    for start in range(0, len(samples) - 2048, 1024):
        frame = samples[start : start + 2048].astype(float)
        correlation = np.correlate(frame, frame, "full")[len(frame) - 1 :]
        pitches.append(22050 / (int(np.argmax(correlation[22050 // 300 : 22050 // 50])) + 22050 // 300))
    return float(np.median(pitches))


def test_a_voice_of_espeak_is_a_timbre_in_an_accent() -> None:
    voices = EspeakEngine().voices("en")
    assert len({voice.name for voice in voices}) == len(voices) > 600
    assert len({voice.speaker for voice in voices}) > 80
    assert {voice.speaker for voice in voices if voice.name.endswith("+f3")} == {"espeak_f3"}
    with pytest.raises(InfrastructureError, match="no voice"):
        EspeakEngine().synthesise("a", "xx-none", 1, 0, 0)


def test_the_registry_is_the_folder() -> None:
    names = sorted(path.stem for path in Path(engines.__path__[0]).glob("[a-z]*.py"))
    assert list(engine_specs()) == names, "an engine has the name of its module"
    assert all(spec.install and spec.languages and spec.gain for spec in engine_specs().values())


def test_a_voice_is_its_own_family_unless_it_has_one() -> None:
    assert (Voice("en+f3", "espeak_f3").family, Voice("a", "b", "c").family) == ("espeak_f3", "c")


def test_missing_engines_are_named_with_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for package in MODULES["voices"]:
        monkeypatch.setitem(sys.modules, package, None)
    choice = choose_engines()
    assert [engine.name for engine in choice.available] == ["espeak"]
    installed = {skipped.name: skipped.install for skipped in choice.skipped}
    assert installed.pop("flite") == "apt install flite"
    assert set(installed) == {"hibari", "kokoro", "pico", "piper"}
    assert set(installed.values()) == {'in the project\'s folder: pip install ".[voices]"'}
    with pytest.raises(ConfigError, match="flite cannot speak: the program flite is not on PATH: apt install flite"):
        choose_engines(["espeak", "flite"])
    with pytest.raises(ConfigError, match="--engine 'festival': no such speech engine"):
        choose_engines(["festival"])


def test_flite_is_run_with_rate_and_pitch(programs: Path) -> None:
    (engine,) = choose_engines(["flite"]).available
    speech = engine.synthesise("hey jarvis", "slt", 0.5, 12.0, 0)
    assert (len(speech.samples), speech.sample_rate) == (1600, 32_000), "an octave up: played twice as fast"
    arguments = called(programs, "flite")
    assert arguments[:-1] == ["-voice", "slt", "--setf", "duration_stretch=4.000000", "-t", "hey jarvis", "-o"]
    assert len({voice.speaker for voice in engine.voices("en")}) == 4


def test_every_speaker_of_a_piper_model_is_a_voice(tmp_path: Path) -> None:
    engine = PiperEngine((piper_model(tmp_path, 2),))
    assert [(voice.name, voice.speaker) for voice in engine.voices("en")] == [
        ("amy#0", "piper_amy_0"),
        ("amy#1", "piper_amy_1"),
    ]
    with pytest.raises(ConfigError, match=r"amy\.onnx\.json: num_speakers is 0"):
        PiperEngine((piper_model(tmp_path, 0),)).voices("en")


def test_a_piper_voice_that_was_asked_for_and_cannot_speak_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = piper_model(tmp_path, 1, language={"code": "de_DE"})
    engine = PiperEngine((model,))
    assert [voice.language for voice in engine.voices("de")] == ["de-DE"]
    assert engine.voices("en") == (), "nobody has a foreign accent in a voice of another language"
    choice = choose_engines(None, EngineOptions(piper_voices=(model,)))
    with pytest.raises(ConfigError, match="piper: it has no voice that speaks Dutch"):
        choice.speaking("nl", "Dutch")
    other = piper_model(tmp_path, 1, "bob")
    with pytest.raises(
        ConfigError, match=r"amy\.onnx: this voice speaks de-DE, and en was asked for; .* name it with --language"
    ):
        PiperEngine((other, model)).voices("en")
    piper_model(tmp_path, 1)
    assert [voice.language for voice in engine.voices("en-GB")] == ["en-US"]
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(
        ConfigError, match=r'amy\.onnx: the package onnxruntime, .* is not installed; .* pip install "\.\[voices\]"'
    ):
        choose_engines(None, EngineOptions(piper_voices=(model,)))


def test_a_voice_of_the_users_speaks_beside_the_one_of_the_package(tmp_path: Path) -> None:
    (engine,) = choose_engines(["piper"], EngineOptions(piper_voices=(piper_model(tmp_path, 1, "bob"),))).available
    own = {voice.speaker for voice in PiperEngine(_bundled()).voices("en")}
    assert {voice.speaker for voice in engine.voices("en")} == {"piper_bob_0", *own}
    german = piper_model(tmp_path, 1, "bob", language={"code": "de_DE"}, phoneme_id_map={sign: [1] for sign in "_^$a"})
    (engine,) = choose_engines(["piper"], EngineOptions(piper_voices=(german,))).available
    assert {voice.speaker for voice in engine.voices("de")} == {"piper_bob_0"}
    assert engine.unreadable(["alexa"], "de")["alexa"].startswith("the voice bob has no sound"), (
        "only the voices that speak it are asked"
    )


def test_two_piper_voices_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    twins = (piper_model(tmp_path, 1), piper_model(tmp_path / "other", 1))
    with pytest.raises(ConfigError, match=r"amy\.onnx: two voices of the same name; rename one of them"):
        choose_engines(None, EngineOptions(piper_voices=twins))
    assert choose_engines(["piper"], EngineOptions(piper_voices=twins[:1] * 2)).available, (
        "the same file twice is one voice"
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"phoneme_type": "pinyin"}, "of the kind 'pinyin'"),
        ({"phoneme_id_map": {"a": [1]}}, "lacks its sounds"),
        ({"audio": {}}, "or its sample rate"),
    ],
)
def test_a_piper_voice_that_cannot_be_read_is_refused(tmp_path: Path, change: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=rf"amy\.onnx\.json: .*{said}"):
        check_voice(piper_model(tmp_path, 1, **change))


def test_a_piper_voice_without_its_description_is_refused(tmp_path: Path) -> None:
    model = piper_model(tmp_path, 1)
    assert check_voice(model) == model
    Path(f"{model}.json").unlink()
    with pytest.raises(ConfigError, match=r"amy\.onnx\.json"):
        check_voice(model)
    with pytest.raises(ConfigError, match=r"none\.onnx"):
        check_voice(tmp_path / "none.onnx")


def test_espeak_reads_foreign_letters_but_not_by_their_names() -> None:
    read = ["computer", "café", "naïve", "hey jürgen", "łódź", "smørrebrød", "garçon", "x", "7"]
    named = {"ß": "ß", "ñ": "ñ", "ø": "ø", "žluťoučký": "ž"}
    found = EspeakEngine().unreadable([*read, *named], "en")
    assert found == {text: f"it says the name of {letter} where a word is meant" for text, letter in named.items()}
    assert EspeakEngine().unreadable([], "en") == {}


@pytest.mark.parametrize(
    ("language", "read", "named"),
    [
        ("de", ["schöne grüße", "café", "crème brûlée", "señor"], {"ß": "ß", "привет": "п"}),
        ("fr", ["ça va", "l'œuf", "noël", "où"], {"привет": "п"}),
        ("es", ["niño", "pingüino", "qué"], {"ß": "ß"}),
        ("ru", ["привет алиса", "объезд", "ёлка", "мой день"], {}),
        ("el", ["γεια σου", "άλφα"], {}),
        ("zh", ["小爱同学", "你好"], {}),
        ("ko", ["안녕 집"], {}),
        ("ja", ["コンピューター", "こんにちは"], {"日本": "日"}),
        ("hi", ["नमस्ते घर"], {}),
    ],
)
def test_espeak_reads_the_letters_of_its_language(language: str, read: list[str], named: dict[str, str]) -> None:
    found = EspeakEngine().unreadable([*read, *named], language)
    assert set(found) == set(named)
    assert all(f"the name of {letter}" in found[text] for text, letter in named.items())


def test_flite_reads_english_letters_alone() -> None:
    assert FliteEngine("flite").unreadable(["hey jarvis", "o'clock 7", "łódź", "café"], "en") == {
        "łódź": "it reads no letters but a to z, and passes over ł, ó, ź",
        "café": "it reads no letters but a to z, and passes over é",
    }


def test_piper_reads_what_its_voices_have_sounds_for(tmp_path: Path) -> None:
    engine = PiperEngine((piper_model(tmp_path, 1),))
    assert engine.unreadable(["hey jarvis", "she"], "en") == {"she": "the voice amy has no sound ʃ, i"}


def test_a_program_that_fails_is_named(tmp_path: Path) -> None:
    path = tmp_path / "flite"
    path.write_text("#!/bin/sh\necho no such voice >&2\nexit 3\n")
    path.chmod(0o755)
    with pytest.raises(InfrastructureError, match="exit code 3: no such voice"):
        FliteEngine(str(path)).synthesise("a", "slt", 1, 0, 0)


@needs("flite", "flite")
def test_a_real_flite_speaks() -> None:
    (engine,) = choose_engines(["flite"]).available
    for voice in engine.voices("en"):
        assert len(engine.synthesise("hey jarvis", voice.name, 1.0, 1.0, 0).samples) > 4000
