"""The same recording twice: exactly, or at another gain, cut elsewhere, re-encoded, with light noise over it.

A recording that lies in two splits makes a test an exam whose answers were known. Speaker folders do not prevent it:
corpora share sources.

*Exact* duplicates have the same decoded samples. *Near* ones are found by the fingerprint of Haitsma and Kalker, "A
Highly Robust Audio Fingerprinting System" (2002): every 10 ms the energies of 25 bands over the last 128 ms, and for
each pair of neighbouring bands one bit, the sign of how their difference changed since the frame before. Gain cancels,
and coding or noise flips few bits. All frames of all recordings are put into one sorted table; frames of two recordings
that are equal, but for the three bits that are most likely to have flipped, vote for one shift between them. Where
enough agree, the bits of the whole overlap are compared: *similarity* is 1 - 2 x the share of unequal bits, 1 for the
same sound and about 0 for unrelated ones. Time grows with the number of frames and of candidates, not with all pairs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from itertools import combinations, product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.data.ingest import SampleRecord
from trainer.data.parallel import Progress, map_in_processes
from wakeword import contract
from wakeword.audio import stream_samples
from wakeword.corpus.walk import Rejection
from wakeword.errors import ConfigError
from wakeword.files import write_atomically
from wakeword.reading import csv_text

FRAME_SAMPLES = contract.SAMPLE_RATE_HZ // 100
WINDOW_SAMPLES = 2048
BITS = 24
_LOWEST_HZ, _HIGHEST_HZ = 200.0, 6000.0
"""Below lies hum, above what codecs drop."""
WEAK_BITS = 3
"""Bits a frame that are also tried flipped."""
_ACTIVE_DB = 25.0
"""Frames so far below a recording's loudest have bits that light noise flips."""
_SILENT_POWER = 1e-3
_FRAMES_AT_ONCE = 512
_NUMBER_BITS, _SHIFT_BITS = 20, 23
"""Of a vote's key: two recordings' numbers and a shift make 63 bits."""
_NO_SHIFT = 1 << (_SHIFT_BITS - 1)
_SHIFTS_COMPARED = 3
_VOTES_AT_ONCE = 1 << 20

SIMILAR = 0.65
"""From here on two recordings are the same. Chosen on 2000 recordings of speech and noise: different people saying one
word come to at most 0.53, one person saying it again to 0.65; copies at another gain, half a frame later, at 20 dB of
white noise, or through Opus or Vorbis to 0.64 and more."""
_MIN_OVERLAP_S, _MIN_SHARE = 0.3, 0.5
"""Sound, without pauses, that both recordings have at the shift between them, and how much of the shorter one's sound
that is."""
_MIN_VOTES = 3
MOST_ALIKE = 200
"""A fingerprint that more frames have says nothing: steady noise, a tone."""


@dataclass(frozen=True)
class AudioPrint:
    """What is kept of a recording: 8 bytes a 10 ms frame."""

    digest: str
    """SHA-256 of the decoded samples."""
    bits: NDArray[np.uint32]
    """`[frames]`, 24 bits each."""
    weak: NDArray[np.uint8]
    """`[frames, 3]`: numbers of the bits nearest to flipping."""
    active: NDArray[np.bool_]
    """`[frames]`: whether there is sound."""


class Likeness(StrEnum):
    """How two recordings are the same."""

    EXACT = "exact"
    NEAR = "near"


@dataclass(frozen=True)
class DuplicatePair:
    """Two recordings of the same sound."""

    first: SampleRecord
    second: SampleRecord
    likeness: Likeness
    similarity: float
    """1 - 2 x share of unequal bits over the common sound."""
    offset_s: float
    """Seconds by which the second begins later in the common sound; negative when the first does."""

    @property
    def crosses(self) -> bool:
        """Whether the two lie in different splits."""
        return self.first.split is not self.second.split


@dataclass(frozen=True)
class DuplicateReport:
    """All pairs, those across splits first, then by falling similarity; and recordings that could not be read."""

    recordings: int
    pairs: tuple[DuplicatePair, ...]
    unreadable: tuple[Rejection, ...] = ()

    @property
    def crossing(self) -> tuple[DuplicatePair, ...]:
        """Pairs whose recordings lie in different splits."""
        return tuple(pair for pair in self.pairs if pair.crosses)


def audio_print(path: Path) -> AudioPrint:
    """Decode a recording and keep what finds it again. Raises `ConfigError` as `wakeword.audio.stream_samples` does."""
    digest = hashlib.sha256()
    parts: list[tuple[NDArray[np.uint32], NDArray[np.uint8], NDArray[np.float64]]] = []
    pending = np.zeros(0, np.int16)
    last = np.zeros((0, BITS))
    for block in stream_samples(path):
        digest.update(block.astype("<i2").tobytes())
        pending = np.concatenate([pending, block])
        frames = max(0, (len(pending) - WINDOW_SAMPLES) // FRAME_SAMPLES + 1)
        for start in range(0, frames, _FRAMES_AT_ONCE):
            count = min(_FRAMES_AT_ONCE, frames - start)
            part, last = _frames(pending[start * FRAME_SAMPLES :], count, last)
            parts.append(part)
        pending = pending[frames * FRAME_SAMPLES :]
    if not parts:
        return AudioPrint(
            digest.hexdigest(), np.zeros(0, np.uint32), np.zeros((0, WEAK_BITS), np.uint8), np.zeros(0, np.bool_)
        )
    bits, weak, power = (np.concatenate(values) for values in zip(*parts, strict=True))
    loudest = power.max(initial=0.0)
    return AudioPrint(digest.hexdigest(), bits, weak, power > max(_SILENT_POWER, loudest * 10 ** (-_ACTIVE_DB / 10)))


def _frames(
    samples: NDArray[np.int16], count: int, before: NDArray[np.float64]
) -> tuple[tuple[NDArray[np.uint32], NDArray[np.uint8], NDArray[np.float64]], NDArray[np.float64]]:
    """Bits, weak bits and power of `count` frames, and the band differences of the last frame, for the next call.

    `before` is what the call before gave; where it is empty, the first frame only serves as the one before the second.
    """
    windows = np.lib.stride_tricks.sliding_window_view(samples, WINDOW_SAMPLES)[: count * FRAME_SAMPLES : FRAME_SAMPLES]
    spectrum = np.fft.rfft(windows * _window(), axis=1)
    energies = (spectrum.real**2 + spectrum.imag**2) @ _bands()
    differences = np.concatenate([before, energies[:, :-1] - energies[:, 1:]])
    change = np.diff(differences, axis=0)
    bits = (change > 0) @ (1 << np.arange(BITS, dtype=np.uint32))
    weak = np.argpartition(np.abs(change), WEAK_BITS, axis=1)[:, :WEAK_BITS].astype(np.uint8)
    power = energies.sum(axis=1)[-len(change) :] if len(change) else np.zeros(0)
    return (bits.astype(np.uint32), weak, power), differences[-1:]


@cache
def _window() -> NDArray[np.float64]:
    return np.hanning(WINDOW_SAMPLES)


@cache
def _bands() -> NDArray[np.float64]:
    """Which frequency belongs to which band, `[WINDOW_SAMPLES / 2 + 1, BITS + 1]` of 0 and 1; bands of equal width in
    octaves.
    """
    edges = np.geomspace(_LOWEST_HZ, _HIGHEST_HZ, BITS + 2)
    frequencies = np.fft.rfftfreq(WINDOW_SAMPLES, 1 / contract.SAMPLE_RATE_HZ)[:, None]
    return ((frequencies >= edges[:-1]) & (frequencies < edges[1:])).astype(np.float64)


def find_duplicates(
    records: Sequence[SampleRecord], *, jobs: int | None = None, progress: Progress | None = None
) -> DuplicateReport:
    """Find all pairs of recordings that are the same sound, within splits and across them. An unreadable file is
    reported, not raised.
    """
    prints: list[AudioPrint] = []
    readable: list[SampleRecord] = []
    unreadable: list[Rejection] = []
    for record, outcome in zip(
        records, map_in_processes(_print_or_reason, records, jobs=jobs, progress=progress), strict=True
    ):
        if isinstance(outcome, Rejection):
            unreadable.append(outcome)
        else:
            prints.append(outcome)
            readable.append(record)
    groups: dict[str, list[int]] = {}
    for index, one in enumerate(prints):
        groups.setdefault(one.digest, []).append(index)
    pairs = [
        DuplicatePair(readable[first], readable[second], Likeness.EXACT, 1.0, 0.0)
        for group in groups.values()
        for first, second in combinations(group, 2)
    ]
    # Of equal recordings one stands for all, and what it is like, they are.
    members = list(groups.values())
    for first, second, similarity, shift in _near_pairs([prints[group[0]] for group in members]):
        offset = shift * FRAME_SAMPLES / contract.SAMPLE_RATE_HZ
        pairs += [
            DuplicatePair(readable[one], readable[other], Likeness.NEAR, similarity, offset)
            for one, other in product(members[first], members[second])
        ]
    pairs.sort(key=lambda pair: (not pair.crosses, -pair.similarity, pair.first.path, pair.second.path))
    return DuplicateReport(len(records), tuple(pairs), tuple(unreadable))


def write_duplicates(report: DuplicateReport, path: Path) -> None:
    """Write the pairs as a CSV, those across splits first. Raises `OSError`."""
    columns = (
        "crosses",
        "likeness",
        "similarity",
        "offset_s",
        "first",
        "first_split",
        "first_speaker",
        "second",
        "second_split",
        "second_speaker",
    )
    rows = []
    for pair in report.pairs:
        sides = [value for side in (pair.first, pair.second) for value in (side.path, side.split.value, side.speaker)]
        rows.append(
            (
                "yes" if pair.crosses else "no",
                pair.likeness.value,
                f"{pair.similarity:.3f}",
                f"{pair.offset_s:.2f}",
                *sides,
            )
        )
    write_atomically(path, csv_text(columns, rows))


def duplicate_summary(report: DuplicateReport) -> str:
    """One line for the user: how many pairs cross splits, the likest of them, and what to do; empty without any."""
    crossing = report.crossing
    if not crossing:
        return ""
    pair = crossing[0]
    count = "1 pair" if len(crossing) == 1 else f"{len(crossing)} pairs"
    return (
        f"{count} of recordings in different splits hold the same sound, first {pair.first.path} ({pair.first.split})"
        f" and {pair.second.path} ({pair.second.split}), similarity {pair.similarity:.2f}; remove one of each, or give"
        " both the same group in a splits table"
    )


def _print_or_reason(record: SampleRecord) -> AudioPrint | Rejection:
    try:
        return audio_print(record.path)
    except ConfigError as error:
        return Rejection(record.path, str(error).removeprefix(f"{record.path}: "))


def _near_pairs(prints: Sequence[AudioPrint]) -> Iterator[tuple[int, int, float, int]]:
    """(first, second, similarity, frames by which the second begins later) of all that are alike enough, `first` below
    `second`.
    """
    for first, second, shifts in _candidates(prints):
        one, other = prints[first], prints[second]
        compared = ((_similarity(one, other, shift), shift) for base in shifts for shift in (base - 1, base, base + 1))
        similarity, shift = max(compared, key=lambda found: (found[0], -abs(found[1])))
        if similarity >= SIMILAR:
            yield first, second, similarity, shift


def _similarity(one: AudioPrint, other: AudioPrint, shift: int) -> float:
    """1 - 2 x share of unequal bits where both have sound; -1 where that is too little to tell."""
    length = min(len(one.bits) - max(shift, 0), len(other.bits) + min(shift, 0))
    if length <= 0:
        return -1.0
    left, right = slice(max(shift, 0), max(shift, 0) + length), slice(max(-shift, 0), max(-shift, 0) + length)
    common = one.active[left] & other.active[right]
    frames = int(common.sum())
    least = min(int(one.active.sum()), int(other.active.sum()))
    if frames * FRAME_SAMPLES < _MIN_OVERLAP_S * contract.SAMPLE_RATE_HZ or frames < _MIN_SHARE * least:
        return -1.0
    unequal = int(np.bitwise_count((one.bits[left] ^ other.bits[right])[common]).sum())
    return 1 - 2 * unequal / (BITS * frames)


def _candidates(prints: Sequence[AudioPrint]) -> Iterator[tuple[int, int, list[int]]]:
    """Pairs of recordings with the shifts (of the second) for which most frames vote."""
    keys, votes = _votes(prints)
    enough = votes >= _MIN_VOTES
    keys, votes = keys[enough], votes[enough]
    pairs = keys >> _SHIFT_BITS
    starts = np.flatnonzero(np.diff(pairs, prepend=-1))
    for start, stop in zip(starts, [*starts, len(pairs)][1:], strict=True):
        best = keys[start:stop][np.argsort(-votes[start:stop], kind="stable")[:_SHIFTS_COMPARED]]
        shifts = (best & ((1 << _SHIFT_BITS) - 1)) - _NO_SHIFT
        yield (
            int(pairs[start]) >> _NUMBER_BITS,
            int(pairs[start]) & ((1 << _NUMBER_BITS) - 1),
            [int(shift) for shift in shifts],
        )


def _votes(prints: Sequence[AudioPrint]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many frames of a pair of recordings say that they are the same at a shift: sorted keys of (first, second,
    shift), and counts.
    """
    bits, number, frame, weak = _table(prints)
    tally = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for flipped in range(1 << WEAK_BITS):
        flips = np.zeros(len(bits), np.uint32)
        for position in range(WEAK_BITS):
            if flipped >> position & 1:
                flips |= np.uint32(1) << weak[:, position].astype(np.uint32)
        probe = bits ^ flips
        first, last = np.searchsorted(bits, probe, "left"), np.searchsorted(bits, probe, "right")
        for part in _parts(last - first):
            counts = (last - first)[part]
            left = np.repeat(np.arange(part.start, part.stop), counts)
            within = np.arange(len(left)) - np.repeat(np.cumsum(counts) - counts, counts)
            right = np.repeat(first[part], counts) + within
            # Without flips both directions are found, with flips either may be: each pair of frames is written with the
            # lower number first.
            one, other = number[left], number[right]
            later = frame[left] - frame[right]
            swap = one > other
            low, high, shift = np.where(swap, other, one), np.where(swap, one, other), np.where(swap, -later, later)
            keys = ((low << _NUMBER_BITS | high) << _SHIFT_BITS) + shift + _NO_SHIFT
            tally = _merged(tally, keys[one != other])
    return tally


def _table(
    prints: Sequence[AudioPrint],
) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]:
    """Bits, number of the recording, frame and weak bits of all frames with sound, sorted by bits; those that are too
    common left out.
    """
    if len(prints) >= 1 << _NUMBER_BITS or max((len(one.bits) for one in prints), default=0) >= _NO_SHIFT:
        raise ConfigError(
            f"too much to compare: at most {1 << _NUMBER_BITS} recordings of {_NO_SHIFT // 100 // 3600} h each; compare"
            " parts of the dataset"
        )
    frames = [np.flatnonzero(one.active) for one in prints]
    bits = np.concatenate(
        [np.zeros(0, np.uint32), *(one.bits[chosen] for one, chosen in zip(prints, frames, strict=True))]
    )
    weak = np.concatenate(
        [np.zeros((0, WEAK_BITS), np.uint8), *(one.weak[chosen] for one, chosen in zip(prints, frames, strict=True))]
    )
    number = np.repeat(np.arange(len(prints)), [len(chosen) for chosen in frames])
    frame = np.concatenate([np.zeros(0, np.int64), *frames])
    _, inverse, counts = np.unique(bits, return_inverse=True, return_counts=True)
    telling = np.flatnonzero(counts[inverse] <= MOST_ALIKE)
    order = telling[np.argsort(bits[telling], kind="stable")]
    return bits[order], number[order], frame[order], weak[order]


def _parts(counts: NDArray[np.intp]) -> Iterator[slice]:
    """Ranges of entries whose counts together are at most about a million, so that memory stays bounded."""
    total = np.cumsum(counts)
    start = 0
    while start < len(counts):
        before = total[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(total, before + _VOTES_AT_ONCE, "right")))
        yield slice(start, stop)
        start = stop


def _merged(
    tally: tuple[NDArray[np.int64], NDArray[np.int64]], keys: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A tally (sorted keys and their counts) with more votes."""
    new, counts = np.unique(keys, return_counts=True)
    joined, inverse = np.unique(np.concatenate([tally[0], new]), return_inverse=True)
    return joined, np.bincount(inverse, np.concatenate([tally[1], counts]), len(joined)).astype(np.int64)
