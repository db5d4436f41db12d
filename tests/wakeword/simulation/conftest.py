"""A small corpus of made-up recordings, and a model to run over them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from wakeword.model.flatbuffer import TfliteModel, read_model


@pytest.fixture(scope="session")
def model(official_models: Path) -> TfliteModel:
    return read_model(official_models / "hey_mycroft.tflite")


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Sixty clips of bursts of noise, 0.3 to 1.5 s, enough for the simulation to use processes."""
    folder = tmp_path_factory.mktemp("recordings")
    rng = np.random.default_rng(3)
    paths = []
    for index in range(60):
        length = int(rng.integers(5000, 24000))
        loudness = np.repeat(rng.uniform(0, 9000, length // 500 + 1), 500)[:length]
        path = folder / f"{index:02}.flac"
        soundfile.write(
            path, (rng.normal(0, 0.4, length) * loudness).clip(-32768, 32767).astype(np.int16), 16000, subtype="PCM_16"
        )
        paths.append(path)
    return paths
