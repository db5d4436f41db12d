"""The record of an export: it speaks of one model, and whoever knows the float model can measure again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from wakeword.errors import ConfigError, InfrastructureError
from wakeword.model import float_model
from wakeword.model.flatbuffer import read_model
from wakeword.model.float_model import (
    MEASURE_GROUP,
    Agreement,
    ExportRecord,
    check_agreement,
    measured_agreement,
    read_record,
    record_path,
    recorded_agreement,
    write_record,
)

AGREEMENT = Agreement(mean=0.0012, maximum=0.1, inferences=1234)


def record(sha256: str, agreement: Agreement = AGREEMENT) -> ExportRecord:
    return ExportRecord(
        model="alexa.tflite",
        model_sha256=sha256,
        quantized=True,
        weights="best_weights.weights.h5",
        weights_sha256="1" * 64,
        config_sha256="2" * 64,
        probability_cutoff=0.9,
        chosen_on_validation=None,
        tensor_arena_size=20_000,
        agreement=agreement,
        software={"tensorflow": "2.21.0"},
    )


@pytest.fixture
def model(official_models: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(official_models / "alexa.tflite", tmp_path))


def test_a_record_lies_beside_its_model_and_comes_back(model: Path) -> None:
    assert read_record(model) is None
    assert recorded_agreement(model, "x") == (None, None)
    written = record(read_model(model).sha256)
    write_record(written, model)
    assert record_path(model).name == "alexa.export.json"
    assert record_path(Path("computer.float32.tflite")).name == "computer.float32.export.json"
    assert read_record(model) == written
    agreement, check = recorded_agreement(model, written.model_sha256)
    assert agreement == AGREEMENT
    assert check is not None
    assert (check.name, check.status) == ("float model", "passed")
    assert (
        "mean difference 0.0012, largest 0.100, over 1,234 inferences (measured at the export, from"
        " best_weights.weights.h5)" in check.detail
    )


def test_a_record_of_another_model_says_nothing_of_this_one(model: Path) -> None:
    write_record(record("3" * 64), model)
    agreement, check = recorded_agreement(model, read_model(model).sha256)
    assert agreement is None
    assert check is not None
    assert (check.status, check.passed) == ("warning", True)
    assert "alexa.export.json was written for another model" in check.detail


@pytest.mark.parametrize("damage", ["", "[]", "{", '{"mean": 1}', "a negative mean"])
def test_a_damaged_record_is_told(model: Path, damage: str) -> None:
    values = json.loads(record("3" * 64).model_dump_json())
    values["agreement"]["mean"] = -1
    record_path(model).write_text(json.dumps(values) if damage == "a negative mean" else damage)
    with pytest.raises(
        ConfigError, match=r"alexa\.export\.json: no record of an export \(.+\); export the model again"
    ):
        read_record(model)


def test_a_mean_difference_above_two_hundredths_is_a_warning() -> None:
    slight, large = (Agreement(mean=mean, maximum=0.3, inferences=100) for mean in (0.02, 0.021))
    assert not slight.suspicious
    assert check_agreement(slight, "now").status == "passed"
    assert large.suspicious
    assert check_agreement(large, "now").status == "warning"


def test_whoever_offers_the_measurement_is_asked(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(float_model, "MEASURE_GROUP", f"{MEASURE_GROUP}.test")
    with pytest.raises(InfrastructureError, match="no trainer is installed that can"):
        measured_agreement(read_model(model), Path("weights.h5"))
    installed = tmp_path / "installed"
    (installed / "measurer-1.dist-info").mkdir(parents=True)
    (installed / "measurer-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: measurer\nVersion: 1\n")
    (installed / "measurer-1.dist-info" / "entry_points.txt").write_text(
        f"[{MEASURE_GROUP}.test]\nany = float_measurer:measure\n"
    )
    (installed / "float_measurer.py").write_text(
        "from wakeword.model.float_model import Agreement\n\ndef measure(model, weights):\n    return"
        " Agreement(mean=0.5, maximum=model.stride, inferences=len(weights.name))\n"
    )
    monkeypatch.syspath_prepend(installed)
    agreement, check = measured_agreement(read_model(model), Path("weights.h5"))
    assert agreement == Agreement(mean=0.5, maximum=3, inferences=10)
    assert check.status == "warning"
    assert "(measured now, from weights.h5)" in check.detail
