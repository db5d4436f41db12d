"""Speech said in another manner than the engine made it: whispered, called out. Pure functions on sound.

The sound of a whisper is noise that comes through the same mouth (Tartter, "What's in a whisper?", JASA 86, 1989): the
spectral envelope stays, the voice's harmonics go, low sounds are weaker, and vowels are hardly louder than consonants.
Called speech has a flatter spectrum than spoken speech: loud voices gain more above 1 kHz than below (Traunmüller and
Eriksson, JASA 107, 2000).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wakeword import contract

Sound = NDArray[np.float32]

_FRAME, _HOP = 512, 128
"""32 and 8 ms at 16 kHz."""
_LIFTER_S = 0.0015
"""Parts of the cepstrum up to here are the mouth's; the pitch of voices up to 660 Hz lies beyond."""
_LOUDNESS_EXPONENT = 0.7
"""Of a frame's level against the loudest one: less than 1 brings vowels down to the consonants."""
_LOW_HZ, _LOW_DB = (200.0, 800.0), -15.0
"""Up to the first frequency a whisper is so much weaker, from the second on not at all."""
_CALL_HZ = (500.0, 3000.0)
_CALL_DB = (3.0, 9.0)
"""Called speech: from the second frequency on so much louder than up to the first."""
_SILENCE = 1e-4


def whispered(sound: Sound, generator: np.random.Generator) -> Sound:
    """A whisper of 16 kHz speech, float32 `[n]` in -1 to 1, as long as it was.

    The noise is drawn from the generator.
    """
    if not len(sound):
        return sound
    window = np.hanning(_FRAME + 1)[:_FRAME]
    padded = np.pad(sound.astype(np.float64), (_FRAME, _FRAME + -len(sound) % _HOP))
    spectra = np.fft.rfft(_frames(padded) * window)
    noise = np.fft.rfft(_frames(generator.standard_normal(len(padded))) * window)
    levels = np.sqrt(np.mean(np.abs(spectra) ** 2, axis=1, keepdims=True))
    envelopes = _envelopes(spectra) * 10 ** (_slope_db(_LOW_HZ, _LOW_DB, 0.0) / 20)
    shaped = noise * envelopes
    now = np.sqrt(np.mean(np.abs(shaped) ** 2, axis=1, keepdims=True))
    loudest = levels.max()
    wanted = loudest * (levels / max(loudest, _SILENCE)) ** _LOUDNESS_EXPONENT * (levels > loudest * _SILENCE)
    frames = np.fft.irfft(shaped * wanted / np.maximum(now, _SILENCE**2), _FRAME) * window
    whole = np.zeros(len(padded))
    for number, frame in enumerate(frames):
        whole[number * _HOP : number * _HOP + _FRAME] += frame
    return whole[_FRAME : _FRAME + len(sound)].astype(np.float32)


def called(sound: Sound, generator: np.random.Generator) -> Sound:
    """16 kHz speech, float32 `[n]`, with the spectrum of a raised voice; how much it is raised is drawn from the
    generator.
    """
    if not len(sound):
        return sound
    gain = _slope_db(_CALL_HZ, 0.0, generator.uniform(*_CALL_DB), len(sound))
    return np.fft.irfft(np.fft.rfft(sound.astype(np.float64)) * 10 ** (gain / 20), len(sound)).astype(np.float32)


def _frames(sound: NDArray[np.float64]) -> NDArray[np.float64]:
    """Overlapping frames, `[count, _FRAME]`."""
    return np.lib.stride_tricks.sliding_window_view(sound, _FRAME)[::_HOP]


def _envelopes(spectra: NDArray[np.complex128]) -> NDArray[np.float64]:
    """The smooth part of each spectrum's magnitude, by the low part of its cepstrum."""
    cepstra = np.fft.irfft(np.log(np.abs(spectra) + _SILENCE))
    kept = round(_LIFTER_S * contract.SAMPLE_RATE_HZ)
    cepstra[:, kept : _FRAME - kept + 1] = 0
    envelopes: NDArray[np.float64] = np.exp(np.fft.rfft(cepstra).real)
    return envelopes


def _slope_db(corners: tuple[float, float], below: float, above: float, length: int = _FRAME) -> NDArray[np.float64]:
    """A gain in dB for each frequency of a real FFT: `below` the first corner, `above` the second, a line over log
    frequency between them.
    """
    frequencies = np.fft.rfftfreq(length, 1 / contract.SAMPLE_RATE_HZ)
    return np.interp(np.log(np.maximum(frequencies, 1.0)), np.log(corners), (below, above))
