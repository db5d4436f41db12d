"""What a recording tells of the way of the sound: each injected fault is found where it is, and a clean one
has none."""

from __future__ import annotations

import numpy as np
import pytest
import soxr
from numpy.typing import NDArray

from bench_audio.markers import MARKER_SAMPLES, marker
from bench_audio.playback.integrity import Examined, SoundFault, _levels, _steps, examine
from bench_audio.playback.tracking import WINDOW_SAMPLES, Pause, Tracked
from bench_audio.synthetic_room import ConvolutionStage, Room

RATE = 16_000
SECONDS = 60
MARKERS = (RATE, 30 * RATE, SECONDS * RATE - 2 * RATE)
OFFSET = 7321

type Sound = NDArray[np.int16]


@pytest.fixture(scope="module")
def played() -> Sound:
    """A minute with three markers, and between them bursts of noise as speech has them: with pauses, of changing
    loudness and colour.
    """
    random = np.random.default_rng(1)
    sound = np.zeros(SECONDS * RATE)
    for start in np.arange(3 * RATE, (SECONDS - 5) * RATE, RATE):
        if any(abs(start - one) < 2 * RATE for one in MARKERS):
            continue
        length = int(random.integers(RATE // 4, RATE - 2000))
        burst = np.convolve(random.normal(0, 1, length), random.normal(0, 1, 6), "same") * np.hanning(length)
        sound[start : start + length] += burst / np.abs(burst).max() * random.uniform(3000, 16_000)
    for one in MARKERS:
        sound[one : one + MARKER_SAMPLES] = marker()
    return np.rint(sound).astype(np.int16)


def heard(played: Sound, noise: float = 0.0) -> Sound:
    """What a microphone that starts earlier hears of it."""
    sound = np.concatenate([np.zeros(OFFSET), played, np.zeros(RATE)]) + np.random.default_rng(2).normal(
        0, max(noise, 1e-9), len(played) + OFFSET + RATE
    )
    return np.rint(sound).astype(np.int16)


def blocks(played: Sound) -> list[Sound]:
    return [played[start : start + 5000] for start in range(0, len(played), 5000)]


def look(played: Sound, recording: Sound, **how: object) -> Examined:
    return examine(lambda: blocks(played), len(played), recording, MARKERS, **how)  # type: ignore[arg-type]


def one_fault(examined: Examined, kind: str) -> SoundFault:
    assert [fault.kind for fault in examined.faults] == [kind], examined.faults
    return examined.faults[0]


def test_a_clean_recording_has_no_fault_and_its_place_is_exact(played: Sound) -> None:
    examined = look(played, heard(played))
    assert examined.faults == ()
    assert examined.alignment is not None
    assert examined.alignment.offsets[0] == pytest.approx(OFFSET, abs=0.01)
    assert examined.alignment.drift_ppm == pytest.approx(0, abs=0.01)
    assert len(examined.found) == 3
    assert examined.channel is not None
    assert examined.channel.gain_db == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("ppm", [-120.0, 35.0])
def test_drift_is_found_and_is_no_fault(played: Sound, ppm: float) -> None:
    drifting = soxr.resample(heard(played, 20) / 32768, RATE, RATE * (1 + ppm * 1e-6), quality="VHQ")
    examined = look(played, np.rint(drifting * 32768).clip(-32768, 32767).astype(np.int16))
    assert examined.faults == ()
    assert examined.alignment is not None
    assert examined.alignment.drift_ppm == pytest.approx(ppm, abs=0.5)
    assert examined.alignment.residual_rms < 0.05


@pytest.mark.parametrize("rt60", [0.3, 0.7])
def test_a_room_with_noise_is_no_fault(played: Sound, rt60: float) -> None:
    room = ConvolutionStage(Room(rt60, seed=3, noise_dbfs=-60, delay_seconds=0.004, gain_db=-6), RATE)
    wet = room.process(heard(played) / 32768)
    examined = look(played, np.rint(wet * 32768).clip(-32768, 32767).astype(np.int16))
    assert examined.faults == ()
    assert examined.alignment is not None
    assert examined.alignment.offsets[0] == pytest.approx(OFFSET + 0.004 * RATE, abs=0.5)


@pytest.mark.parametrize(("samples", "noise"), [(6, 10.0), (160, 10.0), (1024, 100.0), (5000, 100.0)])
def test_lost_samples_are_found_where_they_were_lost(played: Sound, samples: int, noise: float) -> None:
    recording = heard(played, noise)
    place = 20 * RATE + 3000
    examined = look(played, np.delete(recording, np.arange(OFFSET + place, OFFSET + place + samples)))
    lost = [fault for fault in examined.faults if fault.kind == "lost"]
    assert len(lost) == 1
    assert lost[0].amount == pytest.approx(samples, abs=1)
    assert lost[0].start <= place <= lost[0].stop
    assert lost[0].stop - lost[0].start <= 4 * RATE
    assert {fault.kind for fault in examined.faults} <= {"lost", "not heard", "ambient", "level"}
    assert all(place - 3 * RATE <= fault.start <= place + 3 * RATE for fault in examined.faults)
    assert examined.alignment is not None
    for position in (2 * RATE, 50 * RATE):
        assert examined.alignment.heard(position) == pytest.approx(
            OFFSET + position - (samples if position > place else 0), abs=1
        )


def test_repeated_samples_are_found(played: Sound) -> None:
    recording = heard(played, 10)
    place = 40 * RATE + 2000
    doubled = np.insert(recording, OFFSET + place, recording[OFFSET + place - 480 : OFFSET + place])
    fault = next(fault for fault in look(played, doubled).faults if fault.kind == "repeated")
    assert fault.amount == pytest.approx(480, abs=1)
    assert fault.start <= place <= fault.stop


def test_an_error_of_3_db_is_found_and_one_of_1_db_is_none(played: Sound) -> None:
    recording = heard(played, 10).astype(float)
    span = slice(OFFSET + 10 * RATE, OFFSET + 20 * RATE)
    for gain, faulty in ((-3.0, True), (3.0, True), (-1.0, False)):
        changed = recording.copy()
        changed[span] *= 10 ** (gain / 20)
        examined = look(played, np.rint(changed).clip(-32768, 32767).astype(np.int16))
        if not faulty:
            assert examined.faults == ()
            continue
        levels = [fault for fault in examined.faults if fault.kind == "level"]
        assert levels
        assert {fault.kind for fault in examined.faults} == {"level"}
        assert levels[0].start <= 10.5 * RATE
        assert levels[-1].stop >= 19.5 * RATE
        assert levels[-1].stop <= 20.5 * RATE
        assert levels[0].amount == pytest.approx(gain, abs=0.3)


def test_a_level_that_is_wrong_throughout_is_wrong_against_the_reference(played: Sound) -> None:
    right = look(played, heard(played, 10))
    softer = np.rint(heard(played, 10) * 10 ** (-3 / 20)).astype(np.int16)
    assert not [fault for fault in look(played, softer).faults if fault.kind == "level"]
    assert [fault for fault in look(played, softer, reference=right.channel).faults if fault.kind == "level"]


def test_clipping_is_found(played: Sound) -> None:
    recording = heard(played, 10).astype(float)
    recording[OFFSET + 12 * RATE : OFFSET + 13 * RATE] *= 8
    examined = look(played, np.rint(recording).clip(-32768, 32767).astype(np.int16))
    clipped = [fault for fault in examined.faults if fault.kind == "clipped"]
    assert clipped
    assert 12 * RATE - 10 <= clipped[0].start <= clipped[-1].stop <= 13 * RATE + 10


def test_other_sound_is_found(played: Sound) -> None:
    recording = heard(played, 10).astype(float)
    recording[OFFSET + 27 * RATE : OFFSET + 28 * RATE] += np.random.default_rng(5).normal(0, 800, RATE)
    fault = one_fault(look(played, np.rint(recording).clip(-32768, 32767).astype(np.int16)), "ambient")
    assert 26.5 * RATE <= fault.start <= 27 * RATE
    assert 28 * RATE <= fault.stop <= 28.5 * RATE


def test_silence_in_place_of_sound_is_found(played: Sound) -> None:
    recording = heard(played, 10)
    recording[OFFSET + 40 * RATE : OFFSET + 43 * RATE] = 0
    faults = look(played, recording).faults
    assert {fault.kind for fault in faults} <= {"not heard", "level"}
    assert faults[0].start <= 40.5 * RATE
    assert faults[-1].stop >= 42.5 * RATE


def test_a_pause_that_the_player_told_is_no_loss(played: Sound) -> None:
    place = 25 * RATE
    recording = heard(played, 10)
    paused = np.insert(recording, OFFSET + place, np.zeros(12 * RATE, np.int16))
    examined = look(played, paused, pauses=[Pause(place, 12 * RATE)])
    assert not [fault for fault in examined.faults if fault.kind in ("lost", "repeated", "level")]
    assert examined.alignment is not None
    assert examined.alignment.heard(50 * RATE) == pytest.approx(OFFSET + 62 * RATE, abs=0.1)


def test_where_no_marker_was_heard_nothing_is_known(played: Sound) -> None:
    fault = one_fault(look(played, np.zeros(SECONDS * RATE, np.int16)), "not heard")
    assert (fault.start, fault.stop) == (0, len(played))


def test_a_recording_that_ends_early_is_void_behind_its_end(played: Sound) -> None:
    fault = one_fault(look(played, heard(played)[: OFFSET + 45 * RATE]), "not heard")
    assert 44 * RATE <= fault.start <= 45 * RATE
    assert fault.stop == len(played)


LOST = 700


@pytest.mark.parametrize(
    ("shifts", "lost"),
    [
        ([0] * 6 + [-LOST] * 6, LOST),
        ([0] * 6 + [-LOST + 2] + [-LOST] * 6, LOST),
        ([0] * 6 + [-LOST, 300] + [-LOST] * 6, LOST),
        ([0] * 6 + [-LOST] + [0] * 6, None),
        ([0] * 6 + [-LOST, 300] + [0] * 6, None),
        ([-100 * number for number in range(12)], 11 * 100),
        ([-1.5 * number for number in range(12)], None),  # a drift
    ],
    ids=["clear", "settles", "between outliers", "an outlier", "outliers", "all the time", "drift"],
)
def test_a_step_is_found_whatever_the_windows_about_it_look_like(shifts: list[float], lost: float | None) -> None:
    windows = [
        Tracked(number * WINDOW_SAMPLES, shift, 0.9, 0.0, -30.0, -60.0, True) for number, shift in enumerate(shifts)
    ]
    faults = [step.fault for step in _steps(windows, [])]
    if lost is None:
        assert faults == []
        return
    ((kind, start, stop, _, amount),) = faults
    assert kind == "lost"
    assert amount == pytest.approx(lost, abs=100)
    assert start < 6.5 * WINDOW_SAMPLES < stop


@pytest.mark.parametrize(("shift", "faults"), [(0.05, 1), (2.9, 0)], ids=["level", "edge of a sound"])
def test_a_level_counts_where_its_place_is_known(shift: float, faults: int) -> None:
    windows = [Tracked(number * WINDOW_SAMPLES, 0.0, 0.99, 0.0, -30.0, -60.0, True) for number in range(8)]
    windows[4] = Tracked(4 * WINDOW_SAMPLES, shift, 0.9, -3.3, -50.0, -62.0, True)
    assert len(list(_levels(windows))) == faults
