"""What the rules of a manifest advise is right. That they are ESPHome's is tested where ESPHome is run, in
tests/firmware.
"""

from __future__ import annotations

from typing import Any

import pytest

from wakeword.model.manifest_rules import refusals

SHARED = {
    "type": "micro",
    "wake_word": "Alexa",
    "author": "Someone",
    "website": "https://example.com",
    "model": "alexa.tflite",
}
MANIFESTS: dict[int, dict[str, Any]] = {
    1: SHARED | {"version": 1, "micro": {"probability_cutoff": 0.66, "sliding_window_average_size": 10}},
    2: SHARED
    | {
        "version": 2,
        "trained_languages": ["en"],
        "micro": {
            "probability_cutoff": 0.97,
            "sliding_window_size": 5,
            "feature_step_size": 10,
            "tensor_arena_size": 26_080,
            "minimum_esphome_version": "2024.7.0",
        },
    },
}


@pytest.mark.parametrize("version", MANIFESTS)
@pytest.mark.parametrize("website", ["", "example.com", "https://[", None])
def test_a_key_is_left_out_only_where_it_may_be(version: int, website: str | None) -> None:
    manifest = MANIFESTS[version]
    assert not refusals(manifest)
    (fault,) = refusals(manifest | {"website": website})
    without = {key: value for key, value in manifest.items() if key != "website"}
    assert ("leave the key out" in fault.text) <= (not refusals(without))
    if isinstance(website, str):
        assert "https://example.com" in fault.text
        assert ("leave the key out" in fault.text) == (version == 2)
