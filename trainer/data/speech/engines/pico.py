"""SVOX Pico, from the package py-nanotts: one person for each of six languages, everything in one small wheel, fifty
times as fast as speech.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from trainer.data.speech import pico_program
from trainer.data.speech.engine import (
    EngineOptions,
    EngineSpec,
    SkippedEngine,
    Speech,
    SpeechEngine,
    Voice,
    letters_beyond,
    speaking,
)
from trainer.data.speech.programs import SpeakingProgram, pitch_factor
from wakeword.errors import InfrastructureError
from wakeword.extras import install

LETTERS = {
    "en-US": "",
    "en-GB": "",
    "de-DE": "äöüß",
    "es-ES": "áéíóúüñ",
    "fr-FR": "àâæçèéêëîïôœùûüÿ",
    "it-IT": "àèéìíîòóùú",
}
"""Letters that a voice reads beside a to z. Over others it passes without a word."""


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
        del seed
        # What looks like a mark of its own markup language is none.
        plain = text.replace("<", " ").replace(">", " ")
        request = {"voice": voice, "rate": round(rate, 6), "pitch": round(pitch_factor(pitch), 6), "text": plain}
        spoken = _program().speak(request) if any(letter.isalnum() for letter in plain) else None
        if spoken is None or not len(spoken.samples):
            raise InfrastructureError(f"pico cannot speak {text!r}")
        return spoken


@functools.cache
def _program() -> SpeakingProgram:
    """The program of this process, which serves all its clips."""
    program = SpeakingProgram([sys.executable, pico_program.__file__], "pico")
    atexit.register(program.close)
    return program


def _find(options: EngineOptions) -> SpeechEngine | SkippedEngine:
    del options
    return (
        PicoEngine()
        if importlib.util.find_spec("py_nanotts")
        else SkippedEngine("pico", "the package py_nanotts is not installed", ENGINE.install)
    )


ENGINE = EngineSpec(
    "pico",
    install("voices"),
    ("de", "en", "es", "fr", "it"),
    "a natural voice for each of five languages, very fast",
    _find,
)
