"""The registry of text-to-speech engines: the modules of `trainer.data.speech.engines`, and which of them this machine
has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from trainer.data.speech import engines
from trainer.data.speech.engine import EngineOptions, EngineSpec, SkippedEngine, SpeechEngine
from wakeword.errors import ConfigError
from wakeword.registry import registered


@dataclass(frozen=True)
class EngineChoice:
    """The engines of this machine: those that speak, and those that were left out with the reason."""

    available: tuple[SpeechEngine, ...]
    skipped: tuple[SkippedEngine, ...]
    asked: frozenset[str] = frozenset()
    """Engines that the user named. Where one of them cannot speak, that is an error; others are left out."""

    def without(self, reasons: Mapping[str, str], nobody: str, remedy: str) -> EngineChoice:
        """The choice without the engines that have a reason. Raises `ConfigError` for one that the user named, and when
        none is left.

        `nobody` says what none of them can do, and `remedy` what to do then.
        """
        named = [f"{name}: {reasons[name]}" for name in sorted(self.asked) if reasons.get(name)]
        if named:
            raise ConfigError(f"{'; '.join(named)}; choose other engines with --engine")
        available = tuple(engine for engine in self.available if not reasons.get(engine.name))
        if not available:
            raise ConfigError(
                f"{nobody} ({'; '.join(f'{name}: {reason}' for name, reason in reasons.items())}); {remedy}"
            )
        skipped = tuple(SkippedEngine(name, reason, "") for name, reason in reasons.items() if reason)
        return EngineChoice(available, (*self.skipped, *skipped), self.asked)

    def speaking(self, language: str, title: str) -> EngineChoice:
        """Those that have a voice for a language (tag of BCP 47 and English name); of those left out before, only what
        could have one is still named.

        Raises as `without` does.
        """
        able = {name for name, spec in engine_specs().items() if spec.speaks(language)}
        choice = replace(self, skipped=tuple(engine for engine in self.skipped if engine.name in able))
        reasons = {
            engine.name: "" if engine.voices(language) else f"it has no voice that speaks {title}"
            for engine in self.available
        }
        return choice.without(reasons, f"no engine speaks {title}", "install another engine: docs/voices.md lists them")


@cache
def engine_specs() -> dict[str, EngineSpec]:
    """Every engine that the project knows, by name and in alphabetical order."""
    specs: list[EngineSpec] = registered(engines, "ENGINE")
    return {spec.name: spec for spec in specs}


def skipped_lines(skipped: Sequence[SkippedEngine]) -> list[str]:
    """What to tell of engines that are left out: why, and where they can be had what they would add and the command;
    one line for those of one command.
    """
    lines: list[str] = []
    for command in dict.fromkeys(engine.install for engine in skipped):
        alike = [engine for engine in skipped if engine.install == command]
        if not command:
            lines += [f"{engine.name} is not used: {engine.reason}" for engine in alike]
        elif len(alike) == 1:
            lines.append(
                f"{alike[0].name} is not used: {alike[0].reason}. It would add {engine_specs()[alike[0].name].gain}. To"
                f" have it: {command}"
            )
        else:
            adds = ", ".join(f"{engine.name} ({engine_specs()[engine.name].gain})" for engine in alike)
            lines.append(f"{len(alike)} engines are not installed: {adds}. To have them: {command}")
    return lines


def slow_engines() -> frozenset[str]:
    """The names of engines that compute about as long as they speak."""
    return frozenset(name for name, spec in engine_specs().items() if spec.slow)


def choose_engines(
    names: Sequence[str] | None = None,
    options: EngineOptions | None = None,
    *,
    language: str | None = None,
    slow: bool = True,
) -> EngineChoice:
    """Find the engines that this machine has, among `names`. None: all that may speak `language`; without `slow` not
    the slow ones.

    A missing engine is skipped and named, unless it is one of `names`. `ConfigError` is raised for that, for an unknown
    name, for an option that is wrong, and when no engine is left.
    """
    specs = engine_specs()
    unknown = [name for name in names or () if name not in specs]
    if unknown:
        raise ConfigError(f"--engine {unknown[0]!r}: no such speech engine; choose from {', '.join(specs)}")
    options = options or EngineOptions()
    # Looking for an engine may mean to fetch its voices, so what cannot be of use is not looked for.
    wanted = [
        spec
        for name, spec in specs.items()
        if (name in names if names else spec.speaks(language) and (slow or not spec.slow))
    ]
    found = [spec.find(options) for spec in wanted]
    skipped = tuple(engine for engine in found if isinstance(engine, SkippedEngine))
    available = tuple(engine for engine in found if not isinstance(engine, SkippedEngine))
    if names and skipped:
        raise ConfigError(
            "; ".join(f"{engine.name} cannot speak: {engine.reason}: {engine.install}" for engine in skipped)
        )
    if not available:
        raise ConfigError(
            "no speech engine is available; " + "; ".join(f"{engine.name}: {engine.install}" for engine in skipped)
        )
    return EngineChoice(available, skipped, frozenset(names or ()) | options.asked)
