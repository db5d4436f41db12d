"""Exports of a trained run: float, by given settings, refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.commands import one_line_error, run
from tests.model_builder import ModelBuilder
from tests.trainer.commands.cycle import WEIGHTS, Cycle
from trainer.config.loader import load_config
from trainer.data.dataset import read_recordings
from trainer.data.split import Split
from trainer.exporting import ONNX_TOLERANCE, default_name, export_run
from trainer.inference.runs import run_folder
from trainer.terminal import Terminal
from wakeword.errors import ConfigError, MeasurementFailure
from wakeword.model.manifest import read_manifest


def test_a_float_export_says_what_it_is_not_for_and_leaves_the_devices_model(cycle: Cycle, tmp_path: Path) -> None:
    folder = shutil.copytree(cycle.manifest.parent, tmp_path / "exported")
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    (folder / "streaming" / "of the older export").touch()
    done = run(
        cycle.cache, "mww-export", "--checkpoint", cycle.run / WEIGHTS, "--output", folder, "--no-quantize", "--jobs", 1
    )
    assert done.returncode == 0, done.stderr
    assert "no ESPHome device runs it. So it has no manifest" in done.stdout
    assert "the device contract was not checked" in done.stdout
    names = {"computer.float32.tflite", "computer.float32.config.yaml", "computer.float32.export.json"}
    assert {path.name for path in folder.iterdir()} == {*before, *names, "streaming"}
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert (folder / "streaming" / "saved_model.pb").is_file()
    assert not (folder / "streaming" / "of the older export").exists()
    record = json.loads((folder / "computer.float32.export.json").read_text())
    assert (record["quantized"], record["probability_cutoff"], record["tensor_arena_size"]) == (False, None, None)
    assert record["agreement"]["maximum"] < 1e-4
    assert load_config(str(folder / "computer.float32.config.yaml")).export.quantize is False
    assert run(cycle.cache, "mww-verify", folder / "computer.float32.tflite").returncode == 1
    evaluated = run(cycle.cache, "mww-evaluate", "--tflite", folder / "computer.float32.tflite", "--run", cycle.run)
    assert "takes FLOAT32 and gives FLOAT32, and a device needs INT8 and UINT8" in one_line_error(evaluated)


def test_an_onnx_export_runs_where_nothing_of_ours_is_and_leaves_the_others(cycle: Cycle, tmp_path: Path) -> None:
    import numpy as np
    import onnxruntime

    folder = shutil.copytree(cycle.manifest.parent, tmp_path / "exported")
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    arguments = ("mww-export", "--checkpoint", cycle.run / WEIGHTS, "--output", folder, "--onnx")
    done = run(cycle.cache, *arguments)
    assert done.returncode == 0, done.stderr
    assert "ONNX Runtime against Keras: largest difference " in done.stdout
    names = {f"computer.streaming.{ending}" for ending in ("onnx", "config.yaml", "export.json")}
    assert {path.name for path in folder.iterdir()} == {*before, *names, "streaming"}
    assert {name: (folder / name).read_bytes() for name in before} == before
    record = json.loads((folder / "computer.streaming.export.json").read_text())
    assert (record["quantized"], record["model"]) == (False, "computer.streaming.onnx")
    assert record["agreement"]["maximum"] <= ONNX_TOLERANCE
    assert {"onnxruntime", "tf2onnx"} < set(record["software"])
    session = onnxruntime.InferenceSession(folder / "computer.streaming.onnx")
    about = session.get_modelmeta().custom_metadata_map
    assert (about["wake_word"], about["stride"]) == ("Computer", str(session.get_inputs()[0].shape[1]))
    given = {one.name: np.zeros(one.shape, np.float32) for one in session.get_inputs()}
    assert 0 <= session.run(["probability"], given)[0][0, 0] <= 1
    assert "give one of them" in one_line_error(run(cycle.cache, *arguments, "--no-quantize"))


def test_an_onnx_file_that_gives_other_probabilities_is_not_written(
    cycle: Cycle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.exporting.ONNX_TOLERANCE", 0.0)
    done = run(cycle.cache, "mww-export", "--checkpoint", cycle.run / WEIGHTS, "--output", tmp_path / "new", "--onnx")
    assert done.returncode == 1
    complaint = "error: ONNX Runtime gives other probabilities than Keras: the largest difference is "
    assert done.stderr.splitlines()[-1].startswith(complaint)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_given_cutoff_and_arena_are_the_manifests(cycle: Cycle, tmp_path: Path) -> None:
    settings = ["export.probability_cutoff=0.5", "export.tensor_arena_size=123456", "export.wake_word=Grüß dich!"]
    given = [part for setting in settings for part in ("--set", setting)]
    # From the checkpoint's own folder, into a folder that holds an older export.
    folder = shutil.copytree(cycle.manifest.parent, tmp_path / "exported")
    done = run(
        cycle.cache,
        "mww-export",
        "--checkpoint",
        WEIGHTS.name,
        "--output",
        folder,
        *given,
        "--jobs",
        1,
        folder=cycle.run / "checkpoints",
    )
    assert done.returncode == 0, done.stderr
    manifest, _ = read_manifest(folder / "gru_dich.json")
    assert (manifest.micro.probability_cutoff, manifest.micro.tensor_arena_size) == (0.5, 123456)
    assert "(arena 123456 bytes)" in done.stdout
    assert "chosen on validation" not in done.stdout
    assert (folder / "computer.tflite").is_file()
    assert (folder / "streaming" / "saved_model.pb").is_file()
    assert not list(folder.glob(".*"))
    assert run(cycle.cache, "mww-verify", folder / "gru_dich.json").returncode == 0


def test_what_verify_would_fail_is_not_written(cycle: Cycle, tmp_path: Path) -> None:
    given = [
        "--checkpoint",
        cycle.run / WEIGHTS,
        "--output",
        tmp_path / "out",
        "--set",
        "export.probability_cutoff=0.5",
    ]
    refused = run(cycle.cache, "mww-export", *given, "--set", "export.tensor_arena_size=1000", "--jobs", 1)
    assert "export.tensor_arena_size: tensor_arena_size 1,000, estimated need" in refused.stderr.splitlines()[-1]
    assert (refused.returncode, refused.stdout, (tmp_path / "out").exists()) == (2, "", False)
    for setting, said in (
        ("website=github.com/me", "is no full address"),
        ("minimum_esphome_version=soon", "is no version"),
    ):
        assert said in one_line_error(run(cycle.cache, "mww-export", *given, "--set", f"export.{setting}"))


def test_recordings_that_have_changed_are_not_exported_with(cycle: Cycle, tmp_path: Path) -> None:
    folder = shutil.copytree(cycle.run, tmp_path / "run")
    table = folder / "recordings.csv"
    record = next(record for record in read_recordings(folder) if record.split is Split.VAL)
    table.write_text(table.read_text().replace(record.sha256, "0" * 64))
    done = run(cycle.cache, "mww-export", "--checkpoint", folder / WEIGHTS, "--output", tmp_path / "out")
    assert f"{record.path}: holds something else than when the run was trained" in one_line_error(done)
    done = run(cycle.cache, "mww-evaluate", "--checkpoint", folder / WEIGHTS, "--split", "val")
    assert f"{record.path}: holds something else than when the run was trained" in one_line_error(done)
    assert not (tmp_path / "out").exists()


def test_checkpoints_that_are_none(cycle: Cycle, tmp_path: Path) -> None:
    assert (
        f"{cycle.root.parent / 'config.yaml'}: does not exist; give a checkpoint within the folder of its run"
        in one_line_error(
            run(cycle.cache, "mww-export", "--checkpoint", cycle.root / "own.yaml", "--output", tmp_path / "out")
        )
    )
    assert "--model-name" in one_line_error(
        run(cycle.cache, "mww-export", "--checkpoint", cycle.run / WEIGHTS, "--set", "export.wake_word=東京")
    )
    (tmp_path / "file").touch()
    assert "is a file; name a folder" in one_line_error(
        run(cycle.cache, "mww-export", "--checkpoint", cycle.run / WEIGHTS, "--output", tmp_path / "file")
    )
    # Said before recordings are heard.
    assert f"{tmp_path / 'file'} is not a folder" in one_line_error(
        run(cycle.cache, "mww-export", "--checkpoint", cycle.run / WEIGHTS, "--output", tmp_path / "file" / "out")
    )
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_model_that_breaks_the_contract_replaces_nothing(
    cycle: Cycle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    builder = ModelBuilder()
    source = builder.tensor("source", "INT8", (1, 3, 40), scales=26 / 255, zero_points=-128)
    output = builder.tensor("output", "FLOAT32", (1, 3, 40))
    builder.operator("DEQUANTIZE", [source], [output])
    builder.interface([source], [output])
    folder = shutil.copytree(cycle.manifest.parent, tmp_path / "exported")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def broken(*_arguments: object, folder: Path, **_options: object) -> bytes:
        (folder / "streaming").mkdir()
        return builder.build()

    monkeypatch.setattr("trainer.exporting.convert", broken)
    monkeypatch.setenv("MWW_CACHE_DIR", str(cycle.cache))
    config = load_config(str(cycle.run / "config.yaml"))
    with (
        Terminal() as terminal,
        pytest.raises(MeasurementFailure, match=r"breaks the device contract: .*nothing was written"),
    ):
        export_run(cycle.run / WEIGHTS, config, folder, "computer", terminal, jobs=1)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert not list(folder.glob(".*"))


def test_names_of_files_come_from_the_wake_word() -> None:
    assert default_name("Hey,  Jarvis!") == "hey_jarvis"
    assert default_name("Café ../2") == "cafe_2"
    with pytest.raises(ConfigError, match="name the files with --model-name"):
        default_name("東京")
    assert run_folder(Path("run/checkpoints/best.h5")) == Path.cwd() / "run"
