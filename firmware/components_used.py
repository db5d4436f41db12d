"""What a firmware was built of: the versions that ESPHome wrote down where it generated the program."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import yaml

_SHOWN = ("esp-tflite-micro", "esp-nn", "esp-micro-speech-features")
"""Components of the ESP-IDF that compute features and probabilities."""


def components_used(build_folder: Path, storage: Path) -> dict[str, str]:
    """Versions by name, of a board's firmware: the ESP-IDF and the components that compute what a model says. Empty for
    the virtual board, which has none of them, and where ESPHome's files are not there or are of another form.
    """
    found: dict[str, str] = {}
    with suppress(OSError, ValueError, AttributeError, yaml.YAMLError):
        kept = json.loads(storage.read_text(encoding="utf-8"))
        if kept.get("core_platform") != "host" and kept.get("framework_version"):
            found["esp-idf"] = str(kept["framework_version"])
    with suppress(OSError, AttributeError, yaml.YAMLError):
        listed = yaml.safe_load((build_folder / "src" / "idf_component.yml").read_text(encoding="utf-8"))
        for name, entry in (listed.get("dependencies") or {}).items():
            short = str(name).rpartition("/")[2]
            if short in _SHOWN and isinstance(entry, dict) and entry.get("version"):
                found[short] = str(entry["version"])
    return found
