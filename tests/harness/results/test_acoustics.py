"""What the report says of sound through the air."""

from __future__ import annotations

from harness.results.device_records import AcousticsRecord
from harness.results.session_facts import acoustics_facts, sound_counters
from harness.results.sessions import merge_sessions
from tests.harness.results.builders import make_result, session, silent_hours

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


def test_a_clean_session_has_nothing_that_a_reader_must_see() -> None:
    facts = {fact.name: fact for fact in acoustics_facts(CLEAN)}
    assert not any(fact.bad for fact in (*facts.values(), *sound_counters(CLEAN)))
    assert facts["Loudspeaker"].text == "KH 80 at 48\N{NO-BREAK SPACE}kHz, gain \N{MINUS SIGN}6\N{NO-BREAK SPACE}dB"
    assert "drift \N{MINUS SIGN}12.3" in facts["Alignment"].text
    assert facts["Noise"].text == "digital silence"
    assert "relative" in facts["Calibration"].text


def test_what_went_wrong_is_marked() -> None:
    broken = CLEAN.model_copy(update={"microphone": None, "markers_heard": 3, "true_peak_dbfs": 0.4, "lost": 2, "ambient": 1})
    assert {fact.name for fact in acoustics_facts(broken) if fact.bad} == {"Microphone", "Alignment", "True peak played"}
    assert {fact.name: fact.text for fact in sound_counters(broken) if fact.bad} == {"Sound lost": "2", "Other sound": "1"}


def test_merged_sessions_keep_each_ones_acoustics() -> None:
    results = [make_result([silent_hours(1)]).model_copy(update={"session": session(acoustics=(CLEAN,), seed=seed)}) for seed in (1, 2)]
    merged = merge_sessions(results)
    assert merged is not None
    assert merged.acoustics == (CLEAN, CLEAN)
