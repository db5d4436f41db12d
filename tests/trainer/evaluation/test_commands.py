"""`mww-evaluate` and `mww-mine` with real models, float and int8, of one run."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tests import networks
from tests.trainer.evaluation.loudness import SETTINGS, write_bursts
from trainer.config.loader import CONFIG_NAME, load_config
from trainer.config.sections import HardNegativeMiningSection
from trainer.data.dataset import read_recordings
from trainer.evaluation.cli import evaluate_app
from trainer.inference.models import FloatModel, weights_sha256
from trainer.inference.runs import find_candidate, open_model
from trainer.mining.cli import mine_app
from trainer.mining.mine import mine
from wakeword.corpus.feature_cache import FeatureCache, default_cache_folder
from wakeword.corpus.recordings import hash_file
from wakeword.errors import ConfigError
from wakeword.model.float_model import Agreement, ExportRecord, write_record
from wakeword.presentation import STREAM
from wakeword.simulation import simulate
from wakeword.simulation.features import present


@pytest.fixture(scope="module")
def model_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """Weights that depend on the sound, and their export."""
    from trainer.export.convert import convert
    from trainer.networks.models import build_model
    from trainer.networks.weights import save_weights

    config = load_config("standard", (), SETTINGS)
    network = config.model
    slices = config.slices
    model = build_model(network, slices)
    networks.randomise(model, seed=3)
    weights = tmp_path_factory.mktemp("weights") / "best_weights.weights.h5"
    save_weights(model, weights)
    clips = [networks.speechlike(seed, 200) for seed in range(4)]
    return weights.read_bytes(), convert(model, network, slices, clips, windows=10)


@pytest.fixture
def trained(
    run_folder: Path, model_files: tuple[bytes, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The run with its weights and their export, without a manifest."""
    monkeypatch.setenv("MWW_CACHE_DIR", str(tmp_path / "cache"))
    for name, content in zip(("checkpoints/best_weights.weights.h5", "exported/loud.tflite"), model_files, strict=True):
        (run_folder / name).parent.mkdir()
        (run_folder / name).write_bytes(content)
    return run_folder


def test_both_forms_of_a_model_hear_the_same(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer.inference import models

    weights, exported = trained / "checkpoints" / "best_weights.weights.h5", trained / "exported" / "loud.tflite"
    paths = [record.path for record in read_recordings(trained)]
    as_float, as_int8 = (
        open_model(find_candidate(checkpoint, tflite, None, (), (), None), jobs=1)
        for checkpoint, tflite in ((weights, None), (None, exported))
    )
    assert (as_float.form, as_int8.form) == ("float", "int8")
    for one, other in zip(
        as_float.run_clips(paths, lambda _: None), as_int8.run_clips(paths, lambda _: None), strict=True
    ):
        assert (one.recordings, one.slices, one.stride) == (other.recordings, other.slices, other.stride)
        # The float model has heard silence before boot, the device's ring buffers hold zeros: they agree once that is
        # forgotten.
        difference = np.abs(one.probabilities.astype(int) - other.probabilities)[30:]
        assert difference.mean() < 16
    joined = present(FeatureCache(default_cache_folder()), paths, STREAM, lambda _: None)
    whole = as_float.run(joined)
    assert np.ptp(whole.probabilities) > 60, "probabilities that never move would agree however they were shifted"
    alone = as_int8.run_clips(paths, lambda _: None)
    heard: list[float] = []
    monkeypatch.setattr(simulate, "SECONDS_WORTH_PROCESSES", 0.0)
    for one, other in zip(
        alone,
        open_model(find_candidate(None, exported, None, (), (), None), jobs=2).run_clips(paths, heard.append),
        strict=True,
    ):
        assert one.recordings == other.recordings
        np.testing.assert_array_equal(one.probabilities, other.probabilities)
    assert sum(heard) == pytest.approx(sum(record.duration for record in read_recordings(trained)))
    monkeypatch.setattr(models, "BLOCK_POSITIONS", 33)
    np.testing.assert_array_equal(as_float.run(joined).probabilities, whole.probabilities)

    # As a training calls it: a model in memory, records, a threshold, a limit.
    config = load_config(str(trained / CONFIG_NAME))
    candidate = find_candidate(weights, None, None, (), (), None)
    from trainer.networks.models import build_model
    from trainer.networks.weights import load_weights

    model = build_model(config.model, candidate.config.slices)
    load_weights(model, weights)
    in_memory = FloatModel(config.model, candidate.config.slices, jobs=1)
    in_memory.load(model, weights_sha256(model))
    assert in_memory.sha256 == weights_sha256(model)
    threshold = float(np.median(whole.probabilities)) / 255
    found, _ = mine(
        in_memory, paths, HardNegativeMiningSection(fp_threshold=threshold, max_samples=3), candidate.config.slices
    )
    assert 3 <= len(found) <= 6
    assert all(one.probability > threshold * 255 for one in found)


def test_the_commands(trained: Path, tmp_path: Path) -> None:
    runner, exported = CliRunner(), trained / "exported" / "loud.tflite"
    also = ["--temperature", "--robustness"]
    done = runner.invoke(evaluate_app, ["--tflite", str(exported), "--split", "test", "--json", "--jobs", "1", *also])
    assert done.exit_code == 0, done.output
    values = json.loads(done.stdout)
    assert values["temperature"]["temperature"] > 0
    assert {one["recall"]["utterances"] for one in values["robustness"]} == {4}
    assert set(values["device"]["all_cutoffs"]) == {"average_viable_recall", "recall_at_no_faph", "cutoff_for_no_faph"}
    assert (values["form"], values["run"], values["device"]["recall"]["utterances"]) == ("int8", str(trained), 4)
    weights = trained / "checkpoints" / "best_weights.weights.h5"
    done = runner.invoke(evaluate_app, ["--checkpoint", str(weights), "--analyze", "--jobs", "1"])
    assert done.exit_code == 0, done.output
    assert "(float), val split" in " ".join(done.stdout.split())
    assert "least sure of" in done.stdout
    assert "A temperature of" not in done.stdout

    audio, output = tmp_path / "audio", tmp_path / "mined"
    extra = audio / "extra.wav"
    extra.write_bytes((audio / "test" / "loud.wav").read_bytes()[:200_000])

    def mined(*options: str) -> Result:
        return runner.invoke(mine_app, ["--tflite", str(exported), "--audio", str(audio), *options])

    options = ("--output", str(output), "--fp-threshold", "0.01", "--jobs", "1")
    done = mined(*options)
    assert done.exit_code == 2, "a wav that is cut short cannot be heard"
    assert "left out, tests the run: 6" in done.stderr
    extra.unlink()
    write_bursts(extra, 8, {2.0: 0.9}, seed=77)
    done = mined(*options)
    assert done.exit_code == 0, done.output
    with (output / "mined.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert rows
    assert {row["source"] for row in rows} == {str(extra)}
    assert f"{len(rows)} new clip{'s' if len(rows) > 1 else ''} in" in done.stdout
    # What the command line does not say, the configuration does.
    few = ["--set", "hard_negative_mining.fp_threshold=0.01", "--set", "hard_negative_mining.max_samples=1"]
    done = mined("--output", str(tmp_path / "few"), *few, "--jobs", "1")
    assert done.exit_code == 0, done.output
    assert "1 new clip in" in done.stdout
    done = mined("--output", str(tmp_path / "two"), *few, "--max-samples", "2")
    assert "2 new clips" in done.stdout
    done = mined("--output", str(tmp_path / "two"), "--fp-threshold", "1")
    assert done.exit_code == 2
    assert "error: --fp-threshold: hard_negative_mining.fp_threshold is 1.0: it must be below 1" in done.stderr


def test_what_does_not_belong_together_is_refused(trained: Path, tmp_path: Path) -> None:
    weights, exported = trained / "checkpoints" / "best_weights.weights.h5", trained / "exported" / "loud.tflite"
    for given, message in (
        ((None, None, None, (), (), None), "give either --checkpoint"),
        ((weights, exported, None, (), (), None), "give either --checkpoint"),
        ((tmp_path / "none.h5", None, None, (), (), None), "does not exist"),
        ((None, exported, None, (), (), tmp_path), "config.yaml: does not exist"),
    ):
        with pytest.raises(ConfigError, match=message):
            find_candidate(*given)
    elsewhere = tmp_path / "elsewhere.tflite"
    elsewhere.write_bytes(exported.read_bytes())
    with pytest.raises(ConfigError, match="name the run that the model came from with --run"):
        find_candidate(None, elsewhere, None, (), (), None)
    assert find_candidate(None, elsewhere, str(trained / CONFIG_NAME), (), (), None).run == trained
    with pytest.raises(ConfigError, match="takes 3 slices an inference, the configuration 2"):
        open_model(find_candidate(None, exported, None, (), ["model.stride=2"], None))


def test_the_run_of_a_model_is_found_by_its_export_record(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, model = trained / "checkpoints" / "best_weights.weights.h5", tmp_path / "models" / "loud.tflite"
    model.parent.mkdir()
    model.write_bytes((trained / "exported" / "loud.tflite").read_bytes())

    def record(named: Path) -> None:
        values: dict[str, Any] = {
            "probability_cutoff": None,
            "chosen_on_validation": None,
            "tensor_arena_size": None,
            "config_sha256": "",
            "software": {},
        }
        hashes = {"model_sha256": hash_file(model), "weights_sha256": hash_file(weights)}
        agreement = Agreement(mean=0.0, maximum=0.0, inferences=1)
        write_record(
            ExportRecord(model=model.name, quantized=True, weights=str(named), agreement=agreement, **hashes, **values),
            model,
        )

    def found() -> Path:
        return find_candidate(None, model, None, (), (), None).run

    record(weights)
    assert found() == trained
    evaluated = CliRunner().invoke(evaluate_app, ["--tflite", str(model), "--split", "test", "--json", "--jobs", "1"])
    assert json.loads(evaluated.stdout)["run"] == str(trained)
    mining = [
        "--tflite",
        str(model),
        "--audio",
        str(tmp_path / "audio"),
        "--output",
        str(tmp_path / "mined"),
        "--jobs",
        "1",
    ]
    assert "tests the run" in CliRunner().invoke(mine_app, mining).output
    record(weights.relative_to(tmp_path))  # as the export was told it, from the project's folder
    monkeypatch.chdir(tmp_path)
    assert found().resolve() == trained.resolve()
    monkeypatch.chdir("/")
    assert found().resolve() == trained.resolve()
    moved = tmp_path.rename(tmp_path.with_name(f"{tmp_path.name} moved"))
    model, weights = moved / "models" / model.name, moved / weights.relative_to(tmp_path)
    assert found().resolve() == moved / trained.relative_to(tmp_path)
    weights.write_bytes(b"of a later training")
    with pytest.raises(ConfigError, match="name the run that the model came from with --run"):
        found()
