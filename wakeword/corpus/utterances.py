"""Where the speech of a recording begins and ends, by loudness alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wakeword import contract

_FRAMES_PER_SECOND = 200
_QUIETEST_SPEECH_DB = 45.0
"""A frame so far below the loudest one is no speech; final s and f sounds of all engines are louder."""

# Of the end of a recorded utterance. Chosen on recordings of one word in `alexa` of the development corpus, against the
# moment at which the official model is sure of it, and on generated clips, whose end is known: those come out 4 ms
# (median) to 39 ms (95 %) early.
_SMOOTHING_FRAMES = 5
_PAUSE_FRAMES = 60
"""0.3 s: a longer pause ends the utterance; a click or another voice after it does not count."""
_CORE_NOISE_PERCENTILE, _CORE_ABOVE_NOISE_DB, _CORE_BELOW_PEAK_DB = 30, 12.0, 20.0
_FADE_NOISE_PERCENTILE, _FADE_ABOVE_NOISE_DB, _FADE_BELOW_PEAK_DB = 10, 9.0, 30.0
_FADE_FRAMES = 20
"""0.1 s: the fading last sound is followed so far beyond the core of the utterance."""
_LONGEST_UTTERANCE_FRAMES = 400
"""2 s: longer is not one utterance of a wake word, but sound that hides it."""
_AROUND_PERCENTILE, _AROUND_BELOW_PEAK_DB = 90, 20.0
_DIGITAL_SILENCE_DB = 0.0
"""Below one unit of the sample values: padding, which says nothing of the room's noise."""


def speech_bounds(samples: NDArray[np.int16], sample_rate: int = contract.SAMPLE_RATE_HZ) -> tuple[int, int]:
    """First and one past the last sample of noiseless (synthetic) speech in `[n]` samples, on a 5 ms grid.

    (0, 0) where there is only digital silence.
    """
    frame = sample_rate // _FRAMES_PER_SECOND
    level = _levels(samples, frame)
    if not len(level) or level.max() <= _DIGITAL_SILENCE_DB:
        return 0, 0
    loud = np.flatnonzero(level >= level.max() - _QUIETEST_SPEECH_DB)
    return int(loud[0]) * frame, min(int(loud[-1] + 1) * frame, len(samples))


def utterance_end(samples: NDArray[np.int16]) -> int:
    """One past the last sample of the main utterance in a 16 kHz recording `[n]`, whatever silence or clicks follow it.

    An estimate from loudness alone: the strongest stretch without a pause of 0.3 s, and its fading. `n` where nothing
    stands out. Noise that is not far below the word makes it wrong; `known_utterance_end` says whether to believe it.
    """
    return _main_utterance(samples)[1]


def utterance_bounds(samples: NDArray[np.int16]) -> tuple[int, int]:
    """First and one past the last sample of the main utterance in a 16 kHz recording `[n]`, by the rule of
    `utterance_end` from both sides.
    """
    end = utterance_end(samples)
    return min(len(samples) - utterance_end(samples[::-1]), end), end


def known_utterance_end(samples: NDArray[np.int16]) -> int | None:
    """`utterance_end` where it can be believed, else None: what is around the utterance hides where it ends.

    Believed is an utterance of at most two seconds around which nine tenths of the sound are 20 dB below its loudest
    moment. Measured on the recordings of `alexa` in the development corpus: 97 % of them are believed as they are; over
    other noise at a signal-to-noise ratio of 9 dB, where the estimate is off by more than 0.1 s in 63 %, one in nine
    still is.
    """
    first, end, level = _main_utterance(samples)
    if not len(level):
        return None
    frame = contract.SAMPLE_RATE_HZ // _FRAMES_PER_SECOND
    last = -(-end // frame) - 1
    around = np.concatenate([level[: max(first - _FADE_FRAMES, 0)], level[last + 1 + _FADE_FRAMES :]])
    quiet = (
        not len(around)
        or float(np.percentile(around, _AROUND_PERCENTILE)) <= float(level.max()) - _AROUND_BELOW_PEAK_DB
    )
    return end if quiet and last - first <= _LONGEST_UTTERANCE_FRAMES and level.max() > _DIGITAL_SILENCE_DB else None


def _main_utterance(samples: NDArray[np.int16]) -> tuple[int, int, NDArray[np.float64]]:
    """First frame of the main utterance, one past its last sample, and the level of every frame."""
    frame = contract.SAMPLE_RATE_HZ // _FRAMES_PER_SECOND
    level = _levels(samples, frame, _SMOOTHING_FRAMES)
    alive = level[level > _DIGITAL_SILENCE_DB]
    if not len(alive):
        return 0, len(samples), level
    peak = float(level.max())

    def threshold(percentile: int, above_noise: float, below_peak: float) -> float:
        return max(
            peak - _QUIETEST_SPEECH_DB, min(float(np.percentile(alive, percentile)) + above_noise, peak - below_peak)
        )

    core = np.flatnonzero(level >= threshold(_CORE_NOISE_PERCENTILE, _CORE_ABOVE_NOISE_DB, _CORE_BELOW_PEAK_DB))
    stretches = np.split(core, np.flatnonzero(np.diff(core) > _PAUSE_FRAMES) + 1)
    main = max(stretches, key=lambda frames: float(np.sum(10 ** (level[frames] / 10))))
    last = int(main[-1])
    fade = threshold(_FADE_NOISE_PERCENTILE, _FADE_ABOVE_NOISE_DB, _FADE_BELOW_PEAK_DB)
    limit = min(last + _FADE_FRAMES, len(level) - 1)
    while last < limit and level[last + 1] >= fade:
        last += 1
    return int(main[0]), min((last + 1) * frame, len(samples)), level


def _levels(samples: NDArray[np.int16], frame: int, smoothing: int = 1) -> NDArray[np.float64]:
    """Power of every frame of `[n]` samples in dB over one squared sample unit, float64 `[ceil(n / frame)]`."""
    count = -(-len(samples) // frame)
    padded = np.zeros(count * frame)
    padded[: len(samples)] = samples
    power = np.mean(padded.reshape(count, frame) ** 2, axis=1) if count else np.zeros(0)
    if smoothing > 1 and count >= smoothing:
        power = np.convolve(power, np.full(smoothing, 1 / smoothing), "same")
    levels: NDArray[np.float64] = 10 * np.log10(np.maximum(power, 1e-3))
    return levels
