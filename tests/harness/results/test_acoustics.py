"""What the report says of sound through the air."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

from harness.results.card import badge, make_card
from harness.results.device_records import AcousticsRecord
from harness.results.matrix import measurement_groups
from harness.results.merge import merge_sessions
from harness.results.schema import RunRecord
from harness.results.verdict import judge
from harness.results.versus import compare
from tests.harness.results.builders import (
    device_run,
    make_device_result,
    make_result,
    session,
    silent_hours,
    stream_run,
)
from tests.harness.results.test_report import Page, page_of
from wakeword.errors import ConfigError

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


def test_what_was_heard_in_two_ways_is_told_apart_and_never_in_one_figure() -> None:
    """By one board of one name, which is in its two words, and in all that is made of a result."""
    computed = CLEAN.model_copy(update={"room": "computed: RT60 0.4 s, no noise", "room_computed": True})
    run = silent_hours(1, source="virtual board")
    made = [
        make_result([run.model_copy(update={"corpus_sha256": str(number) * 64})]).model_copy(
            update={"session": session(acoustics=acoustics)}
        )
        for number, acoustics in enumerate([(), (CLEAN,), (computed,)])
    ]
    ways = ["virtual board, digital", "virtual board, through the air", "virtual board, through a computed room"]
    assert [result.way for result in made] == ways
    assert [[one.way for one in group] for group in measurement_groups(made)] == [[way] for way in ways]
    for result, way in zip(made, ways, strict=True):
        assert f"{result.model.wake_word}, {way}: " in judge(result).sentence
        assert make_card(result).how == way
        assert way in badge(make_card(result))
    came = ["as samples", "through the air", "through a computed room"]
    for one, other in combinations(range(3), 2):
        with pytest.raises(ConfigError, match=f"came {came[one]} in one and {came[other]} in the other"):
            merge_sessions([made[one], made[other]])
        with pytest.raises(ConfigError, match="measured in two ways"):
            compare(made[one], made[other])


def test_a_computed_room_of_an_older_result_is_known_by_its_words() -> None:
    written = CLEAN.model_dump(exclude={"room_computed"})
    assert not AcousticsRecord.model_validate(written | {"room": "kitchen"}).room_computed
    assert AcousticsRecord.model_validate(written | {"room": "computed: RT60 0.4 s, no noise"}).room_computed


def test_two_computed_rooms_are_never_one_figure() -> None:
    rooms = [
        CLEAN.model_copy(update={"room": f"computed: RT60 {seconds} s, no noise", "room_computed": True})
        for seconds in (0.2, 1.5)
    ]
    run = silent_hours(1, source="virtual board")
    made = [
        make_result([run.model_copy(update={"corpus_sha256": str(number) * 64})]).model_copy(
            update={"session": session(acoustics=(room,))}
        )
        for number, room in enumerate(rooms)
    ]
    assert len(measurement_groups(made)) == 2
    with pytest.raises(ConfigError, match=r"the room was 'computed: RT60 0.2 s, no noise' in one and"):
        merge_sessions(made)


def test_merged_sessions_keep_each_ones_acoustics() -> None:
    results = [
        make_result([silent_hours(1)]).model_copy(update={"session": session(acoustics=(CLEAN,), seed=seed)})
        for seed in (1, 2)
    ]
    merged = merge_sessions(results)
    assert merged is not None
    assert merged.acoustics == (CLEAN, CLEAN)
