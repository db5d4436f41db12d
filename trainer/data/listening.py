"""What a recording must be to be used: it decodes whole, is neither silent nor clipped, and has a sensible length."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wakeword import contract
from wakeword.audio import probe, stream_samples
from wakeword.corpus.recordings import hash_file
from wakeword.corpus.walk import Rejection
from wakeword.errors import ConfigError

_FULL_SCALE = 32760
_FLAT_RUN = 3
"""So many samples in a row at full scale are a flattened peak; one or two are a normalised one."""
_CLIPPED_SHARE = 0.005
MIN_SECONDS, MAX_WORD_SECONDS = 0.2, 10.0
"""Of any recording, and of one that holds one utterance."""
_MIN_PEAK = 0.002
"""As a fraction of full scale: -54 dB."""


@dataclass(frozen=True)
class CheckedSound:
    """What was heard: seconds at 16 kHz, the file's own rate, SHA-256 of its bytes."""

    seconds: float
    sample_rate: int
    sha256: str


def check_file(path: Path, *, one_word: bool) -> CheckedSound | Rejection:
    """Decode a whole file; `one_word` says that it holds one utterance."""
    samples, peak, clipped = 0, 0, 0
    try:
        sample_rate = probe(path).sample_rate
        for block in stream_samples(path):
            loudness = np.abs(block.astype(np.int32))
            samples += len(block)
            peak = max(peak, int(loudness.max()))
            clipped += _clipped_samples(loudness >= _FULL_SCALE)
        sha256 = hash_file(path)
    except ConfigError as error:
        return Rejection(path, str(error).removeprefix(f"{path}: "))
    seconds = samples / contract.SAMPLE_RATE_HZ
    if reason := unusable(seconds, peak):
        return Rejection(path, reason)
    if one_word and seconds > MAX_WORD_SECONDS:
        return Rejection(path, f"too long for one utterance: {seconds:.1f} s, at most {MAX_WORD_SECONDS:g} s")
    if clipped > _CLIPPED_SHARE * samples:
        return Rejection(path, f"clipped: {100 * clipped / samples:.1f} % of the samples are flattened peaks")
    return CheckedSound(seconds, sample_rate, sha256)


def unusable(seconds: float, peak: int) -> str:
    """Why nothing is heard in a recording of this length, whose loudest sample is `peak` of 32768; empty where
    something is.
    """
    if seconds < MIN_SECONDS:
        return f"too short: {seconds:.2f} s, at least {MIN_SECONDS:g} s"
    return f"silent: its loudest sample is {peak} of 32768" if peak < _MIN_PEAK * 32768 else ""


def _clipped_samples(at_full_scale: np.typing.NDArray[np.bool_]) -> int:
    """Samples in runs of at least three at full scale."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], at_full_scale.astype(np.int8), [0]))))
    lengths = edges[1::2] - edges[::2]
    return int(lengths[lengths >= _FLAT_RUN].sum())
