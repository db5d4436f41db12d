"""A model and its manifest together, judged before somebody relies on them: the check of `mww-verify`, of an export and
of a firmware build.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wakeword.contract import ESPHOME_VERSION, quantise
from wakeword.engines import open_engine
from wakeword.frontend import compute_features
from wakeword.model.checks import MANIFEST, Check, VerifyReport
from wakeword.model.flatbuffer import TfliteModel, read_model
from wakeword.model.manifest import manifest_cautions, manifest_content, manifest_faults, manifest_of
from wakeword.model.verify import INPUT_QUANTISATION, check_manifest_arena, own_quantiser, verify_model
from wakeword.synthetic_speech import synthetic_speech

MANIFEST_SUFFIX = ".json"
MEASURED_SECONDS = 30.0
"""Of synthetic speech, on which the effect of a foreign input scale is measured."""


@dataclass(frozen=True)
class Judged:
    """What was found. `model` is None where the manifest does not name one that is there."""

    path: Path
    """The model's file, or the manifest's where there is no model."""
    report: VerifyReport
    model: TfliteModel | None


def judge(path: Path) -> Judged:
    """Judge a `.tflite` model, or a manifest (`.json`) with the model that it names.

    Raises `ConfigError` for a file that cannot be read or is neither, `InfrastructureError` when tflite-micro cannot be
    run on this machine.
    """
    if path.suffix != MANIFEST_SUFFIX:
        model = read_model(path)
        return Judged(path, judge_model(model), model)
    content = manifest_content(path)
    found = _manifest_checks(content)
    named = content.get("model") if isinstance(content, Mapping) else None
    beside = path.parent / named if isinstance(named, str) and named else None
    if beside is None or not beside.is_file():
        if beside is not None:
            found = (
                *found,
                Check(
                    "model", "failed", f"the manifest names {named!r}, and {beside} does not exist; put the file there"
                ),
            )
        return Judged(path, VerifyReport(str(path), None, found, None), None)
    model = read_model(beside)
    report = judge_model(model)
    report = replace(report, checks=(*found, *report.checks))
    manifest = manifest_of(content)
    if manifest is not None and report.arena_bytes is not None:
        report = report.with_check(check_manifest_arena(manifest.micro.tensor_arena_size, report.arena_bytes))
    return Judged(beside, report, model)


def judge_model(model: TfliteModel) -> VerifyReport:
    """The device contract of a model; where its input scale is near the device's but not the same, with the effect on
    its output, measured.
    """
    report = verify_model(model)
    if report.passed and report.check(INPUT_QUANTISATION).status == "warning":
        mean, largest = scale_error(model)
        detail = (
            f"; on {MEASURED_SECONDS:.0f} s of synthetic speech the output moves by {mean:.2f} of 255 steps on average,"
            f" {largest} at most"
        )
        report = report.with_more(INPUT_QUANTISATION, detail)
    return report


def scale_error(model: TfliteModel) -> tuple[float, int]:
    """How far the output moves because the device quantises with 26/255: mean and largest difference over all
    inferences, in uint8 steps.

    The same features go through the model twice: as the device quantises them, and by the model's own scale and zero
    point.
    """
    features = compute_features(synthetic_speech(MEASURED_SECONDS))
    source = model.main.tensors[model.main.inputs[0]]
    engine, _ = open_engine(model, "auto")
    outputs: list[NDArray[np.int64]] = []
    for slices in (quantise(features), own_quantiser(features, source.scale, source.zero_point)):
        engine.reset()
        outputs.append(engine.run(slices).astype(np.int64))
    difference = np.abs(outputs[0] - outputs[1])
    return float(difference.mean()), int(difference.max())


def _manifest_checks(content: object) -> tuple[Check, ...]:
    """A line for each thing that is wrong with a manifest, or one that it is right."""
    faults = tuple(Check(MANIFEST, "failed", str(fault)) for fault in manifest_faults(content))
    cautions = tuple(Check(MANIFEST, "warning", str(caution)) for caution in manifest_cautions(content))
    return (*faults, *cautions) or (
        Check(MANIFEST, "passed", f"ESPHome {ESPHOME_VERSION} accepts every key{_of_version_1(content)}"),
    )


def _of_version_1(content: object) -> str:
    manifest = manifest_of(content)
    if manifest is None or manifest.version != 1:
        return ""
    micro = manifest.micro
    return (
        f" of version 1, and takes a step of {micro.feature_step_size} ms and an arena of {micro.tensor_arena_size:,}"
        " bytes, which version 1 does not state"
    )
