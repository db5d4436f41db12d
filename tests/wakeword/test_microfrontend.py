"""The frontend in NumPy against the device's C library, bit for bit."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from itertools import count, pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wakeword.audio import read_samples
from wakeword.contract import SAMPLE_RATE_HZ, STEP_SAMPLES, WINDOW_SAMPLES
from wakeword.corpus.recordings import find_recordings
from wakeword.frontend import Frontend
from wakeword.microfrontend import WINDOWS_AT_ONCE, Microfrontend
from wakeword.synthetic_speech import synthetic_speech

KINDS = (
    "silence",
    "constant",
    "step",
    "noise",
    "square wave",
    "lowest sample",
    "flat within a window",
    "speech",
    "quiet speech",
    "loud speech",
)


def sound(kind: str, samples: int, seed: int) -> NDArray[np.int16]:
    """Sound of a kind, as loud as the seed wants it."""
    draw = np.random.default_rng(seed)
    peak = int(draw.integers(1, 32768))
    if kind == "silence":
        return np.zeros(samples, np.int16)
    if kind == "constant":
        return np.full(samples, draw.choice([1, -1, peak, -peak, 32767, -32768]), np.int16)
    if kind == "step":
        return np.where(np.arange(samples) < draw.integers(0, samples + 1), draw.integers(-2, 3), peak).astype(np.int16)
    if kind == "flat within a window":
        # What the Hann window makes a square wave, of which sums in 16 bits are largest.
        hann = np.sin(np.pi * (np.arange(samples) % WINDOW_SAMPLES + 0.5) / WINDOW_SAMPLES) ** 2
        sign = np.where(np.arange(samples) // int(draw.integers(1, 300)) % 2, 1, -1)
        flat: NDArray[np.int16] = np.clip(sign * (peak % 2000 + 1) / hann, -32768, 32767).astype(np.int16)
        return flat
    if kind == "noise":
        return draw.integers(-peak, peak + 1, samples).astype(np.int16)
    if kind == "square wave":
        return np.where(np.arange(samples) // int(draw.integers(1, 200)) % 2, 32767, -32768).astype(np.int16)
    if kind == "lowest sample":
        return np.where(draw.random(samples) < 0.5, -32768, draw.integers(-2, 3, samples)).astype(np.int16)
    speech = synthetic_speech(samples / 16_000 + 0.01, seed)[:samples].astype(np.int32)
    gain = {"speech": 1.0, "quiet speech": 0.01, "loud speech": 60.0}[kind]
    return np.clip(np.rint(speech * gain), -32768, 32767).astype(np.int16)


GOLDEN = {
    5: "ecd935885d8d036babef8c30a8bca3b5c84589c9c51ecd8742a5f6c439ffe88e",
    10: "228ab44fdb430e53ae61b7a29fcccfc17bc6bc3366b424d2d70ea2a2ae954df8",
    13: "a098ad5fa3cc1c279db7df5db8ae82d6e303ad893601d6fd61cdfc10c53c2566",
    20: "349e70200353074f564a594f35437bd42d700b200289d097d2f315b9590f6566",
    30: "f913ee310704126acf97dac7ffddc065a98267e0049e4f3020634f572538e74f",
}
"""SHA-256 of what the compiled C source gives for `integer_sound` by step in milliseconds
(`tests/firmware/virtual/test_frontend_steps.py` runs it)."""


def integer_sound(samples: int = 48_000) -> NDArray[np.int16]:
    """Noise and tones at many levels, computed in integers so that they are the same everywhere."""
    index = np.arange(samples, dtype=np.int64)
    mixed = (index * 2_654_435_761) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 15)) * 2_246_822_519) & 0xFFFFFFFF
    noise = ((mixed ^ (mixed >> 13)) & 0xFFFF) - 32_768
    tone = (index // (9 + index // 1600 % 31) % 2 * 48_000 - 24_000) * (index // 3200 % 2)
    levels: NDArray[np.int64] = (noise // 8 + tone) >> (index // 2400 % 11)
    return levels.astype(np.int16)


@pytest.mark.parametrize("step_ms", GOLDEN)
def test_at_any_step_it_is_the_c_source(step_ms: int) -> None:
    features = Microfrontend(step_ms * 16).process(integer_sound())
    assert hashlib.sha256(features.astype("<u2").tobytes()).hexdigest() == GOLDEN[step_ms]


@given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=4),
    lengths=st.lists(st.integers(0, 9000), min_size=4, max_size=4),
    seed=st.integers(0, 10_000),
    cuts=st.lists(st.floats(0, 1), max_size=4),
    threads=st.integers(1, 2),
)
@settings(max_examples=100, deadline=None)
def test_at_ten_milliseconds_it_is_the_c_library(
    kinds: list[str], lengths: list[int], seed: int, cuts: list[float], threads: int
) -> None:
    samples = np.concatenate(
        [sound(kind, length, seed + index) for index, (kind, length) in enumerate(zip(kinds, lengths, strict=False))]
    )
    frontend = Microfrontend(STEP_SAMPLES, threads)
    places = [0, *sorted(round(cut * len(samples)) for cut in cuts), len(samples)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wakeword.microfrontend.WINDOWS_AT_ONCE", 37)  # so that there are several pieces for threads
        parts = [frontend.process(samples[start:stop]) for start, stop in pairwise(places)]
    np.testing.assert_array_equal(np.concatenate(parts), Frontend().process(samples))


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_change_nothing(threads: int) -> None:
    samples = np.concatenate([sound("silence", 20_000, 1), integer_sound(STEP_SAMPLES * (5 * WINDOWS_AT_ONCE + 7))])
    frontend = Microfrontend(STEP_SAMPLES, threads)
    parts = [frontend.process(piece) for piece in np.split(samples, [150_000])]
    np.testing.assert_array_equal(np.concatenate(parts), Frontend().process(samples))


def test_a_stream_begins_anew_after_a_reset() -> None:
    first, second = sound("noise", 8000, 1), sound("speech", 8000, 2)
    frontend = Microfrontend(320)
    frontend.process(first)
    frontend.reset()
    np.testing.assert_array_equal(frontend.process(second), Microfrontend(320).process(second))


@pytest.mark.parametrize(("step", "slices"), [(160, 48), (320, 24), (480, 16)])
def test_a_slice_comes_at_each_step_from_the_first_whole_window(step: int, slices: int) -> None:
    frontend = Microfrontend(step)
    assert frontend.process(np.ones(WINDOW_SAMPLES - 1, np.int16)).shape == (0, 40)
    assert frontend.process(np.ones(1 + 47 * 160, np.int16)).shape == (slices, 40)


@pytest.mark.parametrize("step", [0, -1, WINDOW_SAMPLES + 1])
def test_a_step_that_no_device_takes_is_refused(step: int) -> None:
    with pytest.raises(ValueError, match="is not in 1-480"):
        Microfrontend(step)


def test_at_ten_milliseconds_it_is_the_c_library_on_recordings(corpus: Path) -> None:
    for folder in ("alexa", "noise_esc10", "golden_a"):
        for path in sorted(path for path in (corpus / folder).rglob("*") if path.suffix in (".flac", ".wav"))[:4]:
            samples, rate = soundfile.read(path, dtype="int16")
            assert rate == 16_000
            np.testing.assert_array_equal(
                Microfrontend(STEP_SAMPLES).process(samples[: 60 * rate]),
                Frontend().process(samples[: 60 * rate]),
                str(path),
            )


LEVELS = (1.0, 0.1, 0.003, 8.0)


def ten_hours(once: NDArray[np.int16]) -> Iterator[NDArray[np.int16]]:
    """Recordings at several levels, clipped where they are too loud, then computed sound: streams of five minutes."""
    length, heard = 5 * 60 * SAMPLE_RATE_HZ, 0
    for level in LEVELS:
        for start in range(0, len(once), length):
            yield np.clip(np.rint(once[start : start + length] * level), -32768, 32767).astype(np.int16)
    heard = len(LEVELS) * len(once)
    for number in count():
        if heard >= 10 * 3600 * SAMPLE_RATE_HZ:
            return
        kinds = [KINDS[(number + part) % len(KINDS)] for part in range(5)]
        yield np.concatenate([sound(kind, length // 5, 10 * number + part) for part, kind in enumerate(kinds)])
        heard += length


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_hours_are_the_c_librarys(corpus: Path) -> None:
    samples = values = differing = 0
    for stream in ten_hours(np.concatenate([read_samples(path) for path in find_recordings([corpus])])):
        features, theirs = Microfrontend(STEP_SAMPLES, 2).process(stream), Frontend().process(stream)
        assert features.shape == theirs.shape
        samples, values = samples + len(stream), values + features.size
        differing += int((features != theirs).sum())
    hours = samples / SAMPLE_RATE_HZ / 3600
    logging.getLogger(__name__).info("%d of %d values differ in %.2f h", differing, values, hours)
    assert samples >= 10 * 3600 * SAMPLE_RATE_HZ
    assert not differing
