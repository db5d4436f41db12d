"""A run with a larger teacher, from recordings to weights: what is trained first, and going on with another number of
steps.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.trainer.data.test_grouping import sound, words
from trainer.config.loader import CONFIG_NAME, load_config
from trainer.config.sections import TrainerConfig
from trainer.data.parallel import Progress as CountProgress
from trainer.networks.weights import BEST_WEIGHTS, CHECKPOINTS
from trainer.training.progress import Silent
from trainer.training.run import RunProgress, train_run
from trainer.training.run_files import TABLE
from trainer.training.scores import Checkpoint
from wakeword.errors import ConfigError
from wakeword.reading import read_csv

pytestmark = pytest.mark.usefixtures("steps_not_compiled")


class Events(Silent, RunProgress):
    """Who was evaluated after which step, and who began; dies at an evaluation, as in a kill."""

    def __init__(self, dies_at: tuple[str, int] | None = None) -> None:
        self.evaluations: list[tuple[str, int]] = []
        self.lines: list[str] = []
        self._who, self._dies_at = "", dies_at

    def told(self, message: str) -> None:
        self.lines.append(message)
        for who, first in (("teacher", "the teacher, in "), ("model", "the model, which ")):
            self._who = who if message.startswith(first) else self._who

    def counting(self, stage: str) -> CountProgress:  # noqa: ARG002
        return lambda _done, _total: None

    def evaluated(self, checkpoint: Checkpoint, best: bool) -> None:  # noqa: ARG002
        self.evaluations.append((self._who, checkpoint.step))
        if self.evaluations[-1] == self._dies_at:
            raise SystemExit


def evaluated(folder: Path) -> list[int]:
    return [int(row["step"]) for row in read_csv(folder / TABLE, ("step",), "").rows]


def test_more_and_fewer_steps_leave_a_teacher_that_has_ended_alone(tmp_path: Path) -> None:
    words(tmp_path)
    sound(tmp_path / "negative" / "evening.wav", 301)
    folder = tmp_path / "run"

    def config(steps: int) -> TrainerConfig:
        settings = [
            "export.wake_word=x",
            *(f"paths.{label}_dir={tmp_path / label}" for label in ("positive", "negative")),
            f"paths.processed_dir={tmp_path / 'features'}",
            "speaker_clustering.leakage_audit_enabled=false",
            "hardware.clip_duration_ms=500",
            "model.architecture=dnn",
            "model.dnn_frame_units=4",
            "model.dnn_units=8",
            "training.teacher=wide",
            f"training.training_steps=[{steps}]",
            "training.learning_rates=[0.003]",
            "training.positive_class_weight=[1]",
            "training.negative_class_weight=[1]",
            "training.eval_step_interval=2",
            "training.batch_size=8",
        ]
        return load_config("fast_test", settings=settings)

    def trained(steps: int, dies_at: tuple[str, int] | None = None) -> Events:
        events = Events(dies_at)
        if dies_at is None:
            assert train_run(config(steps), folder, events, jobs=1).steps == steps
        else:
            with pytest.raises(SystemExit):
                train_run(config(steps), folder, events, jobs=1)
        return events

    assert trained(6, ("teacher", 4)).evaluations == [("teacher", 2), ("teacher", 4)]
    assert not (folder / CHECKPOINTS).exists(), "the model has not begun"
    before = (folder / CONFIG_NAME).read_bytes()
    with pytest.raises(ConfigError, match=r"of training.training_steps \[6\] the last number alone .* to 4 or more"):
        train_run(config(2), folder, Events(), jobs=1)
    assert (folder / CONFIG_NAME).read_bytes() == before

    more = trained(8, ("model", 2))
    assert more.evaluations == [("teacher", 6), ("teacher", 8), ("model", 2)]
    assert any("dnn_units 16), 8 steps" in line for line in more.lines)
    teacher = folder / "teacher"
    weights = (teacher / CHECKPOINTS / BEST_WEIGHTS).read_bytes()

    fewer = trained(4)
    assert fewer.evaluations == [("model", 4)]
    assert any("dnn_units 16) has ended, after 8 steps" in line for line in fewer.lines)
    assert trained(10).evaluations == [("model", 6), ("model", 8), ("model", 10)]
    assert (evaluated(teacher), evaluated(folder)) == ([2, 4, 6, 8], [2, 4, 6, 8, 10])
    assert (teacher / CHECKPOINTS / BEST_WEIGHTS).read_bytes() == weights
    assert load_config(str(teacher / CONFIG_NAME)).training.training_steps == (8,)
    assert load_config(str(folder / CONFIG_NAME)).training.training_steps == (10,)
