"""Chromium with a microphone that plays a file, again and again, from the moment at which a page opens it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile
from numpy.typing import NDArray

from tests.studio.conftest import chromium
from wakeword.audio import read_samples
from wakeword.contract import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

PAUSE_SECONDS = 1.7


def write_sound(path: Path, words: Sequence[Path]) -> NDArray[np.int16]:
    """Words with pauses before and after each, as the file of a microphone; returns the samples."""
    pause = np.zeros(round(PAUSE_SECONDS * SAMPLE_RATE_HZ), np.int16)
    samples = np.concatenate([part for word in words for part in (pause, read_samples(word))] + [pause])
    soundfile.write(path, samples, SAMPLE_RATE_HZ, subtype="PCM_16")
    return samples


@contextmanager
def chromium_hearing(driver: Playwright, sound: Path) -> Iterator[Browser]:
    """The system's Chromium, whose microphone is a file (wav)."""
    with chromium(
        driver,
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={sound}",
    ) as one:
        yield one


@contextmanager
def chromium_hearing_words(driver: Playwright, words: Sequence[Path], folder: Path) -> Iterator[Browser]:
    """The same, whose microphone says these words; its file lies in a folder."""
    write_sound(folder / "words.wav", words)
    with chromium_hearing(driver, folder / "words.wav") as one:
        yield one
