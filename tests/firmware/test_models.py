"""What is found wrong with models before any work begins."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from firmware.models import check_models
from wakeword.errors import ConfigError
from wakeword.operators import OPERATORS

type MakeManifest = Callable[..., Path]


def test_a_model_is_described_as_the_device_will_have_it(official_models: Path) -> None:
    alexa, nabu = check_models([official_models / "alexa.json", official_models / "okay_nabu.json"])
    assert (alexa.described.model_id, alexa.raw_data_id) == ("ww_alexa", "ww_alexa_data")
    assert (alexa.described.wake_word, alexa.described.cutoff, alexa.described.window, alexa.described.arena) == (
        "Alexa",
        229,
        5,
        22348,
    )
    assert alexa.described.bytes == len(alexa.content) == (official_models / "alexa.tflite").stat().st_size
    assert nabu.described.model_id == "ww_okay_nabu"


@pytest.mark.parametrize(
    ("wake_word", "model_id"),
    [
        ("Hey, you!", "ww_hey_you"),
        ("auto", "ww_auto"),
        ("3 wishes", "ww_3_wishes"),
        ("Привет", "ww_41f_440_438_432_435_442"),
    ],
)
def test_any_wake_word_gets_a_name_in_cpp(wake_word: str, model_id: str, manifest: MakeManifest) -> None:
    assert check_models([manifest(wake_word=wake_word)])[0].described.model_id == model_id


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"version": 1}, "is the window's name in version 2"),
        ({"version": 3}, "version: is 3"),
        ({"website": ""}, "website: is empty; write for example https://example.com, or leave the key out"),
        ({"comment": "trained in May"}, "comment: ESPHome does not know this key"),
        ({"feature_step_size": 20}, "a feature slice every 20 ms, and the bench measures boards at 10 ms alone"),
        ({"wake_word": ""}, "wake_word is empty"),
        ({"wake_word": "vad"}, "voice activity"),
        ({"wake_word": "one|two"}, "holds '|'".replace("|", r"\|")),
        ({"wake_word": "one;two"}, "holds ';'"),
        ({"wake_word": "one\ntwo"}, r"holds '\\n'"),
        ({"minimum_esphome_version": "2099.1.0"}, "2099.1.0 is newer than ESPHome"),
        ({"minimum_esphome_version": "soon"}, "is no version"),
        ({"tensor_arena_size": 5000}, "manifest arena"),
        ({"model": "gone.tflite"}, "does not exist"),
    ],
)
def test_a_manifest_that_cannot_do_is_refused(
    changes: dict[str, object], complaint: str, manifest: MakeManifest
) -> None:
    path = manifest(**changes)
    with pytest.raises(ConfigError, match=complaint) as raised:
        check_models([path])
    assert str(path) in str(raised.value)


def test_what_is_no_manifest_is_refused(tmp_path: Path, official_models: Path) -> None:
    for path in (tmp_path / "none.json", official_models / "alexa.tflite"):
        with pytest.raises(ConfigError, match=str(path)):
            check_models([path])
    with pytest.raises(ConfigError, match="--model"):
        check_models([])


def test_a_model_that_the_device_would_not_run_is_refused(manifest: MakeManifest) -> None:
    path = manifest()
    model = path.parent / json.loads(path.read_text())["model"]
    model.write_bytes(model.read_bytes()[:20_000])
    with pytest.raises(ConfigError):
        check_models([path])


def test_a_model_with_an_operator_that_the_device_lacks_is_refused(
    official_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(OPERATORS, "LOGISTIC")
    with pytest.raises(ConfigError, match=r"the device will not run this model \(operators\): operators: .*LOGISTIC"):
        check_models([official_models / "alexa.json"])


def test_two_models_that_cannot_be_told_apart_are_refused(manifest: MakeManifest) -> None:
    alexa = manifest()
    with pytest.raises(ConfigError, match="could not be told apart"):
        check_models([alexa, manifest("okay_nabu", wake_word="Alexa")])
    with pytest.raises(ConfigError, match="would both be named ww_alexa"):
        check_models([alexa, manifest("okay_nabu", wake_word="alexa?")])


def test_the_arena_is_told_for_each_version(official_models: Path, tmp_path: Path) -> None:
    from firmware.arena import arena_rows, version_words

    manifest, model = official_models / "hey_jarvis.json", official_models / "hey_jarvis.tflite"
    told = {row.kernels.version: row.verdict for row in arena_rows(manifest)}
    assert "bytes short; the device runs it with 1.5 times the size" in told.pop("1.2.1")
    assert all(said == "enough" or "within the estimate's 3%" in said for said in told.values())
    assert {row.verdict for row in arena_rows(model)} == {""}
    content = json.loads(manifest.read_text())
    content["micro"]["tensor_arena_size"] = 4000
    small = tmp_path / "hey_jarvis.json"
    small.write_text(json.dumps(content))
    shutil.copy(model, tmp_path)
    assert all("too small even at twice its size" in row.verdict for row in arena_rows(small))
    words = "\n".join(version_words())
    assert "was not looked at" in words
    assert "https://github.com/esphome/esphome/issues/15680" in words
