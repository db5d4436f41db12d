"""Where the words of a clip begin and end: the likeliest way of its text through what the recogniser hears."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.data.speech import espeak
from trainer.data.speech.espeak_languages import compared_accents
from trainer.data.speech.recogniser import (
    FRAME_SAMPLES,
    LANGUAGE,
    PADDING_SAMPLES,
    emissions,
    english_sounds,
    hear,
    recogniser_missing,
)
from wakeword import contract
from wakeword.corpus.utterances import speech_bounds

LEFT_OUT = 2.5
"""What leaving out a sound costs that people swallow (the first a of "alexa", an h), as minus its log probability."""
_MAY_BE_LEFT_OUT = frozenset({"ə", "h"})
_NEVER = -1e9

_LEVEL_SAMPLES = contract.SAMPLE_RATE_HZ // 200
_PAUSE_BELOW_PEAK_DB = 35.0
_SHORTEST_PAUSE = 6
"""30 ms: shorter is the closure of a stop, such as the k of "alexa"."""
_DIP_DB = 6.0
"""So much quieter than around it is a place between two words; where none is, the middle between their sounds is
taken."""
_NOT_HEARD = -2.0
"""Mean log probability of a text's sounds, against the likeliest sounds, below which it is another text."""


@dataclass(frozen=True)
class SpokenSpan:
    """A part of a clip: its first sample and one past its last, at 16 kHz."""

    start: int
    end: int


@dataclass(frozen=True)
class AlignmentPath:
    """The likeliest way of some sounds through a clip.

    `lost` `[sounds]`: what each sound costs against the likeliest label of its frames, a log probability of 0 or less;
    `extra`: the same for all frames in between, in which other sounds are heard. `first` and `last` `[sounds]`: the
    frames of each sound, -1 for one that was left out.
    """

    lost: NDArray[np.float64]
    extra: float
    first: NDArray[np.intp]
    last: NDArray[np.intp]

    @property
    def score(self) -> float:
        """Log probability of the sounds against the likeliest labels: 0 when they are exactly what is heard."""
        return float(self.lost.sum()) + self.extra


def best_path(heard: NDArray[np.float32], sounds: tuple[str, ...], *, anywhere: bool = False) -> AlignmentPath:
    """The likeliest way of `sounds` through what `hear` answered `[frames, labels]`.

    With `anywhere`, whatever is heard before and after costs nothing. Raises `ValueError` without sounds or frames.
    """
    if not sounds or not len(heard):
        raise ValueError("an alignment needs sounds and frames")
    # A state a sound, and a pause before, between and after them. What is likeliest counts as 0.
    cost = np.empty((len(heard), 2 * len(sounds) + 1))
    cost[:, 0::2] = heard[:, -1:]
    cost[:, 1::2] = emissions(heard, sounds)
    cost = np.minimum(cost - heard.max(axis=1, keepdims=True), 0)
    if anywhere:
        cost[:, 0] = cost[:, -1] = 0
    visited = likeliest_states(cost, [sound in _MAY_BE_LEFT_OUT for sound in sounds])
    spent = cost[np.arange(len(visited)), visited]
    lost, first, last = np.full(len(sounds), -LEFT_OUT), np.full(len(sounds), -1), np.full(len(sounds), -1)
    for number in range(len(sounds)):
        frames = np.flatnonzero(visited == 2 * number + 1)
        if len(frames):
            lost[number], first[number], last[number] = spent[frames].sum(), frames[0], frames[-1]
    return AlignmentPath(lost, float(spent[visited % 2 == 0].sum()), first, last)


def likeliest_states(cost: NDArray[np.float64], may_be_left_out: Sequence[bool]) -> NDArray[np.intp]:
    """The state of each frame `[frames]` on the way of the highest sum, by Viterbi's algorithm.

    `cost` `[frames, 2 n + 1]` holds log probabilities: state 2 k + 1 is sound k of n, the even ones are the pauses
    around them, of which none must be visited (Graves' connectionist temporal classification). Each sound must be, but
    those that may be left out for `LEFT_OUT`. Where there are fewer frames than sounds, the way ends early.
    """
    states = cost.shape[1]
    # Ways into a state: staying, from the one before, from the sound before without a pause, over a sound that is left
    # out.
    steps = (0, 1, 2, 2)
    enters = np.zeros((len(steps), states))
    enters[2:] = _NEVER
    enters[2, 3::2] = 0
    enters[3, 2::2] = np.where(may_be_left_out, -LEFT_OUT, _NEVER)
    best = np.full(states, _NEVER)
    best[:2] = cost[0, :2]
    best[2:3] = cost[0, 2:3] + enters[3, 2:3]
    came = np.zeros((len(cost), states), np.intp)
    for frame in range(1, len(cost)):
        before = np.full((len(steps), states), _NEVER)
        for way, step in enumerate(steps):
            before[way, step:] = best[: states - step]
        before += enters
        came[frame] = before.argmax(axis=0)
        best = before[came[frame], np.arange(states)] + cost[frame]
    state = states - 1 if best[-1] >= best[-2] else states - 2
    visited = np.empty(len(cost), np.intp)
    for frame in range(len(cost) - 1, -1, -1):
        visited[frame] = state
        state -= steps[came[frame, state]]
    return visited


def locate(samples: NDArray[np.int16], parts: Sequence[str], language: str = "en-US") -> tuple[SpokenSpan, ...] | None:
    """Where each part of a spoken text lies: one span a part, in their order.

    `samples` is 16 kHz mono `[n]`, synthetic speech without noise; `parts` are the texts in the order of speech, such
    as ("hey", "alexa", "what time is it"). None where no recogniser knows the language (`recogniser_missing` says why),
    where a part holds no sound, and where another text is heard. Call it in worker processes only: eSpeak knows the
    sounds.
    """
    if recogniser_missing(language) is not None:
        return None
    sounds = [_sounds(part) for part in parts]
    start, end = speech_bounds(samples)
    if not all(sounds) or end <= start:
        return None
    path = best_path(hear(samples), tuple(sound for part in sounds for sound in part))
    if path.score / len(path.lost) < _NOT_HEARD:
        return None
    edges = np.cumsum([0, *(len(part) for part in sounds)])
    spans: list[SpokenSpan] = []
    for number in range(len(parts)):
        here = [place for place in range(edges[number], edges[number + 1]) if path.first[place] >= 0]
        if not here:
            return None
        spans.append(SpokenSpan(_sample(path.first[here[0]]), _sample(path.last[here[-1]])))
    cuts = [_between(samples, before.end, after.start) for before, after in itertools.pairwise(spans)]
    starts = [start, *(right for _, right in cuts)]
    ends = [*(left for left, _ in cuts), end]
    return tuple(SpokenSpan(left, right) for left, right in zip(starts, ends, strict=True))


@functools.lru_cache(maxsize=4096)
def _sounds(text: str) -> tuple[str, ...]:
    return english_sounds(espeak.phonemise([text], compared_accents(LANGUAGE))[0][0])


def _sample(frame: int) -> int:
    return int(frame) * FRAME_SAMPLES - PADDING_SAMPLES


def _between(samples: NDArray[np.int16], before: int, after: int) -> tuple[int, int]:
    """End of the sound at sample `before` and begin of the one at `after`: around a pause where there is one, else the
    quietest place.
    """
    before, after = max(0, min(before, len(samples))), max(0, min(after, len(samples)))
    count = (after - before) // _LEVEL_SAMPLES
    if count < 1:
        return before, before
    blocks = samples[before : before + count * _LEVEL_SAMPLES].reshape(count, _LEVEL_SAMPLES).astype(np.float64)
    level = 10 * np.log10(np.maximum((blocks**2).mean(axis=1), 1))
    peak = 20 * np.log10(max(1, int(np.abs(samples.astype(np.int32)).max())))
    quiet = np.flatnonzero(level < peak - _PAUSE_BELOW_PEAK_DB)
    runs = np.split(quiet, np.flatnonzero(np.diff(quiet) > 1) + 1)
    longest = max(runs, key=len)
    if len(longest) >= _SHORTEST_PAUSE:
        return before + int(longest[0]) * _LEVEL_SAMPLES, before + int(longest[-1] + 1) * _LEVEL_SAMPLES
    smooth = np.convolve(level, np.ones(3) / 3, "valid") if count > 3 else level
    dips = smooth.min() < np.median(smooth) - _DIP_DB
    place = before + (int(np.argmin(smooth)) + (count - len(smooth)) // 2 if dips else count // 2) * _LEVEL_SAMPLES
    return place, place
