"""CMU Flite: a program of the user's system, run once a clip."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass

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
from trainer.data.speech.programs import pitch_factor, run_to_wav

_NAMES = (
    ("awb", "awb", "en-GB-scotland"),
    ("kal", "kal", "en-US"),
    ("kal16", "kal", "en-US"),
    ("rms", "rms", "en-US"),
    ("slt", "slt", "en-US"),
)
_VOICES = tuple(Voice(name, f"flite_{person}", language=tag, pitch_moves_formants=True) for name, person, tag in _NAMES)
"""The general voices that Debian's flite carries; awb_time says nothing but times of day. kal and kal16 are one
person."""


@dataclass(frozen=True)
class FliteEngine:
    """CMU Flite: small voices made from recordings of people."""

    program: str
    name: str = "flite"

    def voices(self, language: str) -> tuple[Voice, ...]:
        """The five general voices of four people."""
        return speaking(_VOICES, language)

    def unreadable(self, texts: Sequence[str], language: str) -> dict[str, str]:
        """Texts with letters beyond a to z: it passes over them without a word."""
        del language
        return letters_beyond(texts, "")

    def synthesise(self, text: str, voice: str, rate: float, pitch: float, seed: int) -> Speech:
        """Speak `text`; flite draws nothing at random, so the seed changes nothing."""
        del seed
        factor = pitch_factor(pitch)
        return run_to_wav(
            [self.program, "-voice", voice, "--setf", f"duration_stretch={factor / rate:.6f}", "-t", text, "-o"], factor
        )


def _find(options: EngineOptions) -> SpeechEngine | SkippedEngine:
    del options
    program = shutil.which("flite")
    return (
        FliteEngine(program) if program else SkippedEngine("flite", "the program flite is not on PATH", ENGINE.install)
    )


ENGINE = EngineSpec("flite", "apt install flite", ("en",), "four people", _find)
