"""A wake word that everyone can say: a model that detects loud sound, and recordings of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from tests.model_builder import ModelBuilder
from wakeword.contract import INPUT_SCALE, INPUT_ZERO_POINT, SAMPLE_RATE_HZ
from wakeword.model.manifest import Manifest, MicroSection, write_manifest

WORD = "loud"


def loud_model(folder: Path, *, bias: float = -6.0) -> Path:
    """The manifest of a model whose probability rises with the sum of the features of one stride; another bias gives
    another model.
    """
    folder.mkdir(parents=True, exist_ok=True)
    builder = ModelBuilder()
    source = builder.tensor("input", "INT8", (1, 3, 40), scales=INPUT_SCALE, zero_points=INPUT_ZERO_POINT)
    weights = builder.tensor("weights", "INT8", (1, 120), scales=0.001, data=np.full((1, 120), 25, np.int8))
    bias_scale = np.float32(0.001) * np.float32(INPUT_SCALE)
    offset = builder.tensor(
        "bias", "INT32", (1,), scales=bias_scale, data=np.array([round(bias / bias_scale)], np.int32)
    )
    logit = builder.tensor("logit", "INT8", (1, 1), scales=16 / 255, zero_points=0)
    probability = builder.tensor("probability", "INT8", (1, 1), scales=1 / 256, zero_points=-128)
    output = builder.tensor("output", "UINT8", (1, 1), scales=1 / 256)
    builder.operator("FULLY_CONNECTED", [source, weights, offset], [logit])
    builder.operator("LOGISTIC", [logit], [probability])
    builder.operator("QUANTIZE", [probability], [output])
    builder.interface([source], [output])
    (folder / f"{WORD}.tflite").write_bytes(builder.build())
    section = MicroSection(probability_cutoff=0.8, sliding_window_size=3, tensor_arena_size=20_000)
    write_manifest(
        Manifest(wake_word=WORD, author="tests", model=f"{WORD}.tflite", micro=section), folder / f"{WORD}.json"
    )
    return folder / f"{WORD}.json"


def words(folder: Path, count: int, *, loudness: float = 8000.0, seed: int = 0) -> Path:
    """Recordings of 0.6 s with 0.3 s of noise in them; loud ones are the wake word."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        random = np.random.default_rng([seed, index])
        samples = np.concatenate([np.zeros(2400), random.normal(0, loudness, 4800), np.zeros(2400)])
        soundfile.write(
            folder / f"{index}.wav", np.clip(samples, -32768, 32767).astype(np.int16), SAMPLE_RATE_HZ, subtype="PCM_16"
        )
    return folder
