"""Wrong values are told in words that a user has: the key, what it is, what it must be, and an example."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from bench_audio.corpus.description import read_corpus
from firmware.boards.inventory import read_inventory
from trainer.config.loader import load_config
from wakeword.complaints import first_fault
from wakeword.errors import ConfigError


def refusal(setting: str) -> str:
    with pytest.raises(ConfigError) as raised:
        load_config("standard", (), ["export.wake_word=x", setting])
    return str(raised.value)


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        (
            "training.training_steps=1500",
            "1500: it must be a list, even of one value: [1500], for example [20000, 10000]",
        ),
        (
            "training.learning_rates=0.1",
            "0.1: it must be a list, even of one value: [0.1], for example [0.001, 0.0001]",
        ),
        ("training.training_steps=[]", "[]: it must be a list of 1 or more, for example [20000, 10000]"),
        ("training.training_steps={a: 1}", "{'a': 1}: it must be a list, for example [20000, 10000]"),
        ("training.training_steps=[1, x]", "'x': it must be a whole number, for example 20000"),
        ("training.batch_size=[1]", "[1]: it must be a whole number, for example 128"),
        ("training.seed=1.5", "1.5: it must be a whole number, for example 0"),
        ("training.seed=-1", "-1: it must be 0 or more, for example 0"),
        ("training.weight_averaging=1", "1: it must be below 1, for example 0.999"),
        ("training.weight_averaging=.inf", "inf: it must be "),
        ("training.sampling_weights.positive=x", "'x': it must be a number, for example 0.5"),
        (
            "training.maximization_metric=x",
            "'x': it must be one of 'auto', 'average_viable_recall', 'expected_recall', 'recall'",
        ),
        ("export.wake_word=", "'': it must be text that is not empty"),
        ("export.quantize=maybe", "'maybe': it must be true or false, for example true"),
        ("hardware.clip_duration_ms=50", "50: it must be 100 or more, for example 1500"),
    ],
)
def test_what_a_value_must_be(setting: str, told: str) -> None:
    key = setting.partition("=")[0] + (".1" if "[1, x]" in setting else "")
    assert refusal(setting).startswith(f"--set {setting}: {key} is {told}")
    assert refusal(setting).endswith("; correct it")


def test_lists_of_different_lengths_say_what_would_fit() -> None:
    assert (
        refusal("training.training_steps=[1500]")
        == "--set training.training_steps=[1500]: training.training_steps has 1 value, so there is one phase, and"
        " training.learning_rates has 2; give one a phase, for example --set training.learning_rates=[0.001]"
    )
    assert (
        "training.learning_rates has 2; give one a phase, for example --set training.learning_rates=[0.001, 0.0001,"
        " 0.0001]" in refusal("training.training_steps=[1, 2, 3]")
    )


def test_the_value_of_a_variable_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIDDEN", "hunter2")
    assert "hunter2" not in refusal("training.training_steps=${HIDDEN}")


def test_the_same_in_boards_and_corpora(tmp_path: Path) -> None:
    (tmp_path / "boards.yaml").write_text("boards: [{name: desk, kind: seriel, target: x}]")
    with pytest.raises(ConfigError, match="kind is 'seriel': it must be one of 'serial', 'virtual'; correct it"):
        read_inventory(tmp_path / "boards.yaml")
    (tmp_path / "corpus.yaml").write_text("{name: a, sources: 5, conditions: []}")
    with pytest.raises(ConfigError, match="sources: it must be a list"):
        read_corpus(tmp_path / "corpus.yaml")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ('{"a": [1, "x"]}', "a.1: Input should be a valid integer"),
        ("{", "the file: Invalid JSON"),
        ("[]", "the file: Input should be an object"),
    ],
)
def test_the_first_fault_of_a_file_that_a_program_wrote(content: str, fault: str) -> None:
    with pytest.raises(ValidationError) as raised:
        TypeAdapter(dict[str, list[int]]).validate_json(content)
    assert first_fault(raised.value).startswith(fault)
