"""Kokoro: natural voices of a neural model, and people who are blends of them. Slow: about a core-second for a second
of speech.
"""

from __future__ import annotations

import importlib.util
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trainer.data.speech.engine import EngineOptions, EngineSpec, SkippedEngine, Speech, SpeechEngine, Voice, speaking
from trainer.data.speech.engines.espeak import EspeakEngine
from trainer.data.speech.kokoro.files import KokoroFiles, find_files, read_voices
from trainer.data.speech.kokoro.speakers import KokoroSpeaker, reader, reading, speakers
from trainer.data.speech.kokoro.symbols import MOST_SYMBOLS, NUMBERS, READERS, ipa, symbols
from trainer.data.speech.languages import primary
from trainer.data.speech.programs import pitch_factor
from wakeword.audio import to_int16
from wakeword.errors import InfrastructureError
from wakeword.extras import install


@dataclass(frozen=True)
class KokoroEngine:
    """Kokoro-82M. A speaker is one of its voices or a blend of up to three; the name of a voice says what it is made
    of.
    """

    files: KokoroFiles
    name: str = "kokoro"

    def voices(self, language: str) -> tuple[Voice, ...]:
        """All speakers in each of its languages. Voices of other languages speak with their accent."""
        found = []
        for one in speakers(list(read_voices(self.files.voices))):
            for tag, by in READERS.items():
                if not tag.startswith("en"):
                    found.append(self._voice(one, reading(one.voice, by), tag))
                elif by == reader(one.voice):
                    found.append(self._voice(one, one.voice, tag))
        return speaking(tuple(found), language)

    def unreadable(self, texts: Sequence[str], language: str) -> dict[str, str]:
        """Texts that eSpeak-NG, which reads for it, cannot read, and those with sounds that the model does not know."""
        found = EspeakEngine().unreadable(texts, language)
        readers = sorted({reader(voice.name) for voice in self.voices(language)})
        for text, *sounds in zip(texts, *(ipa(texts, by) for by in readers), strict=True):
            unknown = [
                sign
                for sign in dict.fromkeys("".join(sounds))
                if unicodedata.category(sign).startswith("L") and sign not in NUMBERS
            ]
            if unknown:
                found.setdefault(text, f"it has no sound {', '.join(unknown)}")
        return found

    def _voice(self, speaker: KokoroSpeaker, name: str, language: str) -> Voice:
        return Voice(name, speaker.name, speaker.family, language, pitch_moves_formants=True)

    def synthesise(self, text: str, voice: str, rate: float, pitch: float, seed: int) -> Speech:
        """Speak `text`; the model draws nothing at random, so the seed changes nothing."""
        from trainer.data.speech.kokoro.model import SAMPLE_RATE_HZ, speak

        del seed
        numbers = symbols(text, reader(voice))
        if not 0 < len(numbers) <= MOST_SYMBOLS:
            raise InfrastructureError(
                f"kokoro speaks 1 to {MOST_SYMBOLS} sounds at once, and {text[:40]!r} has {len(numbers)}"
            )
        factor = pitch_factor(pitch)
        samples = speak(self.files, numbers, voice, rate / factor)
        return Speech(to_int16(np.clip(samples, -1, 1)), round(SAMPLE_RATE_HZ * factor))


def _find(options: EngineOptions) -> SpeechEngine | SkippedEngine:
    if importlib.util.find_spec("onnxruntime") is None:
        return SkippedEngine("kokoro", "the package onnxruntime is not installed", ENGINE.install)
    try:
        files = find_files(options.kokoro)
    except InfrastructureError as error:
        return SkippedEngine(
            "kokoro", str(error), "connect this machine once, or give Kokoro's files with --kokoro DIR"
        )
    read_voices(files.voices)
    return KokoroEngine(files)


_GAIN = (
    "natural voices: a model from the typed phrase snowboy alone found 93.8 % of real people's with them, 69.3 %"
    " without (simulated)"
)
ENGINE = EngineSpec("kokoro", install("voices"), tuple(dict.fromkeys(map(primary, READERS))), _GAIN, _find, slow=True)
