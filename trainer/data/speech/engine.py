"""What a text-to-speech engine is to the generator: a name, voices, and one function from text to samples.

Rate is a factor (1 = the voice's own, 1.2 = faster). Pitch is in semitones against the voice's own. An engine is a frozen dataclass that
travels to worker processes by pickling; whatever it loads, it loads there.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wakeword.errors import ConfigError


@dataclass(frozen=True)
class Voice:
    """One way to speak. Voices with the same `speaker` share their timbre and must never stand on two sides of a split."""

    name: str
    speaker: str


@dataclass(frozen=True)
class Speech:
    """Raw speech as the engine made it: mono int16 `[samples]`, silence at the ends included."""

    samples: NDArray[np.int16]
    sample_rate: int


class SpeechEngine(Protocol):
    """A text-to-speech engine. The same arguments must give the same samples in every process and order."""

    @property
    def name(self) -> str:
        """Short name, as given to `--engines` and written into generated.csv."""
        ...

    def voices(self) -> tuple[Voice, ...]:
        """All voices, in an order that does not change between runs."""
        ...

    def synthesise(self, text: str, voice: str, rate: float, pitch: float, seed: int) -> Speech:
        """Speak. Raises `InfrastructureError` when the engine fails on this text."""
        ...


@dataclass(frozen=True)
class SkippedEngine:
    """An engine that is not used, why, and what would make it usable."""

    name: str
    reason: str
    install: str


@dataclass(frozen=True)
class EngineChoice:
    """The engines of this machine: those that speak, and those that were left out with the reason."""

    available: tuple[SpeechEngine, ...]
    skipped: tuple[SkippedEngine, ...]


ENGINE_NAMES = ("espeak", "flite", "piper")


def choose_engines(names: Sequence[str] | None = None, piper_voices: Sequence[Path] = ()) -> EngineChoice:
    """Find the engines that this machine has, among `names` (None: all).

    A missing engine is skipped and named, never an error; `ConfigError` is raised for an unknown name, for a piper voice that is no file,
    and when no engine is left.
    """
    from trainer.data.speech.espeak import EspeakEngine, find_espeak
    from trainer.data.speech.programs import FliteEngine, PiperEngine, check_piper_voice

    wanted = ENGINE_NAMES if names is None else tuple(names)
    unknown = [name for name in wanted if name not in ENGINE_NAMES]
    if unknown:
        raise ConfigError(f"unknown speech engine {unknown[0]!r}; choose from {', '.join(ENGINE_NAMES)}")
    available: list[SpeechEngine] = []
    skipped: list[SkippedEngine] = []
    if "espeak" in wanted:
        if find_espeak() is None:
            skipped.append(SkippedEngine("espeak", "the package espeakng-loader is not installed", "pip install 'wakeword-bench[train]'"))
        else:
            available.append(EspeakEngine())
    if "flite" in wanted:
        program = shutil.which("flite")
        if program is None:
            skipped.append(SkippedEngine("flite", "the program flite is not on PATH", "apt install flite"))
        else:
            available.append(FliteEngine(program))
    if "piper" in wanted:
        program = shutil.which("piper")
        if program is None:
            skipped.append(SkippedEngine("piper", "the program piper is not on PATH", "pip install piper-tts"))
        elif not piper_voices:
            skipped.append(SkippedEngine("piper", "no voice was given", "pass the .onnx file of a voice, its .onnx.json beside it"))
        else:
            available.append(PiperEngine(program, tuple(check_piper_voice(path) for path in piper_voices)))
    if not available:
        raise ConfigError("no speech engine is available; " + "; ".join(f"{engine.name}: {engine.install}" for engine in skipped))
    return EngineChoice(tuple(available), tuple(skipped))
