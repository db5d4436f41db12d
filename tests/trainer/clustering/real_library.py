"""A program of its own: embeds with the installed SpeechBrain. Its lazy modules break whatever looks through
`sys.modules`, as Hypothesis does.

Argument: a folder to fill with a model. A small ECAPA-TDNN with random weights is loaded as a user's folder would be;
no network is asked.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN

from trainer.clustering.embedder import HYPERPARAMETERS, load_speechbrain

SIZES: dict[str, Any] = {
    "channels": [16, 16, 16, 16, 48],
    "kernel_sizes": [5, 3, 3, 3, 1],
    "dilations": [1, 2, 3, 4, 1],
    "attention_channels": 8,
    "lin_neurons": 24,
}
ENCODER = """
pretrained_path: nobody/nowhere
compute_features: !new:speechbrain.lobes.features.Fbank
    n_mels: 80
mean_var_norm: !new:speechbrain.processing.features.InputNormalization
    norm_type: sentence
    std_norm: False
embedding_model: !new:speechbrain.lobes.models.ECAPA_TDNN.ECAPA_TDNN
    input_size: 80
    channels: [16, 16, 16, 16, 48]
    kernel_sizes: [5, 3, 3, 3, 1]
    dilations: [1, 2, 3, 4, 1]
    attention_channels: 8
    lin_neurons: 24
classifier: !new:speechbrain.lobes.models.ECAPA_TDNN.Classifier
    input_size: 24
    out_neurons: 3
modules:
    compute_features: !ref <compute_features>
    mean_var_norm: !ref <mean_var_norm>
    embedding_model: !ref <embedding_model>
    classifier: !ref <classifier>
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        embedding_model: !ref <embedding_model>
    paths:
        embedding_model: !ref <pretrained_path>/embedding_model.ckpt
"""


def main(folder: Path) -> None:
    """Make the model, load it twice, compare."""
    torch.manual_seed(0)
    torch.save(ECAPA_TDNN(80, **SIZES).state_dict(), folder / "embedding_model.ckpt")
    (folder / HYPERPARAMETERS).write_text(ENCODER)
    embedder = load_speechbrain(str(folder))
    noise = np.random.default_rng(0).normal(0, 3000, 16_000).astype(np.int16)
    vector = embedder.embed(noise)
    assert vector.shape == (24,)
    assert vector.dtype == np.float32
    assert np.isfinite(vector).all()
    assert vector.any()
    assert (embedder.embed(noise) == vector).all()
    assert embedder.embed(noise[:3200]).shape == (24,), "the shortest recording that is heard"
    assert (load_speechbrain(str(folder)).embed(noise) == vector).all()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
