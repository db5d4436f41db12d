"""Models for judges."""

from __future__ import annotations

import json
import shutil
from pathlib import Path


def other_alexa(official_models: Path, folder: Path) -> Path:
    """The official network as another judge's: at a step of 20 ms, with a window of 10. It hears speech at half speed,
    so it says something else.
    """
    shutil.copy(official_models / "alexa.tflite", folder)
    manifest = json.loads((official_models / "alexa.json").read_text())
    manifest["micro"] |= {"feature_step_size": 20, "sliding_window_size": 10, "probability_cutoff": 0.2}
    (folder / "alexa.json").write_text(json.dumps(manifest))
    return folder / "alexa.json"
