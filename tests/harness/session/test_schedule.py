"""The order of playback and the place of everything in the stream."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from harness.session.audio import leg_audio, plan_recording, plan_sections
from harness.session.paired import played_part
from harness.session.schedule import (
    LEAST_GUARD_SECONDS,
    PlannedRecording,
    PlannedSection,
    StreamSettings,
    Truth,
    default_settings,
    guard_seconds,
    make_schedule,
)
from tests.harness.session.loud import words
from wakeword.audio import read_samples
from wakeword.contract import HOLD_OFF_SLICES, SAMPLE_RATE_HZ
from wakeword.errors import ConfigError
from wakeword.scoring.matching import TOLERANCE_SECONDS

SETTINGS = StreamSettings(seed=7, stride=3, lead_in=24_000, guard=48_000, gap=8_000)


def section(label: str, truth: Truth, *lengths: int) -> PlannedSection:
    return PlannedSection(
        label,
        truth,
        tuple(
            PlannedRecording(Path(f"{label}/{index}.wav"), f"{label}{index}", length)
            for index, length in enumerate(lengths)
        ),
    )


SECTIONS = [
    section("words", "wake", 9_000, 17_001, 12_345, 30_000),
    section("tv", "none", 100_000, 50_001),
    section("more words", "wake", 20_000, 20_001),
]


@given(
    st.lists(st.integers(480, 60_000), min_size=1, max_size=8),
    st.lists(st.integers(480, 60_000), min_size=0, max_size=4),
    st.sampled_from([1, 2, 3, 4]),
)
def test_every_section_begins_at_an_inference_and_truth_is_in_samples(
    spoken: list[int], other: list[int], stride: int
) -> None:
    sections = [section("words", "wake", *spoken)] + ([section("tv", "none", *other)] if other else [])
    schedule = make_schedule(sections, replace(SETTINGS, stride=stride))
    for first in range(len(schedule.items)):
        leg = schedule.leg(first)
        assert [placed.item for placed in leg.items] == list(schedule.items[first:])
        assert leg.sections[0].start == 0
        for before, after in zip(leg.sections, leg.sections[1:], strict=False):
            assert before.stop == after.start
        for one in leg.sections:
            assert one.start % (160 * stride) == one.stop % (160 * stride) == 0
            assert one.items[0].start - one.start == SETTINGS.lead_in
            pause = SETTINGS.guard if sections[one.index].truth == "wake" else SETTINGS.gap
            for this, following in zip(one.items, one.items[1:], strict=False):
                assert (this.stop - this.start, following.start - this.stop) == (this.item.recording.samples, pause)
                assert this.following == following.start
            assert one.stop - one.items[-1].stop >= SETTINGS.guard


def test_the_seed_orders_words_and_nothing_else() -> None:
    first, again, other = (make_schedule(SECTIONS, replace(SETTINGS, seed=seed)) for seed in (7, 7, 8))
    assert first == again
    assert first.sha256 == again.sha256 != other.sha256
    orders = [[item.recording for item in one.items if item.section == 0] for one in (first, other)]
    assert orders[0] != orders[1]
    assert sorted(orders[0], key=str) == sorted(orders[1], key=str) == sorted(SECTIONS[0].recordings, key=str)
    assert [item.recording for item in other.items if item.section == 1] == list(SECTIONS[1].recordings)


def test_a_recording_more_leaves_the_others_in_their_order() -> None:
    longer = replace(
        SECTIONS[0], recordings=(*SECTIONS[0].recordings, PlannedRecording(Path("new.wav"), "new", 10_000))
    )
    before, after = (make_schedule([one], SETTINGS).items for one in (SECTIONS[0], longer))
    assert [item.recording for item in after if item.recording.sha256 != "new"] == [item.recording for item in before]


def test_the_hash_is_stable_and_knows_content_not_place() -> None:
    schedule = make_schedule(SECTIONS, SETTINGS)
    moved = [
        replace(
            one,
            recordings=tuple(
                replace(recording, path=Path("elsewhere") / recording.path) for recording in one.recordings
            ),
        )
        for one in SECTIONS
    ]
    assert make_schedule(moved, SETTINGS).sha256 == schedule.sha256
    assert schedule.sha256 == "6f1cdbae21710e24f995b31ea00e701185d0d67d0cdf0b56adeafa2be625d58b"
    for changed in (replace(SETTINGS, guard=48_160), replace(SETTINGS, lead_in=24_160), replace(SETTINGS, gap=0)):
        assert make_schedule(SECTIONS, changed).sha256 != schedule.sha256
    assert make_schedule([replace(SECTIONS[0], truth="none"), *SECTIONS[1:]], SETTINGS).sha256 != schedule.sha256


def test_guard_time_outlasts_memory_window_and_hold_off() -> None:
    assert guard_seconds(147, 5, 3) == pytest.approx((147 + 15 + HOLD_OFF_SLICES + 3) / 100)
    assert guard_seconds(0, 1, 1) == LEAST_GUARD_SECONDS == TOLERANCE_SECONDS + 1.0
    assert guard_seconds(None, 5, 3) > guard_seconds(177, 5, 3)
    settings = default_settings(0, 3, 5, 147)
    assert (settings.lead_in, settings.guard, settings.gap) == (24_000, 42_400, 8_000)


@pytest.mark.parametrize(
    ("field", "samples", "message"),
    [("lead_in", 15_999, "hold-off after boot"), ("guard", 27_999, "meet the next word")],
)
def test_settings_that_would_spoil_a_measurement_are_refused(field: str, samples: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(SETTINGS, **{field: samples})


def test_one_recording_in_two_sections_is_refused() -> None:
    twin = replace(SECTIONS[1], recordings=SECTIONS[0].recordings[:1])
    with pytest.raises(ConfigError, match="with another truth"):
        make_schedule([SECTIONS[0], twin], SETTINGS)
    with pytest.raises(ConfigError, match="counted twice"):
        make_schedule([SECTIONS[0], replace(twin, truth="wake")], SETTINGS)


def test_nothing_to_play_and_too_short_recordings_are_refused() -> None:
    with pytest.raises(ConfigError, match="nothing to play"):
        make_schedule([], SETTINGS)
    with pytest.raises(ConfigError, match="no feature of 30 ms"):
        make_schedule([section("words", "wake", 479)], SETTINGS)
    with pytest.raises(ConfigError, match="same label"):
        make_schedule([SECTIONS[0], section("words", "none", 1000)], SETTINGS)


def test_a_leg_is_cut_after_the_item_that_was_begun_last() -> None:
    leg = make_schedule(SECTIONS, SETTINGS).leg(1)
    cut = played_part(leg, 4)
    assert [placed.item.index for placed in cut.items] == [1, 2, 3, 4]
    assert cut.samples == leg.items[4].start
    assert played_part(leg, 7) == leg


# --- audio


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    return words(tmp_path / "words", 3), words(tmp_path / "tv", 2, seed=1)


def test_audio_is_the_recordings_at_their_places_and_silence_between(folders: tuple[Path, Path]) -> None:
    schedule = make_schedule(plan_sections([folders[0]], [folders[1]]), SETTINGS)
    for first in (0, 2, 4):
        leg = schedule.leg(first)
        expected = np.zeros(leg.samples, np.int16)
        for placed in leg.items:
            expected[placed.start : placed.stop] = read_samples(placed.item.recording.path)
        for size in (1000, 4000, 64_000):
            blocks = list(leg_audio(leg, block_samples=size))
            assert max(map(len, blocks)) <= size
            assert np.array_equal(np.concatenate(blocks), expected)


def test_any_part_of_the_audio_is_that_part(folders: tuple[Path, Path]) -> None:
    leg = make_schedule(plan_sections([folders[0]], [folders[1]]), SETTINGS).leg()
    whole = np.concatenate(list(leg_audio(leg)))
    for start, stop in ((0, 1), (23_999, 24_001), (30_000, 90_000), (leg.samples - 1, leg.samples)):
        assert np.array_equal(np.concatenate(list(leg_audio(leg, start, stop, 3000))), whole[start:stop])


def test_a_recording_that_is_not_what_a_board_hears_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "cd.wav", np.zeros((44_100, 2), np.int16), 44_100)
    with pytest.raises(ConfigError, match="44100 Hz, 2 channels, but a board hears 16000 Hz mono"):
        plan_recording(tmp_path / "cd.wav", "unknown")


def test_sections_are_named_as_shortly_as_they_can_be_told_apart(tmp_path: Path) -> None:
    one, two = words(tmp_path / "a" / "clips", 1), words(tmp_path / "b" / "clips", 1, seed=1)
    other = words(tmp_path / "tv", 1, seed=2)
    assert [section.label for section in plan_sections([one, two], [other])] == ["a/clips", "b/clips", "tv"]
    assert [section.label for section in plan_sections([one / "0.wav"], [other])] == ["0", "tv"]
    with pytest.raises(ConfigError, match="given twice"):
        plan_sections([one, one], [])


def test_planned_lengths_are_those_of_the_samples(folders: tuple[Path, Path]) -> None:
    for path in sorted(folders[0].iterdir()):
        recording = plan_recording(path, "unknown")
        assert recording.samples == len(read_samples(path)) == 0.6 * SAMPLE_RATE_HZ
