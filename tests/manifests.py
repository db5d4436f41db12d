"""Manifests that tests write."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any


def first_format(models: Path, folder: Path, **micro: Any) -> Path:
    """A manifest of version 1, which ESPHome runs at 20 ms, beside a copy of the alexa model of `models`; `micro` has
    other values of its section.
    """
    shutil.copy(models / "alexa.tflite", folder)
    content = {
        "type": "micro",
        "wake_word": "Alexa",
        "author": "x",
        "website": "https://example.com",
        "model": "alexa.tflite",
        "version": 1,
        "micro": {"probability_cutoff": 0.66, "sliding_window_average_size": 10} | micro,
    }
    path = folder / "first.json"
    path.write_text(json.dumps(content))
    return path
