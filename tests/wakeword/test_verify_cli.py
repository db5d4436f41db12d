"""`mww-verify` as a user meets it."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import struct
from functools import partial
from pathlib import Path

import pytest

from tests import commands
from tests.manifests import first_format

run = partial(commands.run, None, "mww-verify")


def test_help_has_examples() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert "mww-verify okay_computer.json --verbose" in done.stdout


def test_a_good_model(official_models: Path) -> None:
    done = run(official_models / "hey_jarvis.tflite", "--verbose")
    assert done.returncode == 0, done.stderr
    assert "state types" in done.stdout
    assert "tensor_arena_size for a manifest" in done.stdout
    assert done.stdout.splitlines()[-1] == f"{official_models / 'hey_jarvis.tflite'}: the device will run this model"
    assert done.stderr == ""


def test_a_path_is_no_markup(official_models: Path, tmp_path: Path) -> None:
    folder = tmp_path / "["
    folder.mkdir()
    shutil.copy(official_models / "hey_jarvis.tflite", folder / "red]model.tflite")
    # As markup this would be a closing tag that nothing opened.
    done = run("[/red]model.tflite", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "[/red]model.tflite" in done.stdout


def test_a_good_manifest_as_json(official_models: Path) -> None:
    done = run(official_models / "hey_jarvis.json", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["passed"] is True
    assert report["checks"][-1]["name"] == "manifest arena"
    assert len(report["sha256"]) == 64
    assert report["bytes"] == 52_272
    assert [sum(graph["operators"].values()) for graph in report["subgraphs"]] == [45, 12]
    assert sum(report["state_bytes"].values()) == 2840
    assert report["recommended_arena_size"] >= report["arena_bytes"] > 20_000
    assert report["float_model"] is None
    assert "host_arena" not in report
    verbose = json.loads(run(official_models / "hey_jarvis.json", "--json", "--verbose").stdout)
    assert verbose["host_arena"]["minimum"] >= verbose["host_arena"]["used"] > 10_000


def test_the_record_of_an_export_is_read(official_models: Path, tmp_path: Path) -> None:
    for name in ("alexa.tflite", "alexa.json"):
        shutil.copy(official_models / name, tmp_path)
    agreement = {"mean": 0.001, "maximum": 0.1, "inferences": 500}
    digest = hashlib.sha256((tmp_path / "alexa.tflite").read_bytes()).hexdigest()
    record = {
        "model": "alexa.tflite",
        "model_sha256": digest,
        "quantized": True,
        "weights": "w.h5",
        "weights_sha256": "",
        "config_sha256": "",
    }
    record |= {
        "probability_cutoff": 0.9,
        "chosen_on_validation": None,
        "tensor_arena_size": 1,
        "agreement": agreement,
        "software": {},
    }
    (tmp_path / "alexa.export.json").write_text(json.dumps(record))
    report = json.loads(run(tmp_path / "alexa.json", "--json").stdout)
    assert report["float_model"] == agreement
    assert (report["checks"][-1]["name"], report["checks"][-1]["status"]) == ("float model", "passed")

    (tmp_path / "alexa.export.json").write_text(json.dumps(record | {"agreement": agreement | {"mean": 0.03}}))
    done = run(tmp_path / "alexa.tflite")
    assert done.returncode == 0, "the device runs it"
    assert "warning" in done.stdout
    (tmp_path / "alexa.export.json").unlink()
    assert "agreement with its float model: not known" in run(tmp_path / "alexa.tflite", "--verbose").stdout


def test_a_manifest_whose_arena_cannot_do(official_models: Path, tmp_path: Path) -> None:
    shutil.copy(official_models / "hey_jarvis.tflite", tmp_path)
    manifest = json.loads((official_models / "hey_jarvis.json").read_text())
    manifest["micro"]["tensor_arena_size"] = 9000
    path = tmp_path / "hey_jarvis.json"
    path.write_text(json.dumps(manifest))
    done = run(path, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["passed"] is False
    assert done.stderr.startswith("error: ")
    assert "manifest arena" in done.stderr


def changed(official_models: Path, folder: Path, **changes: object) -> Path:
    """The official alexa with changes to its manifest; None removes a key, `micro` values by their own names."""
    shutil.copy(official_models / "alexa.tflite", folder)
    content = json.loads((official_models / "alexa.json").read_text())
    for key, value in changes.items():
        part = content["micro"] if key in (*content["micro"], "sliding_window_average_size") else content
        part.pop(key, None)
        if value is not None:
            part[key] = value
    path = folder / "alexa.json"
    path.write_text(json.dumps(content))
    return path


def test_all_that_is_wrong_with_a_manifest_is_said_at_once(official_models: Path, tmp_path: Path) -> None:
    path = changed(
        official_models,
        tmp_path,
        trained_languages=None,
        website="github.com/me",
        comment="trained in May",
        feature_step_size=None,
        sliding_window_size=None,
        sliding_window_average_size=5,
        probability_cutoff=97,
    )
    done = run(path, "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    lines = [check["detail"] for check in report["checks"] if check["name"] == "manifest"]
    for said in (
        "trained_languages: missing",
        "website: 'github.com/me' is no full address",
        "comment: ESPHome does not know this key",
        "micro.feature_step_size: missing",
        "micro.sliding_window_size: missing",
        "micro.sliding_window_average_size: is the window's name in version 1",
        "micro.probability_cutoff: is 97",
    ):
        assert sum(line.startswith(said) for line in lines) == 1, (said, lines)
    assert len(lines) == 7
    # The model beside it is checked all the same.
    assert {check["name"]: check["status"] for check in report["checks"]}["interpreter"] == "passed"
    assert "ESPHome 2026.10.0 does not take this manifest as it is meant (7 faults)" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"model": None}, "model: missing"), ({"model": "gone.tflite"}, "does not exist; put the file there")],
)
def test_a_manifest_without_its_model(
    official_models: Path, tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    done = run(changed(official_models, tmp_path, **changes))
    assert done.returncode == 1
    assert said in " ".join(done.stdout.replace("│", " ").split())
    assert len(done.stderr.splitlines()) == 1


def test_what_esphome_accepts_and_hands_on_wrongly_fails(official_models: Path, tmp_path: Path) -> None:
    done = run(
        changed(official_models, tmp_path, tensor_arena_size="26080", sliding_window_size=0, trained_languages="en"),
        "--json",
    )
    assert done.returncode == 1
    lines = [check["detail"] for check in json.loads(done.stdout)["checks"] if check["name"] == "manifest"]
    assert sorted(line.split(":")[0] for line in lines) == [
        "micro.sliding_window_size",
        "micro.tensor_arena_size",
        "trained_languages",
    ]


def test_a_model_named_vad_is_a_warning(official_models: Path, tmp_path: Path) -> None:
    done = run(changed(official_models, tmp_path, wake_word="vad", tensor_arena_size=26_000))
    assert done.returncode == 0
    assert "voice activity model" in " ".join(done.stdout.replace("│", " ").split())
    assert done.stdout.splitlines()[-1].endswith("the device will run this model, with 1 warning (manifest)")


def test_a_foreign_input_scale_is_measured_at_the_output(official_models: Path, tmp_path: Path) -> None:
    content = (official_models / "alexa.tflite").read_bytes()
    scale = struct.pack("<f", 26 / 255)
    assert scale in content
    (tmp_path / "off.tflite").write_bytes(content.replace(scale, struct.pack("<f", 26 / 255 * 0.99)))
    done = run(tmp_path / "off.tflite", "--json")
    assert done.returncode == 0, done.stderr
    (check,) = [check for check in json.loads(done.stdout)["checks"] if check["name"] == "input quantisation"]
    assert check["status"] == "warning"
    assert re.search(
        r"synthetic speech the output moves by \d+\.\d\d of 255 steps on average, [1-9]\d* at most", check["detail"]
    )


def test_a_version_1_manifest_is_judged_as_version_1(tmp_path: Path, official_models: Path) -> None:
    done = run(first_format(official_models, tmp_path), "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert "of version 1, and takes a step of 20 ms and an arena of 45,672 bytes" in report["checks"][0]["detail"]
    assert "tensor_arena_size 45,672" in report["checks"][-1]["detail"]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("https://github.com/o/r/blob/main/ru_gi.json", "https://github.com/o/r/blob/main/ru_gi.json"),
        ("http://x.org/a.tflite", "http://x.org/a.tflite"),
        ("github://o/r/ru_gi.json@main", "github://o/r/ru_gi.json@main"),
        ("okay_nabu", "okay_nabu"),
    ],
)
def test_addresses_are_not_fetched(given: str, named: str) -> None:
    done = run(given)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {named}: ")
    assert "addresses are not fetched: download model and manifest" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("damage", ["truncated", "not a model", "missing"])
def test_what_is_no_model(official_models: Path, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "model.tflite"
    if damage == "truncated":
        path.write_bytes((official_models / "alexa.tflite").read_bytes()[:30_000])
    elif damage == "not a model":
        path.write_bytes(b"<html>404</html>")
    done = run(path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {path}")
    assert len(done.stderr.splitlines()) == 1


def test_usage_errors_exit_2() -> None:
    assert run().returncode == 2
    assert run("--no-such-option").returncode == 2
