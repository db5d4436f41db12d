"""A served judge for all tests of this room, and clips for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from judge.deciding import Judge, open_judge
from tests.judge.served import PATIENT, Server, served
from tests.spoken import Spoken
from wakeword.audio import read_samples


@pytest.fixture(scope="session")
def judge(official_models: Path) -> Judge:
    """What the server holds."""
    return open_judge([official_models / "alexa.json"])


@pytest.fixture(scope="session")
def server(official_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With the usual limits, but for time: the machine may be busy."""
    with served(tmp_path_factory.mktemp("cache"), official_models / "alexa.json", *PATIENT) as running:
        yield running


@pytest.fixture(scope="session")
def small_server(official_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """For two clients at once."""
    with served(tmp_path_factory.mktemp("cache"), official_models / "alexa.json", "--clients", 2, *PATIENT) as running:
        yield running


@pytest.fixture(scope="session")
def hasty_server(official_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One that waits for half a second."""
    with served(tmp_path_factory.mktemp("cache"), official_models / "alexa.json", "--timeout", 0.5) as running:
        yield running


@pytest.fixture(scope="session")
def word(spoken: Spoken, judge: Judge) -> NDArray[np.int16]:
    """A clip that the judge says yes to."""
    clips = (read_samples(path)[-40_000:] for path in spoken.words)
    return next(clip for clip in clips if judge.ask(clip).yes)


@pytest.fixture(scope="session")
def speech(spoken: Spoken, judge: Judge) -> NDArray[np.int16]:
    """One that it says no to, with sound."""
    clips = (read_samples(path)[16_000:56_000] for path in spoken.speech)
    return next(clip for clip in clips if not judge.ask(clip).yes)
