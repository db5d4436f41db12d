"""A loud word, quiet noise, and the plan of a session with both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from firmware.boards.entry import VIRTUAL_BOARD
from harness.session.plan import SessionPlan, write_plan
from harness.session.request import SessionRequest, make_plan
from tests.harness.session.loud import loud_model, words
from wakeword.device_model import DeviceModel, load_model


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `loud.json`, its model, six words and three recordings that should be none."""
    folder = tmp_path_factory.mktemp("loud")
    loud_model(folder)
    words(folder / "words", 6)
    words(folder / "noise", 3, loudness=3.0, seed=1)
    return folder


@pytest.fixture
def candidate(material: Path) -> DeviceModel:
    return load_model(material / "loud.json", None, None)


type Plan = Callable[..., SessionPlan]


@pytest.fixture
def plan(material: Path, candidate: DeviceModel, tmp_path: Path) -> Plan:
    """Writes the plan of a session into the test's folder."""

    def write(**changes: object) -> SessionPlan:
        values = {
            "board": "virtual",
            "model": material / "loud.json",
            "wake": (material / "words",),
            "none": (material / "noise",),
        } | changes
        made = make_plan(SessionRequest(**values), VIRTUAL_BOARD, candidate)  # type: ignore[arg-type]
        write_plan(made, tmp_path)
        return made

    return write
