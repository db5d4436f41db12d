"""Batches as pure functions of JAX: windows out of a store of features that lies on the device, then filters and masks.

The numbers are drawn on the host (`BatchSampler.numbers`), so a batch is the same on every device, and all of the
arithmetic is in integers: its features equal those of `BatchSampler.batch` bit for bit.

Imports JAX, and no TensorFlow: import this module inside functions only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from wakeword import contract

SILENCE = contract.INPUT_ZERO_POINT


def features_of(numbers: Mapping[str, Any], slices: int, store: Any = None) -> Any:
    """The features of a batch, int8 `[batch, slices, 40]`.

    `numbers` are those of `BatchSampler.numbers`; where they have no features, `store` holds the rows of all sets one
    after another, int8 `[rows, 40]`.
    """
    features = numbers.get("features")
    if features is None:
        features = _gathered(store, numbers["first"], numbers["stop"], slices)
    if "added" in numbers:
        louder = jnp.clip(features.astype(jnp.int16) + numbers["added"][:, None, :], SILENCE, 127).astype(jnp.int8)
        features = jnp.where(features == SILENCE, features, louder)
    if "time_starts" in numbers:
        masked = _masked(numbers["time_starts"], numbers["time_sizes"], slices)
        features = jnp.where(masked[:, :, None], jnp.int8(SILENCE), features)
    if "mel_starts" in numbers:
        masked = _masked(numbers["mel_starts"], numbers["mel_sizes"], contract.FEATURE_CHANNELS)
        features = jnp.where(masked[:, None, :], jnp.int8(SILENCE), features)
    return features


def _gathered(store: Any, first: Any, stop: Any, slices: int) -> Any:
    rows = stop[:, None] - slices + jnp.arange(slices, dtype=jnp.int32)
    heard = rows >= first[:, None]
    return jnp.where(heard[:, :, None], jnp.take(store, jnp.maximum(rows, 0), axis=0), jnp.int8(SILENCE))


def _masked(starts: Any, sizes: Any, length: int) -> Any:
    """Bool `[batch, length]`, the union of the masks of a row."""
    places = jnp.arange(length, dtype=starts.dtype)
    starts, sizes = starts[:, :, None], sizes[:, :, None]
    return ((places >= starts) & (places < starts + sizes)).any(axis=1)
