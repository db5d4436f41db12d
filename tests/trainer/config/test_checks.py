"""What is refused before any work, and what a newcomer without noises and rooms gets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trainer.config.checks import check_config, clip_seconds
from trainer.config.lengths import fit_slices, head_frames, window_slices
from trainer.config.loader import load_config, preset_names
from trainer.config.schema import config_schema
from trainer.config.sections import AugmentationSection, HardwareSection, TrainerConfig, TrainingSection
from trainer.exporting import manifest_for
from wakeword.errors import ConfigError
from wakeword.model.manifest import manifest_text
from wakeword.model.manifest_rules import refusals

SCHEMA = Path(__file__).parents[3] / "docs" / "config.schema.json"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def loaded(*settings: str, preset: str = "standard") -> TrainerConfig:
    return load_config(preset, settings=["export.wake_word=computer", *settings])


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_passes_without_any_folder_of_sounds(name: str) -> None:
    config = loaded(preset=name)
    check_config(config)
    assert [config.paths.folders(key) for key in ("hard_negative_dir", "background_dir", "rir_dir")] == [(), (), ()]


@pytest.mark.parametrize("name", preset_names())
def test_esphome_takes_the_manifest_of_an_untouched_configuration(name: str) -> None:
    manifest = manifest_for(loaded(preset=name), "computer", 0.9, 30_000, ("en",))
    content = json.loads(manifest_text(manifest))
    assert refusals(content) == ()
    assert "website" not in content


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("website=github.com/me", "export.website: 'github.com/me' is no full address"),
        ("minimum_esphome_version=soon", "export.minimum_esphome_version: 'soon' is no version"),
        ("minimum_esphome_version=9999.1.0", "9999.1.0 is newer than ESPHome"),
    ],
)
def test_what_esphome_would_refuse_is_known_before_training(setting: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        loaded(f"export.{setting}")


def test_what_the_presets_augment() -> None:
    configs = {name: loaded(preset=name) for name in preset_names()}
    assert {name: config.augmentation.copies for name, config in configs.items()} == {
        "fast_test": 0,
        "quick": 2,
        "standard": 4,
        "max_quality": 10,
    }
    assert configs["fast_test"].training.time_mask_count == configs["fast_test"].training.freq_mask_count == (0, 0)
    for name in ("quick", "standard", "max_quality"):
        assert all((*configs[name].training.time_mask_count, *configs[name].training.freq_mask_count))


def test_augmented_clips_hold_a_window_before_the_cutoff() -> None:
    """A window of `fixed_right_cutoff` ends up to 19 slices before the clip, one of the other strategies up to 9."""
    settings = (
        "training.truncation_strategies.positive_augmented=fixed_right_cutoff",
        "training.right_cutoff_slices=19",
        "augmentation.copies=2",
    )
    shortest = clip_seconds(loaded().slices, loaded(*settings).training)
    assert shortest == pytest.approx(clip_seconds(loaded().slices, loaded().training) + 0.1)
    length = "augmentation.augmentation_duration_s={}"
    check_config(loaded(*settings, length.format(shortest)))
    with pytest.raises(ConfigError, match="give at least that"):
        check_config(loaded(*settings, length.format(round(shortest - 0.05, 3))))


def test_a_default_folder_that_is_there_is_used(project: Path) -> None:
    (project / "dataset" / "rirs").mkdir(parents=True)
    assert loaded().paths.folders("rir_dir") == (Path("dataset/rirs"),)
    assert loaded("paths.rir_dir=elsewhere").paths.folders("rir_dir") == (Path("elsewhere"),)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["hardware.clip_duration_ms=3000"],
            r"augmentation_duration_s is 3\.2, .*clip_duration_ms 3000 .* reads clips of 3\.\d\d s; give at least that",
        ),
        (["augmentation.augmentation_duration_s=1"], r"augmentation_duration_s is 1, .*give at least that"),
        (["augmentation.max_jitter_s=0.1"], "min_jitter_s is 0.195 and augmentation.max_jitter_s is 0.1"),
        (
            ["paths.background_dir=nowhere"],
            "nowhere: no such folder; correct paths.background_dir or .*background_paths, or set .*Noise to 0",
        ),
        (
            ["augmentation.impulse_paths=nowhere"],
            (
                "nowhere: no such folder; correct paths.rir_dir or augmentation.impulse_paths, or set augmentation.RIR"
                " to 0"
            ),
        ),
        (
            ["augmentation.RIR=0", "augmentation.impulse_paths=x"],
            "augmentation.RIR is 0, so the folders of augmentation.impulse_paths would not be used",
        ),
        (["training.time_mask_max_size=[300,0]"], "time_mask_max_size has 300; a training window has 203 slices"),
        (["training.freq_mask_count=[1, 1, 1]"], "2 phases, and training.freq_mask_count has 3"),
        (["training.hard_negative_class_weight=[1, 1, 1]"], "2 phases, and training.hard_negative_class_weight has 3"),
        (["training.batch_size=0"], "training.batch_size is 0"),
        (["training.loss=hinge"], "training.loss is 'hinge'"),
        (["training.loss=focal", "training.focal_gamma=-1"], "training.focal_gamma is -1: it must be 0 or more"),
        (["training.loss=focal", "training.focal_alpha=1"], "training.focal_alpha is 1: it must be below 1"),
        (["training.optimizer=adagrad"], "training.optimizer is 'adagrad'"),
        (["training.optimizer=adamw", "training.weight_decay=-1"], "training.weight_decay is -1: it must be 0 or more"),
        (["training.optimizer=sgd", "training.momentum=1"], "training.momentum is 1: it must be below 1"),
        (["training.momentum=0.5"], "training.optimizer adam has no use for it; give --set training.optimizer=sgd"),
        (
            ["training.schedule=cosine", "training.warm_up_steps=30000"],
            "training.warm_up_steps is 30000, and training.training_steps are 30000 in all; give fewer",
        ),
        (
            ["training.warm_up_steps=10"],
            "training.schedule phases has no use for it; give --set training.schedule=cosine",
        ),
        (["training.schedule=cosine", "training.plateau_patience=3"], "training.schedule cosine has no use for it"),
        (["training.schedule=plateau", "training.plateau_factor=1"], "plateau_factor is 1: it must be below 1"),
        (
            ["training.schedule=plateau", "training.early_stopping_evaluations=5"],
            "training.early_stopping_evaluations is 5, and a plateau would lower the rate after",
        ),
        (["training.early_stopping_evaluations=-1"], "early_stopping_evaluations is -1: it must be 0 or more"),
        (["training.label_smoothing=1"], "training.label_smoothing is 1: it must be below 1"),
        (
            ["training.focal_gamma=3"],
            "focal_gamma is 3, and training.loss binary_crossentropy has no use for it; give --set training.loss=focal",
        ),
        (
            ["training.class_weights=balanced", "training.negative_class_weight=[20, 10]"],
            "training.negative_class_weight is given, and training.class_weights balanced computes",
        ),
        (
            ["training.sampling_weights.positive=0", "training.sampling_weights.positive_augmented=0"],
            "leave a batch without wake words",
        ),
        (
            ["speaker_clustering.method=threshold", "speaker_clustering.n_clusters=3"],
            "n_clusters needs speaker_clustering.method=agglomerative",
        ),
        (
            ["speaker_clustering.enabled=false", "speaker_clustering.n_clusters=3"],
            "n_clusters does nothing while speaker_clustering.enabled is false",
        ),
        (["model.pointwise_filters=60"], "give one entry a block to each"),
    ],
)
def test_sections_that_contradict_one_another(settings: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_config(loaded(*settings))


def test_what_is_not_augmented_is_not_checked() -> None:
    check_config(loaded("augmentation.copies=0", "hardware.clip_duration_ms=3000", "paths.background_dir=nowhere"))


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("hardware.sample_rate_hz=8000", "this is always 16000, because the frontend in ESPHome's firmware"),
        ("hardware.mel_bins=80", "this is always 40, because the frontend"),
        ("hardware.window_size_ms=25", "this is always 30, because the frontend"),
        ("hardware.window_step_ms=20", "this is always 10, because the frontend"),
        ("export.inference_input_type=float32", "this is always int8, because ESPHome's micro_wake_word"),
        ("export.inference_output_type=int8", "this is always uint8, because ESPHome's micro_wake_word"),
    ],
)
def test_what_the_device_fixes_explains_itself(setting: str, reason: str) -> None:
    key = setting.partition("=")[0]
    with pytest.raises(ConfigError) as caught:
        loaded(setting)
    assert f"--set {setting}: {key} is " in str(caught.value)
    assert reason in str(caught.value)


def test_what_the_device_fixes_may_be_written_down() -> None:
    assert loaded("hardware.sample_rate_hz=16000", "export.inference_output_type=uint8") == loaded()


def masks(training: TrainingSection) -> list[tuple[int, ...]]:
    return [
        training.time_mask_max_size,
        training.time_mask_count,
        training.freq_mask_max_size,
        training.freq_mask_count,
    ]


def test_lists_that_are_not_given_have_a_value_a_phase() -> None:
    training = loaded(
        "training.training_steps=[5]",
        *(f"training.{name}=[1]" for name in ("learning_rates", "positive_class_weight", "negative_class_weight")),
    ).training
    assert training.hard_negative_class_weight == (40.0,)
    assert masks(training) == [(5,), (2,), (4,), (2,)], "the preset's one value is for all phases"
    assert masks(loaded("training.time_mask_count=[0, 1]").training) == [(5, 5), (0, 1), (4, 4), (2, 2)]
    assert masks(loaded(preset="fast_test").training) == [(0, 0)] * 4
    alone = TrainingSection(time_mask_max_size=[5], time_mask_count=[2], hard_negative_class_weight=[7])
    assert masks(alone) == [(5, 5), (2, 2), (0, 0), (0, 0)], "with the default steps too"
    assert alone.hard_negative_class_weight == (7, 7)


def test_weights_of_one_set_leave_the_others() -> None:
    weights = loaded("training.sampling_weights.hard_negative=2").training.sampling_weights
    assert (weights.hard_negative, weights.positive, weights.negative_joined) == (2.0, 0.5, 3.0)
    with pytest.raises(
        ConfigError,
        match=(
            r"unknown key training\.sampling_weights\.hard_negatives; did you mean"
            r" training\.sampling_weights\.hard_negative\?"
        ),
    ):
        loaded("training.sampling_weights.hard_negatives=2")


@pytest.mark.parametrize("preset", preset_names())
def test_every_clip_duration_is_trained_with_or_refused_with_its_reason(preset: str) -> None:
    config = loaded(preset=preset)
    plain = config.model_copy(update={"augmentation": AugmentationSection(copies=0)})
    network = config.model
    windows = []
    for milliseconds in range(100, 10_001, 90):
        hardware = HardwareSection(clip_duration_ms=milliseconds)
        check_config(plain.model_copy(update={"hardware": hardware}))
        windows.append(window_slices(network, milliseconds))
        if config.augmentation.copies and windows[-1] + 9 > 318:  # slices of 3.2 s
            with pytest.raises(ConfigError, match="or a shorter clip_duration_ms"):
                check_config(config.model_copy(update={"hardware": hardware}))
        else:
            check_config(config.model_copy(update={"hardware": hardware}))
    assert windows == sorted(windows)
    assert all(head_frames(network, window) >= 1 and fit_slices(network, window) == window for window in windows)


def test_the_default_clip_duration_is_that_of_the_official_models() -> None:
    network = loaded().model
    frames = {milliseconds: head_frames(network, window_slices(network, milliseconds)) for milliseconds in (1000, 1500)}
    assert frames == {1000: 1, 1500: 17}
    assert loaded().hardware.clip_duration_ms == 1500


# --- the schema for editors -------------------------------------------------------------------------------------------


def test_the_schema_in_the_documentation_is_that_of_the_sections() -> None:
    assert SCHEMA.read_text() == config_schema(), "run: mww-train --schema > docs/config.schema.json"


def test_the_schema_describes_every_key() -> None:
    schema = json.loads(config_schema())
    assert set(schema["properties"]) == set(TrainerConfig.model_fields)
    sections = [model for name, model in schema["$defs"].items() if model.get("type") == "object"]
    assert all(not model.get("required") and model["additionalProperties"] is False for model in sections)
    for model in sections:
        for name, key in model["properties"].items():
            # What all of their keys are says the section.
            alike = [schema["$defs"][section] for section in ("PenaltyWeights", "TruncationStrategies")]
            assert key.get("description") or model in alike, name
    assert schema["$defs"]["HardwareSection"]["properties"]["mel_bins"]["anyOf"][0]["const"] == 40


# --- mining within a training -----------------------------------------------------------------------------------------


def test_which_presets_mine() -> None:
    assert {name: loaded(preset=name).hard_negative_mining.enabled for name in preset_names()} == {
        "fast_test": False,
        "quick": False,
        "standard": False,
        "max_quality": True,
    }
    mining = loaded("hard_negative_mining.fp_threshold=0.6", "hard_negative_mining.max_samples=7").hard_negative_mining
    assert (mining.fp_threshold, mining.max_samples) == (0.6, 7)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["training.sampling_weights.hard_negative=0"],
            "training.sampling_weights.hard_negative is 0, so what is mined would not be trained on",
        ),
        (
            ["training.penalty_weights.hard_negative=0"],
            "training.penalty_weights.hard_negative is 0, so what is mined would not be trained on",
        ),
        (
            ["training.batch_ratios=[1,2,0]"],
            r"training.batch_ratios \[1, 2, 0\] leave out hard negatives, so what is mined would not be trained on",
        ),
        (
            ["hard_negative_mining.mining_interval_epochs=60"],
            "the first mining would come after step 30000, and training ends at 30000; give fewer epochs",
        ),
    ],
)
def test_a_mining_that_could_do_nothing_is_refused(settings: list[str], message: str) -> None:
    check_config(loaded(*settings))
    with pytest.raises(ConfigError, match=message):
        check_config(loaded("hard_negative_mining.enabled=true", *settings))


@pytest.mark.parametrize(
    "setting", ["fp_threshold=1", "fp_threshold=-0.1", "max_samples=0", "mining_interval_epochs=0"]
)
def test_mining_settings_out_of_range_are_refused(setting: str) -> None:
    with pytest.raises(ConfigError, match=f"hard_negative_mining.{setting.partition('=')[0]} is "):
        loaded(f"hard_negative_mining.{setting}")
