"""Quantisation-aware fine-tuning: what it begins with, what it keeps, and going on after a kill."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trainer.training.test_loop import NET, WINDOW, Recorder, rising_sets, separation
from trainer.config.training_sections import TrainingSection
from trainer.export.convert import convert
from trainer.export.representative import representative_stream
from trainer.networks.scaling import dequantise
from trainer.networks.weights import BEST_WEIGHTS, QUANTIZATION_AWARE
from trainer.training import checkpoints, loop
from trainer.training.quantization_aware import Phase, fine_tune, steps_before
from trainer.training.scores import ValidationScores
from trainer.training.training_run import TrainingRun
from wakeword.engines import open_engine
from wakeword.model.flatbuffer import parse_model

pytestmark = pytest.mark.usefixtures("steps_not_compiled")

WINDOWS = 20
SETTINGS = TrainingSection(
    training_steps=(30,),
    learning_rates=(3e-3,),
    positive_class_weight=(1.0,),
    negative_class_weight=(20.0,),
    hard_negative_class_weight=(40.0,),
    batch_size=16,
    eval_step_interval=15,
    quantization_aware_steps=40,
    quantization_aware_learning_rate=1e-3,
    seed=5,
)


def phase(evaluate: Any = separation) -> Phase:
    clips = [clip for one in rising_sets() for clip in one.clips]
    stream = representative_stream(clips, NET.stride, WINDOW, windows=WINDOWS)
    return Phase(stream, evaluate, lambda _model: None, rising_sets())


def run_in(
    folder: Path, settings: TrainingSection = SETTINGS, progress: Any = None, evaluate: Any = separation
) -> TrainingRun:
    return TrainingRun(
        NET, WINDOW, rising_sets(), steps_before(settings), folder / "checkpoints", evaluate, progress or Recorder()
    )


def tuned(
    folder: Path, progress: Any = None, evaluate: Any = separation, in_float: Any = separation, **changes: Any
) -> loop.TrainingResult:
    """Trained, then fine-tuned, as `train_run` does it."""
    settings = SETTINGS.model_copy(update=changes)
    trained = loop.train(run_in(folder, settings, evaluate=in_float))
    run = replace(run_in(folder, progress=progress), settings=settings)
    return fine_tune(run, trained, folder, phase(evaluate))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, loop.TrainingResult]:
    folder, recorder = tmp_path_factory.mktemp("whole"), Recorder()
    result = tuned(folder, recorder)
    losses = [report.loss for report in recorder.reports]
    assert losses[-1] < losses[0]
    return folder, result


def trained_in(whole: tuple[Path, loop.TrainingResult], folder: Path) -> Path:
    """A folder with the training alone."""
    shutil.copytree(whole[0] / "checkpoints", folder / "checkpoints")
    return folder


def weights_of(result: loop.TrainingResult) -> list[Any]:
    """Without the state of the dropout's random numbers, which is no weight."""
    return [variable.numpy() for variable in result.model.variables if "seed" not in variable.path]


def state_of(folder: Path) -> dict[str, Any]:
    with np.load(folder / QUANTIZATION_AWARE / checkpoints.STATE) as state:
        return {name: state[name] for name in state.files if name != "header"}


def assert_same(first: Path, second: Path) -> None:
    one, other = state_of(first), state_of(second)
    assert one.keys() == other.keys()
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name])


def test_the_phase_has_a_folder_of_its_own_and_leaves_the_float_weights(
    whole: tuple[Path, loop.TrainingResult], tmp_path: Path
) -> None:
    folder, result = whole
    alone = loop.train(run_in(tmp_path))
    assert result.weights == folder / QUANTIZATION_AWARE / BEST_WEIGHTS
    assert (result.arithmetic, result.steps) == ("simulated int8 arithmetic", 40)
    assert result.before is not None
    for name in (checkpoints.STATE, BEST_WEIGHTS):
        assert (folder / "checkpoints" / name).is_file()
    kept = loop.train(run_in(folder))
    for one, other in zip(weights_of(kept), weights_of(alone), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_exported_file_computes_as_the_phase_did(whole: tuple[Path, loop.TrainingResult]) -> None:
    """On a whole stream: within two steps of the output, and far closer than the float model."""
    from trainer.inference.agreement import measure_agreement
    from trainer.networks.fake_quantization import FakeQuantised

    model, clips = whole[1].model, [clip for one in rising_sets() for clip in one.clips]
    features = np.concatenate(clips[:20])
    content = convert(model, NET, WINDOW, clips, windows=WINDOWS)
    fake = FakeQuantised(model, NET, phase().representative)
    fake.collect()
    logits = fake.stream(dequantise(features)).numpy().astype(np.float64)
    engine, _ = open_engine(parse_model(content))
    difference = np.abs(np.minimum(np.rint(256 / (1 + np.exp(-logits))), 255) - engine.run(features))
    floating = measure_agreement(content, model, NET, WINDOW, [features])
    assert difference.max() <= 2
    assert difference.max() < floating.maximum * 256
    assert difference.mean() < 0.1 * floating.mean * 256


def test_weights_move_and_the_normalisations_statistics_do_not(whole: tuple[Path, loop.TrainingResult]) -> None:
    folder, _ = whole
    before = loop.train(run_in(folder)).model
    last = state_of(folder)
    moved = 0
    for index, variable in enumerate(before.variables):
        same = np.array_equal(last[f"variable{index}"], variable.numpy())
        if "moving" in variable.path:
            assert same, variable.path
        moved += not same
    assert moved >= len(before.trainable_variables)


# At an evaluation there is also the one that is killed in it, below.
@pytest.mark.parametrize("step", [pytest.param(15, marks=pytest.mark.slow), 22])
def test_a_phase_that_was_interrupted_goes_on_to_the_same_weights(
    whole: tuple[Path, loop.TrainingResult], tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At an evaluation, and between two, where ranges must be those of the evaluation before."""
    monkeypatch.setattr(loop, "REPORT_INTERVAL_S", 0)
    trained_in(whole, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        tuned(tmp_path, Recorder(interrupt_at=step))
    tuned(tmp_path, recorder := Recorder())
    assert recorder.resumed_at == step
    assert_same(tmp_path, whole[0])


def test_a_phase_that_was_killed_in_an_evaluation_repeats_it(
    whole: tuple[Path, loop.TrainingResult], tmp_path: Path
) -> None:
    evaluations = 0

    def killed(model: Any) -> ValidationScores:
        nonlocal evaluations
        evaluations += 1
        if evaluations == 3:
            raise SystemExit
        return separation(model)

    trained_in(whole, tmp_path)
    with pytest.raises(SystemExit):
        tuned(tmp_path, evaluate=killed)
    assert tuned(tmp_path).best == whole[1].best
    assert_same(tmp_path, whole[0])


def test_the_float_weights_stay_where_the_phase_makes_them_worse(
    whole: tuple[Path, loop.TrainingResult], tmp_path: Path
) -> None:
    first = True

    def worse(model: Any) -> ValidationScores:
        nonlocal first
        scores = separation(model) if first else ValidationScores(0.0, 1e6, 0.0)
        first = False
        return scores

    result = tuned(trained_in(whole, tmp_path), evaluate=worse)
    kept = loop.train(run_in(tmp_path))
    assert result.best.step == 0
    assert result.best.scores == result.before
    for one, other in zip(weights_of(result), weights_of(kept), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_training_that_went_on_is_fine_tuned_anew(whole: tuple[Path, loop.TrainingResult], tmp_path: Path) -> None:
    folder = shutil.copytree(whole[0], tmp_path / "run")
    recorder = Recorder()
    better = ValidationScores(1.0, 0, 1.0)  # so that the later weights are the best
    tuned(folder, recorder, in_float=lambda _model: better, training_steps=(45,))
    assert (recorder.resumed_at, recorder.reports[-1].step) == (None, 40)


def test_longer_phases_go_on(whole: tuple[Path, loop.TrainingResult], tmp_path: Path) -> None:
    folder = shutil.copytree(whole[0], tmp_path / "run")
    recorder = Recorder()
    assert tuned(folder, recorder, quantization_aware_steps=50).steps == 50
    assert recorder.resumed_at == 40
