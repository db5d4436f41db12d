"""Hibari: small neural voices, each taught by one voice of Kokoro. The first one comes within its package; far faster
than Kokoro.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

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
from trainer.data.speech.programs import pitch_factor
from wakeword.audio import to_int16
from wakeword.errors import InfrastructureError
from wakeword.extras import install

FAMILIES = {
    "af_heart": "kokoro_f4",
    "af_kore": "kokoro_f6",
    "am_fenrir": "kokoro_f3",
    "bf_emma": "kokoro_f3",
    "bm_fable": "kokoro_f1",
}
"""Of each teacher among all voices of Kokoro (`kokoro.speakers`): its pupil has the same timbre, so the two must never
stand on two sides of a split."""


@dataclass(frozen=True)
class HibariEngine:
    """Hibari. Pitch moves in its own vocoder, so the formants of a voice stay where they are."""

    name: str = "hibari"

    def voices(self, language: str) -> tuple[Voice, ...]:
        """The voices that are on this machine: the package's own, and those that `hibari --voice NAME` downloaded
        before.
        """
        from hibari.voices import VOICES

        here = (
            Voice(name, f"hibari_{name}", FAMILIES.get(voice["kokoro"], ""), voice["language"])
            for name, voice in VOICES.items()
            if _is_here(name)
        )
        return speaking(tuple(here), language)

    def unreadable(self, texts: Sequence[str], language: str) -> dict[str, str]:
        """Texts with letters beyond a to z: it guesses, or passes over them without a word."""
        del language
        return letters_beyond(texts, "")

    def synthesise(self, text: str, voice: str, rate: float, pitch: float, seed: int) -> Speech:
        """Speak `text`; the seed draws the noise of breath and consonants."""
        from hibari import dsp

        engine, noise, parts = _loaded(voice), np.random.default_rng(seed), []
        for sounds in engine.phonemize(text):
            inputs = {"ids": np.array([engine.ids(sounds)]), "speed": np.array([rate], np.float32)}
            *spectrum, pitch_hz = (output[0] for output in engine.sess.run(None, inputs))
            parts.append(dsp.synth(*spectrum, pitch_hz * np.float32(pitch_factor(pitch)), noise))
        if not parts:
            raise InfrastructureError(f"hibari cannot speak {text!r}")
        return Speech(to_int16(np.clip(np.concatenate(parts), -1, 1)), engine.sample_rate)


def _is_here(voice: str) -> bool:
    from hibari.voices import voice_path

    try:
        return Path(voice_path(voice, download_missing=False)).is_file()
    except FileNotFoundError:
        return False


@cache
def _loaded(voice: str) -> Any:
    """A voice, loaded once a process: half a second."""
    from hibari import Hibari

    return Hibari(voice=voice, threads=1)


def _find(options: EngineOptions) -> SpeechEngine | SkippedEngine:
    del options
    return (
        HibariEngine()
        if importlib.util.find_spec("hibari")
        else SkippedEngine("hibari", "the package hibari is not installed", ENGINE.install)
    )


ENGINE = EngineSpec("hibari", install("voices"), ("en",), "a natural voice, fast enough for hours of speech", _find)
