"""Computed rooms: plans that a house could have, responses that do what the plan says, each computed once."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data.augment import computed, rooms
from trainer.data.augment.computed import computed_rooms
from trainer.data.augment.rooms import impulse_response, room_plan
from trainer.data.augment.sounds import impulse_samples
from trainer.data.split import Split
from wakeword.errors import InfrastructureError


@given(st.sampled_from(Split), st.integers(0, 5000))
@settings(max_examples=200)
def test_a_plan_is_a_room_in_a_house(split: Split, number: int) -> None:
    plan = room_plan(split, number)
    assert plan == room_plan(split, number)
    for place in (plan.microphone_m, plan.mouth_m):
        assert all(0.02 < at < length - 0.02 for at, length in zip(place, plan.size_m, strict=True))
    assert 0.15 <= plan.rt60_s <= 0.9
    assert 0.2 <= plan.distance_m <= 5.01
    assert len(plan.absorption) == 6
    assert all(0.01 < band < 0.96 for wall in plan.absorption for band in wall)
    assert all(plan != room_plan(other, number) for other in Split if other is not split)


def test_rooms_are_near_and_far_small_and_large() -> None:
    plans = [room_plan(Split.TRAIN, number) for number in range(300)]
    distances = [plan.distance_m for plan in plans]
    assert np.mean(np.array(distances) < 0.7) > 0.15
    assert np.mean(np.array(distances) > 3.0) > 0.05
    volumes = np.array([np.prod(plan.size_m) for plan in plans])
    assert volumes.min() < 12
    assert volumes.max() > 150
    near_wall = [
        min(
            plan.microphone_m[0],
            plan.size_m[0] - plan.microphone_m[0],
            plan.microphone_m[1],
            plan.size_m[1] - plan.microphone_m[1],
        )
        for plan in plans
    ]
    assert 0.4 < np.mean(np.array(near_wall) < 0.3) < 0.9
    assert 0.3 < np.mean([plan.table is not None for plan in plans]) < 0.7


def decay_s(response: np.typing.NDArray[np.float64]) -> float:
    """Time of a decay by 60 dB, from that between -5 and -25 dB (ISO 3382-1: T20)."""
    left = np.cumsum(response[::-1] ** 2)[::-1]
    level = 10 * np.log10(left / left[0])
    return float(3 * (np.argmax(level < -25) - np.argmax(level < -5)) / 16_000)


@pytest.mark.parametrize("number", [0, 2, 5])
def test_a_response_does_what_its_plan_says(number: int) -> None:
    plan = room_plan(Split.TRAIN, number)
    response = impulse_response(plan)
    np.testing.assert_array_equal(response, impulse_response(plan))
    assert np.abs(response).max() == 1
    assert 8 <= int(np.argmax(np.abs(response) > 0.2 * np.abs(response).max())) <= 24, "1 ms before the direct sound"
    assert decay_s(response) == pytest.approx(plan.rt60_s, rel=0.4)


def test_a_room_is_computed_once_and_an_interrupted_set_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def decaying(plan: rooms.RoomPlan) -> np.typing.NDArray[np.float64]:
        made.append(plan)
        if len(made) == 3:
            raise KeyboardInterrupt
        return np.random.default_rng(plan.seed).standard_normal(400) * np.exp(-np.arange(400) / 50)

    monkeypatch.setattr(computed, "impulse_response", decaying)
    with pytest.raises(KeyboardInterrupt):
        computed_rooms(tmp_path, Split.TRAIN, 4, jobs=1)
    done = []
    first = computed_rooms(tmp_path, Split.TRAIN, 4, jobs=1, progress=lambda *counts: done.append(counts))
    assert [room.plan for room in first] == [room_plan(Split.TRAIN, number) for number in range(4)]
    assert len(made) == 5, "the first two were kept"
    assert done[0] == (0, 4)
    assert done[-1] == (4, 4)
    assert computed_rooms(tmp_path, Split.TRAIN, 2, jobs=1) == first[:2]
    assert len(made) == 5
    other = computed_rooms(tmp_path, Split.VAL, 4, jobs=1)
    assert not {room.sound.content for room in other} & {room.sound.content for room in first}
    assert not list(tmp_path.rglob("*.partial"))


def test_a_real_room_is_the_same_from_this_process_and_another(tmp_path: Path) -> None:
    one = computed_rooms(tmp_path / "one", Split.TEST, 1, jobs=1)
    other = computed_rooms(tmp_path / "other", Split.TEST, 1, jobs=2)
    assert one[0].sound.content == other[0].sound.content
    response = impulse_samples(one[0].sound, 51_200)
    assert np.sum(response.astype(float) ** 2) == pytest.approx(1, rel=1e-5)


def test_without_the_library_a_line_says_what_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyroomacoustics", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(InfrastructureError, match=r"computed_rooms\) needs the package pyroomacoustics.*\[train\]"):
        computed_rooms(tmp_path, Split.TRAIN, 1, jobs=1)
