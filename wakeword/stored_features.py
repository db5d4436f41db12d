"""Features as recordings: a folder that `mmap_ninja.RaggedMmap` wrote, as microWakeWord publishes its data sets
(`dinner_party`, `speech`, ...).

Conventions: a clip is `[slices, 40]`, a slice every 10 ms, of the frontend's own values: uint16, or float32 as
`pymicro-features` gives them (the uint16 value times 0.0390625). Both are recovered exactly and quantised as the device
does. The clips of a folder follow one another without a pause, and a slice counts as 10 ms of sound. There is no sound
to be heard, resampled or played.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wakeword.contract import FEATURE_CHANNELS, FEATURE_MAX, FLOAT_FEATURE_SCALE, STEP_MS, quantise
from wakeword.errors import ConfigError, InfrastructureError

DATA_NAME = "data.ninja"
SLICES_AT_ONCE = 60_000
"""Ten minutes, 4.8 MB as uint16."""
_TOLERANCE = 1e-3
"""Of a float value from a multiple of the scale, in multiples: float16 storage or another arithmetic is further
away."""


def is_stored(path: Path) -> bool:
    """Whether a path is a folder of features."""
    return (path / DATA_NAME).is_file() and path.is_dir()


def folders_below(folder: Path) -> list[Path]:
    """All folders of features in a folder, sorted. Links are followed, each folder is entered once, and hidden ones are
    left out.
    """
    found, entered = [], set()
    for place, folders, files in folder.walk(follow_symlinks=True):
        real = place.resolve()
        if real in entered:
            folders.clear()
            continue
        entered.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
        if DATA_NAME in files:
            found.append(place)
            folders.clear()  # mmap_ninja keeps its tables in folders of the same kind
    return sorted(found)


def stored_slices(path: Path) -> int:
    """Slices of all clips of a folder together. Raises as `stored_blocks` does, but looks at no value."""
    return int(_open(path)[1].sum())


def stored_seconds(path: Path) -> float:
    """The length of a folder as a recording."""
    return stored_slices(path) * STEP_MS / 1000


def stored_clips(path: Path) -> Iterator[NDArray[np.int8]]:
    """The clips of a folder as the device's features, int8 `[slices, 40]`; one that is longer than ten minutes comes in
    pieces.

    Raises `ConfigError` for features that are not the frontend's, and `InfrastructureError` where `mmap_ninja` is
    missing.
    """
    rows, lengths, form = _open(path)
    start = 0
    for length in lengths.tolist():
        for first in range(start, start + length, SLICES_AT_ONCE):
            yield quantise(_recovered(path, rows[first : min(first + SLICES_AT_ONCE, start + length)], form))
        start += length


def _open(path: Path) -> tuple[NDArray[Any], NDArray[np.int64], str]:
    """Rows of all clips `[slices, 40]`, mapped; slices of each clip; and the type of the values."""
    try:
        from mmap_ninja import RaggedMmap
    except ImportError as error:
        raise InfrastructureError(
            f"{path}: holds features, and mmap-ninja, which reads them, is not installed; pip install '.[train]'"
        ) from error
    if not is_stored(path):
        raise ConfigError(f"{path}: no folder of features; check the path")
    try:
        stored = RaggedMmap(path)
        values, shapes = stored.memmap, np.asarray(stored.shapes)
        lengths, starts = np.asarray(stored.ends) - np.asarray(stored.starts), np.asarray(stored.starts)
    except (AttributeError, OSError, TypeError, ValueError, struct.error) as error:
        raise ConfigError(f"{path}: damaged ({error}); download or make this feature set again") from error
    if shapes.ndim != 2 or shapes.shape[1] != 2 or (shapes[:, 1] != FEATURE_CHANNELS).any():
        width = shapes[0, -1] if shapes.ndim == 2 and shapes.size else "?"
        raise ConfigError(
            f"{path}: its clips are {width} values wide, and the device's frontend gives {FEATURE_CHANNELS}; it is of"
            " another frontend"
        )
    if (
        (lengths != shapes[:, 0] * FEATURE_CHANNELS).any()
        or (starts != np.cumsum(lengths) - lengths).any()
        or len(values) != lengths.sum()
    ):
        raise ConfigError(f"{path}: damaged (its tables do not fit its data); download or make this feature set again")
    form = str(values.dtype)
    if form not in ("uint16", "float32"):
        raise ConfigError(
            f"{path}: holds {form} values; features are uint16, or float32 in steps of {FLOAT_FEATURE_SCALE}"
        )
    return values.reshape(-1, FEATURE_CHANNELS), lengths // FEATURE_CHANNELS, form


def _recovered(path: Path, rows: NDArray[Any], form: str) -> NDArray[np.uint16]:
    """The frontend's own values, uint16 `[n, 40]`."""
    values = np.asarray(rows)
    if form == "float32":
        steps = np.rint(values / FLOAT_FEATURE_SCALE)
        if not np.isfinite(values).all() or (np.abs(values / FLOAT_FEATURE_SCALE - steps) > _TOLERANCE).any():
            raise ConfigError(
                f"{path}: its float32 values are not steps of {FLOAT_FEATURE_SCALE}, as the device's frontend gives; it"
                " is of another frontend"
            )
        values = steps
    if values.size and not 0 <= values.min() <= values.max() <= FEATURE_MAX:
        raise ConfigError(
            f"{path}: its values go from {values.min():g} to {values.max():g}, and the device's frontend gives 0 to"
            f" {FEATURE_MAX}; it is of another frontend"
        )
    return values.astype(np.uint16)
