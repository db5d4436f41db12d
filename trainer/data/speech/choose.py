"""Which text-to-speech engines this machine has."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.data.speech.engine import SpeechEngine
from trainer.data.speech.espeak import EspeakEngine, find_espeak
from trainer.data.speech.programs import FliteEngine, PiperEngine, check_piper_voice
from wakeword.errors import ConfigError
from wakeword.extras import install


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
    wanted = ENGINE_NAMES if names is None else tuple(names)
    unknown = [name for name in wanted if name not in ENGINE_NAMES]
    if unknown:
        raise ConfigError(f"unknown speech engine {unknown[0]!r}; choose from {', '.join(ENGINE_NAMES)}")
    available: list[SpeechEngine] = []
    skipped: list[SkippedEngine] = []
    if "espeak" in wanted:
        if find_espeak() is None:
            skipped.append(SkippedEngine("espeak", "the package espeakng_loader is not installed", install("train")))
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
