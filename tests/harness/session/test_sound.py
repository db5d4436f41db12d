"""Markers in the stream, a leg placed in a recording, and the clock of a loudspeaker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from bench_audio.markers import MARKER_SAMPLES, Alignment, marker
from bench_audio.playback.capture import GrowingWav
from firmware.boards.entry import VIRTUAL_BOARD, BoardEntry
from harness.air.settings import AirOptions, AirSettings, SyntheticRoom, air_settings
from harness.collect.raw import RawEvent
from harness.session.audio import leg_audio
from harness.session.journal import PlayedLeg, played_legs, sound_path
from harness.session.paired import played_part
from harness.session.plan import SessionPlan
from harness.session.schedule import StreamSettings, make_schedule
from harness.session.sound import SETTLE, PlayClock, acoustics_record, leg_sound, place, play_clock
from tests.harness.session.test_schedule import SECTIONS, SETTINGS
from wakeword.contract import SAMPLE_RATE_HZ
from wakeword.errors import ConfigError

MARKED = replace(SETTINGS, marker=MARKER_SAMPLES, marker_every=120_000)


def test_a_schedule_without_markers_is_what_it_was() -> None:
    assert (
        make_schedule(SECTIONS, SETTINGS).sha256
        == make_schedule(SECTIONS, StreamSettings(7, 3, 24_000, 48_000, 8_000)).sha256
    )
    assert make_schedule(SECTIONS, MARKED).sha256 != make_schedule(SECTIONS, SETTINGS).sha256
    with pytest.raises(ValueError, match="do not fit"):
        replace(SETTINGS, marker=8000, marker_every=9000)


def test_every_leg_begins_and_ends_with_a_marker_and_has_them_in_between() -> None:
    schedule = make_schedule(SECTIONS, MARKED)
    for first in range(len(schedule.items)):
        leg = schedule.leg(first)
        occupied = sorted(
            [*((item.start, item.stop) for item in leg.items), *((one, one + MARKER_SAMPLES) for one in leg.markers)]
        )
        assert all(before[1] < after[0] for before, after in pairwise(occupied))
        assert occupied[0][0] == leg.markers[0] == MARKED.lead_in
        assert occupied[-1][0] == leg.markers[-1]
        assert leg.samples - leg.markers[-1] - MARKER_SAMPLES >= MARKED.guard
        assert all(section.start % 480 == 0 for section in leg.sections)
        starts = [item.start for item in leg.items]
        for one in leg.markers:
            following = [start for start in starts if start > one]
            assert not following or following[0] >= one + MARKER_SAMPLES + MARKED.guard
        for before, after in zip(leg.markers, leg.markers[1:-1], strict=False):
            assert after - before >= MARKED.marker_every
    whole = schedule.leg()
    part = played_part(whole, 3)
    assert part.markers == tuple(one for one in whole.markers if one < part.samples)


def test_markers_are_played_where_they_are_planned(plan: Callable[..., SessionPlan]) -> None:
    schedule = plan().schedule()
    leg = make_schedule(
        schedule.sections, replace(schedule.settings, marker=MARKER_SAMPLES, marker_every=160_000)
    ).leg()
    sound = np.concatenate(list(leg_audio(leg)))
    assert len(sound) == leg.samples
    assert len(leg.markers) >= 3
    for one in leg.markers:
        np.testing.assert_array_equal(sound[one : one + MARKER_SAMPLES], marker())
    plain = np.concatenate(list(leg_audio(schedule.leg())))
    for ours, theirs in zip(leg.items, schedule.leg().items, strict=True):
        np.testing.assert_array_equal(sound[ours.start : ours.stop], plain[theirs.start : theirs.stop])


def test_a_leg_is_placed_in_a_recording() -> None:
    leg = make_schedule(SECTIONS, MARKED).leg()
    alignment = Alignment(50.0, (300_000.0,), (17_000.5, 16_700.5), 0.0, 5)
    placed = place(leg, alignment, leg.samples + 40_000, 480)
    assert placed.sections[0].start == 0
    assert placed.sections[-1].stop == leg.samples + 40_000
    for before, after in zip(placed.sections, placed.sections[1:], strict=False):
        assert before.stop == after.start
        assert after.start % 480 == 0
    for ours, theirs in zip(placed.items, leg.items, strict=True):
        assert ours.start == round(alignment.heard(theirs.start))
        assert ours.stop <= ours.following
    assert placed.markers == tuple(round(alignment.heard(one)) for one in leg.markers)


def test_the_play_clock_goes_between_moments_and_beyond_them() -> None:
    clock = PlayClock((10.0, 11.0, 14.0), (0, 16_000, 32_000))
    assert clock.position(10.5) == 8000
    assert clock.position(12.5) == 24_000  # playing had paused
    assert clock.position(15.0) == 48_000
    assert clock.position(9.0) == 0
    assert PlayClock((1.0,), (0,)).position(1.0) is None


def test_the_way_of_the_sound_is_the_users_word_before_the_inventorys() -> None:
    desk = BoardEntry(
        name="desk",
        kind="serial",
        mac="A0:85:E3:12:34:56",
        speaker="KH 80",
        microphone="INMP441",
        reference_microphone="UMIK",
        room="office",
    )
    own = air_settings(desk, AirOptions())
    assert own is not None
    assert (own.speaker, own.microphone) == ("KH 80", "UMIK")
    given = air_settings(desk, AirOptions(speaker="other", microphone="mine"))
    assert given is not None
    assert (given.speaker, given.microphone) == ("other", "mine")
    assert air_settings(VIRTUAL_BOARD, AirOptions()) is None
    with pytest.raises(ConfigError, match="give --speaker"):
        air_settings(BoardEntry(name="desk", kind="serial", mac="A0:85:E3:12:34:56"), AirOptions())
    with pytest.raises(ConfigError, match="--microphone"):
        air_settings(VIRTUAL_BOARD, AirOptions(speaker="KH 80"))
    with pytest.raises(ConfigError, match="real room"):
        air_settings(desk, AirOptions(room=SyntheticRoom(rt60_seconds=0.3)))
    with pytest.raises(ConfigError, match="--room-rt60 has a meaning only"):
        air_settings(VIRTUAL_BOARD, AirOptions(room=SyntheticRoom(rt60_seconds=0.3)))
    with pytest.raises(ConfigError, match="--gain-db has a meaning only"):
        air_settings(VIRTUAL_BOARD, AirOptions(gain_db=3.0))


def played(plan: SessionPlan, *sound: dict[str, object]) -> PlayedLeg:
    events = [RawEvent("leg", 1.0, 0, {"leg": 1, "part": "measure", "first_item": 0, "boot_id": "00000001"})]
    events += [RawEvent("sound", 2.0, 0, {"leg": 1} | one) for one in sound]
    last = len(plan.schedule().items) - 1
    events += [RawEvent("play", 2.0, 0, {"event": "item", "leg": 1, "item": item}) for item in range(last + 1)]
    events.append(
        RawEvent(
            "play", 3.0, 0, {"event": "end", "leg": 1, "complete": True, "reason": "", "board_lost": False, "heard": 0}
        )
    )
    return played_legs(events)[0]


@pytest.fixture
def through_air(plan: Callable[..., SessionPlan]) -> SessionPlan:
    made = plan()
    settings = replace(made.settings, marker=MARKER_SAMPLES, marker_every=160_000)
    schedule = make_schedule(made.sections, settings)
    air = AirSettings(speaker="out", microphone="in")
    return made.model_copy(update={"settings": settings, "schedule_sha256": schedule.sha256, "air": air})


def test_the_sound_of_a_leg_is_found_in_its_recording_and_told_faults_are_void(
    through_air: SessionPlan, tmp_path: Path
) -> None:
    leg = through_air.schedule().leg()
    sound = np.concatenate(list(leg_audio(leg)))
    lead = 12_345
    with GrowingWav(sound_path(tmp_path, 1)) as wav:
        wav.write(np.zeros(lead, np.int16))
        wav.write(sound)
        wav.write(np.zeros(8000, np.int16))
    at = 20 * SAMPLE_RATE_HZ
    fault = {"event": "fault", "side": "speaker", "what": "underflow", "at": at, "samples": 0}
    moments = [{"event": "moment", "heard_at": 5.0 + second, "at": second * SAMPLE_RATE_HZ} for second in range(3)]
    one = played(
        through_air, fault, *moments, {"event": "end", "speaker": "out", "speaker_rate": 48_000, "true_peak_dbfs": -3.0}
    )
    found = leg_sound(through_air, tmp_path, one, leg, None)
    assert found is not None
    assert found.examined is not None
    assert found.examined.faults == ()
    assert [item.start - lead for item in found.leg.items] == [item.start for item in leg.items]
    assert found.samples == len(sound) + lead + 8000
    np.testing.assert_array_equal(np.concatenate(list(found.blocks()))[lead : lead + len(sound)], sound)
    (void,) = found.voids
    assert void.start < at + lead < void.end - SETTLE
    assert play_clock(one).position(6.5) == 24_000
    record = acoustics_record(through_air, [found])
    assert record is not None
    assert (record.underflows, record.lost, record.speaker_rate, record.true_peak_dbfs) == (1, 0, 48_000, -3.0)
    assert record.markers_heard == record.markers_played == len(leg.markers)
    assert record.residual_rms_ms is not None
    assert record.residual_rms_ms < 0.01


def test_where_nothing_was_heard_everything_is_void(through_air: SessionPlan, tmp_path: Path) -> None:
    leg = through_air.schedule().leg()
    with GrowingWav(sound_path(tmp_path, 1)) as wav:
        wav.write(np.zeros(leg.samples, np.int16))
    found = leg_sound(through_air, tmp_path, played(through_air), leg, None)
    assert found is not None
    (void,) = found.voids
    assert (void.start, void.end) == (0, leg.samples)
    assert "none of" in void.reason
