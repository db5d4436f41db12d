"""Running commands as a user does; the cache is the test's own."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests import commands
from tests.commands import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A command in this process."""
    return partial(commands.run, tmp_path / "cache")


@pytest.fixture
def run_apart(tmp_path: Path) -> Run:
    """A command in a process of its own."""
    return partial(commands.run_apart, tmp_path / "cache")


@pytest.fixture
def manifest(official_models: Path, tmp_path: Path) -> Path:
    """A copy of hey_mycroft that a test may spoil."""
    for suffix in ("json", "tflite"):
        shutil.copy(official_models / f"hey_mycroft.{suffix}", tmp_path)
    return tmp_path / "hey_mycroft.json"


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Three recordings of noise, one to three seconds long."""
    folder = tmp_path / "clips"
    folder.mkdir()
    rng = np.random.default_rng(2)
    for index in range(3):
        soundfile.write(
            folder / f"{index}.wav", rng.normal(0, 2000, 16000 * (index + 1)).astype(np.int16), 16000, subtype="PCM_16"
        )
    return folder
