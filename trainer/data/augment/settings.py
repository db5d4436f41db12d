"""What is done to a clip, how often, and how strongly."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields

from wakeword import contract
from wakeword.errors import ConfigError


@dataclass(frozen=True)
class Probabilities:
    """How likely each effect is, in the order in which they are applied. Raises `ConfigError` outside 0 to 1.

    Order and values of the first eight are those of the reference implementation (microWakeWord's training notebook). The others are what a device's
    microphone does to all of it (`microphone.py`).
    """

    seven_band_parametric_eq: float = 0.1
    tanh_distortion: float = 0.1
    pitch_shift: float = 0.1
    band_stop_filter: float = 0.1
    add_color_noise: float = 0.1
    add_background_noise: float = 0.75
    gain: float = 1.0
    rir: float = 0.5
    band_limits: float = 0.5
    level: float = 1.0
    self_noise: float = 0.5
    automatic_gain: float = 0.3
    clipping: float = 0.1

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not 0 <= value <= 1:
                raise ConfigError(f"augmentation: the probability of {name} is {value}; give 0 (never) to 1 (always)")


EFFECTS = tuple(entry.name for entry in fields(Probabilities))
"""Names of the effects in the order in which they are applied."""


@dataclass(frozen=True)
class AugmentationSettings:
    """Augmentation of 16 kHz clips. Raises `ConfigError` when a value is out of range.

    Levels are in dB. As in the reference, the background's signal-to-noise ratio is against the RMS of the whole augmented clip, the
    padding before a short word included.
    """

    probabilities: Probabilities = field(default_factory=Probabilities)
    background_min_snr_db: float = -5.0
    background_max_snr_db: float = 10.0
    min_gain_db: float = -45.0
    max_gain_db: float = 0.0
    min_jitter_s: float = 0.195
    max_jitter_s: float = 0.205
    """What follows a word: drawn between the two, uniformly."""
    augmentation_duration_s: float = 3.2
    """Length of every augmented clip."""
    min_level_dbfs: float = -45.0
    max_level_dbfs: float = 0.0
    """Peak of a clip whose level is set."""
    speech_before: float = 0.3
    speech_after: float = 0.3
    """How likely other speech is right before and after a word or a short clip."""
    onset: float = 0.3
    """How likely a recording without a marked word begins within the clip, after silence."""
    background_alone: float = 0.2
    """How likely a background stands in the place of a recording without a marked word."""

    def __post_init__(self) -> None:
        ranges = (
            ("background_min_snr_db", self.background_min_snr_db, "background_max_snr_db", self.background_max_snr_db),
            ("min_gain_db", self.min_gain_db, "max_gain_db", self.max_gain_db),
            ("min_jitter_s", self.min_jitter_s, "max_jitter_s", self.max_jitter_s),
            ("min_level_dbfs", self.min_level_dbfs, "max_level_dbfs", self.max_level_dbfs),
        )
        for low_name, low, high_name, high in ranges:
            if not low <= high:
                raise ConfigError(f"augmentation.{low_name} is {low} and {high_name} is {high}; the first must not be above the second")
        if not self.max_level_dbfs <= 0:
            raise ConfigError(f"augmentation.max_level_dbfs is {self.max_level_dbfs}; full scale is 0, give 0 or less")
        for name in ("speech_before", "speech_after", "onset", "background_alone"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"augmentation: the probability of {name} is {getattr(self, name)}; give 0 (never) to 1 (always)")
        if self.min_jitter_s < 0:
            raise ConfigError(f"augmentation.min_jitter_s is {self.min_jitter_s}; give 0 or more")
        shortest = self.max_jitter_s + contract.WINDOW_SAMPLES / contract.SAMPLE_RATE_HZ
        if not self.augmentation_duration_s > shortest:
            raise ConfigError(
                f"augmentation.augmentation_duration_s is {self.augmentation_duration_s}; give more than {shortest:g}, which what follows a word takes"
            )

    @property
    def samples(self) -> int:
        """Length of an augmented clip in 16 kHz samples."""
        return round(self.augmentation_duration_s * contract.SAMPLE_RATE_HZ)
