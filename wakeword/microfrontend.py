"""The device's frontend in NumPy, for many windows at once and for any step: 30 ms windows of 16 kHz audio to 40
features of 16 bits, in the device's own fixed-point arithmetic.

pymicro-features holds the C library itself, which takes one step of 10 ms a call. Models of the first format were
trained at 20 ms. This is the same arithmetic, transcribed from TensorFlow's microfrontend and kiss_fft as the source
distribution of pymicro-features 2.0.2 holds them (Apache-2.0; kiss_fft BSD-3-Clause): window, real FFT in int16, mel
filterbank, square root, noise reduction, PCAN gain control, logarithm. Each function names its C source. A test holds
it against the library at 10 ms, and against the compiled C source at other steps, bit for bit.

Up to the square root each window is computed by itself, so hundreds are computed at once, in several threads; only the
noise estimate goes from slice to slice.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import closing
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wakeword.contract import FEATURE_CHANNELS, SAMPLE_RATE_HZ, WINDOW_SAMPLES
from wakeword.fixed_point_fft import FFT_SIZE, FixedPointFft
from wakeword.threads import thread_map

MICROFRONTEND_ID = "microfrontend-numpy-1"
"""Names this arithmetic in cache keys."""

SPECTRUM_SIZE = FFT_SIZE // 2 + 1
LOWEST_HZ, HIGHEST_HZ = 125.0, 7500.0
WINDOW_BITS, FILTERBANK_BITS, NOISE_REDUCTION_BITS = 12, 12, 14
SMOOTHING_BITS = 10
SMOOTHING = (0.025, 0.06)
"""Of even and odd channels."""
SIGNAL_REMAINING = 0.05
PCAN_STRENGTH, PCAN_OFFSET, PCAN_GAIN_BITS, PCAN_SNR_BITS, PCAN_OUTPUT_BITS = 0.95, 80.0, 21, 12, 6
LOG_BITS, LOG_SEGMENT_BITS, LOG_COEFFICIENT, LOG_SCALE_SHIFT = 16, 7, 45_426, 6
CORRECTION_BITS = FFT_SIZE.bit_length() - 1 - FILTERBANK_BITS // 2
"""What the FFT and the filterbank have scaled the signal by, in bits."""

WINDOWS_AT_ONCE = 400
"""Enough for NumPy's loops, and few enough for the caches of a core; four seconds, as blocks of sound have."""
_BANDS_AT_ONCE = 4
_UINT32 = 0xFFFFFFFF

type _Ints = NDArray[np.int64]


class Microfrontend:
    """The recursive frontend of one stream at a step of so many samples. Features depend on everything since the stream
    began.
    """

    def __init__(self, step_samples: int, threads: int = 1) -> None:
        """`threads` compute what is a function of one window. Raises `ValueError` for a step that is not within a
        window.
        """
        if not 1 <= step_samples <= WINDOW_SAMPLES:
            raise ValueError(f"a step of {step_samples} samples is not in 1-{WINDOW_SAMPLES}")
        self._step, self._threads = step_samples, threads
        self._idle: list[_Roots] = []
        self.reset()

    def reset(self) -> None:
        """Begin a new stream: forget the noise estimate and the samples of an unfinished window."""
        self._pending = np.zeros(0, np.int16)
        self._estimate = np.zeros(FEATURE_CHANNELS, np.int64)

    def process(self, samples: NDArray[np.int16]) -> NDArray[np.uint16]:
        """Feed 16 kHz mono samples `[n]` and return the slices that they complete, uint16 `[slices, 40]`."""
        joined = np.concatenate([self._pending, samples.astype(np.int16, copy=False)])
        count = max(0, (len(joined) - WINDOW_SAMPLES) // self._step + 1)
        self._pending = joined[count * self._step :].copy()
        silent = self._silent_windows(joined, count)
        with closing(self._signals(joined[silent * self._step :], count - silent)) as signals:
            parts = [_logarithm(_pcan(*self._noise_reduction(signal))) for signal in signals]
        return np.concatenate([np.zeros((silent, FEATURE_CHANNELS), np.uint16), *parts])

    def _silent_windows(self, samples: NDArray[np.int16], count: int) -> int:
        """How many of the first windows hold nothing while the noise estimate is still zero: their features are zero,
        and so is the estimate after them.
        """
        if self._estimate.any():
            return 0
        silence = int(np.argmax(samples != 0)) if samples.any() else len(samples)
        return min(count, max(0, (silence - WINDOW_SAMPLES) // self._step + 1))

    def _signals(self, samples: NDArray[np.int16], count: int) -> Generator[_Ints]:
        """So many windows, some at a time: `[windows, 40]`."""
        pieces = [
            samples[first * self._step : (min(first + WINDOWS_AT_ONCE, count) - 1) * self._step + WINDOW_SAMPLES]
            for first in range(0, count, WINDOWS_AT_ONCE)
        ]
        with thread_map(self._signal, pieces, self._threads) as signals:
            yield from signals

    def _signal(self, samples: NDArray[np.int16]) -> _Ints:
        windows = (len(samples) - WINDOW_SAMPLES) // self._step + 1
        try:
            roots = self._idle.pop()
        except IndexError:
            roots = _Roots(self._step, windows)
        if roots.windows != windows:
            roots = _Roots(self._step, windows)
        signal = roots(samples)
        self._idle.append(roots)
        return signal

    def _noise_reduction(self, signal: _Ints) -> tuple[_Ints, _Ints]:
        """The signal without its noise, and the estimates of the noise; both `[slices, 40]`. `NoiseReductionApply`."""
        scale = np.float32(1 << NOISE_REDUCTION_BITS)
        smoothing = np.array(
            [int(np.float32(SMOOTHING[channel % 2]) * scale) for channel in range(FEATURE_CHANNELS)], np.int64
        )
        scaled = (signal << SMOOTHING_BITS) & _UINT32
        estimates = _estimates(scaled * smoothing, (1 << NOISE_REDUCTION_BITS) - smoothing, self._estimate)
        self._estimate = estimates[-1].copy()
        remaining = int(np.float32(SIGNAL_REMAINING) * scale)
        subtracted = (scaled - np.minimum(estimates, scaled)) >> SMOOTHING_BITS
        return np.maximum(subtracted, (signal * remaining) >> NOISE_REDUCTION_BITS), estimates


def _estimates(added: _Ints, kept: _Ints, before: _Ints) -> _Ints:
    """The estimates after each slice, `[slices, 40]`: of the one before it `kept` is kept, and `added` is added. A mean
    of two 32-bit values has 32 bits.
    """
    multiply, add, shift, bits = np.multiply, np.add, np.right_shift, np.array(NOISE_REDUCTION_BITS)
    estimates = np.empty_like(added)
    for new, after in zip(added, estimates, strict=True):  # one slice after the other: what costs is the call
        multiply(before, kept, after)
        add(after, new, after)
        shift(after, bits, after)
        before = after
    return estimates


class _Roots:
    """Windows to the square roots of the energy in 40 mel bands: what is a function of one window alone."""

    def __init__(self, step: int, windows: int) -> None:
        self._step, self.windows = step, windows
        self._common = math.gcd(step, WINDOW_SAMPLES)
        self._fft = FixedPointFft(windows)
        self._windowed = np.zeros((FFT_SIZE, windows), np.int16)

    def __call__(self, samples: NDArray[np.int16]) -> _Ints:
        """Samples of so many windows, each a step after the other, to `[windows, 40]`: `FrontendProcessSamples` up to
        `FilterbankSqrt`.
        """
        windowed, shift = self._apply_window(samples)
        energy = self._fft.energy(windowed)
        roots: _Ints = (_rounded_roots(_in_bands(energy)) >> shift).T
        return roots

    def _apply_window(self, samples: NDArray[np.int16]) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
        """`[512, windows]`, the last rows zero, and how many bits each window was shifted up. `WindowProcessSamples`
        and the start of `FftCompute`.
        """
        common, apart, last = self._common, self._step // self._common, self.windows - 1
        columns = np.ascontiguousarray(samples.reshape(-1, common).T, np.int32)
        windowed = self._windowed
        for first in range(0, WINDOW_SAMPLES, common):
            column = first // common
            heard = columns[:, column : column + last * apart + 1 : apart] * _window()[first : first + common, None]
            heard >>= WINDOW_BITS
            np.copyto(windowed[first : first + common], heard, casting="unsafe")
        # -32768 has no opposite in 16 bits, so the device does not see it as large; nor does this, for the same reason.
        largest = np.abs(windowed).max(axis=0, initial=0)
        shift = (15 - _bit_length(largest)).astype(np.int16)
        windowed *= np.left_shift(np.int16(1), shift)
        return windowed, shift


def _in_bands(energy: NDArray[np.int32]) -> NDArray[np.float64]:
    """Energy of lines 1 to 255, `[255, windows]`, to whole numbers in 40 bands, `[40, windows]`.
    `FilterbankAccumulateChannels`.

    Exact: by Parseval's theorem the energies of a window's lines are at most about 2^29 together, and a weight is at
    most 2^12, so a band's sum is below 2^45. A band has few lines, so a few bands are one product, which BLAS takes no
    second thread for.
    """
    lines = energy.astype(np.float64)
    sums = np.empty((FEATURE_CHANNELS, energy.shape[1]))
    for bands, among, weights in _weights_of_few_bands():
        np.matmul(weights, lines[among], out=sums[bands])
    return sums


@cache
def _window() -> NDArray[np.int32]:
    """The Hann window in Q12, `[480]`. `WindowPopulateState`."""
    argument = np.float32(np.pi) * np.float32(2) / np.float32(WINDOW_SAMPLES)
    angles = argument * (np.arange(WINDOW_SAMPLES, dtype=np.float32) + np.float32(0.5))
    values = np.float32(0.5) - np.float32(0.5) * np.cos(angles.astype(np.float64)).astype(np.float32)
    return np.floor(values * np.float32(1 << WINDOW_BITS) + np.float32(0.5)).astype(np.int32)


def _mel(hertz: np.float32) -> np.float32:
    """`FreqToMel`."""
    return np.float32(np.float32(1127) * np.float32(np.log1p(np.float64(np.float32(hertz) / np.float32(700)))))


@cache
def _band_weights() -> NDArray[np.float64]:
    """How much each line of the spectrum gives to each band, `[257, 40]`, in Q12. `FilterbankPopulateState`.

    A line lies between two centres and gives its weight to the one, the rest to the next; the first band only feeds the
    second and is not put out.
    """
    lowest = _mel(np.float32(LOWEST_HZ))
    # The C library's log1pf is one unit in the last place above the nearest float here, and two weights are by one
    # otherwise.
    highest = np.nextafter(_mel(np.float32(HIGHEST_HZ)), np.float32(np.inf), dtype=np.float32)
    spacing = np.float32((highest - lowest) / np.float32(FEATURE_CHANNELS + 1))
    centres = [np.float32(lowest + spacing * np.float32(number)) for number in range(1, FEATURE_CHANNELS + 2)]
    hertz = np.float32(0.5 * SAMPLE_RATE_HZ / (SPECTRUM_SIZE - 1))
    weights = np.zeros((SPECTRUM_SIZE, FEATURE_CHANNELS + 2), np.float64)
    line = int(np.float32(1.5) + np.float32(LOWEST_HZ) / hertz)
    for band, centre in enumerate(centres):
        below = centres[band - 1] if band else lowest
        while (mel := _mel(np.float32(line) * hertz)) <= centre:
            share = np.float32((centre - mel) / (centre - below))
            weights[line, band] += np.floor(share * np.float32(1 << FILTERBANK_BITS) + np.float32(0.5))
            weights[line, band + 1] += np.floor(
                (np.float32(1) - share) * np.float32(1 << FILTERBANK_BITS) + np.float32(0.5)
            )
            line += 1
    return weights[:, 1 : FEATURE_CHANNELS + 1]


@cache
def _weights_of_few_bands() -> list[tuple[slice, slice, NDArray[np.float64]]]:
    """Some bands, the rows of energy that they hear, and their weights `[bands, rows]`."""
    weights = _band_weights()[1:-1].T
    parts = []
    for first in range(0, FEATURE_CHANNELS, _BANDS_AT_ONCE):
        bands = slice(first, first + _BANDS_AT_ONCE)
        heard = np.flatnonzero(weights[bands].any(axis=0))
        among = slice(int(heard[0]), int(heard[-1]) + 1)
        parts.append((bands, among, np.ascontiguousarray(weights[bands, among])))
    return parts


def _rounded_roots(values: NDArray[np.float64]) -> _Ints:
    """Square roots of whole numbers below 2^45, rounded to the nearest. `Sqrt64`, whose 32-bit form never rounds up
    to 65536.

    A root in float64 is right in 53 bits, and none of these lies within 2^-26 of a half, where rounding would turn.
    """
    roots = np.rint(np.sqrt(values))
    roots -= (roots == 0x10000) & (values <= _UINT32)
    return roots.astype(np.int64)


def _bit_length(values: NDArray[np.integer[Any]]) -> _Ints:
    """Place of the most significant bit, from 1; 0 for 0. `MostSignificantBit32`. It is read off the exponent of a
    float64, which holds 32 bits exactly.
    """
    exponent: _Ints = (values.astype(np.float64).view(np.int64) >> 52) - 1022
    np.maximum(exponent, 0, out=exponent)
    return exponent


@cache
def _gain_table() -> _Ints:
    """Parabolas of the gain by the noise's bit length, `[33, 3]`, and the gains of 0, 1 and 2 in the first three rows.
    `PcanGainControlPopulateState`.
    """
    input_bits = SMOOTHING_BITS - CORRECTION_BITS

    def gain(noise: int) -> int:
        base = np.float32(np.float32(noise) / np.float32(1 << input_bits)) + np.float32(PCAN_OFFSET)
        value = np.float32(1 << PCAN_GAIN_BITS) * np.float32(
            np.power(np.float64(base), -np.float64(np.float32(PCAN_STRENGTH)))
        )
        return 32767 if value > 32767 else int(value + np.float32(0.5))

    table = np.zeros((33, 3), np.int64)
    for bits in range(2, 33):
        begin = 1 << (bits - 1)
        end = begin + begin - 1 if bits == 32 else 2 * begin
        first, middle, last = gain(begin), gain(begin + (begin >> 1)), gain(end)
        slope = 4 * (middle - first) - (last - first)
        table[bits] = first, slope, last - first - slope
    table[0, 0], table[1, 0] = gain(0), gain(1)
    return table


def _gain(noise: _Ints) -> _Ints:
    """`WideDynamicFunction`."""
    bits = _bit_length(noise)
    first, slope, bend = (column.take(bits) for column in _gain_table().T.copy())
    fraction = ((noise << 11) >> bits) & 0x3FF
    bend *= fraction
    bend >>= 5
    slope <<= 5
    bend += slope
    bend *= fraction
    bend += 1 << 14
    bend >>= 15
    # Gains of 0, 1 and 2 stand in the table by themselves.
    gain: _Ints = first + np.where(noise <= 2, 0, bend)
    return gain


def _pcan(signal: _Ints, noise: _Ints) -> _Ints:
    """`PcanGainControlApply` and `PcanShrink`."""
    ratio = ((signal * _gain(noise)) >> (PCAN_GAIN_BITS - CORRECTION_BITS - PCAN_SNR_BITS)) & _UINT32
    small = (ratio * ratio) >> (2 + 2 * PCAN_SNR_BITS - PCAN_OUTPUT_BITS)
    return np.where(
        ratio < (2 << PCAN_SNR_BITS), small, (ratio >> (PCAN_SNR_BITS - PCAN_OUTPUT_BITS)) - (1 << PCAN_OUTPUT_BITS)
    )


@cache
def _log_table() -> _Ints:
    """What log2(1 + x) is above x, at 129 places from 0 to 1, in Q16; one more for the last. `kLogLut`."""
    x = np.arange((1 << LOG_SEGMENT_BITS) + 1) / (1 << LOG_SEGMENT_BITS)
    return np.append(np.rint((np.log2(1 + x) - x) * (1 << LOG_BITS)), 0).astype(np.int64)


def _logarithm(signal: _Ints) -> NDArray[np.uint16]:
    """`LogScaleApply`. Nearly all values are small, and their logarithms are looked up."""
    table = _small_logarithms()
    logarithms: NDArray[np.uint16] = table.take(signal, mode="clip")
    large = signal >= len(table)
    if large.any():
        logarithms[large] = _computed_logarithm(signal[large])
    return logarithms


@cache
def _small_logarithms() -> NDArray[np.uint16]:
    return _computed_logarithm(np.arange(1 << 14))


def _computed_logarithm(signal: _Ints) -> NDArray[np.uint16]:
    value = (signal << CORRECTION_BITS) & _UINT32
    integer = np.maximum(_bit_length(value) - 1, 0)
    rest = value - (np.int64(1) << integer)
    fraction = np.where(
        integer < LOG_BITS, rest << np.maximum(LOG_BITS - integer, 0), rest >> np.maximum(integer - LOG_BITS, 0)
    )
    segment = np.clip(fraction >> (LOG_BITS - LOG_SEGMENT_BITS), 0, 1 << LOG_SEGMENT_BITS)
    low, high = _log_table()[segment], _log_table()[segment + 1]
    within = fraction - (segment << (LOG_BITS - LOG_SEGMENT_BITS))
    binary = (integer << LOG_BITS) + fraction + low + (((high - low) * within) >> LOG_BITS)
    half = 1 << (LOG_BITS - 1)
    natural = (LOG_COEFFICIENT * binary + half) >> LOG_BITS
    scaled = ((natural << LOG_SCALE_SHIFT) + half) >> LOG_BITS
    return np.minimum(np.where(value > 1, scaled, 0), 0xFFFF).astype(np.uint16)
