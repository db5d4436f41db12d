"""Two models on the same recordings: paired, whatever the order, and refused where a comparison would be a lie."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from harness.results.schema import FileRecord, PresentationRecord, Result, VoidRecord
from harness.results.versus import compare, model_groups
from harness.results.versus_page import accepts_sentence, recall_sentence, write_comparison
from tests.harness.results.builders import clips_run, make_result, silent_hours, stream_run
from tests.harness.results.test_report import Page, over_noise
from wakeword.errors import ConfigError

OTHER = {"tflite_sha256": "c" * 64, "manifest_path": "models/other.json"}


def both(
    tmp_path: Path,
    heights: list[int],
    others: list[int],
    peaks: list[tuple[float, int]],
    other_peaks: list[tuple[float, int]],
) -> tuple[Result, Result]:
    """The same files, answered otherwise."""
    first = [clips_run(tmp_path / "w", heights), stream_run(tmp_path / "n", [6, 6], peaks)]
    second = [clips_run(tmp_path / "w", others), stream_run(tmp_path / "n", [6, 6], other_peaks)]
    return make_result(first), make_result(second, **OTHER)


def test_utterances_and_false_accepts_are_paired(tmp_path: Path) -> None:
    # Found by both, by the first, by the second twice, by neither; one false accept in common, two of the first alone.
    first, second = both(
        tmp_path, [250, 250, 100, 100, 100], [250, 100, 250, 250, 100], [(2, 250), (5, 250), (9, 250)], [(2, 250)]
    )
    versus = compare(first, second)
    counts = versus.utterances
    assert (counts.both, counts.device_only, counts.simulated_only, counts.neither) == (1, 1, 2, 1)
    events = versus.false_accepts
    assert (events.matched, events.device_only, events.simulated_only) == (1, 2, 0)
    assert versus.hours == pytest.approx(12.01 / 3600)
    assert [one.what for one in versus.differences] == [
        *("found by A only", "found by B only", "found by B only"),
        *("false accept of A only", "false accept of A only"),
    ]
    assert versus.left_out == 0
    swapped = compare(second, first).utterances
    assert (swapped.device_only, swapped.simulated_only) == (2, 1)


def test_the_order_of_the_recordings_does_not_matter(tmp_path: Path) -> None:
    first, second = both(tmp_path, [250, 100, 250], [250, 250, 100], [], [])
    run = second.runs[0]
    order = [2, 0, 1]
    files = tuple(run.files[index] for index in order)
    detections = tuple(one.model_copy(update={"file_index": order.index(one.file_index)}) for one in run.detections)
    shuffled = second.model_copy(
        update={"runs": (run.model_copy(update={"files": files, "detections": detections}), second.runs[1])}
    )
    assert compare(first, shuffled).utterances == compare(first, second).utterances


def test_words_claim_no_more_than_the_test(tmp_path: Path) -> None:
    few = compare(*both(tmp_path, [250, 100], [250, 250], [(2, 250)], []))
    assert "no proof that either finds more" in recall_sentence(few)
    assert "no proof that either has more false accepts" in accepts_sentence(few)
    many = compare(*both(tmp_path, [100] * 12, [250] * 12, [], []))
    assert "0 were found by A only and 12 by B only: B finds more" in recall_sentence(many)


def test_void_recordings_and_those_of_one_alone_are_left_out_and_said(tmp_path: Path) -> None:
    first, second = both(tmp_path, [250, 250, 100], [250, 100], [(2, 250)], [(9, 250)])
    void = VoidRecord(start=0.0, end=3.0, reason="reboot")
    cut = second.model_copy(update={"runs": (second.runs[0], second.runs[1].model_copy(update={"voids": (void,)}))})
    versus = compare(first, cut)
    assert versus.utterances.total == 2
    assert versus.hours == pytest.approx(6.01 / 3600)
    assert (versus.false_accepts.matched, versus.false_accepts.device_only, versus.false_accepts.simulated_only) == (
        0,
        0,
        1,
    )
    assert versus.left_out == 2


def test_false_accepts_of_models_with_two_steps_are_paired_by_time(tmp_path: Path) -> None:
    first, second = both(tmp_path, [250], [250], [(2, 250), (9, 250)], [(2, 250), (9, 250)])
    # A model that is asked every 20 ms counts half as many slices to the same moment.
    run = second.runs[1]
    halved = tuple(one.model_copy(update={"slice": one.slice // 2}) for one in run.detections)
    slow = make_result([second.runs[0], run.model_copy(update={"detections": halved})], feature_step_ms=20, **OTHER)
    events = compare(first, slow).false_accepts
    assert (events.matched, events.device_only, events.simulated_only) == (2, 0, 0)


def test_a_detection_in_void_time_is_no_false_accept(tmp_path: Path) -> None:
    first, second = both(tmp_path, [250], [250], [(6.25, 250)], [])
    assert compare(first, second).false_accepts.device_only == 1
    # In the silence after the first recording, which itself is whole.
    (detection,) = first.runs[1].detections
    void = VoidRecord(start=6.05, end=6.45, reason="reboot")
    assert void.start < detection.seconds < void.end
    cut = first.model_copy(update={"runs": (first.runs[0], first.runs[1].model_copy(update={"voids": (void,)}))})
    versus = compare(cut, second)
    assert versus.hours == pytest.approx(12.01 / 3600)
    assert versus.false_accepts.device_only == 0


@pytest.mark.timeout(60)  # it took a quarter of an hour where each recording had the whole run looked at again
def test_thousands_of_recordings_are_compared_in_seconds() -> None:
    protocol = PresentationRecord(mode="clips", truth="none", lead_in_seconds=1.5)
    files = tuple(
        FileRecord(
            path=f"{index}.wav",
            sha256=hashlib.sha256(str(index).encode()).hexdigest(),
            seconds=3.0,
            stream_start=1.5,
            max_probability=0.1,
        )
        for index in range(3000)
    )
    run = silent_hours(1.0).model_copy(
        update={"protocol": protocol, "files": files, "inferences_per_file": (0,) * len(files)}
    )
    assert compare(make_result([run]), make_result([run], **OTHER)).hours == pytest.approx(2.5)


def test_the_page_is_whole(tmp_path: Path) -> None:
    first, second = both(tmp_path, [250, 250, 100], [250, 100, 250], [(2, 250)], [])
    groups = model_groups([first, second])
    sentence = write_comparison(groups, tmp_path / "both.html")
    page = Page((tmp_path / "both.html").read_text(encoding="utf-8"))
    assert sentence.replace("\N{NO-BREAK SPACE}", " ") in page.text
    assert {"figures", "recall", "false-accepts", "speakers", "differences", "method"} <= set(page.ids)
    assert "A: hey_test" in page.text
    assert "B: other" in page.text
    assert "66.7 %" in page.text
    assert all(header.get("scope") for header in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"wake_word": "Computer"}, "two wake words"), ({}, "share no recording")],
)
def test_what_cannot_be_compared_is_refused(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    first = make_result([clips_run(tmp_path / "a", [250])])
    second = make_result([clips_run(tmp_path / "a", [250], seconds=1.2 if changes else 1.5)], **(OTHER | changes))
    with pytest.raises(ConfigError, match=said):
        compare(first, second)


def test_two_ways_of_measuring_are_not_compared(tmp_path: Path) -> None:
    first = make_result([clips_run(tmp_path, [250])])
    second = make_result([clips_run(tmp_path, [250], source="on-device")], **OTHER)
    with pytest.raises(ConfigError, match="two ways"):
        compare(first, second)


def test_models_are_compared_over_the_same_noise_of_a_microphone_alone(tmp_path: Path) -> None:
    first, second = both(tmp_path, [250, 100], [250, 250], [(2, 250)], [])
    noisy, other, louder = over_noise(first, -60.0), over_noise(second, -60.0), over_noise(second, -50.0)
    assert compare(noisy, other) == compare(first, second)
    for mixed, said in (
        (second, r"\(simulated; simulated, with a microphone's noise of -60 dBFS\)"),
        (louder, "-50 dBFS"),
    ):
        with pytest.raises(ConfigError, match=f"measured in two ways .*{said}"):
            compare(noisy, mixed)
    write_comparison(model_groups([noisy, other]), tmp_path / "both.html")
    page = Page((tmp_path / "both.html").read_text(encoding="utf-8"))
    assert "simulated with a microphone's noise of -60 dBFS Two models on the same recordings" in page.text
    assert (
        "Over the recordings that both heard, with a microphone's noise of -60 dBFS, with 95 % intervals" in page.text
    )


def test_results_are_grouped_by_model_and_operating_point(tmp_path: Path) -> None:
    first, second = both(tmp_path, [250], [250], [], [])
    lower = make_result(first.runs, cutoff=0.8, cutoff_uint8=204)
    slower = make_result(first.runs, feature_step_ms=20)
    assert model_groups([first, second, first, lower, slower]) == [[first, first], [second], [lower], [slower]]
