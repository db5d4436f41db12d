"""How a tuning begins: as the run trained at its end."""

from __future__ import annotations

import pytest

from trainer.config.loader import load_config
from trainer.tuning.fine_tuning import first_recipe


@pytest.mark.parametrize(
    ("settings", "share"),
    [([], 1 / 7), (["batch_ratios=[1,3,0]"], 0.25), (["sampling_weights.positive=1.5"], 2 / 8)],
)
def test_the_share_of_wake_words_is_that_of_the_run(settings: list[str], share: float) -> None:
    config = load_config("standard", (), ["export.wake_word=x", *(f"training.{setting}" for setting in settings)])
    assert first_recipe(config, []).word_share == pytest.approx(share)
