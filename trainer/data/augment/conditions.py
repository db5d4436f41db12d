"""One recording, heard in a stated place: the same room, noise and levels whenever it is asked for. Validation uses it,
training draws its own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trainer.data.augment.context import active_rms
from trainer.data.augment.sounds import StoredSound, impulse_samples
from wakeword.audio import to_int16
from wakeword.draws import derived_generator


def with_room_and_noise(
    samples: NDArray[np.int16],
    room: StoredSound | None,
    noise: StoredSound | None,
    snr_db: float,
    seed: int,
    *,
    level_dbfs: float | None = None,
) -> NDArray[np.int16]:
    """A clip, or a whole stream, in a room and over noise. The same arguments give the same samples.

    Args:
        samples: int16 `[n]` at 16 kHz.
        room: An impulse response; what is said keeps its place and its level. None: no room.
        noise: Runs on through all pauses, repeated, from a place that `seed` and its content tell. None: no noise.
        snr_db: Level of the speech (frames within 25 dB of the loudest, after the room) over that of the noise.
        seed: Of the noise's place.
        level_dbfs: Peak of the speech; None: what it is.

    Returns:
        int16 `[n]`. A sum beyond full scale is scaled down to it; digital silence stays silent.
    """
    sound = samples.astype(np.float64)
    before = active_rms(sound)
    if not before:
        return samples.copy()
    if room is not None:
        from scipy.signal import oaconvolve

        sound = oaconvolve(sound, impulse_samples(room, len(sound)).astype(np.float64))[: len(samples)]
        sound *= before / active_rms(sound)
    if level_dbfs is not None:
        sound *= 10 ** (level_dbfs / 20) * 32768 / np.abs(sound).max()
    if noise is not None:
        sound = sound + _running(noise, len(sound), seed, active_rms(sound) * 10 ** (-snr_db / 20))
    peak = np.abs(sound).max() / 32768
    return to_int16((sound / 32768 / max(1.0, peak)).astype(np.float32))


def noise_instead(samples: NDArray[np.int16], noise: StoredSound, seed: int) -> NDArray[np.int16]:
    """A noise in the place of a recording, as loud as it: int16 `[n]` at 16 kHz in and out. It is scaled down to full
    scale where it would be beyond.
    """
    alone = _running(noise, len(samples), seed, active_rms(samples.astype(np.float64)))
    return to_int16((alone / max(32768.0, np.abs(alone).max(initial=0))).astype(np.float32))


def _running(noise: StoredSound, count: int, seed: int, rms: float) -> NDArray[np.float64]:
    loop = noise.read().astype(np.float64)
    start = int(derived_generator("condition", seed, noise.content).integers(len(loop)))
    running: NDArray[np.float64] = np.resize(np.roll(loop, -start), count) * (rms / np.sqrt(np.mean(loop**2)))
    return running
