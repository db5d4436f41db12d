"""The float model of a run over windows of features: what a judge asks of the trainer."""

from __future__ import annotations

from pathlib import Path

from trainer.inference.runs import run_config
from trainer.networks.runtime import require_tensorflow, start_tensorflow
from trainer.networks.sliding import SlidingModel
from trainer.networks.weights import BEST_WEIGHTS, CHECKPOINTS, load_weights
from wakeword.corpus.recordings import hash_file
from wakeword.model.float_windows import FloatWindows


def open_windows(path: Path) -> FloatWindows:
    """Open a run by its folder, which means its best weights, or by a checkpoint in it.

    Raises `ConfigError` where they are missing, damaged or of another configuration, `InfrastructureError` without
    TensorFlow.
    """
    weights = path / CHECKPOINTS / BEST_WEIGHTS if path.is_dir() else path
    config = run_config(weights)
    require_tensorflow()
    start_tensorflow()
    sliding = SlidingModel(config.model, config.slices)
    load_weights(sliding.model, weights)
    export = config.export
    return FloatWindows(
        weights=weights,
        sha256=hash_file(weights),
        wake_word=export.wake_word,
        slices=config.slices,
        stride=config.model.stride,
        window=export.sliding_window_size,
        cutoff=export.probability_cutoff,
        run=sliding.run,
    )
