"""What the report says of sound through the air."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.results.device_records import AcousticsRecord
from harness.results.merge import merge_sessions
from harness.results.schema import RunRecord
from tests.harness.results.builders import (
    device_run,
    make_device_result,
    make_result,
    session,
    silent_hours,
    stream_run,
)
from tests.harness.results.test_report import Page, page_of

CLEAN = AcousticsRecord(
    speaker="KH 80",
    speaker_rate=48_000,
    microphone="UMIK",
    listener="a reference microphone",
    gain_db=-6,
    markers_played=12,
    markers_heard=12,
    residual_rms_ms=0.01,
    drift_ppm=-12.3,
    noise_dbfs=-200,
    true_peak_dbfs=-1.0,
)


@pytest.fixture
def run(tmp_path: Path) -> RunRecord:
    return stream_run(tmp_path / "none", [6, 6], [(3, 250)])


def page(tmp_path: Path, run: RunRecord, acoustics: AcousticsRecord) -> Page:
    return page_of(tmp_path, make_device_result([device_run(run)], [run], session(acoustics=(acoustics,))))


def test_a_clean_session_has_nothing_that_a_reader_must_see(tmp_path: Path, run: RunRecord) -> None:
    shown = page(tmp_path, run, CLEAN)
    assert shown.marked == {}
    assert "Loudspeaker KH 80 at 48 kHz, gain \N{MINUS SIGN}6 dB" in shown.text
    assert "Microphone UMIK, a reference microphone" in shown.text
    assert "Alignment 12 of 12 markers heard, residuals 0.010 ms rms, drift \N{MINUS SIGN}12.3 ppm" in shown.text
    assert "Noise digital silence" in shown.text
    assert "Calibration none: levels are relative" in shown.text


def test_what_went_wrong_is_marked(tmp_path: Path, run: RunRecord) -> None:
    broken = CLEAN.model_copy(
        update={"microphone": None, "markers_heard": 3, "true_peak_dbfs": 0.4, "lost": 2, "ambient": 1}
    )
    marked = page(tmp_path, run, broken).marked
    assert set(marked) == {"Microphone", "Alignment", "True peak played", "Sound lost", "Other sound"}
    assert (marked["Sound lost"], marked["Other sound"], marked["True peak played"]) == ("2", "1", "0.4 dBFS")


def test_merged_sessions_keep_each_ones_acoustics() -> None:
    results = [
        make_result([silent_hours(1)]).model_copy(update={"session": session(acoustics=(CLEAN,), seed=seed)})
        for seed in (1, 2)
    ]
    merged = merge_sessions(results)
    assert merged is not None
    assert merged.acoustics == (CLEAN, CLEAN)
