"""The frontend's FFT in 16 bits, of many windows at once: kiss_fft's own integers.

Transcribed from kiss_fft as the source distribution of pymicro-features 2.0.2 holds it (BSD-3-Clause), with
`FIXED_POINT=16`: a real FFT of 512 samples is a complex one of 256, four stages of radix 4 that each divide by 4 and
round, and one last step. Each function names its C source.

The butterflies are those of kiss_fft; their order within a stage, which changes no value, is Stockham's, so that what
NumPy walks through lies together and nothing has to be sorted. Windows lie along the last axis. Sums that the C source
keeps in 16 bits are taken in int16, which wraps as they do; products are taken in int32, which holds them.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

FFT_SIZE = 512
HALF = FFT_SIZE // 2
RADIX, STAGES = 4, 4
QUARTER = HALF // RADIX

type _Int16 = NDArray[np.int16]
type _Int32 = NDArray[np.int32]


class FixedPointFft:
    """The real FFT of so many windows at once, with the memory that it computes in."""

    def __init__(self, windows: int) -> None:
        self._values = np.empty((2, HALF, windows), np.int16)
        self._wide = np.empty((2, HALF, windows), np.int32)
        self._products = np.empty((2, HALF, windows), np.int32)
        self._legs = np.empty((RADIX, 2, QUARTER, windows), np.int16)
        self._sums = np.empty((4, 2, QUARTER, windows), np.int16)
        self._energy = np.empty((HALF - 1, windows), np.int32)

    def energy(self, samples: _Int16) -> _Int32:
        """Samples `[512, windows]` to the energy of lines 1 to 255 of the spectrum, int32 `[255, windows]`, which the
        next call overwrites. `kiss_fftr` and `FilterbankConvertFftComplexToEnergy`.
        """
        # The even samples are real parts, the odd ones imaginary parts.
        np.copyto(self._values, samples.reshape(HALF, 2, -1).transpose(1, 0, 2))
        for stage in range(STAGES):
            self._butterflies(RADIX**stage)
        return self._real()

    def _butterflies(self, length: int) -> None:
        """`kf_bfly4` of all that four FFTs of this length become one of. It first divides by 4: `C_FIXDIV` multiplies
        with 32767 / 4.
        """
        wide = _rounded_products(self._values, 8191, self._wide).reshape(2, length, RADIX, -1)
        if length > 1:  # else the factors are 32767, and what they multiply rounds back to itself
            products = self._products.reshape(2, length, RADIX, -1)[:, :, 1:]
            _multiply(wide[:, :, 1:], _stage_factors(length), products)
        legs, sums = self._legs.reshape(RADIX, 2, length, -1), self._sums
        np.copyto(legs, wide.transpose(2, 0, 1, 3), casting="unsafe")
        first, second, third, fourth = self._legs
        even, odd, total, difference = sums
        np.add(first, third, out=even)
        np.subtract(first, third, out=odd)
        np.add(second, fourth, out=total)
        np.subtract(second, fourth, out=difference)
        out = self._values.reshape(2, RADIX, QUARTER, -1)
        np.add(even, total, out=out[:, 0])
        np.add(odd[0], difference[1], out=out[0, 1])
        np.subtract(odd[1], difference[0], out=out[1, 1])
        np.subtract(even, total, out=out[:, 2])
        np.subtract(odd[0], difference[1], out=out[0, 3])
        np.add(odd[1], difference[0], out=out[1, 3])

    def _real(self) -> _Int32:
        """The last step of `kiss_fftr`, of lines k and 256 - k together for k of 1 to 128, and their energies."""
        half = HALF // 2
        backwards = self._sums.reshape(2, HALF, -1)[:, :half]
        np.copyto(backwards, self._values[:, : half - 1 : -1])
        np.negative(backwards[1], out=backwards[1])
        # C_FIXDIV by 2 multiplies with 32767 / 2.
        first = _rounded_products(self._values[:, 1 : half + 1], 16383, self._wide[:, :half])
        second = _rounded_products(backwards, 16383, self._wide[:, half:])
        total = _in_16_bits(np.add(first, second, out=self._products[:, :half]), backwards)
        turned = _in_16_bits(np.subtract(first, second, out=first), backwards)
        _multiply(turned, _last_factors(), second)
        _in_16_bits(turned, backwards)
        upper, lower = second, total  # where they are computed: HALF_OF both
        np.add(total, turned, out=upper)
        np.subtract(total[0], turned[0], out=lower[0])
        np.subtract(turned[1], total[1], out=lower[1])
        for lines, energy in ((upper, self._energy[:half]), (lower, self._energy[: half - 2 : -1])):
            lines >>= 1
            lines *= lines
            # The middle is written twice; the second stays.
            np.add(lines[0], lines[1], out=energy)
        return self._energy


def _in_16_bits(values: _Int32, held: _Int16) -> _Int32:
    """What 16 bits keep of values, in place."""
    np.copyto(held, values, casting="unsafe")
    np.copyto(values, held)
    return values


def _rounded_products(values: _Int16, factor: int, out: _Int32) -> _Int32:
    """`sround` of 16-bit values times a factor in Q15, into `out`."""
    np.copyto(out, values)
    out *= factor
    out += 1 << 14
    out >>= 15
    return out


def _multiply(values: _Int32, factors: _Int32, products: _Int32) -> None:
    """`C_MUL` of complex values and Q15 factors, both `[2, ...]`, in place."""
    cosine, sine = factors
    real, imaginary = values
    np.multiply(values, sine, out=products)
    values *= cosine
    real -= products[1]
    imaginary += products[0]
    values += 1 << 14
    values >>= 15


def _q15(phase: NDArray[np.float64]) -> _Int32:
    """cos and sin in Q15, `[2, ..., 1]`. `kf_cexp`."""
    return np.floor(0.5 + 32767 * np.stack([np.cos(phase), np.sin(phase)])).astype(np.int32)[..., None]


@cache
def _stage_factors(length: int) -> _Int32:
    """The factors of legs 1 to 3 of butterflies, `[2, length, 3, 1]`. `kiss_fft_alloc`."""
    places = np.arange(length)[:, None] * np.arange(1, RADIX) * (HALF // (RADIX * length))
    return _q15(-2 * np.pi * places / HALF)


@cache
def _last_factors() -> _Int32:
    """`[2, 128, 1]`, of `kiss_fftr_alloc`."""
    return _q15(-3.14159265358979323846264338327 * (np.arange(1, HALF // 2 + 1) / HALF + 0.5))
