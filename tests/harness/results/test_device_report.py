"""The page of a measured board: beside its simulation, with the words that are true, and without a verdict on another
model.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.results import wording
from harness.results.device_records import AgreementRecord, EquivalenceRecord, IntegrityRecord, PairedUtterances
from harness.results.figures import void_rows
from harness.results.runs import ScoredRun, run_streams
from harness.results.schema import Result, RunRecord, VoidRecord
from harness.results.scores import score_runs
from harness.results.verdict import judge
from tests.harness.results.builders import (
    STRIDE,
    clips_run,
    device_run,
    make_device_result,
    make_result,
    session,
    stream_run,
)
from tests.harness.results.test_report import Page, page_of
from wakeword.pages import render_page
from wakeword.scoring.agreement import SIGNIFICANCE, utterances_needed

VIRTUAL_BOARD_LABEL = "ESPHome's detection code on Linux with TFLM reference kernels"


@pytest.fixture
def simulated(tmp_path: Path) -> list[RunRecord]:
    """Four utterances, one missed, and two false accepts."""
    return [
        stream_run(tmp_path / "wake", [3, 3, 3, 3], [(2.5, 250), (9.0, 250), (12.5, 250)], truth="wake", label="words"),
        stream_run(tmp_path / "none", [6, 6], [(3, 250), (9, 245)], label="speech"),
    ]


@pytest.fixture
def measured(simulated: list[RunRecord]) -> Result:
    """The board misses one more word and one false accept, and half a second of the speech is void."""
    voids = [VoidRecord(start=5.0, end=5.5, reason="API gap")]
    return make_device_result(
        [device_run(simulated[0], without=[1]), device_run(simulated[1], without=[1], voids=voids)], simulated
    )


def test_device_and_simulation_stand_side_by_side(tmp_path: Path, measured: Result) -> None:
    page = page_of(tmp_path, measured)
    assert {"agreement", "disagreements", "session"} <= set(page.ids)
    assert "2 of 4 utterances recognised" in page.text
    assert "simulated 75.0 %: 3 of 4" in page.text
    assert "Measured and simulated on the same audio, over the same time." in page.text
    assert "utterance missed by the virtual board" in page.text and "false accept of the simulation only" in page.text
    assert "API gap" in page.text and "0.5 s" in page.text
    assert all(header.get("scope") in {"col", "row", "rowgroup"} for header in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))
    assert len(page.ids) == len(set(page.ids))


def test_the_words_for_the_source_are_exact(tmp_path: Path, measured: Result, simulated: list[RunRecord]) -> None:
    text = page_of(tmp_path, measured).text
    assert f"virtual board, digital {VIRTUAL_BOARD_LABEL}" in text and "on-device" not in text
    real = page_of(tmp_path, make_device_result([device_run(run, trace=False) for run in simulated], simulated)).text
    assert "on-device" in real and "virtual board" not in real and VIRTUAL_BOARD_LABEL not in real
    alone = page_of(tmp_path, make_result(simulated)).text
    assert "virtual board" not in alone and "Agreement" not in alone and "Session" not in alone


def test_every_disagreement_is_listed_even_without_clips(tmp_path: Path, simulated: list[RunRecord]) -> None:
    result = make_device_result([device_run(simulated[0], without=[0, 1, 2]), device_run(simulated[1])], simulated)
    text = page_of(tmp_path, result, max_clips=0).text
    assert text.count("utterance missed by the virtual board") == 3
    assert text.count("not detected; highest average 0.980; highest probability 0.980") == 3
    assert text.count("detected, slice") == 3


def test_a_board_without_probabilities_borrows_the_simulations(tmp_path: Path, simulated: list[RunRecord]) -> None:
    result = make_device_result(
        [device_run(simulated[0], without=[1], trace=False), device_run(simulated[1], trace=False)], simulated
    )
    text = page_of(tmp_path, result).text
    assert "The on-device measurement told no probabilities: the curves are simulated" in text
    assert "probabilities simulated; the detections are on-device" in text
    assert "highest probability 0.500 (simulated)" in text
    assert "not detected; no probabilities told" in text
    bare = make_result(result.runs)
    alone = page_of(tmp_path, bare).text
    assert (
        "No curve: the probabilities of this measurement were not recorded." in alone
        and "No probabilities were recorded here." in alone
    )


def test_clips_without_probabilities_are_shown_too(tmp_path: Path) -> None:
    clips = clips_run(tmp_path, [250, 250, 100])
    text = page_of(tmp_path, make_result([device_run(clips, without=[0], trace=False)])).text
    assert "2 utterances of 3 not recognised" in text


def test_another_model_on_the_board_gets_no_verdict(tmp_path: Path, measured: Result) -> None:
    wrong = measured.model_copy(update={"session": session(model_sha256_on_board="f" * 64)})
    verdict = judge(wrong)
    assert verdict.withheld and verdict.false_accepts.name is None and verdict.recall.name is None
    assert verdict.sentence.startswith(
        "No verdict: the board ran the model ffffffffffff, the model file is bbbbbbbbbbbb."
    )
    page = page_of(tmp_path, wrong)
    assert [one.get("role") for one in page.all("p") if one.get("id") == "verdict"] == ["alert"]
    assert "quivalen" not in page.text.partition("Agreement with the simulation")[2].partition("Method")[0]
    assert "which is" not in page.text and "of the utterances recognised" not in page.text
    assert "another one: ffffffffffff" in page.text
    assert not judge(measured).withheld
    silent = judge(measured.model_copy(update={"session": session(model_sha256_on_board="")}))
    assert "did not tell which model" in silent.sentence


def test_void_utterances_are_no_misses(tmp_path: Path) -> None:
    clips = clips_run(tmp_path, [250, 100, 100], voids=(VoidRecord(start=0, end=2, reason="reboot", file_index=1),))
    text = page_of(tmp_path, make_result([clips])).text
    assert "Misses (1)" in text and "1 utterance of 2 not recognised" in text


def test_void_detections_are_no_false_accepts(tmp_path: Path, simulated: list[RunRecord]) -> None:
    cut = simulated[1].model_copy(update={"voids": (VoidRecord(start=2, end=4, reason="ring overflow"),)})
    assert "False accepts (1)" in page_of(tmp_path, make_result([cut])).text


def test_the_void_tables_sum_is_the_headlines(tmp_path: Path) -> None:
    # The first recording ends at 6.0 s, the second begins at 6.5 s; two of the records overlap.
    voids = [
        VoidRecord(start=start, end=end, reason=reason)
        for start, end, reason in ((2.5, 4.0, "reboot"), (3.5, 4.5, "api gap"), (5.8, 6.8, "overflow"))
    ]
    cut = stream_run(tmp_path / "a", [6, 6], [(1, 250)]).model_copy(update={"voids": tuple(voids)})
    clips = clips_run(tmp_path / "b", [250, 100], voids=(VoidRecord(start=0, end=2, reason="gap", file_index=1),))
    rows = void_rows([ScoredRun(run, run_streams(run, STRIDE)) for run in (cut, clips)])
    assert [(round(row.seconds, 6), round(row.recorded, 6), row.reasons) for row in rows] == [
        (2.0, 2.0, ("reboot", "api gap")),
        (1.0, 0.5, ("overflow",)),
        (2.0, 0.5, ("gap",)),
    ]
    assert (
        sum(row.recorded for row in rows) == pytest.approx(score_runs([cut, clips]).void_seconds) == pytest.approx(3.0)
    )
    page = page_of(tmp_path, make_result([cut, clips])).text
    assert "reboot; api gap" in page and "In all 5.0 s 3.0 s" in page
    assert "3.0 s of the recordings and 1 utterance are void" in page
    assert "Void is time in which something other than the model failed" in page


def test_the_session_shows_what_went_wrong(tmp_path: Path, simulated: list[RunRecord]) -> None:
    counts = IntegrityRecord(detections=4, both_witnesses=3, event_only=1, reboots=1, api_gap_seconds=3.25)
    result = make_device_result(
        [device_run(run) for run in simulated], simulated, session(integrity=counts, clock=None)
    )
    page = page_of(tmp_path, result)
    assert page.marked == {"Reported by the event only, no log line": "1", "Reboots": "1", "API gaps": "3.2 s"}
    text = page.text
    assert "not fitted" in text and "No time was void." in text and "30 times real time" in text
    assert "seed 7" in text and "the model file's, by hash" in text


def test_merged_sessions_are_each_shown(tmp_path: Path, simulated: list[RunRecord]) -> None:
    parts = [
        make_device_result([device_run(simulated[0])], [simulated[0]]),
        make_device_result(
            [device_run(simulated[1])], [simulated[1]], session(seed=9, health="2 of 2 known positives detected")
        ),
    ]
    text = page_of(tmp_path, *parts).text
    assert "seed 7" in text and "seed 9" in text and "2 of 2 known positives detected" in text


def test_the_arena_says_whose_probe_it_is(tmp_path: Path, measured: Result) -> None:
    probed = measured.model_copy(update={"arena": measured.arena.model_copy(update={"probed": 19_808})})
    text = page_of(tmp_path, probed).text
    assert "by a virtual board: a host figure" in text
    assert (
        text.index("Manifest")
        < text.index("Host used")
        < text.index("ESP32-S3 estimate")
        < text.index("Probed by the device")
    )
    assert "the device did not tell" in page_of(tmp_path, measured).text


# --- words ------------------------------------------------------------------------------------------------------------


def agreement_of(
    result: Result, utterances: tuple[int, int, int, int], tested: tuple[float, float, float, bool], mcnemar_p: float
) -> AgreementRecord:
    assert result.agreement is not None
    low, high, p, equivalent = tested
    counts = PairedUtterances(
        both=utterances[0], device_only=utterances[1], simulated_only=utterances[2], neither=utterances[3]
    )
    record = EquivalenceRecord(
        margin=0.03,
        difference=(utterances[1] - utterances[2]) / counts.total,
        low=low,
        high=high,
        p=p,
        equivalent=equivalent,
        method="stated",
    )
    return result.agreement.model_copy(update={"utterances": counts, "equivalence": record, "mcnemar_p": mcnemar_p})


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{MINUS SIGN}", "-")


def sentences(measured: Result, agreement: AgreementRecord, source: str = "virtual board") -> str:
    """What the report says of an agreement."""
    shown = {"agreement": agreement, "source": source, "verdict": judge(measured), "scores": measured.scores}
    tools = {"w": wording, "significance": SIGNIFICANCE, "utterances_needed": utterances_needed}
    return plain(Page(render_page("harness.results", "agreement_section.html.j2", shown | tools)).text)


def test_equivalence_is_claimed_only_when_it_was_shown(measured: Result) -> None:
    shown = agreement_of(measured, (340, 5, 5, 11), (-0.0163, 0.0163, 0.0038, True), 1.0)
    assert sentences(measured, shown).startswith(
        "Agreement with the simulation Equivalent within 3 points: the difference in recall is 0 points, 90 % interval"
        " -1.6 to +1.6, p = 0.004."
    )
    few = sentences(measured, agreement_of(measured, (38, 1, 0, 1), (-0.05, 0.11, 0.4, False), 1.0))
    assert (
        few.startswith("Agreement with the simulation Equivalence within 3 points was not shown:")
        and "about 301 utterances show it; these are 40." in few
    )
    other = agreement_of(measured, (300, 60, 0, 0), (0.12, 0.2, 1.0, False), 1e-9)
    assert "the two do differ" in sentences(measured, other)
    moved = agreement_of(measured, (350, 8, 2, 1), (0.003, 0.031, 0.2, False), 0.11)
    assert "these may not" in sentences(measured, moved)


def test_mcnemar_never_says_that_they_are_the_same(measured: Result) -> None:
    none = sentences(measured, agreement_of(measured, (340, 5, 5, 11), (-0.01, 0.01, 0.01, True), 1.0))
    assert "no proof that one of them finds more, which is not proof that they find the same" in none
    fewer = sentences(
        measured, agreement_of(measured, (340, 1, 15, 5), (-0.06, -0.01, 0.9, False), 0.0005), "on-device"
    )
    assert (
        "The device finds fewer utterances than its simulation: 1 utterance found by the device alone and 15 by"
        in fewer
    )
    assert "p < 0.001" in fewer


def test_without_utterances_nothing_is_claimed(tmp_path: Path, simulated: list[RunRecord]) -> None:
    text = page_of(tmp_path, make_device_result([device_run(simulated[1])], [simulated[1]])).text
    assert "No utterance was heard by both: nothing can be said of the recall." in text
    assert "2 of 2 false accepts at the same place" in text


def test_offsets_are_listed(simulated: list[RunRecord]) -> None:
    result = make_device_result([device_run(run, moved=-2) for run in simulated], simulated)
    assert result.agreement is not None
    assert "the largest offset is 2 slices" in sentences(result, result.agreement)
    assert "-2 (5)." in sentences(result, result.agreement)


def test_signed_figures_read_well() -> None:
    assert [plain(wording.points(value, signed=True)) for value in (0.012, -0.008, 0.0, 0.0004)] == [
        "+1.2",
        "-0.8",
        "0",
        "+0.04",
    ]
    assert [plain(wording.points(value)) for value in (0.03, 0.01, 0.025)] == ["3 points", "1 point", "2.5 points"]
    assert [plain(wording.seconds(value)) for value in (-0.994, 0.004, -0.001)] == ["-0.99 s", "0.00 s", "0.00 s"]
    assert [plain(wording.whole(value)) for value in (-3, 0, 4)] == ["-3", "0", "+4"]
