"""eSpeak-NG through its C interface: speech and phonemes. Used in worker processes only, since the library's state is
global.

The library and its data come from the package `espeakng-loader`; nothing is installed on the system.
"""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from trainer.data.speech.engine import Speech
from wakeword.errors import InfrastructureError
from wakeword.extras import missing

ENGLISH_ACCENTS = ("en-us", "en")
"""Two English texts are homophones when they sound alike in either: "court" and "caught" only do without a spoken r."""

# Values of speak_lib.h, eSpeak-NG 1.52.
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000
_CHARS_UTF8 = 1
_PARAMETER_RATE = 1
_PARAMETER_PITCH = 3
_PARAMETER_RANGE = 4
_PHONEMES_IPA = 2
_NORMAL_RATE_WPM = 175
_RATE_LIMITS_WPM = (80, 450)
_NORMAL_PITCH = 50
_PITCH_UNITS_PER_SEMITONE = 7
"""Measured on four variants: -50 units lower the voice by 5 to 7 semitones, +50 raise it by 7 to 9; some variants stop
earlier."""
_RANGE_LIMITS = (20, 80)
"""Intonation from flat to lively; 50 is the voice's own."""

_CLAUSE_MARKS = ".,:;!?"
_EVENT_LIST_ENDS = 0
_EVENT_WORD = 1


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    """espeak_EVENT. `text_position` counts characters from 1, `sample` from the start of the speech."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_SynthCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


def find_espeak() -> Path | None:
    """The folder of the `espeakng-loader` package, or None where it is not installed."""
    spec = importlib.util.find_spec("espeakng_loader")
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


def require_espeak() -> Path:
    """That folder. Raises `InfrastructureError` where there is none."""
    folder = find_espeak()
    if folder is None:
        raise InfrastructureError(missing("espeakng_loader"))
    return folder


def speak(text: str, voice: str, rate: float, pitch: float, seed: int) -> Speech:
    """Speak `text`; the seed draws the intonation range and the library's own jitter and breath noise."""
    with _EspeakLibrary() as library:
        library.set_voice(voice)
        library.set_parameter(_PARAMETER_RATE, int(np.clip(round(rate * _NORMAL_RATE_WPM), *_RATE_LIMITS_WPM)))
        library.set_parameter(
            _PARAMETER_PITCH, int(np.clip(round(_NORMAL_PITCH + pitch * _PITCH_UNITS_PER_SEMITONE), 0, 100))
        )
        library.set_parameter(
            _PARAMETER_RANGE, int(np.random.default_rng(seed).integers(*_RANGE_LIMITS, endpoint=True))
        )
        library.seed(seed)
        return library.speak(text)


def phonemise(texts: Sequence[str], accents: Sequence[str] = ENGLISH_ACCENTS) -> list[tuple[str, ...]]:
    """IPA of each text in each accent, stress marks and spaces between words included; "" where nothing can be spoken.

    Raises `ConfigError` without espeakng-loader.
    """
    spoken: list[list[str]] = [[] for _ in texts]
    with _EspeakLibrary() as library:
        for accent in accents:
            library.set_voice(accent)
            for text, entry in zip(texts, spoken, strict=True):
                entry.append(library.phonemes(text))
    return [tuple(entry) for entry in spoken]


def clauses(texts: Sequence[str], accent: str) -> list[list[tuple[str, str]]]:
    """Each text clause by clause: its IPA in an accent, and the mark (one of .,:;!?) that ends it, "" where
    none does."""
    with _EspeakLibrary() as library:
        library.set_voice(accent)
        return [library.clauses(text) for text in texts]


class _EspeakLibrary:
    """A fresh copy of the library, unloaded on exit.

    Synthesis leaves traces in static variables (wave phase, flutter, echo), which even `espeak_Terminate` keeps: after
    another voice, 83 of 104 variants differ. Only loading the library anew makes a clip independent of the clips before
    it; that costs 2.5 ms.
    """

    def __enter__(self) -> Self:
        folder = require_espeak()
        self._library: Any = ctypes.CDLL(str(folder / "libespeak-ng.so"))
        self._chunks: list[bytes] = []
        self._onsets: list[tuple[int, int]] = []
        self._callback = _SynthCallback(self._collect)
        self.sample_rate = int(
            self._library.espeak_Initialize(
                _AUDIO_OUTPUT_SYNCHRONOUS, 0, str(folder / "espeak-ng-data").encode(), _INITIALIZE_DONT_EXIT
            )
        )
        if self.sample_rate <= 0:
            raise InfrastructureError(
                f"{folder}: eSpeak-NG does not start (code {self.sample_rate}); install espeakng-loader again"
            )
        self._library.espeak_SetSynthCallback(self._callback)
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        return self

    def __exit__(self, *_: object) -> None:
        self._library.espeak_Terminate()
        ctypes.CDLL(None).dlclose(ctypes.c_void_p(self._library._handle))

    def _collect(self, samples: Any, count: int, events: Any) -> int:
        number = 0
        while events and (event := events[number]).type != _EVENT_LIST_ENDS:
            if event.type == _EVENT_WORD:
                self._onsets.append((event.text_position - 1, event.sample))
            number += 1
        if samples and count > 0:
            self._chunks.append(ctypes.string_at(samples, 2 * count))
        return 0

    def set_voice(self, name: str) -> None:
        if self._library.espeak_SetVoiceByName(name.encode()) != 0:
            raise InfrastructureError(f"eSpeak-NG has no voice {name!r}; install espeakng-loader again")

    def set_parameter(self, parameter: int, value: int) -> None:
        self._library.espeak_SetParameter(parameter, value, 0)

    def seed(self, seed: int) -> None:
        # Otherwise the library seeds its noise from the clock when it starts. The variants of "klatt 6" draw from the C
        # library's generator.
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
        ctypes.CDLL(None).srand(ctypes.c_uint(seed))

    def speak(self, text: str) -> Speech:
        encoded = text.encode()
        code = self._library.espeak_Synth(encoded, ctypes.c_size_t(len(encoded) + 1), 0, 0, 0, _CHARS_UTF8, None, None)
        if code != 0:
            raise InfrastructureError(f"eSpeak-NG cannot speak {text!r} (code {code}); install espeakng-loader again")
        return Speech(np.frombuffer(b"".join(self._chunks), np.int16), self.sample_rate, tuple(self._onsets))

    def phonemes(self, text: str) -> str:
        return " ".join(sounds for sounds, _ in self.clauses(text) if sounds)

    def clauses(self, text: str) -> list[tuple[str, str]]:
        # The function reads one clause and the letter after it a call, and moves the pointer on, to NULL at the end.
        encoded = ctypes.create_string_buffer(text.encode())
        start, length = ctypes.addressof(encoded), len(encoded) - 1
        rest, read, found = ctypes.c_void_p(start), 0, []
        while rest.value is not None:
            sounds = self._library.espeak_TextToPhonemes(ctypes.byref(rest), _CHARS_UTF8, _PHONEMES_IPA).decode()
            until = length if rest.value is None else rest.value - start
            marks = [chr(byte) for byte in encoded.raw[read:until] if chr(byte) in _CLAUSE_MARKS]
            found.append((sounds, marks[-1] if marks else ""))
            read = until
        return found
