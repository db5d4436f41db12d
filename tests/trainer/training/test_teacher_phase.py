"""A larger network that is trained first and teaches the model: what it is, its folder, and going on after a kill."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pytest

from tests.trainer.training.test_loop import NET, WINDOW, Recorder, rising_sets, separation
from trainer.config.architectures.bc_resnet import BcStage
from trainer.config.checks import check_config
from trainer.config.loader import CONFIG_NAME, load_config
from trainer.config.sections import TrainerConfig
from trainer.config.training_sections import TrainingSection
from trainer.training import checkpoints, loop
from trainer.training.cli import next_command
from trainer.training.losses import Distillation
from trainer.training.progress import Silent
from trainer.training.run import checked_recordings
from trainer.training.scores import ValidationScores
from trainer.training.teacher_phase import train_teacher
from trainer.training.teacher_settings import FOLDER, teacher_config, teacher_names, teacher_summary
from trainer.training.teachers import open_teachers, teachers_summary
from trainer.training.training_run import TrainingRun
from wakeword.errors import ConfigError

pytestmark = pytest.mark.usefixtures("steps_not_compiled")


def config(*settings: str) -> TrainerConfig:
    return load_config("standard", (), ["export.wake_word=Computer", *settings])


def test_every_teacher_is_registered() -> None:
    field = TrainingSection.model_fields["teacher"]
    assert sorted({*get_args(field.annotation)} - {"none"}) == teacher_names()


def test_a_wide_teacher_is_the_same_network_with_more_filters() -> None:
    chosen = config("training.teacher=wide", "training.teacher_width=1.5", "training.quantization_aware_steps=5")
    taught = teacher_config(chosen)
    assert (taught.model.first_conv_filters, taught.model.pointwise_filters) == (45, (90, 90, 90, 90))
    assert taught.model.mixconv_kernel_sizes == chosen.model.mixconv_kernel_sizes
    assert taught.slices == chosen.slices
    assert taught.training == chosen.training.model_copy(
        update={"teacher": "none", "teacher_width": 2.0, "quantization_aware_steps": 0}
    )
    other = config("model.architecture=dnn", "training.teacher=wide", "training.teacher_steps=[7, 8]")
    assert teacher_config(other).model.dnn_units == (128, 128)
    assert teacher_config(other).training.training_steps == (7, 8)
    assert teacher_summary(other, Path("runs/none")).endswith(
        "(wide: dnn_frame_units 32, dnn_units 128,128), 7 + 8 steps"
    )
    assert teachers_summary(other) == "90% of the loss is what its teacher says"


@pytest.mark.parametrize("architecture", ["mixednet", "dnn", "cnn"])
def test_a_bc_resnet_reads_the_window_of_its_student(architecture: str) -> None:
    chosen = config(f"model.architecture={architecture}", "training.teacher=bc_resnet", "model.stride=2")
    taught = teacher_config(chosen)
    assert (taught.model.architecture, taught.model.stride, taught.model.bc_resnet_width) == ("bc_resnet", 2, 2.0)
    assert taught.slices == chosen.slices


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("training.teacher_width=3",), "training.teacher_width is given, and training.teacher is none"),
        (("training.teacher_steps=[3,3]",), "training.teacher_steps is given, and training.teacher is none"),
        (("training.teacher=wide", "training.teacher_steps=[3]"), "teacher_steps has 1 values, .*training_steps 2"),
        (("training.teaching_temperature=2",), "training.teaching_temperature is 2, and nobody teaches"),
        (("training.teaching_share=0.5",), "training.teaching_share is 0.5, and nobody teaches"),
        (("training.teacher=wide", "training.teacher_width=1"), "teacher_width is 1, and .* no larger than the model"),
        (("training.teacher=bc_resnet", "training.teacher_width=0.5"), "teacher_width is 0.5: it must be 1 or more"),
        (("training.teaching_temperature=0",), "training.teaching_temperature is 0: it must be above 0"),
        (
            ("model.architecture=dnn", "training.quantization_aware_steps=9"),
            "simulated for mixednet alone, not for model.architecture dnn",
        ),
    ],
)
def test_keys_without_what_they_belong_to_are_refused(settings: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_config(config(*settings))


AVERAGED = ("training.weight_averaging=0.999", "training.final_weight_averaging=0.9995")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ("model.architecture=bc_resnet", "model.bc_resnet_width=6", "training.teacher=wide"),
            (
                "training.teacher_width is 2, so the teacher's model.bc_resnet_width would be 12.0: it must be 8 or"
                " less; give another training.teacher_width"
            ),
        ),
        (
            (
                *AVERAGED,
                "training.final_averaging_from=15000",
                "training.teacher=wide",
                "training.teacher_steps=[5000,5000]",
            ),
            (
                "training.teacher_steps are [5000, 5000], the training_steps of the teacher: "
                "training.final_averaging_from is 15000, and the training ends at 10000; give"
                " less; or give other training.teacher_steps"
            ),
        ),
        (
            (
                "training.schedule=cosine",
                "training.warm_up_steps=300",
                "training.teacher=bc_resnet",
                "training.teacher_steps=[100,100]",
            ),
            (
                "training.teacher_steps are [100, 100], the training_steps of the teacher: training.warm_up_steps is"
                " 300, and training.training_steps are 200 in all; give fewer than these; or give other"
                " training.teacher_steps"
            ),
        ),
    ],
)
def test_a_teacher_that_cannot_be_is_refused_by_the_key_that_made_it_before_recordings_are_read(
    settings: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as refused:
        checked_recordings(config(*settings, f"paths.positive_dir={tmp_path / 'none'}"), tmp_path / "run", Silent())
    assert str(refused.value) == message


def test_what_no_device_runs_is_evaluated_next() -> None:
    weights, output = Path("runs/a b/checkpoints/best_weights.weights.h5"), Path("runs/a b")
    assert (
        next_command(config(), weights, output) == f"mww-export --checkpoint '{weights}' --output 'runs/a b/exported'"
    )
    only_here = config("model.architecture=bc_resnet")
    assert next_command(only_here, weights, output) == f"mww-evaluate --checkpoint '{weights}' --split test"


SETTINGS = TrainingSection(
    training_steps=(20,),
    learning_rates=(3e-3,),
    positive_class_weight=(1.0,),
    negative_class_weight=(1.0,),
    hard_negative_class_weight=(40.0,),
    batch_size=8,
    eval_step_interval=10,
    seed=5,
)


class Validation:
    """Stands where the validation of recordings does; the loop asks no more of it."""

    def __init__(self, evaluate: Any = separation) -> None:
        self._evaluate = evaluate

    def __call__(self, model: Any) -> ValidationScores:
        scores: ValidationScores = self._evaluate(model)
        return scores

    def within_scale(self, model: Any) -> None:
        """Leaves the model alone."""


def small(teacher: Literal["wide", "bc_resnet"]) -> TrainerConfig:
    """A configuration of the network of these tests, which the loop is given by itself too."""
    width = {"wide": 1.5, "bc_resnet": 1.0}[teacher]
    chosen = config(f"training.teacher={teacher}", f"training.teacher_width={width}", "hardware.clip_duration_ms=200")
    training = SETTINGS.model_copy(update={"teacher": teacher, "teacher_width": width})
    chosen = chosen.model_copy(update={"model": NET, "training": training})
    clip_ms = next(ms for ms in range(100, 2000, 10) if slices_of(chosen, ms) == WINDOW)
    return chosen.model_copy(update={"hardware": chosen.hardware.model_copy(update={"clip_duration_ms": clip_ms})})


def slices_of(chosen: TrainerConfig, clip_ms: int) -> int:
    hardware = chosen.hardware.model_copy(update={"clip_duration_ms": clip_ms})
    return chosen.model_copy(update={"hardware": hardware}).slices


def student(folder: Path, chosen: TrainerConfig, evaluate: Any = separation, progress: Any = None) -> TrainingRun:
    """The model's training, of nobody's teaching."""
    return TrainingRun(
        NET, WINDOW, rising_sets(8), chosen.training, folder / "checkpoints", evaluate, progress or Recorder()
    )


def trained(
    folder: Path, chosen: TrainerConfig, progress: Any = None, evaluate: Any = separation
) -> tuple[Any, loop.TrainingResult, Distillation]:
    """The teacher, then the model, which learns from it."""
    run = student(folder, chosen, evaluate, progress)
    own = train_teacher(run, chosen, folder, lambda _: Validation(evaluate), lambda place: (place / "t").touch())  # type: ignore[arg-type,return-value]
    distillation = open_teachers(chosen, own)
    assert distillation is not None
    return own[0], loop.train(replace(run, distillation=distillation)), distillation


def test_a_bc_resnet_is_trained_first_and_the_model_learns_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer.networks import bc_resnet

    # The whole network takes TensorFlow a minute to trace; tests of the architecture build it.
    monkeypatch.setattr(bc_resnet, "STAGES", (BcStage(1, 8, 2, 1), BcStage(2, 12, 2, 2)))
    chosen, evaluated = small("bc_resnet"), []

    def noting(model: Any) -> ValidationScores:
        evaluated.append(model.name)
        return separation(model)

    teacher, result, distillation = trained(tmp_path, chosen, evaluate=noting)
    assert evaluated == ["bc_resnet", "bc_resnet", "mixednet", "mixednet"]
    assert teacher.network.architecture == "bc_resnet"
    assert [one.network.architecture for one in distillation.teachers] == ["bc_resnet"]
    own = tmp_path / FOLDER
    assert load_config(str(own / CONFIG_NAME)).model == teacher.network
    assert (own / "t").is_file() and (own / "validation.csv").is_file()
    assert (own / "checkpoints" / checkpoints.STATE).is_file()
    assert result.weights == tmp_path / "checkpoints" / "best_weights.weights.h5"
    untaught = loop.train(student(tmp_path / "untaught", chosen))
    taught, alone = (one.model.get_weights()[0] for one in (result, untaught))
    assert not np.array_equal(taught, alone), "the same seed, and nothing was learned from the teacher"


def test_a_teacher_that_was_killed_goes_on_to_the_same_student(tmp_path: Path) -> None:
    chosen = small("wide")
    _, whole, first = trained(tmp_path / "whole", chosen)
    again = Recorder()
    _, same, second = trained(tmp_path / "whole", chosen, again)
    assert again.reports == [] and first.fingerprint == second.fingerprint, "both have ended, and are read"
    np.testing.assert_array_equal(same.model.get_weights()[0], whole.model.get_weights()[0])
    calls = 0

    def killed(model: Any) -> ValidationScores:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise SystemExit
        return separation(model)

    with pytest.raises(SystemExit):
        trained(tmp_path / "killed", chosen, evaluate=killed)
    assert not (tmp_path / "killed" / "checkpoints").exists(), "the model has not begun"
    _, gone_on, _ = trained(tmp_path / "killed", chosen)
    for one, other in zip(gone_on.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
