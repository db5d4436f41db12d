"""Counts to rates, merging, and the verdict's words."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from harness.results import wording
from harness.results.merge import merge_results
from harness.results.schema import RATE_METHOD, SHARE_METHOD, IntervalRecord, VoidRecord, read_result
from harness.results.scores import hourly_record, score_runs, share_record
from harness.results.verdict import judge
from tests.harness.results.builders import clips_run, make_result, silent_hours, stream_run
from wakeword.errors import ConfigError


@pytest.mark.parametrize(
    ("events", "hours", "low", "high", "shown"),
    [(0, 10, 0, 0.369, "0\N{EN DASH}0.369"), (3, 24, 0.026, 0.365, "0.026\N{EN DASH}0.365")],
)
def test_hourly_rates_have_garwood_intervals(events: int, hours: float, low: float, high: float, shown: str) -> None:
    record = hourly_record(events, hours)
    assert [record.low, record.high] == pytest.approx([low, high], abs=5e-4)
    assert wording.interval(record) == shown


@pytest.mark.parametrize(
    ("count", "trials", "shown"),
    [(3, 30, "2.1\N{EN DASH}26.5\N{NO-BREAK SPACE}%"), (25, 500, "3.3\N{EN DASH}7.3\N{NO-BREAK SPACE}%")],
)
def test_shares_have_clopper_pearson_intervals(count: int, trials: int, shown: str) -> None:
    assert wording.interval(share_record(count, trials)) == shown


def test_nothing_measured_gives_no_rate() -> None:
    for record in (share_record(0, 0), hourly_record(0, 0.0)):
        assert (record.rate, record.low, record.high) == (None, None, None)


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0, "0.0"), (0.0001, "0.010"), (0.5, "50.0"), (0.9997, "99.970"), (1.0, "100.0")]
)
def test_only_true_ends_are_written_as_ends(value: float, shown: str) -> None:
    assert wording.percent(value) == f"{shown}\N{NO-BREAK SPACE}%"


def test_numbers_read_well() -> None:
    assert [wording.rate(value) for value in (0, 0.0001, 0.026, 1.25, 12.345)] == [
        "0",
        "0.0001",
        "0.026",
        "1.25",
        "12.3",
    ]
    assert [wording.clock(value) for value in (0, 59.96, 3661.25)] == ["0:00:00.0", "0:01:00.0", "1:01:01.2"]
    assert [wording.cutoff(value) for value in (0.9, 0.97, 0.995)] == ["0.90", "0.97", "0.995"]
    assert [wording.hours(value) for value in (0, 0.0048, 0.12, 24)] == [
        "0.00\N{NO-BREAK SPACE}h",
        "0.3\N{NO-BREAK SPACE}min",
        "0.12\N{NO-BREAK SPACE}h",
        "24.0\N{NO-BREAK SPACE}h",
    ]


def test_recall_counts_utterances_and_false_accepts_count_detections(tmp_path: Path) -> None:
    wake = clips_run(tmp_path / "wake", [250, 250, 100])
    stream = stream_run(tmp_path / "stream", [6, 6], [(3, 250), (8, 250), (10, 250)])
    clips = clips_run(tmp_path / "clips", [250, 10], truth="none")
    scores = score_runs([wake, stream, clips])
    assert scores.recall is not None and (scores.recall.count, scores.recall.of) == (2, 3)
    fah = scores.false_accepts_per_hour
    assert fah is not None and fah.count == 4
    assert fah.of == pytest.approx((6 + 6.01 + 1.2 + 1.21) / 3600)  # recordings only: no lead-in, tail or gap
    assert scores.false_accept_clips is not None and (
        scores.false_accept_clips.count,
        scores.false_accept_clips.of,
    ) == (1, 2)


def test_an_utterance_detected_twice_counts_once(tmp_path: Path) -> None:
    run = stream_run(tmp_path, [8], [(2, 250), (5, 250)], truth="wake")
    assert len(run.detections) == 2
    scores = score_runs([run])
    assert scores.recall == share_record(1, 1)
    assert scores.extra_detections == 1
    assert any("1 further detection" in remark for remark in judge(make_result([run])).remarks)


def test_void_time_leaves_both_parts_of_a_rate(tmp_path: Path) -> None:
    stream = stream_run(tmp_path / "stream", [6, 6], [(3, 250), (8, 250)])
    # The first recording ends at 6.0 s, the second begins at 6.5 s: of the void, two seconds are recorded ones.
    cut = stream.model_copy(
        update={
            "voids": (VoidRecord(start=2.5, end=4.0, reason="reboot"), VoidRecord(start=5.8, end=6.8, reason="api gap"))
        }
    )
    scores = score_runs([cut])
    assert scores.false_accepts_per_hour is not None
    assert (len(stream.detections), scores.false_accepts_per_hour.count) == (2, 1)
    assert scores.void_seconds == pytest.approx(2.0)
    assert scores.false_accepts_per_hour.of == pytest.approx((12.01 - 2.0) / 3600)
    assert any("2.0\N{NO-BREAK SPACE}s" in remark and "void" in remark for remark in judge(make_result([cut])).remarks)


def test_a_void_clip_is_neither_found_nor_missed(tmp_path: Path) -> None:
    wake = clips_run(tmp_path, [250, 250, 100])
    cut = wake.model_copy(update={"voids": (VoidRecord(start=0.0, end=2.0, reason="playback fault", file_index=1),)})
    scores = score_runs([cut])
    assert scores.recall == share_record(1, 2)
    assert scores.void_utterances == 1


def test_unasked_figures_are_absent(tmp_path: Path) -> None:
    assert score_runs([clips_run(tmp_path, [250])]).false_accepts_per_hour is None
    assert score_runs([silent_hours(1)]).recall is None


# --- merging ----------------------------------------------------------------------------------------------------------


def test_merging_adds_components(tmp_path: Path) -> None:
    first, second = clips_run(tmp_path / "a", [250, 100]), clips_run(tmp_path / "b", [250], seconds=1.6)
    merged = merge_results([make_result([first]), make_result([second]), make_result([silent_hours(24, 3)])])
    assert merged.scores.recall == share_record(2, 3)
    assert merged.scores.false_accepts_per_hour == hourly_record(3, 24.0)
    assert [run.label for run in merged.runs] == ["test clips", "test clips", "silent hours"]


def test_the_same_run_counts_once(tmp_path: Path) -> None:
    run = clips_run(tmp_path, [250, 100])
    renamed = run.model_copy(update={"label": "again", "engine": "reference"})
    assert merge_results([make_result([run]), make_result([renamed])]).runs == (run,)


def test_the_same_audio_measured_otherwise_is_refused() -> None:
    run = silent_hours(2)
    other = silent_hours(2, 1)
    with pytest.raises(ConfigError, match=r"share 1 recording.*long\.wav"):
        merge_results([make_result([run]), make_result([other])])


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"tflite_sha256": "c" * 64}, "model file"),
        ({"cutoff": 0.8, "cutoff_uint8": 204}, "cutoff"),
        ({"window": 6}, "sliding window"),
        ({"feature_step_ms": 20}, r"feature step \(ms\)"),
        ({"wake_word": "Other"}, "wake word"),
    ],
)
def test_different_models_are_refused(change: dict[str, object], name: str) -> None:
    with pytest.raises(ConfigError, match=f"different models: {name}"):
        merge_results([make_result([silent_hours(1)]), make_result([silent_hours(1)], **change)])


def test_sources_are_never_mixed(tmp_path: Path) -> None:
    on_device = make_result([clips_run(tmp_path, [250], source="on-device")])
    with pytest.raises(ConfigError, match="different sources"):
        merge_results([make_result([silent_hours(1)]), on_device])


def test_arena_figures_complement_but_never_contradict() -> None:
    first, second = make_result([silent_hours(1)]), make_result([silent_hours(1)])
    probed = second.model_copy(update={"arena": second.arena.model_copy(update={"host_used": None, "probed": 23_100})})
    assert merge_results([first, probed]).arena == first.arena.model_copy(update={"probed": 23_100})
    contrary = second.model_copy(update={"arena": second.arena.model_copy(update={"manifest": 30_000})})
    with pytest.raises(ConfigError, match="22860 and 30000"):
        merge_results([first, contrary])


def test_no_result_is_an_error() -> None:
    with pytest.raises(ConfigError, match="at least one"):
        merge_results([])


# --- verdict ----------------------------------------------------------------------------------------------------------


def test_the_sentence_holds_counts_rates_and_intervals(tmp_path: Path) -> None:
    verdict = judge(make_result([clips_run(tmp_path, [250, 250, 100]), silent_hours(24, 3)]))
    assert (
        verdict.sentence.replace("\N{NO-BREAK SPACE}", " ")
        == "Hey Test, simulated: 3 false accepts in 24.0 h, that is 0.125 per hour (95 % interval"
        " 0.026\N{EN DASH}0.365): excellent; 2 of 3 utterances recognised, a recall of 66.7 % (95 % interval"
        " 9.4\N{EN DASH}99.2 %): not enough utterances yet: at least 22."
    )
    assert len(verdict.remarks) == 1


def test_too_few_hours_are_the_headline() -> None:
    verdict = judge(make_result([silent_hours(1)]))
    assert "not enough sound yet: at least 1.5 h" in verdict.sentence
    assert not re.search("excellent|acceptable", verdict.sentence)
    assert "6 h 'excellent'" in verdict.remarks[0]


def test_a_synthetic_corpus_has_no_grade(tmp_path: Path) -> None:
    wake = clips_run(tmp_path, [250] * 30, provenance="synthetic")
    verdict = judge(make_result([wake, silent_hours(100, provenance="synthetic")]))
    assert verdict.sentence.count("no grade: synthetic speech") == 2
    assert (verdict.false_accepts.name, verdict.recall.name) == (None, None)
    mixed = judge(make_result([wake, silent_hours(100)]))
    assert (mixed.false_accepts.name, mixed.recall.name) == ("excellent", None)
    # A rate over both kinds is a synthesiser's in part.
    both = judge(make_result([silent_hours(100), silent_hours(1, provenance="synthetic")]))
    assert both.false_accepts.headline == "no grade: partly synthetic speech"


def test_a_session_is_a_part_of_the_rate_whoever_spoke_in_it(tmp_path: Path) -> None:
    words = stream_run(tmp_path, [6, 6], [(5.9, 250)], "wake", provenance="synthetic")
    session = words.model_copy(update={"protocol": words.protocol.model_copy(update={"mode": "session"})})
    assert (
        judge(make_result([session, silent_hours(100)])).false_accepts.headline == "no grade: partly synthetic speech"
    )
    assert judge(make_result([words, silent_hours(100)])).false_accepts.name == "excellent"


def test_recordings_of_unknown_origin_are_said_to_be(tmp_path: Path) -> None:
    verdict = judge(make_result([clips_run(tmp_path, [250] * 30, provenance="unknown", label="people")]))
    assert verdict.recall.name == "good"
    assert "No record says who spoke in people: people or a synthesiser." in verdict.remarks[-1]


@pytest.mark.parametrize(("before", "now"), [(True, "synthetic"), (False, "unknown")])
def test_an_older_result_is_read_and_its_origin_not_guessed(tmp_path: Path, before: bool, now: str) -> None:
    result = make_result([clips_run(tmp_path, [250])])
    values = result.model_dump(mode="json")
    del values["runs"][0]["provenance"]
    values["runs"][0]["synthetic"] = before
    (tmp_path / "result.json").write_text(json.dumps(values))
    assert [run.provenance for run in read_result(tmp_path / "result.json").runs] == [now]


def test_an_older_result_says_nothing_of_noise_and_had_none(tmp_path: Path) -> None:
    result = make_result([clips_run(tmp_path, [250])])
    values = result.model_dump(mode="json")
    del values["runs"][0]["protocol"]["noise_floor_dbfs"]
    (tmp_path / "result.json").write_text(json.dumps(values))
    read = read_result(tmp_path / "result.json")
    assert read == result
    assert read.runs[0].way == "simulated"
    assert merge_results([read, result]).runs == result.runs


def test_what_was_not_measured_is_said(tmp_path: Path) -> None:
    verdict = judge(make_result([clips_run(tmp_path, [250])]))
    assert verdict.false_accepts.name is None and "false accepts not measured" in verdict.sentence
    assert "recall not measured" in judge(make_result([silent_hours(8)])).sentence


def test_an_interval_without_a_rate_is_a_dash() -> None:
    for method in (SHARE_METHOD, RATE_METHOD):
        words = wording.cell(IntervalRecord(count=0, of=0, rate=None, low=None, high=None, method=method))
        assert {words.rate, words.interval, wording.interval(None), wording.in_short(None)} == {wording.NONE}


def test_what_a_list_says_of_its_recordings_is_a_remark(tmp_path: Path) -> None:
    note = "one speaker, split by session: the test says nothing of other people"
    runs = [clips_run(tmp_path, [255, 255], notes=(note,)), clips_run(tmp_path, [255], notes=(note,))]
    assert (
        judge(make_result(runs)).remarks.count("One speaker, split by session: the test says nothing of other people.")
        == 1
    )
    assert not any("speaker" in remark for remark in judge(make_result([clips_run(tmp_path, [255])])).remarks)
