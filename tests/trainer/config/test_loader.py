"""From presets, files and settings to one checked configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from trainer.config.loader import CommandOption, config_hash, load_config, preset_names, write_config
from trainer.config.sections import ExportSection, TrainerConfig, TrainingSection
from wakeword.errors import ConfigError

WORD = "export.wake_word=computer"


def written(folder: Path, text: str, name: str = "own.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def loaded(*settings: str) -> TrainerConfig:
    return load_config("fast_test", settings=[WORD, *settings])


def refusal(source: str, *settings: str, overrides: tuple[Path, ...] = ()) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(source, overrides, settings)
    return str(caught.value)


@pytest.mark.parametrize("name", ["fast_test", "quick", "standard", "max_quality"])
def test_every_preset_lacks_the_wake_word_alone(name: str) -> None:
    config = load_config(name, settings=[WORD])
    assert config.export.wake_word == "computer"
    assert len(config.training.training_steps) == 2
    assert len(config.model.context_frames) == 4
    assert (
        refusal(name) == f"{name}: export.wake_word is missing; give it with --set export.wake_word=VALUE or in a file"
    )


def test_the_presets_steps_are_the_specifications() -> None:
    assert preset_names() == ["fast_test", "max_quality", "quick", "standard"]
    steps = {name: load_config(name, settings=[WORD]).training for name in preset_names()}
    assert {name: training.training_steps for name, training in steps.items()} == {
        "fast_test": (2000, 1000),
        "quick": (3000, 1500),
        "standard": (20_000, 10_000),
        "max_quality": (50_000, 20_000),
    }
    assert {name: training.batch_size for name, training in steps.items()} == {
        "fast_test": 32,
        "quick": 64,
        "standard": 128,
        "max_quality": 128,
    }


def test_later_layers_go_before_earlier_ones_key_by_key(tmp_path: Path) -> None:
    base = written(tmp_path, "training: {batch_size: 1, seed: 1, eval_step_interval: 1}\nexport: {wake_word: base}")
    first = written(tmp_path, "training: {batch_size: 2, seed: 2}\npaths: {negative_dir: [a, b]}", "first.yaml")
    second = written(tmp_path, "training: {batch_size: 3}\npaths: {negative_dir: [c]}", "second.yaml")
    config = load_config(str(base), [first, second], ["training.batch_size=4", "training.batch_size=5"])
    assert (config.training.batch_size, config.training.seed, config.training.eval_step_interval) == (5, 2, 1)
    assert config.paths.negative_dir == (Path("c"),)
    assert config.export.wake_word == "base"


def test_an_empty_section_or_file_changes_nothing(tmp_path: Path) -> None:
    base = written(tmp_path, "training:\n# nothing yet\nexport: {wake_word: x}\n")
    assert load_config(str(base), [written(tmp_path, "", "empty.yaml")]) == load_config(str(base))


@pytest.mark.parametrize(
    ("setting", "section", "key", "value"),
    [
        ("training.training_steps=[30, 10]", "training", "training_steps", (30, 10)),
        ("training.learning_rates=[1e-3,1e-4]", "training", "learning_rates", (0.001, 0.0001)),
        ("model.pointwise_filters=60,60, 60,64", "model", "pointwise_filters", (60, 60, 60, 64)),
        ("model.mixconv_kernel_sizes=[5],[7,11],[9],[9]", "model", "mixconv_kernel_sizes", ((5,), (7, 11), (9,), (9,))),
        ("export.wake_word=yes", "export", "wake_word", "yes"),
        ("export.wake_word= hey = you ", "export", "wake_word", "hey = you"),
        ("export.trained_languages=[en, de]", "export", "trained_languages", ("en", "de")),
        ("export.probability_cutoff=null", "export", "probability_cutoff", None),
        ("paths.positive_dir=a #1/b: c", "paths", "positive_dir", (Path("a #1/b: c"),)),
        ("paths.positive_dir=[a, b]", "paths", "positive_dir", (Path("a"), Path("b"))),
        ("paths.splits=2026.csv", "paths", "splits", Path("2026.csv")),
        ("paths.splits=null", "paths", "splits", None),
    ],
)
def test_settings(setting: str, section: str, key: str, value: object) -> None:
    assert getattr(getattr(loaded(setting), section), key) == value


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.batchsize=3", "unknown key training.batchsize; did you mean training.batch_size?"),
        ("trainig.batch_size=3", "unknown key trainig; did you mean training?"),
        ("training.stride=3", "unknown key training.stride; did you mean model.stride?"),
        ("export.zzz=3", "unknown key export.zzz; known are wake_word, author, "),
        ("training.batch_size", "give section.key=value"),
        ("batch_size=3", "give section.key=value"),
        (".batch_size=3", "give section.key=value"),
        ("a.b.c=3", "give section.key=value"),
        ("training.training_steps=[1", "the value is not YAML (expected ',' or ']'"),
        (
            "training.batch_size=many",
            "training.batch_size is 'many': it must be a whole number, for example 128; correct it",
        ),
        ("training.batch_size=1.5", "training.batch_size is 1.5"),
        ("training.batch_size=0", "training.batch_size is 0: it must be 1 or more"),
        ("training.eval_step_interval=0", "training.eval_step_interval is 0: it must be 1 or more"),
        ("training.training_steps=[5, 0]", "training.training_steps.1 is 0: it must be 1 or more"),
        ("training.learning_rates=[0, 1]", "training.learning_rates.0 is 0: it must be above 0"),
        ("training.negative_class_weight=[1, 0]", "training.negative_class_weight.1 is 0: it must be above 0"),
        ("training.time_mask_count=[0, -1]", "training.time_mask_count.1 is -1: it must be 0 or more"),
        ("training.freq_mask_max_size=[41, 0]", "training.freq_mask_max_size.0 is 41: it must be 40 or less"),
        ("training.training_steps=[1, x]", "training.training_steps.1 is 'x'"),
        ("training.training_steps=30", "training.training_steps is 30"),
        ("training.target_minimization=-1", "training.target_minimization is -1"),
        ("training.target_minimization=.nan", "training.target_minimization is nan"),
        ("training.learning_rates=[.inf, 1]", "training.learning_rates.0 is inf"),
        ("training.maximization_metric=accuracy", "training.maximization_metric is 'accuracy'"),
        ("hardware.clip_duration_ms=20", "hardware.clip_duration_ms is 20"),
        ("model.architecture=inception", "model.architecture is 'inception'"),
        ("export.probability_cutoff=1.5", "export.probability_cutoff is 1.5"),
        ("export.sliding_window_size=0", "export.sliding_window_size is 0"),
        ("export.sliding_window_size=256", "export.sliding_window_size is 256"),
        ("export.tensor_arena_size=-1", "export.tensor_arena_size is -1"),
        ("performance.inter_op_parallelism=-1", "performance.inter_op_parallelism is -1"),
        ("performance.intra_op_parallelism=-2", "performance.intra_op_parallelism is -2"),
        ("performance.profile_every_n_steps=0", "performance.profile_every_n_steps is 0"),
        ("performance.prefetch_factor=0", "performance.prefetch_factor is 0"),
        ("export.wake_word= ", "export.wake_word is ' '"),
    ],
)
def test_a_wrong_setting_is_named_with_its_fault(setting: str, message: str) -> None:
    refused = refusal("fast_test", WORD, setting)
    assert refused.startswith(f"--set {setting}: ")
    assert message in refused


def test_a_fault_is_reported_where_it_stands(tmp_path: Path) -> None:
    good = written(tmp_path, "export: {wake_word: x}")
    bad = written(tmp_path, "training: {batch_size: no number}", "bad.yaml")
    assert refusal(str(good), "training.seed=1", overrides=(bad,)).startswith(
        f"{bad}: training.batch_size is 'no number'"
    )
    assert refusal(str(bad), overrides=(good,)).startswith(f"{bad}: training.batch_size")
    load_config(str(bad), [good], ["training.batch_size=3"])  # what is overridden does not matter


@pytest.mark.parametrize(
    ("text", "settings", "origin", "message"),
    [
        ("training: {training_steps: [10]}", ["training.seed=3"], "own.yaml", "training.training_steps has 1 value"),
        (
            "training: {seed: 3}",
            ["training.training_steps=[1]", "training.batch_size=3"],
            "--set training.training_steps=[1]",
            "has 1 value",
        ),
        (
            "training: {training_steps: [10]}",
            ["training.learning_rates=[1, 2, 3]"],
            "--set training.learning_rates=[1, 2, 3]",
            "has 1 value",
        ),
        ("model: {stride: 9}", ["model.dropout_rate=0"], "own.yaml", "model.first_conv_kernel_size 5 is below"),
        (
            "model: {first_conv_filters: 1}",
            ["model.mixconv_kernel_sizes=[3,5],[9],[3],[3]", "model.stride=2"],
            "--set model.mixconv",
            "shares 1 channels",
        ),
        (
            "model: {mixconv_kernel_sizes: '[3,5],[9],[3],[3]'}",
            ["model.first_conv_filters=1"],
            "--set model.first_conv_filters=1",
            "shares 1 channels",
        ),
        (
            "augmentation: {max_jitter_s: 10}",
            ["augmentation.copies=1"],
            "own.yaml",
            "augmentation.augmentation_duration_s is 3.2",
        ),
        ("augmentation: {max_gain_db: -90}", ["augmentation.copies=1"], "own.yaml", "augmentation.min_gain_db is"),
        ("export: {website: abc}", ["export.author=somebody"], "own.yaml", "export.website: 'abc' is no full address"),
        (
            "speaker_clustering: {n_clusters: 3}",
            ["speaker_clustering.enabled=false"],
            "--set speaker_clustering.enabled=false",
            "n_clusters does nothing",
        ),
        (
            "training: {seed: 3}",
            ["training.seed=null", "training.batch_size=3"],
            "--set training.seed=null",
            "training.seed is None",
        ),
        (
            "training: {seed: 3}",
            ["training.training_steps=null"],
            "--set training.training_steps=null",
            "training.training_steps is None",
        ),
    ],
)
def test_keys_that_contradict_one_another_are_reported_where_one_of_them_stands(
    tmp_path: Path, text: str, settings: list[str], origin: str, message: str
) -> None:
    own = written(tmp_path, text)
    refused = refusal(str(own), WORD, *settings)
    assert refused.startswith(origin if origin.startswith("--") else f"{own}: "), refused
    assert message in refused


def test_an_option_of_a_command_is_a_layer_above_all_others(tmp_path: Path) -> None:
    key = "speaker_clustering.similarity_threshold"
    own = str(written(tmp_path, "speaker_clustering: {similarity_threshold: '${NOT_SET}'}"))
    for number in (0.5, 1.0):
        assert (
            load_config(
                own, settings=[WORD, f"{key}=0.6", CommandOption("--threshold", key, number)]
            ).speaker_clustering.similarity_threshold
            == number
        )
    assert (
        load_config(
            own, settings=[WORD, f"{key}=0.6", CommandOption("--threshold", key, None)]
        ).speaker_clustering.similarity_threshold
        == 0.6
    )
    with pytest.raises(ConfigError, match=rf"^--threshold: {key} is 2: it must be 1 or less"):
        load_config(own, settings=[WORD, CommandOption("--threshold", key, 2)])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training: {batch_size: 64\n", "own.yaml, line 2: not YAML"),
        ("a: 'x\0'", "own.yaml: not YAML"),
        ("- a\n- b", "holds no sections"),
        ("training", "holds no sections"),
        ("training: 3", "training is a section, not 3; write its keys below it"),
        ("batch_size: 64", "unknown key batch_size; did you mean training.batch_size?"),
        ("training: {1: 2}", "unknown key training.1; known are "),
        ("export: {wake_word: yes}", "export.wake_word is True"),
    ],
)
def test_files_that_are_no_configuration(tmp_path: Path, text: str, message: str) -> None:
    refused = refusal(str(written(tmp_path, text)))
    assert refused.startswith(str(tmp_path))
    assert message in refused


def test_sources_that_do_not_exist(tmp_path: Path) -> None:
    assert refusal("fast_tst") == "--config fast_tst: neither a preset nor a file; did you mean fast_test?"
    assert "presets are fast_test, max_quality, quick, standard" in refusal("qqqq")
    assert refusal(str(tmp_path / "none.yaml")).startswith(
        f"{tmp_path / 'none.yaml'}: cannot be read (No such file or directory)"
    )
    (tmp_path / "latin.yaml").write_bytes("author: Ä".encode("latin-1"))
    assert "is no text in UTF-8" in refusal(str(tmp_path / "latin.yaml"))
    assert "cannot be read (Is a directory)" in refusal("fast_test", overrides=(tmp_path,))


@pytest.mark.parametrize("key", ["learning_rates", "positive_class_weight", "negative_class_weight"])
def test_lists_have_one_value_a_phase(key: str) -> None:
    with pytest.raises(ConfigError, match=r"3 phases, and training\.negative_class_weight has 2; give one a phase"):
        loaded(
            "training.training_steps=[1,2,3]",
            *(f"training.{name}=[1,1,1]" for name in ("learning_rates", "positive_class_weight")),
        )
    with pytest.raises(
        ConfigError,
        match=rf"2 phases, and training\.{key} has 1; give one a phase",
    ):
        loaded(f"training.{key}=[1]")


def test_sections_become_the_dataclasses_that_use_them() -> None:
    config = loaded(
        "training.training_steps=[7]",
        "training.learning_rates=[0.5]",
        "training.positive_class_weight=[2]",
        "training.negative_class_weight=[3]",
    )
    training = config.training
    assert (
        training.training_steps,
        training.learning_rates,
        training.positive_class_weight,
        training.negative_class_weight,
    ) == ((7,), (0.5,), (2,), (3,))
    assert loaded("model.mixconv_kernel_sizes=[5],[7,11],[9,15],[23]").model.mixconv_kernel_sizes == (
        (5,),
        (7, 11),
        (9, 15),
        (23,),
    )


texts = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=20)
finite = st.floats(0, 1e6, allow_nan=False)


@given(
    training=st.fixed_dictionaries(
        {},
        optional={
            "learning_rates": st.lists(finite.filter(bool), min_size=2, max_size=2),
            "target_minimization": finite,
            "seed": st.integers(0, 2**64),
        },
    ),
    export=st.fixed_dictionaries(
        {"wake_word": texts.filter(str.strip), "author": texts}, optional={"probability_cutoff": st.floats(0, 1)}
    ),
)
def test_a_resolved_file_gives_the_same_configuration(
    tmp_path_factory: pytest.TempPathFactory, training: dict[str, Any], export: dict[str, Any]
) -> None:
    config = TrainerConfig(training=TrainingSection(**training), export=ExportSection(**export))
    path = tmp_path_factory.mktemp("resolved") / "config.yaml"
    write_config(config, path)
    again = load_config(str(path))
    assert again == config
    assert config_hash(again) == config_hash(config)
    assert path.read_text().splitlines()[0] == f"# resolved configuration, sha256 {config_hash(config)}"


def test_the_hash_is_of_the_values_not_of_where_they_came_from(tmp_path: Path) -> None:
    own = written(
        tmp_path,
        yaml.safe_dump({"export": {"wake_word": "computer"}, "paths": {"positive_dir": "a"}, "training": {"seed": 3}}),
    )
    from_file = load_config(str(own))
    from_settings = load_config(
        str(written(tmp_path, "", "empty.yaml")), settings=["training.seed=3", WORD, "paths.positive_dir=[a]"]
    )
    assert config_hash(from_file) == config_hash(from_settings)
    assert config_hash(from_file) != config_hash(load_config(str(own), settings=["training.seed=4"]))
