"""What a microphone adds to all that it hears: white noise of a stated level.

Levels are rms in dBFS, where 0 dBFS is an rms of 1.0 of full scale: a sine that just does not clip has -3.01 dBFS. The
noise is drawn by names alone, so a recording has the same noise in whatever order, process, block or layout it is
heard; at another level it is the same noise, louder.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wakeword.draws import derived_generator
from wakeword.errors import ConfigError

LOWEST_DBFS, HIGHEST_DBFS = -100.0, -20.0
"""Of quieter noise nothing is left in int16; no microphone has louder one."""
_FULL_SCALE = 32768

type Microphone = Callable[[NDArray[np.int16]], NDArray[np.int16]]
"""Takes the sound of one stretch block by block, int16 `[n]`, and gives what the device hears of it, int16 `[n]`."""


def microphone(dbfs: float | None, *names: str) -> Microphone:
    """A microphone with noise of this level, rounded to int16 and clipped with the sound; with None it adds nothing.

    `names` name the stretch of sound that it hears, and so its noise.
    """
    if dbfs is None:
        return lambda sound: sound
    generator, rms = derived_generator("microphone", *names), 10 ** (dbfs / 20) * _FULL_SCALE

    def hear(sound: NDArray[np.int16]) -> NDArray[np.int16]:
        noisy = sound + rms * generator.standard_normal(len(sound))
        return np.clip(np.rint(noisy), -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16)

    return hear


def noise_key(dbfs: float | None) -> list[str]:
    """Names the noise in keys of what was computed with it; nothing without noise."""
    return [] if dbfs is None else [f"microphone's noise {float(dbfs)!r} dBFS"]


def checked_noise_floor(name: str, dbfs: Any) -> float | None:
    """A level that somebody gave under this name. Raises `ConfigError` for what is no level of a microphone's noise."""
    if dbfs is None:
        return None
    number = isinstance(dbfs, int | float | np.integer | np.floating) and not isinstance(dbfs, bool)
    if not number or not LOWEST_DBFS <= dbfs <= HIGHEST_DBFS:
        shown = f"{dbfs:g}" if number else dbfs
        raise ConfigError(
            f"{name} {shown}: give {LOWEST_DBFS:g} to {HIGHEST_DBFS:g} dBFS, or leave it out for no noise"
        )
    return float(dbfs)


def noise_words(dbfs: float | None) -> str:
    """The noise in words that follow a comma; empty without noise."""
    return "" if dbfs is None else f"with a microphone's noise of {dbfs:g} dBFS"
