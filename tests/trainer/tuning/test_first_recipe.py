"""How a tuning begins: as the run trained at its end."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainer.config.loader import load_config
from trainer.config.sections import TrainerConfig
from trainer.data.ingest import Label, SampleRecord
from trainer.data.split import Split
from trainer.training.checkpoints import RunState, save_state
from trainer.training.patience import Patience
from trainer.tuning.fine_tuning import first_recipe

NO_STATE = Path("none.npz")


def config(*settings: str) -> TrainerConfig:
    return load_config("standard", (), ["export.wake_word=x", *(f"training.{setting}" for setting in settings)])


@pytest.mark.parametrize(
    ("settings", "share"),
    [([], 1 / 7), (["batch_ratios=[1,3,0]"], 0.25), (["sampling_weights.positive=1.5"], 2 / 8)],
)
def test_the_share_of_wake_words_is_that_of_the_run(settings: list[str], share: float) -> None:
    assert first_recipe(config(*settings), [], NO_STATE).word_share == pytest.approx(share)


@pytest.mark.parametrize(("split", "share"), [(Split.TRAIN, 1 / 10), (Split.VAL, 1 / 7)])
def test_feature_sets_that_train_are_negatives(tmp_path: Path, split: Split, share: float) -> None:
    one = SampleRecord(tmp_path / "training", Label.NEGATIVE, split, "speech", 600.0, 0)
    assert not one.is_sound
    assert first_recipe(config(), [one], NO_STATE).word_share == pytest.approx(share)


COSINE = ("schedule=cosine", "training_steps=[60,40]", "learning_rates=[0.01,0.001]")
PLATEAU = ("schedule=plateau", "plateau_factor=0.5", "learning_rates=[0.01,0.001]")


@pytest.mark.parametrize(
    ("settings", "state", "rate"),
    [
        ((), None, 1e-4),
        (COSINE, None, 1e-3),
        (COSINE, RunState("", step=100), 1e-3),
        ((*COSINE, "cosine_final_fraction=0.4"), RunState("", step=100), pytest.approx(4e-3, rel=1e-3)),
        ((*COSINE, "cosine_final_fraction=0.4"), RunState("", step=51), pytest.approx(7e-3)),
        (PLATEAU, None, 1e-2),
        (PLATEAU, RunState("", step=100, patience=Patience(lowered=3)), 1.25e-3),
    ],
)
def test_the_rate_is_the_one_that_the_run_ended_with(
    settings: tuple[str, ...], state: RunState | None, rate: float, tmp_path: Path
) -> None:
    file = tmp_path / "state.npz"
    if state is not None:
        save_state(file, state, [])
    assert first_recipe(config(*settings), [], file).learning_rate == rate
