"""Device against simulation: what is paired, what is void, what is listed, and how late."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.results.agreement import MARGIN, PAIR_SLICES, make_agreement
from harness.results.merge import merge_results
from harness.results.runs import run_streams, score_run, simulated_runs, sweep_cutoffs
from harness.results.schema import AgreementRecord, Result, RunRecord, VoidRecord, read_result, write_result
from harness.results.scores import score_runs
from tests.harness.results.builders import (
    CUTOFF_UINT8,
    STRIDE,
    WINDOW,
    clips_run,
    device_run,
    make_device_result,
    make_result,
    session,
    stream_run,
)
from wakeword.errors import ConfigError


@pytest.fixture
def spoken(tmp_path: Path) -> RunRecord:
    """Four utterances in one stream, the second of them missed."""
    return stream_run(tmp_path / "wake", [3, 3, 3, 3], [(2.5, 250), (9.0, 250), (12.5, 250)], truth="wake")


@pytest.fixture
def noise(tmp_path: Path) -> RunRecord:
    """Two recordings without the wake word and two false accepts."""
    return stream_run(tmp_path / "none", [6, 6], [(3, 250), (9, 245)])


def compared(device: list[RunRecord], simulated: list[RunRecord]) -> AgreementRecord:
    return make_agreement(device, simulated, model=make_result(simulated).model)


def test_the_simulation_agrees_with_itself(spoken: RunRecord, noise: RunRecord) -> None:
    agreement = compared([device_run(spoken), device_run(noise)], [spoken, noise])
    assert agreement.utterances.model_dump() == {"both": 3, "device_only": 0, "simulated_only": 0, "neither": 1}
    assert agreement.false_accepts.model_dump() == {"matched": 2, "device_only": 0, "simulated_only": 0}
    assert (agreement.positions.paired, agreement.positions.same_slice, agreement.positions.largest_offset) == (5, 5, 0)
    assert agreement.disagreements == ()
    assert agreement.latency.device == agreement.latency.simulated
    assert agreement.mcnemar_p == 1.0
    # Four utterances that agree show nothing: this is where "no difference found" would lie.
    assert (
        agreement.equivalence is not None
        and not agreement.equivalence.equivalent
        and agreement.equivalence.margin == MARGIN
    )


def test_latency_counts_from_no_words_end_that_noise_hides(spoken: RunRecord) -> None:
    def with_ends(*ends: float | None) -> AgreementRecord:
        files = tuple(
            file.model_copy(update={"word_end": end, "word_end_hidden": end is None})
            for file, end in zip(spoken.files, ends, strict=True)
        )
        run = spoken.model_copy(update={"files": files})
        return compared([device_run(run)], [run])

    some = with_ends(1.0, None, None, 1.0).latency
    assert (some.measured_from, some.hidden) == ("estimated end of the word", 2)
    assert some.device is not None and some.device.n == 2
    none = with_ends(None, None, None, None).latency
    assert (none.measured_from, none.hidden, none.device, none.simulated) == (
        "estimated end of the word",
        4,
        None,
        None,
    )


def test_what_one_side_lacks_is_listed_with_both_sides_probabilities(spoken: RunRecord, noise: RunRecord) -> None:
    agreement = compared(
        [device_run(spoken, without=[1]), device_run(noise)],
        [spoken, device_run(noise, without=[0], source="simulated")],
    )
    assert (agreement.utterances.simulated_only, agreement.utterances.both) == (1, 2)
    assert agreement.false_accepts.model_dump() == {"matched": 1, "device_only": 1, "simulated_only": 0}
    missed, false = agreement.disagreements
    assert (missed.what, missed.run, missed.file_index) == ("utterance missed by the device", 0, 2)
    assert missed.device.slice is None and missed.simulated.slice == spoken.detections[1].slice
    assert missed.device.highest_probability == pytest.approx(250 / 255)
    assert missed.begin == spoken.files[2].stream_start and missed.end == pytest.approx(
        missed.begin + spoken.files[2].seconds + 0.75
    )
    assert (false.what, false.run) == ("false accept of the device only", 1)
    assert false.device.average == noise.detections[0].average and false.simulated.slice is None
    assert false.simulated.highest_average is not None


def test_without_a_trace_there_are_no_probabilities(spoken: RunRecord) -> None:
    agreement = compared([device_run(spoken, without=[0], trace=False)], [spoken])
    (missed,) = agreement.disagreements
    assert (missed.device.highest_probability, missed.device.highest_average) == (None, None)
    assert missed.simulated.highest_probability is not None
    assert (
        make_agreement([device_run(spoken, without=[0])], [spoken]).disagreements[0].simulated.highest_probability
        is None
    )  # no model given


def test_a_detection_past_the_tolerance_is_a_miss_and_still_a_pair(tmp_path: Path) -> None:
    spoken = stream_run(tmp_path, [3, 3], [(3.5, 250)], truth="wake")
    late = device_run(spoken, moved=40)
    assert late.detections[0].seconds > 3.75 > spoken.detections[0].seconds > 3.0
    # The second recording begins at 3.5 s, so the late detection finds that one instead: two disagreements, one pair.
    agreement = compared([late], [spoken])
    assert {one.what for one in agreement.disagreements} == {
        "utterance missed by the device",
        "utterance missed by the simulation",
    }
    assert agreement.positions.paired == 1


@pytest.mark.parametrize(
    ("moved", "matched"), [(0, 2), (7, 2), (-PAIR_SLICES, 2), (PAIR_SLICES, 2), (PAIR_SLICES + 1, 0)]
)
def test_false_accepts_are_matched_by_position(noise: RunRecord, moved: int, matched: int) -> None:
    agreement = compared([device_run(noise, moved=moved)], [noise])
    assert agreement.false_accepts.matched == matched
    assert agreement.false_accepts.device_only == agreement.false_accepts.simulated_only == 2 - matched
    assert [(one.slices, one.pairs) for one in agreement.positions.offsets] == ([(moved, 2)] if matched else [])
    assert agreement.mcnemar_p is None and agreement.equivalence is None and agreement.latency.device is None


def test_further_detections_in_wake_runs_are_disagreements_but_no_false_accepts(tmp_path: Path) -> None:
    spoken = stream_run(tmp_path, [6], [(2, 250), (5, 250)], truth="wake")
    agreement = compared([device_run(spoken, without=[1])], [spoken])
    assert [one.what for one in agreement.disagreements] == ["further detection of the simulation only"]
    assert agreement.false_accepts.simulated_only == 0


def test_clips_are_paired_clip_by_clip(tmp_path: Path) -> None:
    clips = clips_run(tmp_path, [250, 100, 250], truth="none")
    moved = device_run(clips).model_copy(
        update={"detections": (clips.detections[0], clips.detections[1].model_copy(update={"file_index": 1}))}
    )
    agreement = compared([moved], [clips])
    assert agreement.false_accepts.model_dump() == {"matched": 1, "device_only": 1, "simulated_only": 1}


# --- void time --------------------------------------------------------------------------------------------------------


def test_void_time_leaves_both_sides(spoken: RunRecord, noise: RunRecord) -> None:
    third = spoken.files[2]
    voids = [VoidRecord(start=third.stream_start + 0.5, end=third.stream_start + 1, reason="reboot")]
    device = [
        device_run(spoken, without=[1], voids=voids),
        device_run(noise, without=[0], voids=[VoidRecord(start=2, end=4, reason="API gap")]),
    ]
    result = make_device_result(device, [spoken, noise])
    agreement = result.agreement
    assert agreement is not None and agreement.disagreements == ()
    assert (agreement.utterances.total, agreement.false_accepts.matched) == (3, 1)
    simulated = score_runs(simulated_runs(result))
    assert simulated is not None and simulated == score_runs(device)
    assert (
        simulated.void_utterances == 1
        and simulated.false_accepts_per_hour is not None
        and simulated.false_accepts_per_hour.count == 1
    )


def test_a_pair_with_one_half_in_void_time_is_void(noise: RunRecord) -> None:
    edge = noise.detections[0].seconds
    device = device_run(noise, moved=2, voids=[VoidRecord(start=edge + 0.01, end=edge + 1, reason="API gap")])
    agreement = compared([device], [noise])
    assert agreement.false_accepts.model_dump() == {"matched": 1, "device_only": 0, "simulated_only": 0}


def test_void_clips_are_not_among_the_clips_accepted(tmp_path: Path) -> None:
    clips = clips_run(
        tmp_path, [250, 10, 250], truth="none", voids=(VoidRecord(start=0, end=1, reason="reboot", file_index=0),)
    )
    record = score_runs([clips]).false_accept_clips
    assert record is not None and (record.count, record.of) == (1, 2)


def test_a_void_behind_the_recordings_still_holds_its_detection(noise: RunRecord) -> None:
    late = noise.detections[0].model_copy(update={"seconds": 20.0, "slice": 1997})
    run = noise.model_copy(update={"detections": (late,), "voids": (VoidRecord(start=19, end=21, reason="reboot"),)})
    assert score_run(run).counts.false_accepts == 0 and score_run(run).false == ()


@pytest.mark.parametrize("truth", ["wake", "none"])
def test_the_sweep_leaves_void_time_out(tmp_path: Path, truth: str) -> None:
    peaks = [(2.5, 250), (6.2, 250), (9.5, 245)]
    run = stream_run(
        tmp_path,
        [3, 3, 3],
        peaks,
        truth="wake" if truth == "wake" else "none",
        voids=(VoidRecord(start=6.0, end=6.6, reason="reboot"),),
    )
    curve = sweep_cutoffs(run_streams(run, STRIDE), WINDOW)
    counted = score_run(run).counts
    if truth == "wake":
        assert (curve.detected[CUTOFF_UINT8], curve.utterances) == (counted.found, counted.utterances)
    else:
        assert curve.false_accepts[CUTOFF_UINT8] == counted.false_accepts == 2
        assert curve.hours * 3600 == pytest.approx(counted.scored_seconds)


# --- properties -------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lost=st.sets(st.integers(0, 2)),
    also=st.sets(st.integers(0, 2)),
    moved=st.integers(-20, 20),
    start=st.floats(0, 12),
    length=st.floats(0, 5),
)
def test_counts_add_up_whatever_is_lost(
    spoken: RunRecord, lost: set[int], also: set[int], moved: int, start: float, length: float
) -> None:
    device = device_run(
        spoken, without=sorted(lost), moved=moved, voids=[VoidRecord(start=start, end=start + length, reason="reboot")]
    )
    simulated = device_run(spoken, without=sorted(also), source="simulated")
    agreement = make_agreement([device], [simulated])
    recall = score_runs([device]).recall
    beside = score_runs(simulated_runs(make_device_result([device], [simulated])))
    assert recall is not None and beside.recall is not None
    utterances = agreement.utterances
    assert utterances.total == recall.of == beside.recall.of
    assert (utterances.both + utterances.device_only, utterances.both + utterances.simulated_only) == (
        recall.count,
        beside.recall.count,
    )
    assert sum("utterance" in one.what for one in agreement.disagreements) == utterances.discordant
    assert (
        sum(one.pairs for one in agreement.positions.offsets)
        == agreement.positions.paired
        <= min(len(device.detections), len(simulated.detections))
    )


# --- the record -------------------------------------------------------------------------------------------------------


def test_it_survives_the_file(tmp_path: Path, spoken: RunRecord) -> None:
    result = make_device_result([device_run(spoken, without=[0])], [spoken])
    write_result(result, tmp_path / "result.json")
    assert read_result(tmp_path / "result.json") == result


def test_older_files_are_still_read(tmp_path: Path, spoken: RunRecord) -> None:
    values = json.loads(make_result([spoken]).model_dump_json())
    for added in ("simulation", "agreement", "session"):
        del values[added]
    (tmp_path / "old.json").write_text(json.dumps(values))
    assert read_result(tmp_path / "old.json") == make_result([spoken])


@pytest.mark.parametrize("damage", ["too few", "source", "no simulation"])
def test_a_simulation_that_does_not_belong_is_refused(
    tmp_path: Path, spoken: RunRecord, noise: RunRecord, damage: str
) -> None:
    result = make_device_result([device_run(spoken), device_run(noise)], [spoken, noise])
    simulation = {"too few": (spoken,), "source": (spoken, device_run(noise)), "no simulation": ()}[damage]
    (tmp_path / "result.json").write_text(result.model_copy(update={"simulation": simulation}).model_dump_json())
    with pytest.raises(ConfigError, match="measure again"):
        read_result(tmp_path / "result.json")


def test_other_audio_is_no_simulation(spoken: RunRecord, noise: RunRecord) -> None:
    with pytest.raises(ConfigError, match="not of the same audio"):
        make_agreement([device_run(spoken)], [noise])
    with pytest.raises(ConfigError, match="2 measured runs have a simulation of 1"):
        make_agreement([device_run(spoken), device_run(noise)], [spoken])


# --- merging ----------------------------------------------------------------------------------------------------------


def test_sessions_of_one_board_merge_and_are_compared_anew(spoken: RunRecord, noise: RunRecord) -> None:
    first = make_device_result([device_run(spoken, without=[0])], [spoken])
    second = make_device_result([device_run(noise)], [noise], session(seed=8, legs=2, wall_seconds=6.0))
    merged = merge_results([first, second])
    assert merged.simulation == (spoken, noise)
    assert merged.agreement == make_agreement(merged.runs, merged.simulation, model=merged.model)
    assert merged.agreement.disagreements[0].run == 0 and merged.agreement.false_accepts.matched == 2
    assert merged.session is not None
    assert (merged.session.seed, merged.session.legs, merged.session.wall_seconds, merged.session.clock) == (
        None,
        3,
        10.0,
        None,
    )
    assert merged.session.integrity.detections == 8
    assert merge_results([first, first]).session == first.session


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (
            session(board=session().board.model_copy(update={"mac": "02:00:5E:00:00:02"})),
            "different boards: MAC address",
        ),
        (session(model_sha256_on_board="f" * 64), "the board ran model"),
        (session(delivered=True), "the model was delivered to the board in one"),
    ],
)
def test_sessions_of_different_boards_or_models_do_not_merge(
    spoken: RunRecord, noise: RunRecord, other: object, words: str
) -> None:
    first = make_device_result([device_run(spoken)], [spoken])
    second = make_device_result([device_run(noise)], [noise]).model_copy(update={"session": other})
    with pytest.raises(ConfigError, match=words):
        merge_results([first, second])


def test_half_a_simulation_another_margin_or_half_a_session_do_not_merge(spoken: RunRecord, noise: RunRecord) -> None:
    first = make_device_result([device_run(spoken)], [spoken])
    second = make_device_result([device_run(noise)], [noise])
    bare: Result = second.model_copy(update={"simulation": (), "agreement": None})
    with pytest.raises(ConfigError, match="one holds the simulation"):
        merge_results([first, bare])
    with pytest.raises(ConfigError, match="names the board"):
        merge_results([first, second.model_copy(update={"session": None})])
    wake = spoken.model_copy(
        update={
            "files": tuple(
                file.model_copy(update={"sha256": f"{index:064}"}) for index, file in enumerate(spoken.files)
            )
        }
    )
    strict = make_device_result([device_run(wake)], [wake])
    strict = strict.model_copy(update={"agreement": make_agreement(strict.runs, strict.simulation, 0.01)})
    with pytest.raises(ConfigError, match=r"margins of equivalence of 0\.01 and 0\.03"):
        merge_results([first, strict])
    assert merge_results([strict]).agreement == make_agreement(strict.runs, strict.simulation, 0.01, model=strict.model)
