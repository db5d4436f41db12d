"""Utterances of a word that an official model knows, and speech without it: the development corpus's where it is there,
else made here.

What is made is eSpeak's, through the product's own speech engine: the same bytes on every machine with the locked
packages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from trainer.data.clips import finish_clip, write_clip
from trainer.data.speech.bank import bank_of
from trainer.data.speech.engine import DEFAULT_LANGUAGE
from trainer.data.speech.engines.espeak import EspeakEngine
from wakeword.contract import SAMPLE_RATE_HZ
from wakeword.corpus.recordings import GENERATED_TABLE

WORD = "alexa"
"""What the official model of this name wakes up at."""
WORDS, SPEECHES = 60, 26
AROUND_SECONDS = 0.4
"""Silence before and after each word, as a recording has it."""
SPEECH_SECONDS = 15.0
PEAK_DB = -6.0


@dataclass(frozen=True)
class Spoken:
    """Recordings, 16 kHz mono."""

    words: tuple[Path, ...]
    """One utterance of `WORD` in each; most of them are found by the official model."""
    speech: tuple[Path, ...]
    """About fifteen seconds of sentences in each, none with `WORD`."""
    recorded: bool
    """True where people spoke: the development corpus."""


def recorded(corpus: Path) -> Spoken:
    """The development corpus's."""
    return Spoken(
        tuple(sorted((corpus / WORD).glob("*.flac"))),
        tuple(sorted((corpus / "speech_librispeech").glob("**/*.flac"))),
        recorded=True,
    )


def generate(folder: Path) -> Spoken:
    """Make `WORDS` utterances and `SPEECHES` recordings of sentences in a folder; takes two seconds."""
    engine = EspeakEngine()
    voices = engine.voices(DEFAULT_LANGUAGE)
    pad = np.zeros(round(AROUND_SECONDS * SAMPLE_RATE_HZ), np.int16)
    words, speech = [], []
    for number, voice in enumerate(islice(voices, 0, None, len(voices) // WORDS)):
        if number == WORDS:
            break
        sound = finish_clip(engine.synthesise(f"{WORD}!", voice.name, 1.0, 0.0, number), PEAK_DB).samples
        words.append(folder / "words" / f"{number:02}.wav")
        write_clip(words[-1], np.concatenate([pad, sound, pad]))
    generator, bank = np.random.default_rng(0), bank_of(DEFAULT_LANGUAGE)
    for number in range(SPEECHES):
        voice = voices[generator.integers(len(voices))]
        parts = [pad]
        while sum(map(len, parts)) < SPEECH_SECONDS * SAMPLE_RATE_HZ:
            parts.append(
                finish_clip(engine.synthesise(bank.draw(generator), voice.name, 1.0, 0.0, number), PEAK_DB).samples
            )
        speech.append(folder / "speech" / f"{number:02}.wav")
        write_clip(speech[-1], np.concatenate(parts))
    rows = "".join(f"{path.relative_to(folder)},{engine.name}\n" for path in (*words, *speech))
    (folder / GENERATED_TABLE).write_text(f"path,engine\n{rows}")
    return Spoken(tuple(words), tuple(speech), recorded=False)


def listed(path: Path, recordings: Sequence[Path]) -> Path:
    """Write a list of recordings."""
    path.write_text("".join(f"{recording}\n" for recording in recordings))
    return path
