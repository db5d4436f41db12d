"""A planned clip, spoken: the engine's speech in the planned manner, and the place of its word."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from trainer.data.clips import Clip, Word, finish_clip
from trainer.data.speech.engine import Speech, SpeechEngine
from trainer.data.speech.manner import called, whispered
from trainer.data.speech.plan import POSITIVE, ClipPlan
from trainer.data.speech.ways import CALLED, IN_FLOW, WHISPERED
from wakeword.corpus.utterances import speech_bounds

_TAIL_S = (0.3, 0.6)
"""What is kept of the words after a wake word; training hears 0.25 s of it."""
_MANNERS = {CALLED: called, WHISPERED: whispered}


def speak(engine: SpeechEngine, plan: ClipPlan) -> Clip | None:
    """The clip of a plan; without samples where the engine was silent, None where the place of its wake word is not certain. Raises as the engine does."""
    speech = engine.synthesise(plan.text, plan.voice, plan.rate / plan.formant, plan.pitch, plan.seed)
    manner = _manner(plan)
    if plan.kind != POSITIVE or plan.way != IN_FLOW:
        return finish_clip(speech, plan.gain_db, formant=plan.formant, manner=manner)
    word = word_in(speech, plan)
    tail_s = float(np.random.default_rng([plan.seed, 1]).uniform(*_TAIL_S))
    return None if word is None else finish_clip(speech, plan.gain_db, formant=plan.formant, manner=manner, word=word, tail_s=tail_s)


def word_in(speech: Speech, plan: ClipPlan) -> Word | None:
    """Where the wake word of a plan lies in its raw speech, by the engine's own marks. None where they do not tell where it ends.

    Silence at its ends is no part of it.
    """
    before, word, after = plan.parts
    marks = dict(speech.onsets)
    starts = marks.get(plan.word_from) if before else 0
    follows = next((place for place, sign in enumerate(after, plan.word_from + len(word)) if sign.isalnum()), None)
    ends = len(speech.samples) if follows is None else marks.get(follows)
    if ends is None or (starts is None and follows is not None) or (starts or 0) >= ends:
        return None
    first, last = speech_bounds(speech.samples[starts or 0 : ends], speech.sample_rate)
    if last <= first:
        return None
    return Word(None if starts is None else starts + first, (starts or 0) + last)


def _manner(plan: ClipPlan) -> Callable[[NDArray[np.float32]], NDArray[np.float32]] | None:
    change = _MANNERS.get(plan.way)
    return None if change is None else partial(change, generator=np.random.default_rng([plan.seed, 2]))
