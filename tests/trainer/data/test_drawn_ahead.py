"""Processes that draw numbers of batches: what they draw, and their ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.trainer.data.test_pure_batches import CHOICES, SLICES, sets
from tests.wakeword.test_processes import is_alive, wait_for
from trainer.data.batches import BatchSampler
from trainer.data.drawn_ahead import Drawers, stacked
from wakeword.errors import InfrastructureError


def test_processes_draw_the_same_numbers() -> None:
    samplers = [
        BatchSampler(sets(), SLICES, CHOICES["all"].model_copy(update={"seed": seed, "batch_ratios": None}))
        for seed in (3, 4)
    ]
    drawers = Drawers(samplers, processes=2)
    try:
        blocks = [drawers.numbers(block) for block in (range(3), range(3, 5))]
    finally:
        drawers.close()
    for block, steps in zip(blocks, (range(3), range(3, 5)), strict=True):
        for model, sampler in enumerate(samplers):
            wanted = stacked([sampler.numbers(step, with_features=False) for step in steps])
            assert wanted.keys() == block.keys()
            for name, values in wanted.items():
                np.testing.assert_array_equal(block[name][model], values, name)
    assert not np.array_equal(blocks[0]["first"][0], blocks[0]["first"][1])


def test_a_process_that_dies_is_told() -> None:
    drawers = Drawers([BatchSampler(sets(), SLICES, CHOICES["filters"])], processes=2)
    try:
        drawers.numbers(range(4))
        os.kill(multiprocessing.active_children()[0].pid or 0, signal.SIGKILL)
        wait_for(lambda: len(multiprocessing.active_children()) < 2)
        with pytest.raises(InfrastructureError, match="a process that draws batches died"):
            drawers.numbers(range(4, 8))
    finally:
        drawers.close()
    assert not multiprocessing.active_children()


def test_processes_end_with_a_training_that_is_killed(tmp_path: Path) -> None:
    script = """
import multiprocessing, sys
from tests.trainer.data.test_pure_batches import CHOICES, SLICES, sets
from trainer.data.batches import BatchSampler
from trainer.data.drawn_ahead import Drawers
if __name__ == "__main__":
    drawers = Drawers([BatchSampler(sets(), SLICES, CHOICES["filters"])], processes=2)
    drawers.numbers(range(4))
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    sys.stdin.read()
"""
    program = tmp_path / "program.py"
    program.write_text(script)
    root = str(Path(__file__).parents[3])
    with subprocess.Popen(
        [sys.executable, program],
        env=os.environ | {"PYTHONPATH": root},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        workers = [int(pid) for pid in parent.stdout.readline().split()]
        parent.kill()
    assert len(workers) == 2
    wait_for(lambda: not any(is_alive(worker) for worker in workers))
