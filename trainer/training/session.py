"""What validation presents to a model, and how it counts: a session as a board has it, for the float and the exported model alike.

Conventions: the wake words are joined into one stream, each followed by a pause in which a second detection can fall; the negatives are
another stream. Utterances and detections are matched one-to-one as `wakeword.scoring.matching` does: one detection finds an utterance
until `TOLERANCE_SECONDS` after its end; every other one is a false accept, and so is a detection in the pause. The hours are those of the
negative recordings and of the whole stream of wake words, pauses included, as every second of it can hold a false accept.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from wakeword.contract import SAMPLE_RATE_HZ, slice_end_seconds
from wakeword.detector import detect
from wakeword.scoring.det import CUTOFFS, DetCurve, Stream, det_curve
from wakeword.scoring.matching import TOLERANCE_SECONDS, Span
from wakeword.simulation.presentation import Presentation

PAUSE_SECONDS = 3.5
"""After each wake word: longer than the tolerance, the hold-off and what the model still hears of the word together."""
WORDS = Presentation("stream", lead_in_seconds=1.5, tail_seconds=PAUSE_SECONDS, gap_seconds=PAUSE_SECONDS)


def word_spans(samples: Sequence[int]) -> list[Span]:
    """Where wake words of such lengths lie in their stream, in seconds."""
    starts = accumulate((length + WORDS.gap for length in samples[:-1]), initial=WORDS.lead_in)
    return [Span(start / SAMPLE_RATE_HZ, (start + length) / SAMPLE_RATE_HZ) for start, length in zip(starts, samples, strict=True)]


def session_curve(words: Stream, utterances: Sequence[Span], negatives: Stream, window: int, negative_hours: float) -> DetCurve:
    """Utterances found and false accepts at every cutoff of both streams together; `utterances` lie in order in `words`."""
    curve = det_curve([], [negatives], window, negative_hours)
    detected, false_accepts = np.zeros(len(CUTOFFS), np.int64), curve.false_accepts.copy()
    starts, ends = (np.array([getattr(span, side) for span in utterances]) for side in ("start", "end"))
    for cutoff in CUTOFFS:
        moments = np.array([slice_end_seconds(each.slice_index) for each in detect(words.probabilities, words.stride, words.slices, cutoff, window)])
        found = _found(starts, ends + TOLERANCE_SECONDS, moments)
        detected[cutoff] = found
        false_accepts[cutoff] += len(moments) - found
    word_seconds = slice_end_seconds(words.slices - 1) if words.slices else 0.0
    return DetCurve(curve.cutoffs, detected, false_accepts, len(utterances), negative_hours + word_seconds / 3600)


def _found(starts: NDArray[np.float64], ends: NDArray[np.float64], moments: NDArray[np.float64]) -> int:
    """Number of windows that hold a detection. `PAUSE_SECONDS` keeps windows apart, so that no matching has to choose between them."""
    if not len(starts):
        return 0
    owners = np.searchsorted(starts, moments, side="right") - 1
    inside = (owners >= 0) & (moments <= ends[owners])
    return len(np.unique(owners[inside]))


def recall_at_no_false_accepts(curve: DetCurve) -> float:
    """The highest recall of all cutoffs without a single false accept, 0 where there is none."""
    none = (curve.false_accepts == 0) & (curve.cutoffs > 0)  # at cutoff 0 the device never detects
    return float(curve.recall[none].max()) if none.any() and curve.utterances else 0.0
