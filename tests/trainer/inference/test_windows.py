"""The float model of a run as a judge runs it: the probabilities of validation, piece by piece."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from judge.deciding import open_judge
from tests.networks import TINY, randomise, speechlike
from trainer.config.loader import CONFIG_NAME, load_config, write_config
from trainer.config.network import NetworkConfig
from trainer.inference.models import FloatModel
from trainer.networks.models import build_model
from trainer.networks.weights import BEST_WEIGHTS, CHECKPOINTS, save_weights
from wakeword.corpus.feature_cache import CachedStream
from wakeword.errors import ConfigError
from wakeword.model.float_windows import open_float_windows

SHAPE = (
    "model.first_conv_filters=6",
    "model.pointwise_filters=6",
    "model.mixconv_kernel_sizes=[3,5]",
    "model.repeat_in_block=1",
    "model.residual_connection=1",
)


def a_run(folder: Path, *settings: str) -> tuple[Path, NetworkConfig, int]:
    """A run of random weights."""
    config = load_config("standard", (), ["export.wake_word=alexa", *SHAPE, *settings])
    assert config.model.pointwise_filters == TINY.pointwise_filters
    model = build_model(config.model, config.slices)
    randomise(model, 3)
    folder.mkdir()
    write_config(config, folder / CONFIG_NAME)
    save_weights(model, folder / CHECKPOINTS / BEST_WEIGHTS)
    return folder, config.model, config.slices


def test_a_run_judges_as_its_validation_hears(tmp_path: Path) -> None:
    run, network, slices = a_run(tmp_path / "house", "export.sliding_window_size=4", "export.probability_cutoff=0.4")
    reference = FloatModel(network, slices)
    reference.load_file(run / CHECKPOINTS / BEST_WEIGHTS)
    features = speechlike(1, 601)
    expected = reference.probabilities(CachedStream.in_memory(features))
    judge = open_judge([run])
    (member,) = judge.members
    assert (judge.cutoff, judge.wake_word, judge.words) == (0.4, "alexa", "house: cutoff 0.4")
    assert (member.window, member.stride, member.sha256) == (4, network.stride, reference.sha256)
    ear = member.open_model()
    heard = np.concatenate([ear.run(features[start : start + 50]) for start in range(0, len(features), 50)])
    np.testing.assert_allclose(heard, expected, atol=1e-6)
    assert expected.std() > 0.01
    clip = np.random.default_rng(0).integers(-8000, 8000, 40_000).astype(np.int16)
    assert 0 < judge.ask(clip).score < 1


def test_a_run_that_cannot_judge_is_refused(tmp_path: Path) -> None:
    run, _, _ = a_run(tmp_path / "house")
    with pytest.raises(ConfigError, match="has no cutoff for a judge; give --cutoff"):
        open_judge([run])
    assert open_judge([run], 0.5).cutoff == 0.5
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="does not exist"):
        open_float_windows(tmp_path / "empty")
    (run / CHECKPOINTS / BEST_WEIGHTS).write_bytes(b"no weights")
    with pytest.raises(ConfigError, match="not the weights of this model"):
        open_judge([run], 0.5)
