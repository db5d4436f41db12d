"""Settings: what is refused where a configuration is read."""

from __future__ import annotations

import pytest

from trainer.config.loader import load_config
from wakeword.errors import ConfigError


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["method=kmeans"], "method is 'kmeans': it must be one of 'agglomerative', 'threshold'"),
        (
            ["method=threshold", "n_clusters=3"],
            (
                r"--set speaker_clustering\.n_clusters=3: speaker_clustering\.n_clusters needs"
                r" speaker_clustering\.method=aggl"
            ),
        ),
        (["n_clusters=-1"], "n_clusters is -1: it must be 0 or more"),
        (["similarity_threshold=0"], "threshold is 0: it must be above 0"),
        (["similarity_threshold=1.1"], r"threshold is 1\.1: it must be 1 or less"),
        (["embedding_model="], "embedding_model is '': it must be text that is not empty, for example speechbrain/"),
    ],
)
def test_what_is_refused(settings: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(
            "standard",
            settings=["export.wake_word=computer", *(f"speaker_clustering.{setting}" for setting in settings)],
        )
