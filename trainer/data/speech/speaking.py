"""A planned clip, spoken: the engine's speech in the planned manner, and the place of its word."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from trainer.data.clips import GeneratedClip, Word, finish_clip
from trainer.data.speech.alignment import locate
from trainer.data.speech.engine import Speech, SpeechEngine
from trainer.data.speech.manner import called, whispered
from trainer.data.speech.plan import POSITIVE, ClipPlan
from trainer.data.speech.ways import CALLED, IN_FLOW, WHISPERED
from wakeword import contract
from wakeword.corpus.utterances import speech_bounds

_TAIL_S = (0.3, 0.6)
"""What is kept of the words after a wake word; training hears 0.25 s of it."""
_BETWEEN = " ,"
"""Signs between words that nobody hears."""
_MANNERS = {CALLED: called, WHISPERED: whispered}


def speak(engine: SpeechEngine, plan: ClipPlan) -> GeneratedClip | None:
    """The clip of a plan; without samples where the engine was silent, None where the place of its wake word is not
    certain. Raises as the engine does.
    """
    speech = engine.synthesise(plan.text, plan.voice, plan.rate / plan.formant, plan.pitch, plan.seed)
    manner = _manner(plan)
    if plan.kind != POSITIVE or plan.way != IN_FLOW:
        return finish_clip(speech, plan.gain_db, formant=plan.formant, manner=manner)
    word = word_in(speech, plan)
    tail_s = float(np.random.default_rng([plan.seed, 1]).uniform(*_TAIL_S))
    return (
        None
        if word is None
        else finish_clip(speech, plan.gain_db, formant=plan.formant, manner=manner, word=word, tail_s=tail_s)
    )


def word_in(speech: Speech, plan: ClipPlan) -> Word | None:
    """Where the wake word of a plan lies in its raw speech, without silence at its ends.

    By the engine's own marks, else by a recogniser. None where they do not tell where it ends.
    """
    before, word, after = plan.parts
    if not speech.onsets and (found := _recognised(speech, plan)):
        return found
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


def _recognised(speech: Speech, plan: ClipPlan) -> Word | None:
    """The same by `alignment.locate`, which hears the voice before its formants are moved."""
    import soxr

    sound = soxr.resample(speech.samples, speech.sample_rate, contract.SAMPLE_RATE_HZ, quality="HQ")
    parts = [part.strip(_BETWEEN) for part in plan.parts]
    spans = locate(sound, [part for part in parts if part], plan.language)
    if spans is None:
        return None
    span = spans[1 if parts[0] else 0]
    start, end = (round(place * speech.sample_rate / contract.SAMPLE_RATE_HZ) for place in (span.start, span.end))
    return Word(start, min(end, len(speech.samples)))


def _manner(plan: ClipPlan) -> Callable[[NDArray[np.float32]], NDArray[np.float32]] | None:
    change = _MANNERS.get(plan.way)
    return None if change is None else partial(change, generator=np.random.default_rng([plan.seed, 2]))
