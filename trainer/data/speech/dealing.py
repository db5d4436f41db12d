"""Who says what: engines by their shares, and the same speakers in positives and negatives alike.

A voice that says the wake word more often than other things becomes the word: the network learns the voice. So every
kind of clip takes an engine's speakers in the same order, and no more of them than say both the wake word and something
else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from trainer.data.speech.engine import SpeechEngine, Voice


class EngineDealer:
    """Deals the clips of one kind to engines, at random but never far from their shares, and at most so many to each as
    `limits` says.
    """

    def __init__(self, shares: Sequence[float], limits: Sequence[float] | None = None) -> None:
        self._shares = np.asarray(shares) / np.sum(shares)
        self._owed = np.zeros(len(shares))
        self._left = np.full(len(shares), np.inf) if limits is None else np.array(limits, float)

    def __call__(self, draw: np.random.Generator, may: Sequence[bool]) -> int:
        """The number of an engine among those that may say a text."""
        shares = self._shares * (self._left > 0)
        if shares.any():
            self._owed += shares / shares.sum()
        wanting = np.clip(self._owed, 0, None) * (self._left > 0) * may
        if not wanting.any():
            wanting = shares * may
        if not wanting.any():  # only those may that have reached their limit
            wanting = self._shares * may
        number = int(draw.choice(len(wanting), p=wanting / wanting.sum()))
        self._owed[number] -= 1
        self._left[number] -= 1
        return number


class SpeakerDealer:
    """Deals the speakers of each engine, so that all are used before one returns.

    `dealt` tells for each kind of clip how many each engine says, by its number; `labels` what kinds are one label: an
    engine's speakers are at most so many as the label with fewer clips has for it in one of its kinds. An engine that
    says nothing of one label is not limited by it.
    """

    def __init__(
        self,
        speakers: Sequence[Sequence[Sequence[Voice]]],
        dealt: Mapping[str, Counter[int]],
        labels: Sequence[Sequence[str]],
        seed: int,
    ) -> None:
        self._seed = seed
        self._dealt: Counter[tuple[str, int]] = Counter()
        self._speakers: list[list[Sequence[Voice]]] = []
        self._orders: dict[tuple[int, int], list[int]] = {}
        for number, groups in enumerate(speakers):
            order = np.random.default_rng([seed, 1, number]).permutation(len(groups))
            by_label = [max((dealt[kind][number] for kind in kinds if kind in dealt), default=0) for kinds in labels]
            used = min([len(groups), *(count for count in by_label if count)])
            self._speakers.append([groups[place] for place in order[:used]])

    def __call__(self, kind: str, engine: int, draw: np.random.Generator) -> Voice:
        """One of the voices of the engine's next speaker for this kind of clip."""
        groups = self._speakers[engine]
        turn, place = divmod(self._dealt[kind, engine], len(groups))
        self._dealt[kind, engine] += 1
        if (engine, turn) not in self._orders:
            # Each turn has an order of its own; otherwise a text and a speaker whose numbers go together would always
            # meet.
            order = (
                np.random.default_rng([self._seed, 5, engine, turn]).permutation(len(groups))
                if turn
                else np.arange(len(groups))
            )
            self._orders[engine, turn] = order.tolist()
        voices = groups[self._orders[engine, turn][place]]
        return voices[int(draw.integers(len(voices)))]


def speakers_of(engine: SpeechEngine, language: str, *, marked: bool = False) -> list[list[Voice]]:
    """The voices of each speaker that speaks a language; with `marked` as if each of them marked its words."""
    by_speaker: dict[str, list[Voice]] = {}
    for voice in engine.voices(language):
        by_speaker.setdefault(voice.speaker, []).append(replace(voice, marks_words=True) if marked else voice)
    return list(by_speaker.values())


def engine_shares(speakers: Sequence[Sequence[Sequence[Voice]]], slow: Sequence[bool]) -> list[float]:
    """The part of the clips that each engine says: slow ones together every second clip; within each half the square
    root of speakers decides.

    By the number of speakers alone, four people would drown among a hundred timbres; by equal parts, a few voices would
    be most of the corpus.
    """
    weights, late = np.sqrt([len(groups) for groups in speakers]), np.array(slow)
    for half in (late, ~late):
        if half.any():
            weights[half] /= weights[half].sum()
    return [float(share) for share in weights / weights.sum()]


def engine_limits(slow: Sequence[bool], most: int) -> list[float]:
    """How many clips of a kind each engine may say: slow ones together `most`, unless there are only slow ones."""
    return [float(np.ceil(most / sum(slow))) if late and not all(slow) else np.inf for late in slow]
