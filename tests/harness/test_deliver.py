"""A model is brought to a running board over the network, measured there, and compared with another one: nothing is
built and nothing is flashed.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from firmware.build import Firmware
from harness.results.schema import read_result
from tests.commands import Run, one_line_error
from tests.spoken import Spoken, listed

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(autouse=True)
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MWW_LOCK_DIR", str(tmp_path / "locks"))


def test_two_candidates_are_measured_on_one_firmware_that_has_neither(
    run: Run, two_models_firmware: Firmware, official_models: Path, spoken: Spoken, tmp_path: Path
) -> None:
    wake = listed(tmp_path / "wake.txt", spoken.words[:4])
    none = listed(tmp_path / "none.txt", spoken.speech[:1])
    results = []
    for candidate in ("alexa", "hey_jarvis"):
        output = tmp_path / candidate
        done = run(
            "mww-bench",
            "measure",
            *["--board", "virtual", "--firmware", two_models_firmware.folder, "--source", "digital", "--deliver"],
            *["--model", official_models / f"{candidate}.json", "--wake", wake, "--none", none, "--output", output],
        )
        assert done.returncode == 0, done.stderr
        assert "flashing" not in done.stderr
        results.append(output / "result.json")
        result = read_result(results[-1])
        assert result.model.tflite_sha256 not in {model.sha256 for model in two_models_firmware.models}
        assert result.session is not None
        assert result.session.delivered
        assert result.agreement is not None
        agreement = result.agreement.probabilities
        assert agreement is not None
        assert agreement.compared > 400
        assert (agreement.differing, agreement.missing) == (0, 0)
    found = read_result(results[0]).scores.recall
    assert found is not None
    assert found.count >= 3
    page = tmp_path / "both.html"
    assert run("mww-report", *results, "--output", page).returncode == 0
    assert "Alexa" in page.read_text()
    assert "Hey Jarvis" in page.read_text()
    assert run("mww-report", results[0], "--output", page).returncode == 0
    assert "delivered over the network before each leg (--deliver), not part of the firmware" in page.read_text()


def test_a_candidate_that_the_firmware_holds_too(
    run: Run, host_firmware: Firmware, official_models: Path, spoken: Spoken, tmp_path: Path
) -> None:
    given = ["--firmware", host_firmware.folder, "--model", official_models / "alexa.json"]
    wake = listed(tmp_path / "wake.txt", spoken.words[:4])
    done = run(
        "mww-bench",
        "measure",
        *["--board", "virtual", *given, "--source", "digital", "--deliver"],
        *["--wake", wake, "--output", tmp_path / "alexa"],
    )
    assert done.returncode == 0, done.stderr
    result = read_result(tmp_path / "alexa" / "result.json")
    assert result.model.tflite_sha256 in {model.sha256 for model in host_firmware.models}
    assert result.agreement is not None
    agreement = result.agreement.probabilities
    assert agreement is not None
    assert agreement.compared > 400
    assert (agreement.differing, agreement.missing) == (0, 0)


@pytest.mark.parametrize(
    ("wake_word", "arena", "said"),
    [("hey|you", 30_000, "wake_word holds '|'"), ("hey you", 1 << 33, "tensor_arena_size 8,589,934,592 is more than")],
)
def test_what_no_board_takes_is_not_delivered(
    run: Run, official_models: Path, spoken: Spoken, tmp_path: Path, wake_word: str, arena: int, said: str
) -> None:
    content = json.loads((official_models / "alexa.json").read_text())
    content["wake_word"], content["micro"]["tensor_arena_size"] = wake_word, arena
    (tmp_path / "alexa.json").write_text(json.dumps(content))
    (tmp_path / "alexa.tflite").write_bytes((official_models / "alexa.tflite").read_bytes())
    given = ["--board", "virtual", "--model", tmp_path / "alexa.json", "--none", spoken.speech[0]]
    more = ["--source", "digital", "--deliver", "--firmware", tmp_path, "--output", tmp_path / "session"]
    assert said in one_line_error(run("mww-bench", "measure", *given, *more))
    assert not (tmp_path / "session").exists()


def test_a_delivery_needs_a_firmware_and_the_digital_way(run: Run, official_models: Path, spoken: Spoken) -> None:
    given = ["--board", "virtual", "--model", official_models / "alexa.json", "--none", spoken.speech[0]]
    line = one_line_error(run("mww-bench", "measure", *given, "--deliver"))
    assert "--deliver is for --source digital" in line
