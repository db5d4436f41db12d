"""The registry of text-to-speech engines: the modules of `trainer.data.speech.engines`, and which of them this machine has."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from trainer.data.speech import engines
from trainer.data.speech.engine import EngineOptions, EngineSpec, SkippedEngine, SpeechEngine
from wakeword.errors import ConfigError


@dataclass(frozen=True)
class EngineChoice:
    """The engines of this machine: those that speak, and those that were left out with the reason."""

    available: tuple[SpeechEngine, ...]
    skipped: tuple[SkippedEngine, ...]


@cache
def engine_specs() -> dict[str, EngineSpec]:
    """Every engine that the project knows, by name and in alphabetical order."""
    modules = sorted(module.name for module in pkgutil.iter_modules(engines.__path__, f"{engines.__name__}."))
    specs: list[EngineSpec] = [importlib.import_module(name).ENGINE for name in modules]
    return {spec.name: spec for spec in specs}


def choose_engines(names: Sequence[str] | None = None, options: EngineOptions | None = None) -> EngineChoice:
    """Find the engines that this machine has, among `names` (None: all).

    A missing engine is skipped and named, never an error; `ConfigError` is raised for an unknown name, for an option that is wrong,
    and when no engine is left.
    """
    specs = engine_specs()
    unknown = [name for name in names or () if name not in specs]
    if unknown:
        raise ConfigError(f"unknown speech engine {unknown[0]!r}; choose from {', '.join(specs)}")
    found = [spec.find(options or EngineOptions()) for name, spec in specs.items() if names is None or name in names]
    skipped = tuple(engine for engine in found if isinstance(engine, SkippedEngine))
    available = tuple(engine for engine in found if not isinstance(engine, SkippedEngine))
    if not available:
        raise ConfigError("no speech engine is available; " + "; ".join(f"{engine.name}: {engine.install}" for engine in skipped))
    return EngineChoice(available, skipped)
