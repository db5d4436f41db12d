"""From speech to a vector of the voice: SpeechBrain's ECAPA-TDNN, or anything else with the same two members.

Torch and SpeechBrain live in an environment of their own and are imported when the first file is embedded that no cache
knows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wakeword.corpus.recordings import hash_file
from wakeword.errors import ConfigError, InfrastructureError, MwwError
from wakeword.extras import MODULES, install, require

HYPERPARAMETERS = "hyperparams.yaml"
_INSTALL = install("cluster")
_INT16_SCALE = np.float32(32768)


class Embedder(Protocol):
    """Turns speech into a vector whose direction is the voice."""

    def embed(self, samples: NDArray[np.int16]) -> NDArray[np.float32]:
        """16 kHz mono `[n]` to a vector `[d]`, of any length above 0."""


EmbedderLoader = Callable[[str], Embedder]


def model_identity(model: str) -> str:
    """What stands for a model in cache keys: the content of a folder, or the name on the hub with its revision.

    Raises `ConfigError` for something that looks like a folder and is none.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        files = sorted(path for path in folder.iterdir() if path.is_file())
        if not (folder / HYPERPARAMETERS).is_file():
            raise ConfigError(
                f"{folder}: holds no {HYPERPARAMETERS}; give a folder with a SpeechBrain model's files, or its name on"
                " the hub"
            )
        return hashlib.sha256("".join(f"{path.name}\0{hash_file(path)}\n" for path in files).encode()).hexdigest()
    if model.count("/") != 1 or model.startswith((".", "/", "~")):
        raise ConfigError(
            f"speaker_clustering.embedding_model {model}: neither a folder nor a name on the hub such as"
            " speechbrain/spkrec-ecapa-voxceleb"
        )
    return model


class SpeechBrainEmbedder:
    """An `EncoderClassifier` of SpeechBrain, on the GPU where torch finds one."""

    def __init__(self, classifier: Any) -> None:
        self._classifier = classifier

    def embed(self, samples: NDArray[np.int16]) -> NDArray[np.float32]:
        """16 kHz mono `[n]` to the encoder's vector `[d]` (192 for the default model).

        One recording at a time: padding to the longest of a batch changes the vector, which would then depend on its
        neighbours. Raises `InfrastructureError` when torch fails (out of memory, say).
        """
        import torch

        try:
            with torch.inference_mode():
                # EncoderClassifier.encode_batch: waveforms [batch, time] at 16 kHz in [-1, 1] -> [batch, 1, d]
                encoded = self._classifier.encode_batch(
                    torch.from_numpy(samples.astype(np.float32) / _INT16_SCALE).unsqueeze(0)
                )
        except RuntimeError as error:
            raise InfrastructureError(
                f"torch could not embed {len(samples) / 16_000:.1f} s of sound ({error}); free memory, then run again"
            ) from error
        return np.asarray(encoded.reshape(-1).cpu().numpy(), np.float32)


def load_speechbrain(model: str) -> Embedder:
    """Load a model from a folder, from the hub, or from the copy that the hub's client keeps.

    Raises `InfrastructureError` when torch or SpeechBrain are missing or broken, or the hub cannot be reached, and
    `ConfigError` when the hub has no such model or a folder's files are no such model.
    """
    require("embedding voices", *MODULES["cluster"])
    try:
        import torch
        from speechbrain.inference.classifiers import EncoderClassifier
    except Exception as error:
        # torchaudio raises RuntimeError when it was built for another torch, the loader OSError for a missing library.
        raise InfrastructureError(f"speechbrain cannot be imported ({_first_line(error)}); {_INSTALL}") from error
    device = "cuda" if torch.cuda.is_available() else "cpu"
    folder = Path(model).expanduser()
    try:
        if folder.is_dir():
            # A model's file names its weights by their address on the hub; they are to come from the folder.
            local = {"pretrained_path": str(folder)}
            return SpeechBrainEmbedder(
                EncoderClassifier.from_hparams(
                    source=str(folder), overrides=local, overrides_must_match=False, run_opts={"device": device}
                )
            )
        name, _, revision = model.partition("@")
        return SpeechBrainEmbedder(
            EncoderClassifier.from_hparams(source=name, run_opts={"device": device}, **_at_revision(revision))
        )
    except Exception as error:
        raise _explained(error, model, local=folder.is_dir()) from error


def _at_revision(revision: str) -> dict[str, Any]:
    if not revision:
        return {}
    from speechbrain.utils.fetching import FetchConfig

    return {"fetch_config": FetchConfig(revision=revision)}


def _explained(error: Exception, model: str, *, local: bool) -> MwwError:
    """Loading runs three libraries that share no error class, so causes are told apart by name."""
    if local:
        return ConfigError(
            f"{model}: cannot be loaded as a SpeechBrain encoder ({_first_line(error)}); copy the model's files again"
        )
    names = {parent.__name__ for parent in type(error).__mro__}
    # Without a network the client also says "not found", of its own cache: LocalEntryNotFoundError.
    if "LocalEntryNotFoundError" not in names and (
        names & {"RepositoryNotFoundError", "RevisionNotFoundError", "HFValidationError"}
        or "File not found on HF hub" in str(error)
    ):
        return ConfigError(
            f"the hub has no model {model} ({_first_line(error)}); correct speaker_clustering.embedding_model"
        )
    return InfrastructureError(
        f"the model {model} could not be fetched ({_first_line(error)}); connect this machine to the hub once, after"
        " which its copy is used, or download the model's files elsewhere and give their folder as"
        " speaker_clustering.embedding_model"
    )


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
