"""What `mww-generate`, `mww-train` and `mww-export` make of a phrase, up to a model that ESPHome and the simulated
board take.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from firmware.toolenv import ToolEnvironment, neutral_environment
from harness.results.schema import read_result
from tests.commands import DEADLINE_S, run
from tests.trainer.commands.cycle import CLIPS, STATE, WEIGHTS, Cycle
from trainer.config.loader import load_config
from trainer.data.dataset import read_recordings
from trainer.data.split import Split
from wakeword.corpus.recordings import hash_file
from wakeword.model.float_model import MEASURE_GROUP
from wakeword.model.manifest import read_manifest


def test_a_phrase_becomes_a_corpus(cycle: Cycle) -> None:
    thrown_out = len(list((cycle.corpus / "thrown_out").rglob("*.wav")))
    assert f"{CLIPS - thrown_out} clips in" in cycle.said["generated"]
    assert len(list(cycle.corpus.rglob("*.wav"))) == CLIPS
    assert thrown_out <= CLIPS / 10, "most of what an engine says is said right"


def test_a_run_folder_describes_itself(cycle: Cycle) -> None:
    assert sorted(path.name for path in cycle.run.iterdir()) == [
        "checkpoints",
        "composition.csv",
        "config.yaml",
        "duplicates.csv",
        "lists",
        "recordings.csv",
        "rejected.csv",
        "tensorboard",
        "training.log",
        "validation.csv",
    ]
    checkpoints = {path.name for path in (cycle.run / "checkpoints").iterdir()}
    assert checkpoints > {WEIGHTS.name, STATE}
    assert all(name.startswith(("best_", "checkpoint_step_")) for name in checkpoints - {STATE})
    records = read_recordings(cycle.run)
    assert len(records) == CLIPS - len(list((cycle.corpus / "thrown_out").rglob("*.wav")))
    speakers = {split: {record.speaker for record in records if record.split is split} for split in Split}
    assert all(speakers.values())
    assert not speakers[Split.TRAIN] & (speakers[Split.VAL] | speakers[Split.TEST])
    assert load_config(str(cycle.run / "config.yaml")).export.author == "nobody"
    assert "step 160: recall" in cycle.said["trained"]
    assert f"Weights: {cycle.run / WEIGHTS}" in cycle.said["trained"]
    assert " streams found in the feature cache, " in cycle.said["trained"]
    assert " sets of training features found in " in cycle.said["trained"]
    assert ", feature_cache_misses " in (cycle.run / "training.log").read_text()


def test_an_export_is_a_model_its_manifest_and_how_they_came_to_be(cycle: Cycle) -> None:
    names = [
        "computer.config.yaml",
        "computer.esphome.yaml",
        "computer.export.json",
        "computer.json",
        "computer.tflite",
        "streaming",
    ]
    assert sorted(path.name for path in cycle.manifest.parent.iterdir()) == names
    manifest, _ = read_manifest(cycle.manifest)
    record = json.loads(cycle.manifest.with_name("computer.export.json").read_text())
    assert (manifest.wake_word, manifest.author, manifest.model) == ("Computer", "nobody", "computer.tflite")
    assert (
        manifest.micro.probability_cutoff
        == record["probability_cutoff"]
        == record["chosen_on_validation"]["probability_cutoff"]
    )
    assert manifest.micro.tensor_arena_size == record["tensor_arena_size"]
    assert record["agreement"]["mean"] < 0.05
    assert [figures["form"] for figures in record["forms"]] == ["float", "int8"]
    assert record["forms"][1]["agreement"] == record["agreement"]
    assert record["quantized"] is True
    assert record["model_sha256"] == hash_file(cycle.manifest.with_suffix(".tflite"))
    assert record["weights_sha256"] == hash_file(cycle.run / WEIGHTS)
    assert record["config_sha256"] in cycle.manifest.with_name("computer.config.yaml").read_text().splitlines()[0]
    assert load_config(str(cycle.manifest.with_name("computer.config.yaml"))) == load_config(
        str(cycle.run / "config.yaml")
    )


DEVICE = """
esphome: {name: kitchen}
esp32: {variant: esp32s3, framework: {type: esp-idf}}
psram: {mode: octal, speed: 80MHz}
i2s_audio: [{i2s_lrclk_pin: 5, i2s_bclk_pin: 6}]
microphone: [{platform: i2s_audio, adc_type: external, i2s_din_pin: 4, pdm: false}]
packages: {wake_word: !include computer.esphome.yaml}
"""
"""A user's own device, which loads a model with the lines that an export writes."""


def test_esphome_takes_an_export_as_it_was_written(cycle: Cycle, esphome: ToolEnvironment, tmp_path: Path) -> None:
    for suffix in (".json", ".tflite", ".esphome.yaml"):
        shutil.copy(cycle.manifest.with_suffix(suffix), tmp_path)
    lines = [line for line in (tmp_path / "computer.esphome.yaml").read_text().splitlines() if not line.startswith("#")]
    assert "\n".join(lines) in cycle.said["exported"]
    (tmp_path / "device.yaml").write_text(DEVICE)
    said = validated(esphome, tmp_path / "device.yaml")
    assert "path: computer.json" in said or "computer.json" in said
    # The very same device with a manifest that ESPHome refuses: the check can fail.
    content = json.loads((tmp_path / "computer.json").read_text())
    assert "website" not in content
    (tmp_path / "computer.json").write_text(json.dumps(content | {"website": ""}))
    with pytest.raises(AssertionError, match="Invalid manifest file"):
        validated(esphome, tmp_path / "device.yaml")


def validated(esphome: ToolEnvironment, configuration: Path) -> str:
    """What `esphome config` makes of a device's configuration; fails with its complaint where it refuses it."""
    variables = neutral_environment()
    done = subprocess.run(
        [esphome.esphome, "config", configuration],
        capture_output=True,
        text=True,
        env=variables,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_model_is_verified_and_runs_on_the_simulated_board(cycle: Cycle, tmp_path: Path) -> None:
    verified = run(cycle.cache, "mww-verify", cycle.manifest, "--json")
    assert verified.returncode == 0, verified.stderr
    assert (
        json.loads(verified.stdout)["float_model"]
        == json.loads(cycle.manifest.with_name("computer.export.json").read_text())["agreement"]
    )
    result = tmp_path / "result.json"
    lists = cycle.run / "lists"
    simulated = run(
        cycle.cache, "mww-simulate", cycle.manifest, lists / "test_positive.txt", "--truth", "wake", "--result", result
    )
    assert simulated.returncode == 0, simulated.stderr
    (measured,) = read_result(result).runs
    assert len(measured.files) == sum(
        record.split is Split.TEST and record.label == "positive" for record in read_recordings(cycle.run)
    )
    speech = run(
        cycle.cache, "mww-simulate", cycle.manifest, lists / "val_negative.txt", "--mode", "stream", "--truth", "none"
    )
    assert speech.returncode == 0, speech.stderr


def test_verify_compares_with_the_weights_where_the_trainer_is_installed(
    cycle: Cycle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As pyproject.toml has it, whether or not this environment was made from that version of it.
    entries = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]["entry-points"][
        MEASURE_GROUP
    ]
    installed = tmp_path / "trainer-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: trainer\nVersion: 1\n")
    (installed / "entry_points.txt").write_text(
        "\n".join([f"[{MEASURE_GROUP}]", *(f"{name} = {target}" for name, target in entries.items())])
    )
    monkeypatch.syspath_prepend(tmp_path)
    model = shutil.copy(cycle.manifest.with_suffix(".tflite"), tmp_path / "alone.tflite")
    done = run(cycle.cache, "mww-verify", model, "--checkpoint", cycle.run / WEIGHTS, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (
        report["float_model"] == json.loads(cycle.manifest.with_name("computer.export.json").read_text())["agreement"]
    )
    assert (report["checks"][-1]["name"], report["checks"][-1]["status"]) == ("float model", "passed")
