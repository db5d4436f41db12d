"""Device against simulation, probability by probability: how many differ, where first, and by how much.

Conventions: one uint8 an inference, device minus simulated. Inferences in void time are in no figure; those that one
side did not tell are counted apart; runs whose device tells none at all are left out. An inference is placed by the
slice that completed its stride.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.results.device_records import DifferenceRecord, FirstDifference, ProbabilitiesRecord
from harness.results.schema import ModelRecord, RunRecord, unpack_probabilities
from wakeword.contract import slice_end_seconds


def compare_probabilities(
    device_runs: Sequence[RunRecord], simulated_runs: Sequence[RunRecord], model: ModelRecord
) -> ProbabilitiesRecord | None:
    """Compare the runs of a device with the simulation of the same audio, run by run. None where the device tells no
    probabilities.
    """
    compared, missing = 0, 0
    told = False
    histogram: Counter[int] = Counter()
    crossed = 0
    first: FirstDifference | None = None
    for device_run, simulated_run in zip(device_runs, simulated_runs, strict=True):
        device, simulated = (unpack_probabilities(run.probabilities) for run in (device_run, simulated_run))
        if not len(device) or device_run.protocol.mode == "clips":
            continue
        told = True
        live = _live(device_run, max(len(device), len(simulated)), model)
        common = min(len(device), len(simulated))
        missing += int(live[common:].sum())
        live = live[:common]
        compared += int(live.sum())
        differences = device[:common].astype(np.int16) - simulated[:common]
        differing = np.flatnonzero((differences != 0) & live)
        histogram.update(int(value) for value in differences[differing])
        cutoff = model.cutoff_uint8
        crossed += int(((device[differing] >= cutoff) != (simulated[differing] >= cutoff)).sum())
        if first is None and len(differing):
            at = int(differing[0])
            slice_index = (at + 1) * model.stride - 1
            first = FirstDifference(
                run=device_run.label,
                slice=slice_index,
                seconds=slice_end_seconds(slice_index),
                device=int(device[at]),
                simulated=int(simulated[at]),
            )
    if not told:
        return None
    return ProbabilitiesRecord(
        compared=compared,
        differing=histogram.total(),
        missing=missing,
        crossed_cutoff=crossed,
        first=first,
        differences=tuple(DifferenceRecord(by=by, inferences=count) for by, count in sorted(histogram.items())),
    )


def _live(run: RunRecord, inferences: int, model: ModelRecord) -> NDArray[np.bool_]:
    """Which inferences were decided outside of void time: bool `[inferences]`."""
    decided = np.array(
        [slice_end_seconds((number + 1) * model.stride - 1) for number in range(inferences)], dtype=np.float64
    )
    live = np.ones(inferences, np.bool_)
    for void in run.voids:
        live &= ~((decided >= void.start) & (decided < void.end))
    return live
