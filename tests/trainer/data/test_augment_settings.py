"""Settings of the augmentation: the reference's order and values, and errors that name the key."""

from __future__ import annotations

import dataclasses

import pytest

from trainer.data.augment.settings import EFFECTS, AugmentationSettings, Probabilities
from wakeword.errors import ConfigError


def test_order_and_probabilities_are_the_references() -> None:
    expected = {
        "seven_band_parametric_eq": 0.1,
        "tanh_distortion": 0.1,
        "pitch_shift": 0.1,
        "band_stop_filter": 0.1,
        "add_color_noise": 0.1,
        "add_background_noise": 0.75,
        "gain": 1.0,
        "rir": 0.5,
    }
    assert tuple(expected) == EFFECTS[:8]
    assert {name: value for name, value in dataclasses.asdict(Probabilities()).items() if name in expected} == expected
    assert EFFECTS[8:] == ("band_limits", "level", "self_noise", "automatic_gain", "clipping"), "the microphone comes last"


def test_a_clip_is_3_2_seconds() -> None:
    assert AugmentationSettings().samples == 51_200


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_a_probability_lies_between_0_and_1(value: float) -> None:
    with pytest.raises(ConfigError, match="probability of rir"):
        Probabilities(rir=value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"background_min_snr_db": 11.0}, "background_min_snr_db is 11.0"),
        ({"min_gain_db": 1.0}, "min_gain_db is 1.0"),
        ({"min_jitter_s": 0.3}, "min_jitter_s is 0.3"),
        ({"min_jitter_s": -0.1}, "give 0 or more"),
        ({"min_level_dbfs": 1.0}, "min_level_dbfs is 1.0"),
        ({"max_level_dbfs": 3.0}, "full scale is 0"),
        ({"speech_before": 1.5}, "probability of speech_before is 1.5"),
        ({"onset": float("nan")}, "probability of onset"),
        ({"augmentation_duration_s": 0.2}, "augmentation_duration_s is 0.2"),
    ],
)
def test_values_out_of_range_are_named(changes: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AugmentationSettings(**changes)  # type: ignore[arg-type]  # none of them is `probabilities`
