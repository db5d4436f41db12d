from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.results.probabilities import compare_probabilities
from harness.results.schema import RunRecord, VoidRecord, pack_probabilities, unpack_probabilities
from tests.harness.results.builders import (
    CUTOFF_UINT8,
    STRIDE,
    device_run,
    make_device_result,
    make_result,
    stream_run,
)
from tests.harness.results.test_report import page_of
from wakeword.contract import slice_end_seconds


@pytest.fixture
def simulated(tmp_path: Path) -> RunRecord:
    return stream_run(tmp_path, [6.0, 4.0], [(2.0, 250)])


def changed(run: RunRecord, by: dict[int, int], **changes: object) -> RunRecord:
    """The run as a board gave it whose probabilities differ at these inferences."""
    values = unpack_probabilities(run.probabilities).astype(np.int16)
    for number, difference in by.items():
        values[number] += difference
    return device_run(run, probabilities=pack_probabilities(values.astype(np.uint8)), **changes)  # type: ignore[arg-type]


def test_the_same_are_the_same(simulated: RunRecord) -> None:
    count = len(unpack_probabilities(simulated.probabilities))
    made = compare_probabilities([device_run(simulated)], [simulated], make_result([simulated]).model)
    assert made is not None
    assert (made.compared, made.differing, made.missing, made.crossed_cutoff) == (count, 0, 0, 0)
    assert (made.first, made.differences) == (None, ())


def test_each_difference_is_counted_and_the_first_one_named(simulated: RunRecord) -> None:
    values = unpack_probabilities(simulated.probabilities)
    low = [int(one) for one in np.flatnonzero(values < CUTOFF_UINT8 - 10)[5:8]]
    differing = changed(simulated, {low[0]: 1, low[1]: 1, low[2]: CUTOFF_UINT8 - int(values[low[2]])})
    made = compare_probabilities([differing], [simulated], make_result([simulated]).model)
    assert made is not None
    assert (made.differing, made.crossed_cutoff) == (3, 1)
    assert made.first is not None
    slice_index = (low[0] + 1) * STRIDE - 1
    assert (made.first.run, made.first.slice, made.first.seconds) == (
        simulated.label,
        slice_index,
        slice_end_seconds(slice_index),
    )
    assert made.first.device == made.first.simulated + 1
    assert {one.by: one.inferences for one in made.differences}[1] == 2


def test_void_time_and_what_nobody_told_are_in_no_figure(simulated: RunRecord) -> None:
    count = len(unpack_probabilities(simulated.probabilities))
    span = VoidRecord(start=0.0, end=slice_end_seconds(10 * STRIDE - 1), reason="reboot")
    model = make_result([simulated]).model
    made = compare_probabilities([changed(simulated, {3: 1}, voids=[span])], [simulated], model)
    assert made is not None
    assert (made.differing, made.compared) == (0, count - 9)
    values = unpack_probabilities(simulated.probabilities)[:-4]
    cut = device_run(simulated, probabilities=pack_probabilities(values))
    made = compare_probabilities([cut], [simulated], model)
    assert made is not None
    assert (made.missing, made.compared) == (4, count - 4)
    assert compare_probabilities([device_run(simulated, trace=False)], [simulated], model) is None


def test_the_report_says_it(simulated: RunRecord, tmp_path: Path) -> None:
    def page(device: RunRecord) -> str:
        return page_of(tmp_path, make_device_result([device], [simulated])).text

    count = len(unpack_probabilities(simulated.probabilities))
    assert f"0 of {count} inferences differ." in page(device_run(simulated))
    said = page(changed(simulated, {5: 2}, source="on-device, digital"))
    assert f"1 of {count} inferences differ, the first in" in said
    assert "+2 (1)" in said
    assert "on-device, digital means: a board was played the recordings as samples" in said
    assert "virtual board" not in said
    assert "The board tells none." in page(device_run(simulated, trace=False))
