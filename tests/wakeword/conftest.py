"""Fixtures for the tests of the ground floor."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests import streaming_models


@pytest.fixture(scope="session")
def streaming_model() -> Callable[..., bytes]:
    """Builds random streaming models; `tests/streaming_models.py` says which options there are."""
    return streaming_models.streaming_model
