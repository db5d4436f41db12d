"""The plan of a generated corpus: every clip's text, voice and manner, drawn from a seed alone before anything is
spoken.

A larger corpus begins with the smaller one of the same seed. A clip's file name holds a hash of its plan.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainer.data.speech.context import InFlow, in_flow
from trainer.data.speech.dealing import EngineDealer, SpeakerDealer, engine_limits, engine_shares, speakers_of
from trainer.data.speech.engine import DEFAULT_LANGUAGE, SpeechEngine, Voice
from trainer.data.speech.foreign import foreign_voices
from trainer.data.speech.ways import ALONE, ASKED, DEFAULT_MANNER, IN_FLOW, WAYS, Manner, Range
from wakeword.errors import ConfigError

POSITIVE, NEAR_MISS, SENTENCE = "positive", "near_miss", "sentence"
FOLDERS = {
    POSITIVE: Path("positive"),
    NEAR_MISS: Path("negative", "near_miss"),
    SENTENCE: Path("negative", "sentences"),
}

THROWN_OUT = Path("thrown_out")
"""Folder of the clips that the pronunciation check did not let pass, beside those of the labels: no training looks
there."""
LABELS = ((POSITIVE,), (NEAR_MISS, SENTENCE))

GAIN_RANGE_DB = (-24.0, -1.0)
"""Peak level; an augmentation may go further down."""

_PLAYED_FORMANTS = (0.84, 1.19)
"""Three semitones up or down: so far the pitch of a voice moves its formants too, where it cannot move alone."""

type Unreadable = dict[str, dict[str, str]]
"""By engine, the texts that it cannot read whole, with the reason."""


@dataclass(frozen=True)
class Contexts:
    """Words that may stand before and after a text in the flow of speech."""

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class Spoken:
    """The texts of each kind, and the contexts for the wake word and for near misses, which must not say the wake word
    with them.

    `accents` are by engine the languages in whose sounds foreigners say the wake word, `accented` the texts that may be
    said so.
    """

    texts: Mapping[str, Sequence[str]]
    contexts: Mapping[str, Contexts] = dataclasses.field(default_factory=dict)
    accents: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    accented: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ClipPlan:
    """All that decides what a clip sounds like. `rate` and `formant` are factors, `pitch` is in semitones, `gain_db`
    the peak level.

    `text` is all that is spoken; characters `word_from` to `word_to` of it are the wake word or the near miss, or all
    of a sentence. `family` names what must never stand on two sides of a split, `language` is a BCP 47 tag, `way` how
    the text is said.
    """

    index: int
    kind: str
    text: str
    word_from: int
    word_to: int
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
    def parts(self) -> tuple[str, str, str]:
        """What is said before the word, the word, and what is said after it."""
        return self.text[: self.word_from], self.text[self.word_from : self.word_to], self.text[self.word_to :]

    @property
    def path(self) -> Path:
        """Where the clip lies in the corpus; the name changes with the plan."""
        key = hashlib.sha256(repr(dataclasses.astuple(self)).encode()).hexdigest()[:8]
        return FOLDERS[self.kind] / self.speaker / f"{self.index:06d}-{key}.wav"


@dataclass(frozen=True)
class CorpusRequest:
    """What a corpus is asked to hold. Raises `ConfigError` for negative numbers of clips."""

    phrase: str
    positives: int = 1000
    """Clips of the wake word."""
    near_misses: int = 1000
    sentences: int = 1000
    natural: int = 500
    """Of these, how many of the wake word and of negatives slow engines say, whose voices are natural. With the default
    about 20 minutes of one core."""
    seed: int = 0
    language: str = DEFAULT_LANGUAGE
    """Tag of BCP 47."""
    own_lines: tuple[Path, ...] = ()
    """Text files of sentences, which are spoken beside those of the language's bank."""
    manner: Manner = DEFAULT_MANNER
    check: bool = False
    """Throw out wake words that were said wrong, and near misses that are heard as the wake word."""

    def __post_init__(self) -> None:
        if min(self.positives, self.near_misses, self.sentences, self.natural) < 0:
            raise ConfigError("numbers of clips cannot be negative")

    @property
    def counts(self) -> Mapping[str, int]:
        """Clips of each kind."""
        return {POSITIVE: self.positives, NEAR_MISS: self.near_misses, SENTENCE: self.sentences}

    def most_natural(self, kind: str) -> int:
        """Most clips of a kind that slow engines say: as many negatives as wake words, of each kind one half."""
        half = self.natural // 2
        return {POSITIVE: self.natural, NEAR_MISS: half}.get(kind, self.natural - half)


def plan_clips(
    request: CorpusRequest,
    spoken: Spoken,
    engines: Sequence[SpeechEngine],
    unreadable: Unreadable | None = None,
    slow: Collection[str] = (),
    locates: bool = False,
) -> list[ClipPlan]:
    """Draw every clip of the corpus. The texts of each kind are used in turn, each by an engine that reads it.

    Args:
        request: How many clips of each kind, in which language and manner, and the seed.
        spoken: The texts of each kind, and the words around them.
        engines: All that speak the language.
        unreadable: By engine, the texts that it cannot read.
        slow: Names of engines that say no more than `request.natural` allows.
        locates: Whether words are found in the speech of any engine, also where the engine itself does not mark them.

    Returns:
        The plans, kind by kind.
    """
    seed, manner = request.seed, request.manner
    speakers = [speakers_of(engine, request.language, marked=locates) for engine in engines]
    late = [engine.name in slow for engine in engines]
    shares = engine_shares(speakers, late)
    generators = {
        kind: [np.random.default_rng([seed, 3, number, index]) for index in range(count)]
        for number, (kind, count) in enumerate(request.counts.items())
    }
    dealt: dict[str, list[tuple[str, int]]] = {}
    for number, (kind, draws) in enumerate(generators.items()):
        deal = EngineDealer(shares, engine_limits(late, request.most_natural(kind)))
        texts = _in_order(spoken.texts[kind], kind, np.random.default_rng([seed, 2, number]))
        # Sentences come one a clip and in order, so that more of them do not reshuffle the first ones.
        turns = ((texts[index % len(texts)], draw) for index, draw in enumerate(draws))
        dealt[kind] = [
            (text, deal(draw, [text not in (unreadable or {}).get(engine.name, ()) for engine in engines]))
            for text, draw in turns
        ]
    voices = SpeakerDealer(
        speakers, {kind: Counter(engine for _, engine in pairs) for kind, pairs in dealt.items()}, LABELS, seed
    )
    foreign = [
        foreign_voices(engine, spoken.accents.get(engine.name, ())) if manner.accents else {} for engine in engines
    ]

    def voice_of(kind: str, text: str, engine: int, draw: np.random.Generator) -> Voice:
        voice = voices(kind, engine, draw)
        others = (
            foreign[engine].get(voice.speaker, ()) if draw.random() < manner.accents and text in spoken.accented else ()
        )
        return others[int(draw.integers(len(others)))] if others else voice

    return [
        _plan(
            index,
            kind,
            text,
            engines[engine].name,
            voice_of(kind, text, engine, draw),
            spoken.contexts.get(kind, Contexts()),
            manner,
            draw,
        )
        for kind, pairs in dealt.items()
        for index, ((text, engine), draw) in enumerate(zip(pairs, generators[kind], strict=True))
    ]


def _in_order(texts: Sequence[str], kind: str, generator: np.random.Generator) -> Sequence[str]:
    return texts if kind == SENTENCE else [texts[place] for place in generator.permutation(len(texts))]


def _plan(
    index: int,
    kind: str,
    text: str,
    engine: str,
    voice: Voice,
    contexts: Contexts,
    manner: Manner,
    draw: np.random.Generator,
) -> ClipPlan:
    way = _way(kind, voice, contexts, manner, draw)
    said = _said(kind, text, way, voice, contexts, draw)
    formant = _log_uniform(manner.formant_range(way), draw)
    pitch = float(draw.uniform(*WAYS[way].pitch))
    if voice.pitch_moves_formants:
        low, high = manner.formant_range(way)
        pitch = float(
            np.clip(
                pitch,
                _semitones(min(low, _PLAYED_FORMANTS[0]) / formant),
                _semitones(max(high, _PLAYED_FORMANTS[1]) / formant),
            )
        )
    return ClipPlan(
        index=index,
        kind=kind,
        text=said.text,
        word_from=said.start,
        word_to=said.end,
        engine=engine,
        voice=voice.name,
        speaker=_plain(voice.speaker),
        family=_plain(voice.family),
        language=voice.language,
        way=way,
        rate=round(_log_uniform(WAYS[way].rate, draw), 3),
        pitch=round(pitch, 2),
        formant=round(formant, 3),
        gain_db=round(float(draw.uniform(*GAIN_RANGE_DB)), 1),
        seed=int(draw.integers(1 << 31)),
    )


def _way(kind: str, voice: Voice, contexts: Contexts, manner: Manner, draw: np.random.Generator) -> str:
    """How a clip is said. A sentence is in flow where a word would be alone, asked or in flow; without words around it
    no word is in flow.
    """
    names = list(manner.shares)
    weights = np.array([manner.shares[name] for name in names])
    way = names[int(draw.choice(len(names), p=weights / weights.sum()))]
    if kind == SENTENCE:
        return IN_FLOW if way in (ALONE, ASKED) else way
    possible = contexts.before or (contexts.after and voice.marks_words)
    return ALONE if way == IN_FLOW and not possible else way


def _said(kind: str, text: str, way: str, voice: Voice, contexts: Contexts, draw: np.random.Generator) -> InFlow:
    if kind == SENTENCE:
        return InFlow(text, 0, len(text))
    if way != IN_FLOW:
        return InFlow(text + str(draw.choice(WAYS[way].endings)), 0, len(text))
    before = contexts.before[int(draw.integers(len(contexts.before)))] if contexts.before else ""
    after = contexts.after[int(draw.integers(len(contexts.after)))] if contexts.after else ""
    # Where the end of the word would not be known, nothing follows it.
    sides = int(draw.integers(3)) if voice.marks_words and before and after else 0 if before else 1
    return in_flow(text, before if sides != 1 else "", after if sides != 0 else "", draw)


def _log_uniform(limits: Range, draw: np.random.Generator) -> float:
    return float(np.exp(draw.uniform(*np.log(limits))))


def _semitones(factor: float) -> float:
    return float(12 * np.log2(factor))


def _plain(name: str) -> str:
    """A name that can be a folder's."""
    return re.sub(r"\W+", "_", name)
