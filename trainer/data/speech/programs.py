"""Engines that are programs of the user's system: flite and piper. One process a clip.

Neither program moves the pitch of all its voices, so pitch is a change of speed: the speech is made slower or faster by the factor that
playing it at another sample rate takes back. That moves the formants too, as a shorter or longer vocal tract would.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import tempfile
import unicodedata
import wave
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainer.data.speech import espeak
from trainer.data.speech.engine import Speech, Voice
from wakeword.errors import ConfigError, InfrastructureError

_TIMEOUT_S = 120.0
_LANGUAGE_SWITCH = re.compile(r"\([^)]+\)")
_LETTERS = ("Ll", "Lu", "Lo")
"""Unicode's categories of signs that are sounds; marks of stress and length are others."""

_FLITE_VOICES = (Voice("awb", "flite_awb"), Voice("kal", "flite_kal"), Voice("kal16", "flite_kal"), Voice("rms", "flite_rms"), Voice("slt", "flite_slt"))
"""The general voices that Debian's flite carries; awb_time says nothing but times of day. kal and kal16 are one person."""


@dataclass(frozen=True)
class FliteEngine:
    """CMU Flite: small voices made from recordings of people."""

    program: str
    name: str = "flite"

    def voices(self) -> tuple[Voice, ...]:
        """The five general voices of four people."""
        return _FLITE_VOICES

    def unreadable(self, texts: Sequence[str]) -> dict[str, str]:
        """Texts with letters beyond a to z: it passes over them without a word."""
        beyond = {text: dict.fromkeys(letter for letter in text if not letter.isascii()) for text in texts}
        return {text: f"it reads no letters but a to z, and passes over {', '.join(letters)}" for text, letters in beyond.items() if letters}

    def synthesise(self, text: str, voice: str, rate: float, pitch: float, seed: int) -> Speech:
        """Speak `text`; flite draws nothing at random, so the seed changes nothing."""
        del seed
        factor = pitch_factor(pitch)
        return _run_to_wav([self.program, "-voice", voice, "--setf", f"duration_stretch={factor / rate:.6f}", "-t", text, "-o"], None, factor)


@dataclass(frozen=True)
class PiperEngine:
    """Piper: neural voices that the user downloaded. Its noise is switched off, because it cannot be seeded from outside."""

    program: str
    models: tuple[Path, ...]
    name: str = "piper"

    def voices(self) -> tuple[Voice, ...]:
        """Every speaker of every model, as "<model>#<speaker id>"."""
        found: list[Voice] = []
        for model in self.models:
            count = _piper_settings(model).get("num_speakers", 1)
            if not isinstance(count, int) or count < 1:
                raise ConfigError(f"{model}.json: num_speakers is {count!r}, not a number from 1; download it again")
            found += [Voice(f"{model.stem}#{speaker}", f"piper_{model.stem}_{speaker}") for speaker in range(count)]
        return tuple(found)

    def unreadable(self, texts: Sequence[str]) -> dict[str, str]:
        """Texts with sounds that one of the voices does not have: piper leaves them out."""
        found: dict[str, str] = {}
        for model in self.models:
            for text, missing in _missing_sounds(_piper_settings(model), texts).items():
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
        return _run_to_wav([self.program, "--model", str(model), *choice, *quiet, "--output_file"], text + "\n", factor)


def pitch_factor(semitones: float) -> float:
    """Frequency ratio of an interval: 12 semitones double the frequency."""
    return float(2 ** (semitones / 12))


def check_piper_voice(path: Path) -> Path:
    """The absolute path of a piper voice. Raises `ConfigError` when the .onnx file or its .onnx.json is missing or unreadable."""
    if path.suffix != ".onnx" or not path.is_file():
        raise ConfigError(f"{path}: a piper voice is an .onnx file; check the path")
    _piper_settings(path)
    return path.resolve()


def _piper_settings(model: Path) -> dict[str, object]:
    settings = Path(f"{model}.json")
    try:
        loaded = json.loads(settings.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{settings}: the description of the piper voice cannot be read ({error}); download it beside the .onnx file") from error
    if not isinstance(loaded, dict):
        raise ConfigError(f"{settings}: the description of the piper voice is not a JSON object; download it again")
    return loaded


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


def _run_to_wav(command: list[str], stdin: str | None, factor: float) -> Speech:
    """Run a program that writes the wav file named after its last argument; play the result `factor` times as fast."""
    with tempfile.TemporaryDirectory(prefix="speech-") as folder:
        wav = Path(folder) / "speech.wav"
        try:
            done = subprocess.run([*command, str(wav)], input=(stdin or "").encode(), capture_output=True, timeout=_TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired as error:
            raise InfrastructureError(f"{command[0]} did not finish in {_TIMEOUT_S:.0f} s; name the other engines with --engine") from error
        if done.returncode or not wav.is_file():
            said = " ".join(done.stderr.decode(errors="replace").split())[-200:]
            raise InfrastructureError(f"{command[0]} failed (exit code {done.returncode}: {said}); name the other engines with --engine")
        content = wav.read_bytes()
    with wave.open(io.BytesIO(content)) as reader:
        if (reader.getsampwidth(), reader.getnchannels()) != (2, 1):
            raise InfrastructureError(f"{command[0]} did not write 16-bit mono; name the other engines with --engine")
        samples = np.frombuffer(reader.readframes(reader.getnframes()), "<i2").astype(np.int16)
        return Speech(samples, round(reader.getframerate() * factor))
