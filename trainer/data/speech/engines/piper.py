"""Piper: a program of the user's system with neural voices that the user downloads, run once a clip."""

from __future__ import annotations

import json
import re
import shutil
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.data.speech import espeak
from trainer.data.speech.engine import EngineOptions, EngineSpec, SkippedEngine, Speech, SpeechEngine, Voice
from trainer.data.speech.languages import canonical, is_tag, primary
from trainer.data.speech.programs import pitch_factor, run_to_wav
from wakeword.errors import ConfigError

_LANGUAGE_SWITCH = re.compile(r"\([^)]+\)")
_LETTERS = ("Ll", "Lu", "Lo")
"""Unicode's categories of signs that are sounds; marks of stress and length are others."""


@dataclass(frozen=True)
class PiperEngine:
    """Piper: neural voices that the user downloaded. Its noise is switched off, because it cannot be seeded from outside."""

    program: str
    models: tuple[Path, ...]
    name: str = "piper"

    def voices(self, language: str) -> tuple[Voice, ...]:
        """Every speaker of every model, as "<model>#<speaker id>"."""
        found: list[Voice] = []
        for model in self.models:
            settings = _settings(model)
            own, count = _language(settings) or language, settings.get("num_speakers", 1)
            if primary(own) != primary(language):
                raise ConfigError(f"{model}: this voice speaks {own}, and {language} was asked for; give voices of one language, and name it with --language")
            if not isinstance(count, int) or count < 1:
                raise ConfigError(f"{model}.json: num_speakers is {count!r}, not a number from 1; download it again")
            found += [Voice(f"{model.stem}#{speaker}", f"piper_{model.stem}_{speaker}", language=own, pitch_moves_formants=True) for speaker in range(count)]
        return tuple(found)

    def unreadable(self, texts: Sequence[str], language: str) -> dict[str, str]:
        """Texts with sounds that one of the voices does not have: piper leaves them out."""
        del language
        found: dict[str, str] = {}
        for model in self.models:
            for text, missing in _missing_sounds(_settings(model), texts).items():
                found.setdefault(text, f"the voice {model.stem} has no sound {', '.join(missing)}")
        return found

    def synthesise(self, text: str, voice: str, rate: float, pitch: float, seed: int) -> Speech:
        """Speak `text`; deterministic without the noise, so the seed changes nothing."""
        del seed
        stem, _, speaker = voice.rpartition("#")
        model = next(path for path in self.models if path.stem == stem)
        factor = pitch_factor(pitch)
        quiet = ["--noise_scale", "0", "--noise_w", "0", "--length_scale", f"{factor / rate:.6f}"]
        # Speaker 0 is every model's own default, and some releases refuse the option for a model of one speaker.
        choice = [] if speaker == "0" else ["--speaker", speaker]
        return run_to_wav([self.program, "--model", str(model), *choice, *quiet, "--output_file"], text + "\n", factor)


def check_voice(path: Path) -> Path:
    """The absolute path of a piper voice. Raises `ConfigError` when the .onnx file or its .onnx.json is missing or unreadable."""
    if path.suffix != ".onnx" or not path.is_file():
        raise ConfigError(f"{path}: a piper voice is an .onnx file; check the path")
    _settings(path)
    return path.resolve()


def _settings(model: Path) -> dict[str, object]:
    settings = Path(f"{model}.json")
    try:
        loaded = json.loads(settings.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{settings}: the description of the piper voice cannot be read ({error}); download it beside the .onnx file") from error
    if not isinstance(loaded, dict):
        raise ConfigError(f"{settings}: the description of the piper voice is not a JSON object; download it again")
    return loaded


def _language(settings: Mapping[str, Any]) -> str:
    """The tag of BCP 47 of a voice's language; "" where its description does not say one."""
    language, speech = settings.get("language"), settings.get("espeak")
    said = language.get("code") if isinstance(language, dict) else speech.get("voice") if isinstance(speech, dict) else None
    return canonical(said) if isinstance(said, str) and is_tag(said) else ""


def _missing_sounds(settings: Mapping[str, Any], texts: Sequence[str]) -> dict[str, list[str]]:
    """By text, the sounds that a voice has no number for. As piper does it: its eSpeak voice, then each sign by itself (Unicode's form D)."""
    known, speech = settings.get("phoneme_id_map"), settings.get("espeak")
    voice = speech.get("voice") if isinstance(speech, dict) else None
    if not isinstance(known, dict) or not isinstance(voice, str) or settings.get("phoneme_type", "espeak") != "espeak":
        return {}
    found: dict[str, list[str]] = {}
    for text, (sounds,) in zip(texts, espeak.phonemise(texts, (voice,)), strict=True):
        signs = unicodedata.normalize("NFD", _LANGUAGE_SWITCH.sub("", sounds))
        if missing := [sign for sign in dict.fromkeys(signs) if unicodedata.category(sign) in _LETTERS and sign not in known]:
            found[text] = missing
    return found


def _find(options: EngineOptions) -> SpeechEngine | SkippedEngine:
    program = shutil.which("piper")
    if program is None and options.piper_voices:
        raise ConfigError(f"{options.piper_voices[0]}: the program piper, which speaks with this voice, is not on PATH; {ENGINE.install}")
    if program is None:
        return SkippedEngine("piper", "the program piper is not on PATH", ENGINE.install)
    if not options.piper_voices:
        return SkippedEngine("piper", "no voice was given", "pass the .onnx file of a voice, its .onnx.json beside it")
    return PiperEngine(program, tuple(check_voice(path) for path in options.piper_voices))


ENGINE = EngineSpec("piper", "pip install piper-tts", ("*",), "neural voices of your choice", _find)
