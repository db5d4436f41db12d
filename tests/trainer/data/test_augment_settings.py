"""Settings of the augmentation: the reference's order and values, and errors that name the key."""

from __future__ import annotations

import pytest

from trainer.config.loader import load_config
from trainer.config.sections import AugmentationSection
from trainer.data.augment.chain import EFFECTS
from wakeword.errors import ConfigError


def test_order_and_probabilities_are_the_references() -> None:
    expected = {
        "SevenBandParametricEQ": 0.1,
        "TanhDistortion": 0.1,
        "PitchShift": 0.1,
        "BandStopFilter": 0.1,
        "AddColorNoise": 0.1,
        "AddBackgroundNoise": 0.75,
        "Gain": 1.0,
        "RIR": 0.5,
    }
    ours = [name for name in EFFECTS if name != "TimeStretch"]
    assert tuple(expected) == tuple(ours)[:8]
    assert AugmentationSection().TimeStretch == 0, "the reference has none"
    assert AugmentationSection().model_dump(include=set(expected)) == expected
    assert tuple(ours)[8:] == (
        "BandLimits",
        "Level",
        "SelfNoise",
        "AutomaticGain",
        "Clipping",
    ), "the microphone comes last"


def test_every_effect_has_its_probability_and_all_are_applied() -> None:
    probabilities = [name for name in AugmentationSection.model_fields if name[0].isupper()]
    assert probabilities == [*EFFECTS, "SpeechBefore", "SpeechAfter", "Onset", "BackgroundAlone"]


def test_a_clip_is_3_2_seconds() -> None:
    assert AugmentationSection().samples == 51_200


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("RIR=-0.1", r"augmentation\.RIR is -0\.1: it must be 0 or more"),
        ("RIR=1.1", r"augmentation\.RIR is 1\.1: it must be 1 or less"),
        ("Onset=.nan", r"augmentation\.Onset is nan: it must be"),
        ("SpeechBefore=1.5", r"augmentation\.SpeechBefore is 1\.5"),
        (
            "background_min_snr_db=11",
            (
                "background_min_snr_db=11: augmentation.background_min_snr_db is 11 and"
                " augmentation.background_max_snr_db is 10; the first must not"
            ),
        ),
        ("min_gain_db=1", "min_gain_db is 1 and augmentation.max_gain_db is 0"),
        ("min_jitter_s=0.3", r"min_jitter_s is 0\.3 and augmentation.max_jitter_s is 0\.205"),
        ("min_jitter_s=-0.1", r"min_jitter_s is -0\.1: it must be 0 or more"),
        ("min_level_dbfs=1", "min_level_dbfs is 1 and augmentation.max_level_dbfs is 0"),
        ("max_level_dbfs=3", "max_level_dbfs is 3: it must be 0 or less"),
        ("augmentation_duration_s=0.2", r"augmentation_duration_s is 0\.2; give more than 0\.235"),
    ],
)
def test_values_out_of_range_are_named(setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config("standard", settings=["export.wake_word=computer", f"augmentation.{setting}"])
