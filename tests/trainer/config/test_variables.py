"""Environment variables in values: replaced, told when they are missing, never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainer.config.loader import load_config, write_config
from trainer.config.variables import escaped, has_variable, substitute
from wakeword.errors import ConfigError


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NONE", raising=False)
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.setenv("NUMBER", "64")
    monkeypatch.setenv("SECRET", "hunter2")
    monkeypatch.setenv("DATA", "/data sets")


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("${DATA}/positive", "/data sets/positive"),
        ("${NONE:-a}${NUMBER:-b}", "a64"),
        ("${EMPTY}x${EMPTY:-default}", "xdefault"),
        ("${NONE:-}", ""),
        ("$DATA $${DATA} $", "$DATA ${DATA} $"),
        ("none", "none"),
    ],
)
def test_what_a_text_becomes(text: str, result: str) -> None:
    assert substitute(text, "key", "file") == result


@pytest.mark.parametrize("value", ["${A}", "$${A}", "$$${", "a$", "${A:-b}"])
def test_an_escaped_value_becomes_itself_again(value: str) -> None:
    assert substitute(escaped(value), "key", "file", {}) == value
    assert escaped({"a": [value, 3]}) == {"a": [escaped(value), 3]}


def test_what_holds_a_variable() -> None:
    assert has_variable({"a": ["${X}"]})
    assert not has_variable(["$${X}", 3, "$X"])


def loaded(text: str, folder: Path, *settings: str) -> object:
    path = folder / "own.yaml"
    path.write_text(f"export: {{wake_word: x}}\n{text}")
    return load_config(str(path), settings=settings).model_dump()


@pytest.mark.parametrize(
    ("text", "section", "key", "value"),
    [
        ("training: {batch_size: '${NUMBER}'}", "training", "batch_size", 64),
        ("training: {training_steps: '${NONE:-[3, 4]}'}", "training", "training_steps", (3, 4)),
        ("training: {training_steps: ['${NUMBER}', 4]}", "training", "training_steps", (64, 4)),
        ("paths: {positive_dir: '${DATA}'}", "paths", "positive_dir", (Path("/data sets"),)),
        ("paths: {positive_dir: ['${DATA}/a', b]}", "paths", "positive_dir", (Path("/data sets/a"), Path("b"))),
        ("paths: {splits: '${EMPTY:-null}'}", "paths", "splits", None),
        ("performance: {gpu_only: '${NONE:-true}'}", "performance", "gpu_only", True),
        ("model: {pointwise_filters: '${NUMBER},60,60,60'}", "model", "pointwise_filters", "64,60,60,60"),
    ],
)
def test_a_variable_gives_a_value_of_any_kind(tmp_path: Path, text: str, section: str, key: str, value: object) -> None:
    values = loaded(text, tmp_path)
    assert isinstance(values, dict)
    assert values[section][key] == value


def test_faults_name_key_variable_and_place(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError,
        match=r"own\.yaml: paths\.positive_dir\.1 needs the environment variable NONE, .*; set it, or write \$\{NONE:-",
    ):
        loaded("paths: {positive_dir: [a, '${NONE}/b']}", tmp_path)
    with pytest.raises(ConfigError, match=r"--set export\.author=\$\{NONE\}: export\.author needs"):
        loaded("", tmp_path, "export.author=${NONE}")
    with pytest.raises(ConfigError, match=r"export\.author is '\$\{1X\}', where \$\{ begins no variable"):
        loaded("", tmp_path, "export.author=${1X}")
    loaded("training: {batch_size: '${NONE}'}", tmp_path, "training.batch_size=3")  # what is overridden need not be set


@pytest.mark.parametrize(
    "value", ["'${SECRET}'", "['${SECRET}', 3]", "[1, '${SECRET}']", "'${NONE:-[1, x]}'", "{a: '${SECRET}'}"]
)
def test_a_secret_is_never_shown(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(f"training: {{training_steps: {value}}}", tmp_path)
    assert "hunter2" not in str(caught.value)
    assert "${" in str(caught.value)
    assert "training.training_steps" in str(caught.value)


def test_a_resolved_file_holds_values_and_no_variables(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("export: {wake_word: '${DATA}', author: '$${DATA}'}")
    config = load_config(str(tmp_path / "own.yaml"))
    assert (config.export.wake_word, config.export.author) == ("/data sets", "${DATA}")
    write_config(config, tmp_path / "config.yaml")
    assert load_config(str(tmp_path / "config.yaml")) == config
