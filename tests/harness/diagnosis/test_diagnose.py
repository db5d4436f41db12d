"""Boards that do not wake: a fault is planted into the virtual board, and is named; a healthy board has none."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from firmware.build import Firmware
from harness.diagnosis.record import Diagnosis
from tests.commands import Run
from tests.spoken import Spoken, listed
from wakeword.model.manifest import read_manifest, write_manifest
from wakeword.records import read_record

pytestmark = pytest.mark.timeout(300)

type Diagnose = Callable[..., tuple[Diagnosis, str, int]]

NAMED = {
    "quiet": ("quiet", r"the microphone is \d+ dB too quiet"),
    "noisy": ("quiet", "the microphone hears nothing of what is played: it does not stand out of the noise"),
    "clipped": ("clipped", r"the microphone is overdriven: [\d,]+ samples are cut off"),
    "empty-channel": ("empty", "the channel is empty"),
    "wrong-rate": (
        "rate",
        r"the microphone gives 4[78],\d\d\d samples a second and not 16,000: all is heard 3.0 times",
    ),
    "disabled": ("disabled", "detection is disabled for this model"),
    "stopped": ("stopped", "detection does not run on the board"),
}


@pytest.fixture
def diagnose(
    run: Run,
    host_firmware: Firmware,
    official_models: Path,
    spoken: Spoken,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Diagnose:
    monkeypatch.setenv("MWW_LOCK_DIR", str(tmp_path / "locks"))

    def diagnosed(
        *arguments: str, firmware: Path = host_firmware.folder, model: Path = official_models / "alexa.json"
    ) -> tuple[Diagnosis, str, int]:
        output = tmp_path / "diagnosis"
        given = ["--firmware", firmware, "--model", model, "--data", listed(tmp_path / "data.txt", spoken.words[:8])]
        done = run("mww-bench", "diagnose", "--board", "virtual", *given, "--output", output, *arguments)
        record = read_record(output / "diagnosis.json", Diagnosis, "a diagnosis", "diagnose", "diagnose")
        page = html.unescape((output / "diagnosis.html").read_text())
        assert all(one.found[1:] in page for one in record.findings)
        return record, done.stdout + done.stderr, done.returncode

    return diagnosed


def test_a_healthy_board_has_no_fault(diagnose: Diagnose) -> None:
    record, said, code = diagnose()
    assert record.faults == ()
    assert code == 0, said
    assert record.verdict == "no fault was found"
    good = {one.kind for one in record.findings if one.status == "good"}
    assert good >= {"model", "disabled", "cutoff", "rate", "empty", "clipped", "quiet", "digital", "acoustic"}
    assert (record.source, record.heard_db is not None) == ("virtual board", True)


@pytest.mark.parametrize("fault", NAMED)
def test_a_planted_fault_is_named(diagnose: Diagnose, fault: str) -> None:
    kind, words = NAMED[fault]
    record, said, code = diagnose("--rehearse", fault)
    assert code == 1
    assert kind in {one.kind for one in record.faults}
    assert re.search(words, record.verdict), record.verdict
    assert re.search(words, said), said
    # Nothing of the other faults is said.
    others = {other for name, (other, _) in NAMED.items() if other != kind and name != fault}
    assert not others & {one.kind for one in record.faults}


def test_another_model_on_the_board_is_named(diagnose: Diagnose, two_models_firmware: Firmware) -> None:
    record, _, code = diagnose(firmware=two_models_firmware.folder)
    assert code == 1
    assert record.verdict.startswith("another model is on the board: 'Hey Mycroft' (")
    assert {one.kind for one in record.faults} == {"model"}


def test_another_cutoff_on_the_board_is_named(diagnose: Diagnose, official_models: Path, tmp_path: Path) -> None:
    manifest, model = read_manifest(official_models / "alexa.json")
    changed = manifest.model_copy(
        update={"micro": manifest.micro.model_copy(update={"probability_cutoff": 0.5}), "model": "alexa.tflite"}
    )
    (tmp_path / "alexa.tflite").write_bytes(Path(model).read_bytes())
    write_manifest(changed, tmp_path / "alexa.json")
    record, _, code = diagnose(model=tmp_path / "alexa.json")
    assert code == 1
    assert "the board runs at cutoff 229/255, window 5, the manifest says cutoff 127/255, window 5" in record.verdict
