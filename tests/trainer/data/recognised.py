"""Speech of eSpeak for tests of what is heard in it."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from numpy.typing import NDArray

from trainer.data.clips import finish_clip
from trainer.data.speech.engines.espeak import EspeakEngine
from trainer.data.speech.recogniser import recogniser_missing

needs_recogniser = pytest.mark.skipif(recogniser_missing("en") is not None, reason=str(recogniser_missing("en")))


@functools.cache
def said(text: str, voice: str = "en-us", rate: float = 1.0) -> NDArray[np.int16]:
    """16 kHz samples of a text, trimmed."""
    return finish_clip(EspeakEngine().synthesise(text, voice, rate, 0.0, 1), -3.0).samples
