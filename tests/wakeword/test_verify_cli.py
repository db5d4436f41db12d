"""`mww-verify` as a user meets it."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-c", "import sys; sys.argv[0] = 'mww-verify'; from wakeword.cli import verify_app; verify_app()"]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60)


def test_help_has_examples() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert "mww-verify okay_computer.json --verbose" in done.stdout


def test_a_good_model(official_models: Path) -> None:
    done = run(official_models / "hey_jarvis.tflite", "--verbose")
    assert done.returncode == 0, done.stderr
    assert "state types" in done.stdout
    assert "tensor_arena_size for a manifest" in done.stdout
    assert done.stderr == ""


def test_a_path_is_no_markup(official_models: Path, tmp_path: Path) -> None:
    folder = tmp_path / "["
    folder.mkdir()
    shutil.copy(official_models / "hey_jarvis.tflite", folder / "red]model.tflite")
    # As markup this would be a closing tag that nothing opened.
    done = subprocess.run([*COMMAND, "[/red]model.tflite"], capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path)
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
    record = {"model": "alexa.tflite", "model_sha256": digest, "quantized": True, "weights": "w.h5", "weights_sha256": "", "config_sha256": ""}
    record |= {"probability_cutoff": 0.9, "chosen_on_validation": None, "tensor_arena_size": 1, "agreement": agreement, "software": {}}
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
