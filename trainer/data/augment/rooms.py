"""Rooms that are computed: where a device stands, where somebody speaks, and the impulse response between the two.

A room is a box of six walls, each of other absorption, lower tones less absorbed than higher ones. Early reflections
come from the image-source method (Allen and Berkley 1979), moved a little at random so that a box does not ring as no
real room does (de Sena et al. 2015); the rest from rays. pyroomacoustics computes both (Scheibler et al. 2018), in one
thread: the same plan is then the same response, sample by sample.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.data.augment.sounds import BEFORE_DIRECT_SAMPLES
from trainer.data.split import Split
from wakeword import contract
from wakeword.draws import derived_generator
from wakeword.extras import require

RT60_S = (0.15, 0.9)
DISTANCE_M = (0.3, 5.0)

_LONGEST_WALL_M = (1.8, 10.0)
_OTHER_WALL = (0.55, 1.0)
"""Length of the shorter walls, by that of the longer ones."""
_HEIGHT_M = (2.3, 3.2)
_MARGIN_M = 0.25
"""Nobody's mouth is nearer to a wall."""
_MOUTH_M = (0.9, 1.8)
"""Somebody sits, or stands."""
_DEVICE_M = (0.4, 1.5)
_NEAR_WALL_SHARE, _NEAR_WALL_M = 0.6, (0.03, 0.3)
_TABLE_SHARE, _TABLE_M, _TABLE_REFLECTS = 0.5, (0.01, 0.1), (0.5, 0.9)
"""Some devices stand on something flat and hard: a microphone so far above it hears each sound twice."""
_PLACES = 200

_BANDS_HZ = (125, 250, 500, 1000, 2000, 4000, 8000)
_LOW_ABSORPTION, _HIGH_ABSORPTION = (0.6, 1.0), (1.0, 1.5)
"""At 125 and 8000 Hz, by that at 1 kHz."""
_WALLS = ("west", "east", "south", "north", "floor", "ceiling")
_WALL_DIFFERS = (0.5, 2.0)
_ABSORPTION = (0.02, 0.95)
_SCATTERING = 0.1
_SABINE = 0.161
"""s/m, 24 ln 10 over the speed of sound."""
_SPEED_OF_SOUND = 343.0

_IMAGE_ORDER = 6
_RAYS = 2000
_EAR_M = 0.5
_MOVED_M = 0.05
_DECAY_DB = 60.0


@dataclass(frozen=True)
class RoomPlan:
    """All that a response is computed from. Lengths in metres; `absorption` is a wall's at each of seven octave bands
    from 125 Hz.
    """

    size_m: tuple[float, float, float]
    rt60_s: float
    """What the absorption was chosen for, by Eyring's formula; the response's own differs a little."""
    absorption: tuple[tuple[float, ...], ...]
    microphone_m: tuple[float, float, float]
    mouth_m: tuple[float, float, float]
    table: tuple[float, float] | None
    """Height of the microphone above something flat, and how much of a sound's amplitude that reflects."""
    seed: int

    @property
    def distance_m(self) -> float:
        """From the mouth to the microphone."""
        return math.dist(self.microphone_m, self.mouth_m)

    def __str__(self) -> str:
        size = " x ".join(f"{length:.1f}" for length in self.size_m)
        return f"computed room of {size} m, {self.rt60_s:.2f} s, {self.distance_m:.1f} m away"


def room_plan(split: Split, number: int) -> RoomPlan:
    """One of any number of rooms of a split. The rooms of two splits are others: each is drawn by its split and number
    alone.
    """
    draw = derived_generator("room", split, number)
    longest = _between_by_ratio(draw, _LONGEST_WALL_M)
    size = (longest, longest * draw.uniform(*_OTHER_WALL), draw.uniform(*_HEIGHT_M))
    rt60 = draw.uniform(*RT60_S)
    absorption = _absorption(size, rt60, draw)
    microphone, mouth = _places(size, draw)
    table = (draw.uniform(*_TABLE_M), draw.uniform(*_TABLE_REFLECTS)) if draw.random() < _TABLE_SHARE else None
    return RoomPlan(
        _point(size), round(rt60, 3), absorption, _point(microphone), _point(mouth), table, int(draw.integers(1 << 31))
    )


def impulse_response(plan: RoomPlan) -> NDArray[np.float64]:
    """The response at 16 kHz from its direct sound on, less 1 ms before it, float64 `[taps]`, until it has decayed by
    60 dB; its peak is 1.

    Raises `InfrastructureError` where pyroomacoustics is not installed.
    """
    require("computing rooms", "pyroomacoustics")
    import pyroomacoustics as acoustics

    acoustics.constants.set("num_threads", 1)
    acoustics.random.seed(plan.seed)
    walls = {
        name: acoustics.Material({"coeffs": list(wall), "center_freqs": list(_BANDS_HZ)}, _SCATTERING)
        for name, wall in zip(_WALLS, plan.absorption, strict=True)
    }
    room = acoustics.ShoeBox(
        list(plan.size_m),
        fs=contract.SAMPLE_RATE_HZ,
        materials=walls,
        max_order=_IMAGE_ORDER,
        air_absorption=True,
        ray_tracing=True,
        use_rand_ism=True,
        max_rand_disp=_MOVED_M,
    )
    room.set_ray_tracing(n_rays=_RAYS, receiver_radius=_EAR_M)
    room.add_source(list(plan.mouth_m)).add_microphone(list(plan.microphone_m))
    room.compute_rir()
    response = np.asarray(room.rir[0][0], np.float64)
    if plan.table is not None:
        response = _above_table(response, *plan.table)
    arrival = (
        plan.distance_m / _SPEED_OF_SOUND * contract.SAMPLE_RATE_HZ + acoustics.constants.get("frac_delay_length") // 2
    )
    response = response[max(0, round(arrival) - BEFORE_DIRECT_SAMPLES) :]
    response = response[: _decayed(response)]
    peaked: NDArray[np.float64] = response / np.abs(response).max()
    return peaked


def _absorption(size: tuple[float, ...], rt60: float, draw: np.random.Generator) -> tuple[tuple[float, ...], ...]:
    """Each wall's absorption, so that by Eyring (1930) the room has the reverberation time at 1 kHz."""
    long, wide, high = size
    areas = np.repeat([wide * high, long * high, long * wide], 2)
    mean = 1 - math.exp(-_SABINE * long * wide * high / (areas.sum() * rt60))
    walls = np.exp(draw.uniform(math.log(_WALL_DIFFERS[0]), math.log(_WALL_DIFFERS[1]), len(areas)))
    walls *= mean * areas.sum() / (walls * areas).sum()
    middle = _BANDS_HZ.index(1000)
    low, top = draw.uniform(*_LOW_ABSORPTION), draw.uniform(*_HIGH_ABSORPTION)
    bands = np.concatenate([np.linspace(low, 1, middle, endpoint=False), np.linspace(1, top, len(_BANDS_HZ) - middle)])
    return tuple(tuple(wall) for wall in np.clip(walls[:, None] * bands, *_ABSORPTION).round(3).tolist())


def _places(size: tuple[float, ...], draw: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where the microphone is, and the mouth: at the drawn distance, or as near to it as some places in the
    room are."""
    room = np.array(size)
    microphone = np.array([draw.uniform(_MARGIN_M, length - _MARGIN_M) for length in room])
    microphone[2] = draw.uniform(*_DEVICE_M)
    if draw.random() < _NEAR_WALL_SHARE:
        axis, gap = int(draw.integers(2)), draw.uniform(*_NEAR_WALL_M)
        microphone[axis] = gap if draw.random() < 0.5 else room[axis] - gap
    distance = _between_by_ratio(draw, DISTANCE_M)
    low, high = np.full(3, _MARGIN_M), room - _MARGIN_M
    low[2], high[2] = _MOUTH_M[0], min(_MOUTH_M[1], high[2])
    directions = draw.standard_normal((_PLACES, 3))
    tried = np.clip(microphone + distance * directions / np.linalg.norm(directions, axis=1, keepdims=True), low, high)
    apart = np.linalg.norm(tried - microphone, axis=1)
    return microphone, tried[int(np.argmin(np.abs(np.log(np.maximum(apart, DISTANCE_M[0] / 2) / distance))))]


def _above_table(response: NDArray[np.float64], height: float, reflects: float) -> NDArray[np.float64]:
    """With the reflection of what the microphone stands on: of sound from 45 degrees, on average."""
    delay = math.sqrt(2) * height / _SPEED_OF_SOUND * contract.SAMPLE_RATE_HZ
    whole, part = int(delay), delay % 1
    both = np.pad(response, (0, whole + 1))
    both[whole : whole + len(response)] += reflects * (1 - part) * response
    both[whole + 1 :] += reflects * part * response
    return both


def _decayed(response: NDArray[np.float64]) -> int:
    """So many taps hold all but the last millionth of the energy."""
    left = np.cumsum(response[::-1] ** 2)[::-1]
    return int(np.count_nonzero(left > left[0] * 10 ** (-_DECAY_DB / 10)))


def _between_by_ratio(draw: np.random.Generator, limits: tuple[float, float]) -> float:
    return float(np.exp(draw.uniform(*np.log(limits))))


def _point(values: Iterable[float]) -> tuple[float, float, float]:
    x, y, z = (round(float(value), 3) for value in values)
    return x, y, z
