"""Spaces: what a file may say, what it sets, what is refused before any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trainer.config.loader import load_config, preset_names
from trainer.search.space import SearchSpace, load_space, space_names
from wakeword.errors import ConfigError

BASE = ["export.wake_word=x"]


def space_of(text: str, folder: Path) -> SearchSpace:
    path = folder / "my.yaml"
    path.write_text(text)
    return load_space(str(path))


def drawn(space: SearchSpace, values: dict[str, Any], preset: str = "quick") -> Any:
    base = load_config(preset, (), BASE)
    return load_config(preset, (), [*BASE, *space.options(base, values)])


@pytest.mark.parametrize("preset", preset_names())
@pytest.mark.parametrize("name", space_names())
def test_the_spaces_of_the_package_fit_all_presets(name: str, preset: str) -> None:
    space = load_space(name)
    space.check(preset, (), BASE)
    for place in (0, -1):
        config = drawn(space, {one.name: one.examples[place] for one in space.parameters}, preset)
        assert config != load_config(preset, (), BASE)


def test_the_small_space_has_what_it_promises() -> None:
    keys = {key for one in load_space("small").parameters for key in one.keys}
    for asked in (
        *("training.learning_rates[0]", "training.sampling_weights.positive_augmented", "model.dropout_rate"),
        *("model.first_conv_filters", "model.pointwise_filters[*]", "model.mixconv_kernel_sizes"),
        "augmentation.AddBackgroundNoise",
    ):
        assert asked in keys


def test_one_value_of_a_list_all_of_them_and_keys_that_go_together(tmp_path: Path) -> None:
    space = space_of(
        """
training.learning_rates[1]: {log: [1.0e-5, 1.0e-3]}
model.pointwise_filters[*]: {int: [24, 72], step: 8}
model.mixconv_kernel_sizes[0]: {choices: [[3], [3, 5]]}
training.batch_size: [16, 32]
shape:
  choices:
    three: {model.pointwise_filters: "9,9,9", model.mixconv_kernel_sizes: "[5],[9],[21]",
            model.repeat_in_block: "1,1,1", model.residual_connection: "0,0,0"}
    four: {model.first_conv_filters: 31}
""",
        tmp_path,
    )
    space.check("quick", (), BASE)
    config = drawn(space, {"training.learning_rates[1]": 2e-4, "model.pointwise_filters[*]": 32, "shape": "three"})
    assert config.training.learning_rates == (1e-3, 2e-4)
    assert config.model.pointwise_filters == (32, 32, 32)
    assert config.model.mixconv_kernel_sizes == ((5,), (9,), (21,))
    config = drawn(space, {"shape": "four", "training.batch_size": "16", "model.mixconv_kernel_sizes[0]": "[3, 5]"})
    assert (config.model.first_conv_filters, config.training.batch_size) == (31, 16)
    assert config.model.mixconv_kernel_sizes == ((3, 5), (7, 11), (9, 15), (23,))
    base = load_config("quick", (), BASE)
    assert [space.base_value(base, one) for one in space.parameters] == ["0.0001", "60,60,60,60", "[5]", "64", ""]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("training.batchsize: [1]", "unknown key training.batchsize; did you mean training.batch_size?"),
        ("training.batchsize[0]: [1]", "unknown key training.batchsize; did you mean training.batch_size?"),
        ("foo: [3]", "unknown key foo"),
        ("foo: {choices: {a: {training.batch_siz: 3}}}", "did you mean training.batch_size?"),
        ("training.batch_size: {int: [0, 10]}", "training.batch_size is 0: it must be 1 or more"),
        ("training.batch_size: {float: [8, 64]}", "training.batch_size is 28.72"),
        ("augmentation.RIR: {float: [0.5, 1.5]}", "augmentation.RIR is 1.5: it must be 1 or less"),
        ("augmentation.RIR: {float: [0.5, .inf]}", "augmentation.RIR is "),
        ("training.learning_rates[2]: {log: [1.0e-4, 1.0e-3]}", "training.learning_rates has 2 values"),
        ("training.batch_size[0]: [3]", "training.batch_size is no list"),
        ("model.first_conv_filters: {int: [8, 30], step: 8}", "steps of 8 do not lead from 8 to 30"),
        ("model.first_conv_filters: {int: [8, 8]}", "the first number must be below the second"),
        ("model.first_conv_filters: {int: [8, 9.5]}", "give two whole numbers"),
        ("training.learning_rates[0]: {log: [0, 1]}", "on a logarithmic scale is above 0"),
        ("training.batch_size: {choices: [8, '8']}", "8 is a choice twice"),
        ("training.batch_size: {choices: []}", "choices is []"),
        ("training.batch_size: 3", "give one of choices"),
        ("training: {batch_size: [3]}", "give one of choices"),
        ("model.pointwise_filters: ['60,60']", "give one entry a block to each"),
        ("training.seed: [1, 2]", "training.seed is not searched: all trials have the same one; give --seeds"),
        ("training.target_minimization: [1, 2]", "trials with other targets cannot be compared"),
        ("training.split_fractions: [[0.8, 0.1, 0.1]]", "trials that validate with other recordings"),
        ("training.quantization_aware_steps: [0, 500]", "figures in float and in int8 arithmetic cannot be"),
        ("paths.rir_dir: [a]", "paths is not searched"),
        ("a: {choices: {b: {performance.gpu_only: true}}}", "performance is not searched"),
        ("training.batch_size: [8]\na: {choices: {b: {training.batch_size: 9}}}", "is set by training.batch_size and"),
        ("training.time_mask_max_size[*]: [1000]", "training.time_mask_max_size has 1000"),
        ("- 3", "holds no keys"),
        ("a: [", "not YAML"),
    ],
)
def test_what_cannot_be_searched_is_refused_in_one_line(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        space_of(text, tmp_path).check("quick", (), BASE)
    message = str(refused.value)
    assert said in message
    assert "\n" not in message


def test_a_space_that_nobody_has(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean small"):
        load_space("smal")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_space(str(tmp_path / "none.yaml"))
