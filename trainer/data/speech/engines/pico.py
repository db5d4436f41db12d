"""SVOX Pico, from the package py-nanotts: one person for each of six languages, everything in one small wheel, fifty times as fast as speech."""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from trainer.data.speech.engine import EngineOptions, EngineSpec, SkippedEngine, Speech, SpeechEngine, Voice, letters_beyond, speaking
from trainer.data.speech.programs import pitch_factor
from wakeword.errors import InfrastructureError
from wakeword.extras import install

_SAMPLE_RATE_HZ = 16_000
LETTERS = {
    "en-US": "",
    "en-GB": "",
    "de-DE": "äöüß",
    "es-ES": "áéíóúüñ",
    "fr-FR": "àâæçèéêëîïôœùûüÿ",
    "it-IT": "àèéìíîòóùú",
}
"""Letters that a voice reads beside a to z. Over others it passes without a word."""
_M_PERTURB, _ZEROS, _AS_IT_IS = -6, 255, 0


@dataclass(frozen=True)
class PicoEngine:
    """SVOX Pico. Rate and pitch are its own: the formants of a voice stay where they are."""

    name: str = "pico"

    def voices(self, language: str) -> tuple[Voice, ...]:
        """The voice of a language; two of English."""
        return speaking(tuple(Voice(tag, f"pico_{tag}", language=tag) for tag in LETTERS), language)

    def unreadable(self, texts: Sequence[str], language: str) -> dict[str, str]:
        """Texts with letters that are none of the language's."""
        return letters_beyond(texts, "".join(LETTERS[voice.name] for voice in self.voices(language)))

    def synthesise(self, text: str, voice: str, rate: float, pitch: float, seed: int) -> Speech:
        """Speak `text`; Pico draws nothing at random, so the seed changes nothing."""
        from py_nanotts import NanoTTS

        del seed
        # What looks like a mark of its own markup language is none.
        plain = text.replace("<", " ").replace(">", " ")
        with _memory_of_zeros():
            spoken = NanoTTS().speak(plain, voice=voice, speed=rate, pitch=pitch_factor(pitch))
        if not any(letter.isalnum() for letter in plain) or not spoken:
            raise InfrastructureError(f"pico cannot speak {text!r}; name the other engines with --engine")
        return Speech(np.frombuffer(spoken, "<i2").astype(np.int16), _SAMPLE_RATE_HZ)


@contextmanager
def _memory_of_zeros() -> Iterator[None]:
    """Let the C library fill with zeros what it hands out. (mallopt(3), M_PERTURB: memory is filled with the complement of the value.)

    Pico reads memory that it never wrote: where other work left something there, the same text sounds a little different each time.
    """
    library = ctypes.CDLL(None)
    library.mallopt(_M_PERTURB, _ZEROS)
    try:
        yield
    finally:
        library.mallopt(_M_PERTURB, _AS_IT_IS)


def _find(options: EngineOptions) -> SpeechEngine | SkippedEngine:
    del options
    return PicoEngine() if importlib.util.find_spec("py_nanotts") else SkippedEngine("pico", "the package py_nanotts is not installed", ENGINE.install)


ENGINE = EngineSpec("pico", install("voices"), ("de", "en", "es", "fr", "it"), "a natural voice for each of five languages, very fast", _find)
