"""The plan of a generated corpus: every clip's text, voice and manner, drawn from a seed alone before anything is spoken.

A larger corpus begins with the smaller one of the same seed. A clip's file name holds a hash of its plan.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainer.data.speech.engine import DEFAULT_LANGUAGE, SpeechEngine, Voice

POSITIVE, NEAR_MISS, SENTENCE = "positive", "near_miss", "sentence"
FOLDERS = {POSITIVE: Path("positive"), NEAR_MISS: Path("negative", "near_miss"), SENTENCE: Path("negative", "sentences")}

RATE_RANGE = (0.75, 1.35)
PITCH_RANGE_SEMITONES = (-3.0, 3.0)
GAIN_RANGE_DB = (-24.0, -1.0)
"""Peak level; an augmentation may go further down."""

_ENDINGS = ("", "", ".", "!", "?", ",")
"""Punctuation moves the intonation: a call, a question, a word that is followed by more."""

type Unreadable = dict[str, dict[str, str]]
"""By engine, the texts that it cannot read whole, with the reason."""

ALONE = "alone"


@dataclass(frozen=True)
class ClipPlan:
    """All that decides what a clip sounds like. `rate` and `formant` are factors, `pitch` is in semitones, `gain_db` the peak level.

    `family` names what must never stand on two sides of a split, `language` is a BCP 47 tag, `way` how the text is said.
    """

    index: int
    kind: str
    text: str
    engine: str
    voice: str
    speaker: str
    family: str
    language: str
    way: str
    rate: float
    pitch: float
    formant: float
    gain_db: float
    seed: int

    @property
    def label(self) -> str:
        """ "positive" or "negative": the top folder."""
        return FOLDERS[self.kind].parts[0]

    @property
    def path(self) -> Path:
        """Where the clip lies in the corpus; the name changes with the plan."""
        key = hashlib.sha256(repr(dataclasses.astuple(self)).encode()).hexdigest()[:8]
        return FOLDERS[self.kind] / self.speaker / f"{self.index:06d}-{key}.wav"


def plan_clips(
    spoken: dict[str, list[str]], counts: dict[str, int], engines: Sequence[SpeechEngine], seed: int, unreadable: Unreadable | None = None
) -> Iterator[ClipPlan]:
    """Draw every clip of the corpus. `spoken` holds the texts of each kind, which are used in turn, each by an engine that reads it."""
    for number, (kind, count) in enumerate(counts.items()):
        deal = _VoiceDealer(engines, np.random.default_rng([seed, 1, number]))
        order = np.random.default_rng([seed, 2, number]).permutation(len(spoken[kind]))
        for index in range(count):
            draw = np.random.default_rng([seed, 3, number, index])
            # Sentences come one a clip and in order, so that more of them do not reshuffle the first ones.
            place = index % len(order)
            text = spoken[kind][place if kind == SENTENCE else order[place]]
            engine, voice = deal(draw, [text not in (unreadable or {}).get(engine.name, ()) for engine in engines])
            text = text if kind == SENTENCE else _spoken_form(text, draw)
            yield ClipPlan(
                index=index,
                kind=kind,
                text=text,
                engine=engine.name,
                voice=voice.name,
                speaker=_plain(voice.speaker),
                family=_plain(voice.family),
                language=voice.language,
                way=ALONE,
                rate=round(float(np.exp(draw.uniform(*np.log(RATE_RANGE)))), 3),
                pitch=round(float(draw.uniform(*PITCH_RANGE_SEMITONES)), 2),
                formant=1.0,
                gain_db=round(float(draw.uniform(*GAIN_RANGE_DB)), 1),
                seed=int(draw.integers(1 << 31)),
            )


class _VoiceDealer:
    """Deals speakers so that each engine's are all used before one returns.

    An engine's share grows with the square root of its number of speakers: by number alone, flite's four people would drown among
    eSpeak's hundred timbres; by halves, a few voices would be half of the corpus.
    """

    def __init__(self, engines: Sequence[SpeechEngine], generator: np.random.Generator) -> None:
        self._engines = engines
        self._speakers: list[list[list[Voice]]] = []
        for engine in engines:
            by_speaker: dict[str, list[Voice]] = {}
            for voice in engine.voices(DEFAULT_LANGUAGE):
                by_speaker.setdefault(voice.speaker, []).append(voice)
            groups = list(by_speaker.values())
            self._speakers.append([groups[place] for place in generator.permutation(len(groups))])
        weights = np.sqrt([len(groups) for groups in self._speakers])
        self._shares = weights / weights.sum()
        self._dealt = [0] * len(engines)

    def __call__(self, draw: np.random.Generator, may: Sequence[bool]) -> tuple[SpeechEngine, Voice]:
        """An engine among those that may, and one of its voices."""
        shares = self._shares if all(may) else self._shares * may / (self._shares * may).sum()
        number = int(draw.choice(len(self._engines), p=shares))
        groups = self._speakers[number]
        voices = groups[self._dealt[number] % len(groups)]
        self._dealt[number] += 1
        return self._engines[number], voices[int(draw.integers(len(voices)))]


def _plain(name: str) -> str:
    """A name that can be a folder's."""
    return re.sub(r"\W+", "_", name)


def _spoken_form(text: str, draw: np.random.Generator) -> str:
    return text + str(draw.choice(_ENDINGS))
