"""The promise of the virtual board, at length: the simulation's detections, same words, same 10 ms slices, none
missing, none extra.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from firmware.build import Firmware
from harness.results.schema import Result
from harness.session.measure import measure
from harness.session.request import SessionRequest
from tests.spoken import Spoken, listed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def agreed(result: Result) -> bool:
    """False where the machine was too busy for real time; fails where the two disagree although nothing was lost."""
    assert result.agreement is not None
    assert result.session is not None
    if result.session.integrity.ring_overflows:
        return False
    positions = result.agreement.positions
    assert positions.paired > 50
    assert positions.same_slice == positions.paired
    assert not result.agreement.disagreements
    assert result.scores.void_seconds == 0
    # Every probability too.
    assert [run.probabilities for run in result.runs] == [run.probabilities for run in result.simulation]
    return True


@pytest.fixture
def request_of(
    official_models: Path, host_firmware: Firmware, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> SessionRequest:
    monkeypatch.setenv("MWW_LOCK_DIR", str(tmp_path / "locks"))
    return SessionRequest(
        board="virtual",
        model=official_models / "alexa.json",
        firmware=host_firmware.folder,
        output=tmp_path / "session",
    )


@pytest.mark.corpus
def test_all_words_and_the_speech_and_noise_streams(request_of: SessionRequest, corpus: Path) -> None:
    streams = tuple(sorted(path for path in corpus.iterdir() if path.name.startswith(("speech_", "noise_"))))
    result = measure(replace(request_of, wake=(corpus / "alexa",), none=streams)).result
    assert agreed(result)
    assert result.scores.recall is not None
    assert result.scores.recall.count == 169


@pytest.mark.realtime
def test_ten_minutes_at_real_time(request_of: SessionRequest, spoken: Spoken, tmp_path: Path) -> None:
    wake = listed(tmp_path / "wake.txt", spoken.words[:60])
    none = listed(tmp_path / "none.txt", spoken.speech[:26])
    result = measure(replace(request_of, wake=(wake,), none=(none,), realtime=True)).result
    assert result.session is not None
    assert result.session.audio_seconds > 600
    if not agreed(result):
        pytest.skip("this machine was too busy for real time: the board's ring buffer overflowed")
