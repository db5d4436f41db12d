"""The device's frontend for any step, in NumPy: 30 ms windows of 16 kHz audio to 40 features of 16 bits, in the
device's own fixed-point arithmetic.

`wakeword.frontend` runs the C library itself, which is built for a step of 10 ms. Models of the first format were
trained at 20 ms. This is the same arithmetic, transcribed from TensorFlow's microfrontend and kiss_fft as the source
distribution of pymicro-features 2.0.2 holds them (Apache-2.0; kiss_fft BSD-3-Clause): window, real FFT in int16, mel
filterbank, square root, noise reduction, PCAN gain control, logarithm. Each function names its C source. A test holds
it against the library at 10 ms, and against the compiled C source at other steps, bit for bit.

All windows are computed at once; only the noise estimate goes from slice to slice.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from wakeword.contract import FEATURE_CHANNELS, SAMPLE_RATE_HZ, WINDOW_SAMPLES

MICROFRONTEND_ID = "microfrontend-numpy-1"
"""Names this arithmetic in cache keys."""

FFT_SIZE = 512
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

_UINT32 = 0xFFFFFFFF
_WINDOWS_AT_ONCE = 4096

type _Ints = NDArray[np.int64]


class Microfrontend:
    """The recursive frontend of one stream at a step of so many samples. Features depend on everything since the stream
    began.
    """

    def __init__(self, step_samples: int) -> None:
        """Raises `ValueError` for a step that is not within a window."""
        if not 1 <= step_samples <= WINDOW_SAMPLES:
            raise ValueError(f"a step of {step_samples} samples is not in 1-{WINDOW_SAMPLES}")
        self._step = step_samples
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
        if not count:
            return np.zeros((0, FEATURE_CHANNELS), np.uint16)
        windows = np.lib.stride_tricks.sliding_window_view(joined, WINDOW_SAMPLES)[: count * self._step : self._step]
        signal = np.concatenate(
            [_filterbank(windows[start : start + _WINDOWS_AT_ONCE]) for start in range(0, count, _WINDOWS_AT_ONCE)]
        )
        return _logarithm(_pcan(*self._noise_reduction(signal)))

    def _noise_reduction(self, signal: _Ints) -> tuple[_Ints, _Ints]:
        """The signal without its noise, and the estimates of the noise; both `[slices, 40]`. `NoiseReductionApply`."""
        scale = np.float32(1 << NOISE_REDUCTION_BITS)
        smoothing = np.array(
            [int(np.float32(SMOOTHING[channel % 2]) * scale) for channel in range(FEATURE_CHANNELS)], np.int64
        )
        kept = (1 << NOISE_REDUCTION_BITS) - smoothing
        scaled = (signal << SMOOTHING_BITS) & _UINT32
        added = scaled * smoothing
        estimates = np.empty_like(signal)
        estimate = self._estimate
        for index in range(len(signal)):
            estimate = ((added[index] + estimate * kept) >> NOISE_REDUCTION_BITS) & _UINT32
            estimates[index] = estimate
        self._estimate = estimate
        remaining = int(np.float32(SIGNAL_REMAINING) * scale)
        subtracted = (scaled - np.minimum(estimates, scaled)) >> SMOOTHING_BITS
        return np.maximum(subtracted, (signal * remaining) >> NOISE_REDUCTION_BITS), estimates


def _filterbank(windows: NDArray[np.int16]) -> _Ints:
    """Windows `[n, 480]` to the square root of the energy in 40 mel bands, `[n, 40]`. `FrontendProcessSamples` up to
    `FilterbankSqrt`.
    """
    windowed = ((windows.astype(np.int32) * _window()) >> WINDOW_BITS).astype(np.int16)
    # -32768 has no opposite in 16 bits, so the device does not see it as large.
    largest = np.where(windowed == -32768, 0, np.abs(windowed)).max(axis=1)
    shift = 15 - _bit_length(largest.astype(np.int64))
    padded = np.zeros((len(windows), FFT_SIZE), np.int32)
    padded[:, :WINDOW_SAMPLES] = windowed.astype(np.int32) << shift[:, None].astype(np.int32)
    real, imaginary = _real_fft(_int16(padded))
    energy = (real * real + imaginary * imaginary).astype(np.int32)  # as the device keeps it, with its sign
    # Exact: below 2^31 * 2^12 * 2^5.
    sums = np.rint(energy.astype(np.float64) @ _band_weights()).astype(np.int64)
    return _rounded_root(sums) >> shift[:, None]


def _int16(values: NDArray[np.int32]) -> NDArray[np.int32]:
    """What 16 bits keep of values."""
    return values.astype(np.int16).astype(np.int32)


def _rounded(products: NDArray[np.int32]) -> NDArray[np.int32]:
    """`sround` of kiss_fft: products of two Q15 values back to Q15."""
    return _int16((products + (1 << 14)) >> 15)


@cache
def _twiddles(count: int) -> NDArray[np.int32]:
    """cos and sin of -2 pi i / count in Q15, `[count, 2]`. `kf_cexp`."""
    phase = -2 * np.pi * np.arange(count) / count
    return np.stack([np.floor(0.5 + 32767 * np.cos(phase)), np.floor(0.5 + 32767 * np.sin(phase))], axis=1).astype(
        np.int32
    )


@cache
def _super_twiddles(count: int) -> NDArray[np.int32]:
    """`[count / 2, 2]`, of `kiss_fftr_alloc`."""
    phase = -3.14159265358979323846264338327 * (np.arange(1, count // 2 + 1) / count + 0.5)
    return np.stack([np.floor(0.5 + 32767 * np.cos(phase)), np.floor(0.5 + 32767 * np.sin(phase))], axis=1).astype(
        np.int32
    )


def _multiplied(
    real: NDArray[np.int32], imaginary: NDArray[np.int32], factors: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """`C_MUL`: complex values `[..., k]` times Q15 factors `[k, 2]`."""
    cosine, sine = factors[:, 0], factors[:, 1]
    return _rounded(real * cosine - imaginary * sine), _rounded(real * sine + imaginary * cosine)


def _real_fft(samples: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Real FFT in 16 bits of `[n, 512]`: real and imaginary parts `[n, 257]`; the two ends, which no band reads, stay
    zero. `kiss_fftr`.
    """
    half = FFT_SIZE // 2
    real, imaginary = _complex_fft(samples[:, 0::2], samples[:, 1::2])
    k = np.arange(1, half // 2 + 1)
    # C_FIXDIV by 2 multiplies with 32767 / 2.
    first_real, first_imaginary = _rounded(real[:, k] * 16383), _rounded(imaginary[:, k] * 16383)
    mirrored_real, mirrored_imaginary = (
        _rounded(real[:, half - k] * 16383),
        _rounded(_int16(-imaginary[:, half - k]) * 16383),
    )
    sum_real, sum_imaginary = _int16(first_real + mirrored_real), _int16(first_imaginary + mirrored_imaginary)
    turned_real, turned_imaginary = _multiplied(
        _int16(first_real - mirrored_real), _int16(first_imaginary - mirrored_imaginary), _super_twiddles(half)
    )
    out_real, out_imaginary = (
        np.zeros((len(samples), SPECTRUM_SIZE), np.int32),
        np.zeros((len(samples), SPECTRUM_SIZE), np.int32),
    )
    out_real[:, k], out_imaginary[:, k] = (
        _int16((sum_real + turned_real) >> 1),
        _int16((sum_imaginary + turned_imaginary) >> 1),
    )
    # The middle is written twice; the second stays.
    out_real[:, half - k], out_imaginary[:, half - k] = (
        _int16((sum_real - turned_real) >> 1),
        _int16((turned_imaginary - sum_imaginary) >> 1),
    )
    return out_real.astype(np.int64), out_imaginary.astype(np.int64)


def _complex_fft(real: NDArray[np.int32], imaginary: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Complex FFT in 16 bits of `[n, 256]`: four stages of radix 4, each dividing by 4. `kf_work` and `kf_bfly4`."""
    count = real.shape[1]
    order = np.arange(count).reshape(4, 4, 4, 4).transpose(3, 2, 1, 0).reshape(-1)
    real, imaginary = real[:, order], imaginary[:, order]
    length = 1
    while length < count:
        blocks = (len(real), count // (4 * length), 4, length)
        # C_FIXDIV by 4 multiplies with 32767 / 4.
        r, i = _rounded(real.reshape(blocks) * 8191), _rounded(imaginary.reshape(blocks) * 8191)
        places = np.arange(length) * (count // (4 * length))
        r1, i1 = _multiplied(r[:, :, 1], i[:, :, 1], _twiddles(count)[places])
        r2, i2 = _multiplied(r[:, :, 2], i[:, :, 2], _twiddles(count)[2 * places])
        r3, i3 = _multiplied(r[:, :, 3], i[:, :, 3], _twiddles(count)[3 * places])
        even_r, even_i, odd_r, odd_i = r[:, :, 0] + r2, i[:, :, 0] + i2, r[:, :, 0] - r2, i[:, :, 0] - i2
        sum_r, sum_i, difference_r, difference_i = r1 + r3, i1 + i3, r1 - r3, i1 - i3
        real = _int16(
            np.stack([even_r + sum_r, odd_r + difference_i, even_r - sum_r, odd_r - difference_i], axis=2)
        ).reshape(len(real), count)
        imaginary = _int16(
            np.stack([even_i + sum_i, odd_i - difference_r, even_i - sum_i, odd_i + difference_r], axis=2)
        ).reshape(len(imaginary), count)
        length *= 4
    return real, imaginary


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


def _rounded_root(values: _Ints) -> _Ints:
    """Square root, rounded to the nearest. `Sqrt64`, whose 32-bit form never rounds up to 65536."""
    root = np.sqrt(values.astype(np.float64)).astype(np.int64)
    root -= root * root > values
    root += (root + 1) * (root + 1) <= values
    up = (values - root * root > root) & ~((values <= _UINT32) & (root == 0xFFFF))
    rounded: _Ints = root + up
    return rounded


def _bit_length(values: _Ints) -> _Ints:
    """Place of the most significant bit, from 1; 0 for 0. `MostSignificantBit32`."""
    return np.frexp(values.astype(np.float64))[1].astype(np.int64)


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
    first, slope, bend = np.moveaxis(_gain_table()[bits], -1, 0)
    fraction = np.where(bits < 11, noise << np.maximum(11 - bits, 0), noise >> np.maximum(bits - 11, 0)) & 0x3FF
    curved = ((((bend * fraction) >> 5) + (slope << 5)) * fraction + (1 << 14)) >> 15
    gain: _Ints = np.where(noise <= 2, first, first + curved)
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
    """`LogScaleApply`."""
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
