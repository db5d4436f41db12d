"""Fixtures shared by all tests."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

CORPUS = Path(__file__).parents[2] / "shared" / "corpus"


def pytest_configure() -> None:
    """A shell starts background jobs with Ctrl-C ignored, and so would all programs be that the tests start and interrupt."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The development corpus beside the checkout."""
    if not CORPUS.is_dir():
        pytest.skip(f"the development corpus is not at {CORPUS}; users do not have it")
    return CORPUS


@pytest.fixture(scope="session")
def official_models() -> Path:
    """Folder of the official v2 models and manifests that pymicro-wakeword ships."""
    import pymicro_wakeword

    return Path(pymicro_wakeword.__file__).parent / "models"
