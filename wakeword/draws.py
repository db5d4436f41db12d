"""Random numbers that depend on names alone: on no order, number of processes or earlier draw."""

from __future__ import annotations

import hashlib

import numpy as np


def derived_generator(*parts: object) -> np.random.Generator:
    """A generator that depends on `parts` alone: PCG64 seeded by the SHA-256 of their text."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(":".join(map(str, parts)).encode()).digest()[:16]))
