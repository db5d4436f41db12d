"""Settings: what the section says, what the command line lays over it, what is refused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from trainer.clustering.settings import DEFAULT_MODEL, ClusterSettings, settings_of
from trainer.config.sections import TrainerConfig
from wakeword.errors import ConfigError


def configuration(**changes: Any) -> TrainerConfig:
    """A configuration with the section, whether or not the installed one has it already."""
    section = {
        "enabled": True,
        "method": "agglomerative",
        "embedding_model": DEFAULT_MODEL,
        "similarity_threshold": 0.72,
        "n_clusters": 0,
        "leakage_audit_enabled": True,
    }
    return cast(TrainerConfig, SimpleNamespace(speaker_clustering=SimpleNamespace(**(section | changes))))


def test_the_command_line_goes_before_the_section() -> None:
    config = configuration(similarity_threshold=0.5, n_clusters=7, leakage_audit_enabled=False)
    assert settings_of(config) == ClusterSettings(similarity_threshold=0.5, n_clusters=7, leakage_audit=False)
    assert settings_of(config, 0, 0.9) == ClusterSettings(similarity_threshold=0.9, leakage_audit=False)
    assert settings_of(configuration(n_clusters=None)) == ClusterSettings()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"enabled": False}, r"speaker_clustering\.enabled is false: the dataset's folders count as its speakers"),
        ({"method": "kmeans"}, "method is 'kmeans'; give agglomerative or threshold"),
        ({"method": "threshold", "n_clusters": 3}, r"n_clusters needs speaker_clustering\.method=agglomerative"),
        ({"n_clusters": -1}, "n_clusters is -1"),
        ({"similarity_threshold": 0}, "threshold is 0"),
        ({"similarity_threshold": 1.1}, r"threshold is 1\.1"),
        ({"embedding_model": ""}, "embedding_model is empty"),
    ],
)
def test_what_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        settings_of(configuration(**changes))
