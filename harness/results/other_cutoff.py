"""A result as it would be at another cutoff: the same probabilities, decided anew.

The hold-off depends on the cutoff, so nothing is filtered from what was detected: each stream is decided from boot, as
`wakeword.scoring.det` does for all cutoffs at once, and the counts are the curve's.
"""

from __future__ import annotations

import numpy as np

from harness.results.evidence import pair_streams, paired_curve
from harness.results.runs import run_streams, scored_runs
from harness.results.schema import DetectionRecord, Result, RunRecord
from harness.results.scores import score_runs
from wakeword.contract import PROBABILITY_MAX, SAMPLE_RATE_HZ, cutoff_to_uint8, slice_end_samples
from wakeword.detector import detect
from wakeword.errors import ConfigError
from wakeword.scoring.det import DetCurve
from wakeword.scoring.operating_point import cutoff_as_probability


def result_curve(result: Result) -> DetCurve | None:
    """Counts at every cutoff over all that a result heard; where a board told no probabilities, by those of the
    simulation of the same audio. None where nothing tells them.
    """
    return paired_curve(pair_streams(*scored_runs(result)), result.model.window)


def result_at(result: Result, cutoff: int) -> Result:
    """A simulated result decided at another uint8 cutoff, without its judge.

    Raises `ConfigError` for one that was measured on a board: what that would have done at another cutoff is not known.
    """
    if any(run.source != "simulated" for run in result.runs):
        raise ConfigError(
            f"{result.model.wake_word}: was measured ({result.runs[0].source}), and only a simulation is decided anew"
            " at another cutoff"
        )
    model = result.model
    measured = model.cutoff if result.measured_cutoff is None else result.measured_cutoff
    point = {"cutoff": cutoff_as_probability(cutoff) if cutoff else 0.0, "cutoff_uint8": cutoff}
    runs = tuple(_decided(run, result, cutoff) for run in result.runs)
    return result.model_copy(
        update={
            "model": model.model_copy(update=point),
            "runs": runs,
            "scores": score_runs(runs),
            "judge": None,
            "judged_scores": None,
            "measured_cutoff": None if cutoff == cutoff_to_uint8(measured) else measured,
        }
    )


def _decided(run: RunRecord, result: Result, cutoff: int) -> RunRecord:
    model = result.model
    detections: list[DetectionRecord] = []
    for part in run_streams(run, model.stride, model.feature_step_ms):
        stream = part.stream
        starts = np.array([round(file.stream_start * SAMPLE_RATE_HZ) for file in part.files])
        for one in detect(
            stream.probabilities, stream.stride, stream.slices, cutoff, model.window, model.feature_step_ms
        ):
            heard = slice_end_samples(one.slice_index, model.feature_step_ms)
            owner = max(int(np.searchsorted(starts, heard - 1, side="right")) - 1, 0)
            detections.append(
                DetectionRecord(
                    slice=one.slice_index,
                    seconds=one.seconds,
                    average=one.average / PROBABILITY_MAX,
                    max=one.maximum / PROBABILITY_MAX,
                    file_index=part.first_file + owner,
                )
            )
    return run.model_copy(update={"detections": tuple(detections), "judged": ()})
