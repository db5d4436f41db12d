"""What several sections must agree on, checked before any work: nobody should learn of a slip of the pen
after an hour."""

from __future__ import annotations

from trainer.config.batch_settings import BatchSettings
from trainer.config.sections import TrainerConfig
from wakeword import contract
from wakeword.errors import ConfigError


def check_config(config: TrainerConfig) -> None:
    """Raise `ConfigError` for values that do not go together. It reads no file but looks whether folders are there."""
    slices = config.slices
    longest = max(config.training.time_mask_max_size)
    if longest > slices:
        raise ConfigError(
            f"training.time_mask_max_size has {longest}; a training window has {slices} slices, so give less"
        )
    _check_shares(config)
    _check_learning(config)
    if config.hard_negative_mining.enabled:
        _check_mining(config)
    if config.augmentation.copies:
        _check_augmentation(config, slices)


def _check_shares(config: TrainerConfig) -> None:
    weights = config.training.sampling_weights
    negatives = (
        weights.negative_joined
        + weights.negative_alone
        + weights.negative_augmented
        + (weights.feature_sets if config.paths.feature_sets else 0)
    )
    if not weights.positive + weights.positive_augmented or not negatives:
        raise ConfigError(
            "training.sampling_weights leave a batch without wake words, or without negatives; give one set of each"
            " kind a weight above 0"
        )


def _check_learning(config: TrainerConfig) -> None:
    section, architecture = config.training, config.model.architecture
    fields = type(section).model_fields
    for key in ("teaching_share", "teaching_temperature"):
        if not section.is_taught and getattr(section, key) != fields[key].default:
            raise ConfigError(
                f"training.{key} is {getattr(section, key):g}, and nobody teaches; give training.teachers or"
                f" training.teacher, or leave training.{key} out"
            )
    if section.quantization_aware_steps and architecture != "mixednet":
        raise ConfigError(
            f"training.quantization_aware_steps is {section.quantization_aware_steps}, and the arithmetic of an export"
            f" is simulated for mixednet alone, not for model.architecture {architecture}; set it to 0"
        )


def _check_mining(config: TrainerConfig) -> None:
    section, training = config.hard_negative_mining, config.training
    for key in ("sampling_weights", "penalty_weights"):
        if not getattr(training, key).hard_negative:
            raise ConfigError(
                f"training.{key}.hard_negative is 0, so what is mined would not be trained on; set"
                " hard_negative_mining.enabled to false"
            )
    if training.batch_ratios and not training.batch_ratios[2]:
        raise ConfigError(
            f"training.batch_ratios {list(training.batch_ratios)} leave out hard negatives, so what is mined would not"
            " be trained on; give a third number above 0, or set hard_negative_mining.enabled to false"
        )
    first, steps = section.mining_interval_epochs * training.eval_step_interval, training.steps
    if first >= steps:
        raise ConfigError(
            f"hard_negative_mining.mining_interval_epochs is {section.mining_interval_epochs}, so the first mining"
            f" would come after step {first}, and training ends at {steps}; give fewer epochs (one is"
            " training.eval_step_interval steps), or set hard_negative_mining.enabled to false"
        )


def _check_augmentation(config: TrainerConfig, slices: int) -> None:
    section = config.augmentation
    seconds = clip_seconds(slices, config.training)
    if section.samples < seconds * contract.SAMPLE_RATE_HZ:
        raise ConfigError(
            f"augmentation.augmentation_duration_s is {section.augmentation_duration_s:g}, and with"
            f" hardware.clip_duration_ms {config.hardware.clip_duration_ms} training reads clips of {seconds:.2f} s;"
            " give at least that, or a shorter clip_duration_ms"
        )
    for key, extra, effect, probability in (
        ("background_dir", section.background_paths, "AddBackgroundNoise", section.AddBackgroundNoise),
        ("rir_dir", section.impulse_paths, "RIR", section.RIR),
    ):
        folders = (*config.paths.folders(key), *extra)
        if not probability and extra:
            raise ConfigError(
                f"augmentation.{effect} is 0, so the folders of augmentation.{_extra(key)} would not be used; give it a"
                " probability"
            )
        for folder in folders:
            if probability and not folder.is_dir():
                raise ConfigError(
                    f"{folder}: no such folder; correct paths.{key} or augmentation.{_extra(key)}, or set"
                    f" augmentation.{effect} to 0"
                )


def clip_seconds(slices: int, settings: BatchSettings) -> float:
    """Length of the augmented clips that training draws windows of so many slices from, each as many slices before the
    clip's end as the settings say.
    """
    shortest = slices + max(max(settings.end_shifts(name)) for name in ("positive_augmented", "negative_augmented"))
    return ((shortest - 1) * contract.STEP_MS + contract.WINDOW_MS) / 1000


def _extra(key: str) -> str:
    return "background_paths" if key == "background_dir" else "impulse_paths"
