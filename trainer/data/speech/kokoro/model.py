"""Kokoro at work: from symbols and a style to sound. Used in worker processes only: each loads the model once."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.data.speech.kokoro.files import KokoroFiles, read_voices
from trainer.data.speech.kokoro.speakers import style
from wakeword.errors import ConfigError

SAMPLE_RATE_HZ = 24_000
SPEEDS = (0.5, 2.0)


def speak(files: KokoroFiles, symbols: list[int], voice: str, speed: float) -> NDArray[np.float32]:
    """The sound of a text, float32 `[samples]` within -1..1 at `SAMPLE_RATE_HZ`, with the silence that the model puts
    around it.
    """
    session = _session(files.model)
    kinds = {one.name: one.type for one in session.get_inputs()}
    tokens = "input_ids" if "input_ids" in kinds else "tokens"
    inputs = {
        tokens: np.array([[0, *symbols, 0]], np.int64),
        "style": style(voice, read_voices(files.voices), len(symbols)),
        "speed": np.array([np.clip(speed, *SPEEDS)], np.float32),
    }
    return np.asarray(session.run(None, inputs)[0], np.float32).ravel()


@cache
def _session(model: Path) -> Any:
    """One thread: a worker a core is faster than threads, and its sums do not depend on how many there are."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises classes of its own without a common root
        raise ConfigError(
            f"{model}: onnxruntime cannot load this model ({error}); delete it, or give another place with --kokoro"
        ) from error
