"""`mww-generate`, `mww-train` and `mww-export` as a user runs them, up to a model that the simulated board runs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from firmware.toolenv import ToolEnvironment, neutral_environment
from harness.results.schema import read_result
from trainer.config.loader import load_config
from trainer.data.dataset import read_recordings
from trainer.data.split import Split
from trainer.exporting import default_name, export_run
from trainer.terminal import Terminal
from trainer.trained import run_folder
from wakeword.corpus.recordings import hash_file
from wakeword.errors import ConfigError, MeasurementFailure
from wakeword.locks import FOLDER_LOCK, hold_folder
from wakeword.model.build import ModelBuilder
from wakeword.model.float_model import MEASURE_GROUP
from wakeword.model.manifest import read_manifest

# Keras 3.15 copies weights through an __array__ without numpy 2's copy argument.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")

DEADLINE_S = 300
WEIGHTS = Path("checkpoints", "best_weights.weights.h5")
STATE = Path("checkpoints", "training_state.npz")

# Long enough to be interrupted in the middle, small enough to take a second.
CONFIGURATION = """
hardware: {clip_duration_ms: 500}
training: {training_steps: [150, 10], eval_step_interval: 20, batch_size: 8, time_mask_max_size: [5, 0], time_mask_count: [1, 0]}
augmentation: {copies: 1, computed_rooms: 2, computed_backgrounds: 4}
model: {first_conv_filters: 6, pointwise_filters: "6,6", mixconv_kernel_sizes: "[3],[5]", repeat_in_block: "1,1", residual_connection: "0,0"}
export: {wake_word: Computer, author: nobody}
"""


def environment(cache: Path) -> dict[str, str]:
    return os.environ | {"MWW_CACHE_DIR": str(cache), "COLUMNS": "160"}


def command(name: str, *arguments: object) -> list[str]:
    return [str(Path(sys.executable).parent / name), *map(str, arguments)]


def run(cache: Path, name: str, *arguments: object, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(name, *arguments), capture_output=True, text=True, env=environment(cache), cwd=folder, timeout=DEADLINE_S, check=False)


@dataclass(frozen=True)
class Cycle:
    """What the commands of one cycle made and said."""

    root: Path
    generated: subprocess.CompletedProcess[str]
    trained: subprocess.CompletedProcess[str]
    exported: subprocess.CompletedProcess[str]

    @property
    def corpus(self) -> Path:
        return self.root / "corpus"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def manifest(self) -> Path:
        return self.root / "exported" / "computer.json"

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    def train_arguments(self, folder: Path, corpus: Path | None = None) -> list[object]:
        paths = [f"paths.{kind}_dir={(corpus or self.corpus) / kind}" for kind in ("positive", "negative")]
        return ["--config", self.root / "own.yaml", "--output", folder, *(part for setting in paths for part in ("--set", setting))]


@pytest.fixture(scope="module")
def cycle(tmp_path_factory: pytest.TempPathFactory) -> Cycle:
    root = tmp_path_factory.mktemp("a cycle")
    cache = root / "cache"
    (root / "own.yaml").write_text(CONFIGURATION)
    none = subprocess.CompletedProcess[str]([], 0)
    generated = run(cache, "mww-generate", "computer", "--output", root / "corpus", "--positives", 40, "--near-misses", 40, "--sentences", 40, "--natural", 2)
    assert generated.returncode == 0, generated.stderr
    trained = run(cache, "mww-train", *Cycle(root, none, none, none).train_arguments(root / "run"))
    assert trained.returncode == 0, trained.stderr
    exported = run(cache, "mww-export", "--checkpoint", root / "run" / WEIGHTS, "--output", root / "exported")
    assert exported.returncode == 0, exported.stderr
    return Cycle(root, generated, trained, exported)


def one_line_error(done: subprocess.CompletedProcess[str], code: int = 2) -> str:
    """The message of a command that refused its input."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line


# --- the cycle -----------------------------------------------------------------------------------------------------------------


def test_a_phrase_becomes_a_corpus(cycle: Cycle) -> None:
    thrown_out = len(list((cycle.corpus / "thrown_out").rglob("*.wav")))
    assert f"{120 - thrown_out} clips in" in cycle.generated.stdout
    assert len(list(cycle.corpus.rglob("*.wav"))) == 120
    assert thrown_out <= 12, "most of what an engine says is said right"


def test_a_run_learns_from_the_one_before(cycle: Cycle, tmp_path: Path) -> None:
    before = (cycle.run / WEIGHTS).read_bytes()
    taught = ["--set", f"training.teachers=[{cycle.run / WEIGHTS}]", "--set", "training.seed=1", "--set", f"paths.splits={cycle.run / 'recordings.csv'}"]
    arguments = [*cycle.train_arguments(tmp_path / "run"), *taught]
    dry = run(cycle.cache, "mww-train", *arguments, "--dry-run")
    trained = run(cycle.cache, "mww-train", *arguments)
    assert trained.returncode == 0, trained.stderr
    for said in (dry.stdout, trained.stderr + trained.stdout):
        assert "90% of the loss is what an earlier model says" in said
    assert (tmp_path / "run" / WEIGHTS).is_file()
    assert (cycle.run / WEIGHTS).read_bytes() == before
    other_split = run(cycle.cache, "mww-train", *cycle.train_arguments(tmp_path / "other"), *taught[:2], "--set", "training.seed=3")
    assert other_split.returncode == 2, other_split.stderr
    assert "which validates or tests this run" in other_split.stderr.splitlines()[-1]
    assert not (tmp_path / "other").exists()


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
    assert checkpoints > {WEIGHTS.name, STATE.name}
    assert all(name.startswith(("best_", "checkpoint_step_")) for name in checkpoints - {STATE.name})
    records = read_recordings(cycle.run)
    assert len(records) == 120 - len(list((cycle.corpus / "thrown_out").rglob("*.wav")))
    speakers = {split: {record.speaker for record in records if record.split is split} for split in Split}
    assert all(speakers.values())
    assert not speakers[Split.TRAIN] & (speakers[Split.VAL] | speakers[Split.TEST])
    assert load_config(str(cycle.run / "config.yaml")).export.author == "nobody"
    assert "step 160: recall" in cycle.trained.stderr
    assert f"Weights: {cycle.run / WEIGHTS}" in cycle.trained.stdout


def test_an_export_is_a_model_its_manifest_and_how_they_came_to_be(cycle: Cycle) -> None:
    names = ["computer.config.yaml", "computer.esphome.yaml", "computer.export.json", "computer.json", "computer.tflite", "streaming"]
    assert sorted(path.name for path in cycle.manifest.parent.iterdir()) == names
    manifest, _ = read_manifest(cycle.manifest)
    record = json.loads(cycle.manifest.with_name("computer.export.json").read_text())
    assert (manifest.wake_word, manifest.author, manifest.model) == ("Computer", "nobody", "computer.tflite")
    assert manifest.micro.probability_cutoff == record["probability_cutoff"] == record["chosen_on_validation"]["probability_cutoff"]
    assert manifest.micro.tensor_arena_size == record["tensor_arena_size"]
    assert record["agreement"]["mean"] < 0.05
    assert record["quantized"] is True
    assert record["model_sha256"] == hash_file(cycle.manifest.with_suffix(".tflite"))
    assert record["weights_sha256"] == hash_file(cycle.run / WEIGHTS)
    assert record["config_sha256"] in cycle.manifest.with_name("computer.config.yaml").read_text().splitlines()[0]
    assert load_config(str(cycle.manifest.with_name("computer.config.yaml"))) == load_config(str(cycle.run / "config.yaml"))


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
    assert "\n".join(lines) in cycle.exported.stdout
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
    done = subprocess.run([esphome.esphome, "config", configuration], capture_output=True, text=True, env=variables, timeout=DEADLINE_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_model_is_verified_and_runs_on_the_simulated_board(cycle: Cycle, tmp_path: Path) -> None:
    verified = run(cycle.cache, "mww-verify", cycle.manifest, "--json")
    assert verified.returncode == 0, verified.stderr
    assert json.loads(verified.stdout)["float_model"] == json.loads(cycle.manifest.with_name("computer.export.json").read_text())["agreement"]
    result = tmp_path / "result.json"
    lists = cycle.run / "lists"
    simulated = run(cycle.cache, "mww-simulate", cycle.manifest, lists / "test_positive.txt", "--truth", "wake", "--result", result)
    assert simulated.returncode == 0, simulated.stderr
    (measured,) = read_result(result).runs
    assert len(measured.files) == sum(record.split is Split.TEST and record.label == "positive" for record in read_recordings(cycle.run))
    speech = run(cycle.cache, "mww-simulate", cycle.manifest, lists / "val_negative.txt", "--mode", "stream", "--truth", "none")
    assert speech.returncode == 0, speech.stderr


def test_a_dry_run_tells_what_would_be_trained_and_writes_nothing(cycle: Cycle, tmp_path: Path) -> None:
    cycle_before = [(path, path.stat().st_mtime_ns) for path in sorted(cycle.root.rglob("*"))]
    cache, corpus = tmp_path / "cache", shutil.copytree(cycle.corpus, tmp_path / "corpus")
    (corpus / "negative" / "notes, and more.txt").write_text("x")
    before = sorted(tmp_path.rglob("*"))
    arguments = cycle.train_arguments(tmp_path / "run", corpus)
    done = run(cache, "mww-train", *arguments, "--dry-run", "--set", "performance.max_memory_gb=2", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    for said in (
        "ESP32-S3 N8R8",
        "tensor arena",
        "MACs",
        "warning: only 40 positive clips",
        "notes, and more.txt",
        ".txt is not a known kind of audio file",
        f"folder {tmp_path / 'run'}: a new run",
        "150 + 10 steps of 8 windows, 8 evaluations",
        "limited to 2",
        "All checks are passed, and nothing was written.",
    ):
        assert "".join(said.split()) in "".join(done.stdout.split()), done.stdout  # lines are broken at the terminal's width
    table = read_recordings(cycle.run)
    for split in Split:
        positives = [record for record in table if record.split is split and record.label == "positive"]
        (row,) = [line.split() for line in done.stdout.splitlines() if line.startswith(f"{split.value} ")]
        assert row[1:3] == [str(len(positives)), str(len({record.speaker for record in positives}))]
    assert sorted(tmp_path.rglob("*")) == before
    assert [(path, path.stat().st_mtime_ns) for path in sorted(cycle.root.rglob("*"))] == cycle_before

    refused = run(cache, "mww-train", *arguments, "--dry-run", "--set", "performance.max_memory_gb=0.25", folder=tmp_path)
    assert refused.returncode == 2
    assert "max_memory_gb is 0.25, but training takes about" in refused.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_a_float_export_says_what_it_is_not_for_and_leaves_the_devices_model(cycle: Cycle, tmp_path: Path) -> None:
    folder = shutil.copytree(cycle.manifest.parent, tmp_path / "exported")
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    (folder / "streaming" / "of the older export").touch()
    done = run(cycle.cache, "mww-export", "--checkpoint", cycle.run / WEIGHTS, "--output", folder, "--no-quantize")
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


def test_verify_compares_with_the_weights_where_the_trainer_is_installed(cycle: Cycle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As pyproject.toml has it, whether or not this environment was made from that version of it.
    entries = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]["entry-points"][MEASURE_GROUP]
    installed = tmp_path / "trainer-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: trainer\nVersion: 1\n")
    (installed / "entry_points.txt").write_text("\n".join([f"[{MEASURE_GROUP}]", *(f"{name} = {target}" for name, target in entries.items())]))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    model = shutil.copy(cycle.manifest.with_suffix(".tflite"), tmp_path / "alone.tflite")
    done = run(cycle.cache, "mww-verify", model, "--checkpoint", cycle.run / WEIGHTS, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["float_model"] == json.loads(cycle.manifest.with_name("computer.export.json").read_text())["agreement"]
    assert (report["checks"][-1]["name"], report["checks"][-1]["status"]) == ("float model", "passed")


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


# --- refusals: exactly one line, nothing left behind ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("mww-generate", ["   "], "the wake phrase is empty"),
        ("mww-generate", ["東京"], "東京"),
        ("mww-generate", ["computer", "--engine", "festival"], "festival"),
        ("mww-generate", ["computer", "--output", "own.yaml"], "own.yaml: is a file"),
        ("mww-train", [], "export.wake_word is missing"),
        ("mww-train", ["--config", "fast_tst"], "did you mean fast_test?"),
        ("mww-train", ["--config", "own.yaml"], "dataset/positive: no such folder"),
        ("mww-train", ["--config", "own.yaml", "--set", "paths.positive_dir=empty"], "dataset/negative: no such folder"),
        ("mww-train", ["--config", "own.yaml", "--set", "paths.positive_dir=empty", "--set", "paths.negative_dir=empty"], "no usable positive recording"),
        ("mww-train", ["--config", "own.yaml", "--set", "training.batchsize=3"], "did you mean training.batch_size?"),
        (
            "mww-train",
            ["--config", "own.yaml", "--set", "training.learning_rates=[1]"],
            "has 2 values, so there are 2 phases, and training.learning_rates has 1",
        ),
        ("mww-train", ["--config", "own.yaml", "--set", "model.pointwise_filters=6,6,6"], "give one entry a block to each"),
        ("mww-train", ["--config", "own.yaml", "--override", "none.yaml"], "none.yaml: cannot be read"),
        ("mww-train", ["--config", "own.yaml", "--set", "training.time_mask_max_size=[999, 0]"], "time_mask_max_size has 999; a training window has"),
        ("mww-train", ["--config", "own.yaml", "--set", "paths.rir_dir=none"], "none: no such folder; correct paths.rir_dir"),
        ("mww-train", ["--config", "own.yaml", "--set", "export.author=${MWW_NOBODY}"], "export.author needs the environment variable MWW_NOBODY"),
        ("mww-train", ["--config", "own.yaml", "--set", "hardware.mel_bins=80"], "this is always 40, because"),
        ("mww-train", ["--config", "own.yaml", "--set", "paths.checkpoint_dir=own.yaml"], "own.yaml: is a file; name a folder"),
        ("mww-train", ["--config", "own.yaml", "--output", "own.yaml"], "own.yaml: is a file; name a folder"),
        ("mww-train", ["--config", "own.yaml", "--output", "own.yaml/run"], "own.yaml is not a folder"),
        ("mww-train", ["--config", "own.yaml", "--output", "own.yaml/run", "--dry-run"], "own.yaml is not a folder"),
        ("mww-export", ["--checkpoint", "none.weights.h5"], "none.weights.h5: does not exist; give"),
        ("mww-export", ["--checkpoint", "empty/x.h5"], "empty/x.h5: does not exist"),
    ],
)
def test_wrong_input_is_refused_in_one_line(tmp_path: Path, name: str, arguments: list[str], message: str) -> None:
    (tmp_path / "own.yaml").write_text(CONFIGURATION)
    (tmp_path / "empty").mkdir()
    refused = one_line_error(run(tmp_path / "cache", name, *arguments, folder=tmp_path))
    assert message in refused
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["empty", "own.yaml"]


@pytest.mark.parametrize("name", ["mww-generate", "mww-train", "mww-export"])
def test_help_answers_at_once(tmp_path: Path, name: str) -> None:
    begin = time.monotonic()
    done = run(tmp_path, name, "--help")
    assert time.monotonic() - begin < 3
    assert done.returncode == 0
    assert f"{name} " in done.stdout


def test_the_schema_is_printed_without_a_configuration(tmp_path: Path) -> None:
    done = run(tmp_path, "mww-train", "--schema")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["properties"].keys() >= {"paths", "export"}


def test_help_needs_no_heavy_import() -> None:
    heavy = "tensorflow", "keras", "scipy", "matplotlib"
    script = f"import sys, trainer.cli, trainer.config.loader; sys.exit(', '.join(set({heavy}) & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_a_run_with_other_settings_or_recordings_is_refused_and_unharmed(cycle: Cycle, tmp_path: Path) -> None:
    folder = shutil.copytree(cycle.run, tmp_path / "run")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    arguments = cycle.train_arguments(folder)
    refused = one_line_error(run(cycle.cache, "mww-train", *arguments, "--set", "training.seed=1", "--set", "export.author=me"))
    assert f"{folder}: holds a run with another training.seed, export.author;" in refused
    moved = [*arguments, "--set", "performance.num_workers=1", "--set", "paths.export_dir=elsewhere", "--set", "training.seed=1"]
    assert f"{folder}: holds a run with another training.seed;" in one_line_error(run(cycle.cache, "mww-train", *moved))

    (folder / "recordings.csv").write_bytes(before[folder / "recordings.csv"].replace(b",val,", b",test,", 1))
    done = run(cycle.cache, "mww-train", *arguments)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"error: {folder}: holds a run with other recordings than are found now; give another --output")
    (folder / "recordings.csv").write_bytes(before[folder / "recordings.csv"])
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_checkpoints_that_are_none(cycle: Cycle, tmp_path: Path) -> None:
    assert f"{cycle.root.parent / 'config.yaml'}: does not exist; give a checkpoint within the folder of its run" in one_line_error(
        run(cycle.cache, "mww-export", "--checkpoint", cycle.root / "own.yaml", "--output", tmp_path / "out")
    )
    assert "--model-name" in one_line_error(run(cycle.cache, "mww-export", "--checkpoint", cycle.run / WEIGHTS, "--set", "export.wake_word=東京"))
    (tmp_path / "file").touch()
    assert "is a file; name a folder" in one_line_error(run(cycle.cache, "mww-export", "--checkpoint", cycle.run / WEIGHTS, "--output", tmp_path / "file"))
    # Said before recordings are heard.
    assert f"{tmp_path / 'file'} is not a folder" in one_line_error(
        run(cycle.cache, "mww-export", "--checkpoint", cycle.run / WEIGHTS, "--output", tmp_path / "file" / "out")
    )
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_model_that_breaks_the_contract_replaces_nothing(cycle: Cycle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    with Terminal() as terminal, pytest.raises(MeasurementFailure, match=r"breaks the device contract: .*nothing was written"):
        export_run(cycle.run / WEIGHTS, config, folder, "computer", terminal, jobs=1)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert not list(folder.glob(".*"))


def test_a_given_cutoff_and_arena_are_the_manifests(cycle: Cycle, tmp_path: Path) -> None:
    settings = ["export.probability_cutoff=0.5", "export.tensor_arena_size=123456", "export.wake_word=Grüß dich!"]
    given = [part for setting in settings for part in ("--set", setting)]
    # From the checkpoint's own folder, into a folder that holds an older export.
    folder = shutil.copytree(cycle.manifest.parent, tmp_path / "exported")
    done = run(cycle.cache, "mww-export", "--checkpoint", WEIGHTS.name, "--output", folder, *given, folder=cycle.run / "checkpoints")
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
    given = ["--checkpoint", cycle.run / WEIGHTS, "--output", tmp_path / "out", "--set", "export.probability_cutoff=0.5"]
    refused = run(cycle.cache, "mww-export", *given, "--set", "export.tensor_arena_size=1000")
    assert "export.tensor_arena_size: tensor_arena_size 1,000, estimated need" in refused.stderr.splitlines()[-1]
    assert (refused.returncode, refused.stdout, (tmp_path / "out").exists()) == (2, "", False)
    for setting, said in (("website=github.com/me", "is no full address"), ("minimum_esphome_version=soon", "is no version")):
        assert said in one_line_error(run(cycle.cache, "mww-export", *given, "--set", f"export.{setting}"))


def test_names_of_files_come_from_the_wake_word() -> None:
    assert default_name("Hey,  Jarvis!") == "hey_jarvis"
    assert default_name("Café ../2") == "cafe_2"
    with pytest.raises(ConfigError, match="name the files with --model-name"):
        default_name("東京")
    assert run_folder(Path("run/checkpoints/best.h5")) == Path.cwd() / "run"


# --- interrupts and kills ------------------------------------------------------------------------------------------------------


@contextmanager
def started(cache: Path, name: str, *arguments: object, log: Path) -> Iterator[subprocess.Popen[str]]:
    """A command in a process group of its own, as a terminal starts it; its stderr goes to `log`."""
    with log.open("w") as stderr:
        process = subprocess.Popen(command(name, *arguments), stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment(cache), start_new_session=True)
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def wait_until(holds: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        assert process is None or process.poll() is None, "the command ended before it happened"
        time.sleep(0.01)


def same_state(first: Path, second: Path) -> bool:
    """Whether two finished runs hold the same weights, optimizer and best checkpoint."""
    with np.load(first / STATE) as one, np.load(second / STATE) as other:
        best = [json.loads(str(state["header"]))["best"] for state in (one, other)]
        values = set(one.files) - {"header"}
        return best[0] == best[1] and values == set(other.files) - {"header"} and all(np.array_equal(one[key], other[key]) for key in values)


@pytest.mark.slow
def test_an_interrupted_training_goes_on_to_the_same_weights(cycle: Cycle, tmp_path: Path) -> None:
    folder, log = tmp_path / "run", tmp_path / "stderr.txt"
    arguments = cycle.train_arguments(folder)
    with started(cycle.cache, "mww-train", *arguments, log=log) as process:
        wait_until(lambda: "step 20: recall" in log.read_text(), process)
        os.killpg(process.pid, signal.SIGINT)
        process.wait(DEADLINE_S)
    assert process.returncode == 130, log.read_text()
    assert log.read_text().splitlines()[-1].startswith("error: interrupted")
    assert "Traceback" not in log.read_text()
    assert not list(tmp_path.rglob("*.partial"))

    # Killed the second time: what was saved last is taken up.
    with started(cycle.cache, "mww-train", *arguments, log=log) as process:
        wait_until(lambda: log.read_text().count(": recall") > 1, process)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(DEADLINE_S)

    done = run(cycle.cache, "mww-train", *arguments)
    assert done.returncode == 0, done.stderr
    assert "going on after step " in done.stderr
    assert same_state(folder, cycle.run)


def test_a_finished_run_goes_on_with_more_steps_of_its_last_phase_and_with_nothing_else(cycle: Cycle, tmp_path: Path) -> None:
    folder = shutil.copytree(cycle.run, tmp_path / "run")
    arguments = cycle.train_arguments(folder)
    for steps in ("[151, 10]", "[150, 9]", "[150, 10, 5]"):
        others = (
            [f"training.{name}=[1, 1, 1]" for name in ("learning_rates", "positive_class_weight", "negative_class_weight")] if steps.count(",") == 2 else []
        )
        given = [part for setting in (f"training.training_steps={steps}", *others) for part in ("--set", setting)]
        masks = ["--set", "training.time_mask_max_size=[5, 0, 0]", "--set", "training.time_mask_count=[1, 0, 0]"] if others else []
        refused = one_line_error(run(cycle.cache, "mww-train", *arguments, *given, *masks))
        assert "of training.training_steps [150, 10] the last number alone may change, to 10 or more" in refused
    done = run(cycle.cache, "mww-train", *arguments, "--set", "training.training_steps=[150, 30]")
    assert done.returncode == 0, done.stderr
    assert "going on after step 160" in done.stderr
    assert "180 steps in all; 160 were planned before" in (folder / "training.log").read_text()
    assert [row.partition(",")[0] for row in (folder / "validation.csv").read_text().splitlines()[1:]] == [str(step) for step in range(20, 181, 20)]
    assert load_config(str(folder / "config.yaml")).training.training_steps == (150, 30)


def test_a_folder_that_another_process_trains_in_is_left_alone(cycle: Cycle, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with hold_folder(folder, ""):
        refused = one_line_error(run(cycle.cache, "mww-train", *cycle.train_arguments(folder)), 3)
        assert [path.name for path in folder.iterdir()] == [FOLDER_LOCK]
    assert f"{folder}: in use by pid {os.getpid()} (" in refused
    assert refused.endswith("wait until it has ended, or give another --output")


@pytest.mark.slow
def test_of_two_trainings_into_one_folder_the_second_is_refused_and_a_kill_leaves_it_free(cycle: Cycle, tmp_path: Path) -> None:
    folder, log = tmp_path / "run", tmp_path / "stderr.txt"
    with started(cycle.cache, "mww-train", *cycle.train_arguments(folder), "--set", "training.training_steps=[100000, 10]", log=log) as process:
        wait_until(lambda: "step 20: recall" in log.read_text(), process)
        refused = one_line_error(run(cycle.cache, "mww-train", *cycle.train_arguments(folder)), 3)
        assert f"in use by pid {process.pid} (mww-train " in refused
        assert process.poll() is None
        process.kill()
        process.wait(DEADLINE_S)
    with hold_folder(folder, ""):
        pass


@pytest.mark.slow
def test_a_training_that_is_killed_again_and_again_ends_like_one_that_was_not(cycle: Cycle, tmp_path: Path) -> None:
    """With masks, TensorBoard and numbered checkpoints; killed between two evaluations, and at two places within one."""
    folder, log = tmp_path / "run", tmp_path / "stderr.txt"
    arguments = cycle.train_arguments(folder)
    table, numbered = folder / "validation.csv", folder / "checkpoints" / "checkpoint_step_100.weights.h5"
    moments: list[Callable[[], bool]] = [
        lambda: "step 20: recall" in log.read_text(),
        lambda: table.is_file() and "\n60," in table.read_text(),  # the row is there, the state of the evaluation perhaps not
        numbered.is_file,
        lambda: "step 140: recall" in log.read_text(),
    ]
    resumed = 0
    for moment in moments:
        with started(cycle.cache, "mww-train", *arguments, log=log) as process:
            wait_until(moment, process)
            os.killpg(process.pid, signal.SIGKILL)
            assert process.wait(DEADLINE_S) == -signal.SIGKILL
        resumed += "going on after step" in log.read_text()
    assert resumed == len(moments) - 1
    done = run(cycle.cache, "mww-train", *arguments)
    assert done.returncode == 0, done.stderr

    assert same_state(folder, cycle.run)
    names = sorted(path.name for path in (cycle.run / "checkpoints").glob("*.h5"))
    assert sorted(path.name for path in (folder / "checkpoints").glob("*.h5")) == names
    assert len(names) > 3
    for name in names:
        assert weights_in(folder / "checkpoints" / name) == weights_in(cycle.run / "checkpoints" / name), name
    assert table.read_bytes() == (cycle.run / "validation.csv").read_bytes()
    assert [line.partition(",")[0] for line in table.read_text().splitlines()[1:]] == [str(step) for step in range(20, 161, 20)]
    assert curve_of(folder) == curve_of(cycle.run)
    assert [step for step, _ in curve_of(folder)] == list(range(20, 161, 20))


def weights_in(path: Path) -> dict[str, bytes]:
    """Every array of a Keras file, byte for byte."""
    import h5py

    values: dict[str, bytes] = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: values.update({name: item[()].tobytes()}) if isinstance(item, h5py.Dataset) else None)
    assert values
    return values


def curve_of(folder: Path) -> list[tuple[int, float]]:
    """What TensorBoard shows of the validation's average viable recall."""
    import tensorflow as tf

    points = []
    for path in sorted((folder / "tensorboard").glob("events.out.tfevents.*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            points += [(event.step, value.simple_value) for value in event.summary.value if value.tag == "validation/average_viable_recall"]
    return sorted(points)


def test_a_killed_generation_leaves_no_process_and_is_completed(cycle: Cycle, tmp_path: Path) -> None:
    corpus, log = tmp_path / "corpus", tmp_path / "stderr.txt"
    arguments = ["computer", "--output", corpus, "--positives", 40, "--near-misses", 40, "--sentences", 40, "--natural", 2, "--jobs", 2]
    with started(cycle.cache, "mww-generate", *arguments, log=log) as process:
        wait_until(lambda: next(corpus.rglob("*.wav"), None) is not None)
        process.kill()
        process.wait(DEADLINE_S)
        wait_until(lambda: not alive(process.pid))
    done = run(cycle.cache, "mww-generate", *arguments)
    assert done.returncode == 0, done.stderr
    assert (corpus / "generated.csv").read_bytes() == (cycle.corpus / "generated.csv").read_bytes()


def alive(group: int) -> bool:
    """Whether a process of a group runs; ended ones that nobody waits for do not count."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:  # it ended just now
            continue
        if int(fields[2]) == group and fields[0] not in "ZX":
            return True
    return False
