"""Whether a generated clip says what it should: a wake word that was said wrong teaches a model another word.

What a phoneme recogniser hears is compared with the sounds of the phrase, as American and British English have them. A
verdict is about gross faults (cut off, another word, letters spelled out), not about accents: real people's words must
pass.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from trainer.data.speech import espeak
from trainer.data.speech.alignment import AlignmentPath, best_path
from trainer.data.speech.espeak_languages import compared_accents
from trainer.data.speech.plan import POSITIVE, SENTENCE, ClipPlan
from trainer.data.speech.recogniser import LANGUAGE, english_sounds, greedy_labels, hear
from trainer.data.speech.ways import IN_FLOW

# Chosen on the words "alexa" and "jarvis" of the development corpus, so that at least 97 % of people's words pass: all
# of 174, and 375 of 384. "Computer", which chose nothing: 406 of 411. Of 122 of these recordings that end in their
# middle, 104 are thrown out.
PASSES = -1.0
"""Mean log probability of a sound of the phrase, against what is likeliest, from which on it counts as said."""
HEARD_AS_PHRASE = -0.5
"""The same for a negative: from here on it is heard as the phrase, unless it is nearly as well heard as its own
text."""
_NEARLY = 0.1

SAID = "said"
CUT_AT_START, CUT_AT_END = "its beginning is missing", "its end is missing"
MORE, OTHER = "more is heard than the phrase", "other sounds are heard"
THE_PHRASE = "it is heard as the wake word"

_MISSING = -2.2
"""Mean cost of the first or last third of a phrase's sounds up to which it is missing, however well the rest is
said."""
_CHECK = "pronunciation check 1"
"""Of a note in a clip's file. Another check than this gets another number, and clips are judged anew."""


@dataclass(frozen=True)
class ClipVerdict:
    """What is thought of a clip.

    `reason` is `SAID` or why it is thrown out, `heard` the sounds that were heard, `score` 0 for a perfect word, less
    otherwise.
    """

    reason: str
    heard: str
    score: float

    @property
    def passed(self) -> bool:
        """Whether the clip may train."""
        return self.reason == SAID

    @property
    def note(self) -> str:
        """The verdict as a file keeps it."""
        return "|".join((_CHECK, self.reason, f"{self.score:.2f}", self.heard))

    @classmethod
    def of_note(cls, note: str) -> Self | None:
        """The verdict that a file keeps; None where it keeps none of this check."""
        parts = note.split("|")
        return cls(parts[1], parts[3], float(parts[2])) if len(parts) == 4 and parts[0] == _CHECK else None

    def __str__(self) -> str:
        return f"{self.reason} ({self.score:.2f}; heard: {self.heard or 'nothing'})"


def summary(judged: Iterable[tuple[str, ClipVerdict]]) -> list[str]:
    """A line for each engine of the clips that were judged: how many were thrown out, and why."""
    by_engine: dict[str, Counter[str]] = {}
    for engine, verdict in judged:
        by_engine.setdefault(engine, Counter())[verdict.reason] += 1
    lines: list[str] = []
    for engine, reasons in sorted(by_engine.items()):
        thrown, total = [(reason, count) for reason, count in reasons.most_common() if reason != SAID], reasons.total()
        why = ": " + ", ".join(f"{reason} ({count})" for reason, count in thrown) if thrown else ""
        much = (
            f"; {engine} may say the phrase in a way of its own: listen to some"
            if total - reasons[SAID] > total / 2
            else ""
        )
        lines.append(f"{engine}: the pronunciation check threw out {total - reasons[SAID]} of {total} clips{why}{much}")
    return lines


def judge_clip(samples: NDArray[np.int16], plan: ClipPlan, phrase: str) -> ClipVerdict | None:
    """The verdict about a planned clip of an English phrase; None for sentences, whose texts do not hold the phrase.

    `samples` is 16 kHz mono `[n]`. Call it in worker processes only, where `recogniser.recogniser_missing` has nothing
    to say against it.
    """
    if plan.kind == SENTENCE:
        return None
    in_flow = plan.way == IN_FLOW
    return (
        judge_positive(samples, phrase, in_flow=in_flow)
        if plan.kind == POSITIVE
        else judge_negative(samples, phrase, plan.parts[1], in_flow=in_flow)
    )


def judge_positive(samples: NDArray[np.int16], phrase: str, *, in_flow: bool = False) -> ClipVerdict:
    """Whether samples say an English phrase, alone or `in_flow`, where other words around it do not count."""
    heard = hear(samples)
    path = _likeliest(heard, phrase, in_flow)
    return ClipVerdict(_fault(path), greedy_labels(heard), _rounded(_mean(path)))


def judge_negative(samples: NDArray[np.int16], phrase: str, text: str, *, in_flow: bool = False) -> ClipVerdict:
    """Whether a clip of another English `text` is heard as the phrase after all: better than as its own text, and well
    enough.

    The score is that of the phrase.
    """
    heard = hear(samples)
    score, own = (_mean(_likeliest(heard, words, in_flow)) for words in (phrase, text))
    return ClipVerdict(
        THE_PHRASE if score >= HEARD_AS_PHRASE and score > own + _NEARLY else SAID,
        greedy_labels(heard),
        _rounded(score),
    )


def _likeliest(heard: NDArray[np.float32], text: str, anywhere: bool) -> AlignmentPath:
    paths = [best_path(heard, sounds, anywhere=anywhere) for sounds in _variants(text)]
    return max(paths, key=_mean)


def _mean(path: AlignmentPath) -> float:
    return path.score / len(path.lost)


def _rounded(score: float) -> float:
    """As a file keeps it; -0.0 is 0."""
    return round(score, 2) + 0.0


def _fault(path: AlignmentPath) -> str:
    """What is wrong with a word in the words of a report; `SAID` where nothing is."""
    third = max(1, len(path.lost) // 3)
    no_start, no_end = path.lost[:third].mean() <= _MISSING, path.lost[-third:].mean() <= _MISSING
    if _mean(path) >= PASSES and not no_start and not no_end:
        return SAID
    if path.extra < path.lost.sum():
        return MORE
    return OTHER if no_start == no_end else CUT_AT_END if no_end else CUT_AT_START


@functools.lru_cache(maxsize=4096)
def _variants(text: str) -> Sequence[tuple[str, ...]]:
    """The sounds of a text in each accent, duplicates left out; raises `ValueError` where it has none."""
    found = tuple(
        dict.fromkeys(
            sounds for ipa in espeak.phonemise([text], compared_accents(LANGUAGE))[0] if (sounds := english_sounds(ipa))
        )
    )
    if not found:
        raise ValueError(f"{text!r} has no sounds")
    return found
