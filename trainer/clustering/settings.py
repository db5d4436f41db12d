"""What decides how recordings are grouped by voice."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

from trainer.config.sections import TrainerConfig
from wakeword.errors import ConfigError

Method = Literal["agglomerative", "threshold"]

DEFAULT_MODEL = "speechbrain/spkrec-ecapa-voxceleb"


@dataclass(frozen=True)
class ClusterSettings:
    """How voices are compared and grouped. Similarities are cosines, so in [-1, 1].

    Raises `ConfigError` for a value out of range, and where a number of clusters is asked of a method that cannot give one.
    """

    method: Method = "agglomerative"
    """agglomerative: average linkage, which needs a group's files alike on average. threshold: any chain of similar files is a group."""
    embedding_model: str = DEFAULT_MODEL
    """A model of the hub, `name` or `name@revision`, or a folder with its files."""
    similarity_threshold: float = 0.72
    n_clusters: int = 0
    """0 lets the threshold decide."""
    leakage_audit: bool = True

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise ConfigError(f"speaker_clustering.method is {self.method!r}; give {' or '.join(get_args(Method))}")
        if not 0 < self.similarity_threshold <= 1:
            raise ConfigError(f"the similarity threshold is {self.similarity_threshold:g}; give a cosine above 0 and at most 1, such as 0.72")
        if self.n_clusters < 0:
            raise ConfigError(f"n_clusters is {self.n_clusters}; give the number of speakers, or 0 to let the similarity threshold decide")
        if self.n_clusters and self.method == "threshold":
            raise ConfigError("n_clusters needs speaker_clustering.method=agglomerative; the method 'threshold' has as many groups as it finds")
        if not self.embedding_model:
            raise ConfigError(f"speaker_clustering.embedding_model is empty; give {DEFAULT_MODEL} or a folder with a model's files")


def settings_of(config: TrainerConfig, n_clusters: int | None = None, threshold: float | None = None) -> ClusterSettings:
    """The settings of a configuration's section `speaker_clustering`, with what the command line says laid over it.

    Raises `ConfigError` for values out of range, and when the section switches clustering off.
    """
    section = getattr(config, "speaker_clustering", None)
    settings = ClusterSettings()
    if section is not None:
        if not section.enabled:
            raise ConfigError("speaker_clustering.enabled is false: the dataset's folders count as its speakers; set it to true to look for voices")
        settings = ClusterSettings(
            section.method, section.embedding_model, section.similarity_threshold, section.n_clusters or 0, section.leakage_audit_enabled
        )
    if n_clusters is not None:
        settings = replace(settings, n_clusters=n_clusters)
    return settings if threshold is None else replace(settings, similarity_threshold=threshold)
