"""An export that loses too many words by int8 arithmetic, by the command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.commands import run
from tests.trainer.commands.cycle import WEIGHTS
from tests.trainer.evaluation.loudness import RATE, SETTINGS, write_bursts
from trainer.config.loader import CONFIG_NAME, load_config, write_config
from trainer.data.dataset import write_recordings
from trainer.data.ingest import Ingestion, Label, SampleRecord
from trainer.data.split import Split
from wakeword.audio import read_samples

WORDS = 12
USELESS = 1e4
"""How much larger than what counts a channel is that nothing reads."""


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A run whose weights find loud sounds in float. In int8 they find nothing: an activation has one range for all
    channels, and one that is never read takes all of it.
    """
    from trainer.networks.models import build_model
    from trainer.networks.weights import save_weights

    records = []
    for split in (Split.TRAIN, Split.VAL):
        for index in range(WORDS):
            path = write_bursts(tmp_path / "audio" / split / f"{index}.wav", 1.2, {0.6: 0.9}, seed=index)
            records.append((path, Label.POSITIVE, split, "eve"))
        path = write_bursts(tmp_path / "audio" / split / "quiet.wav", 30, {}, seed=WORDS)
        records.append((path, Label.NEGATIVE, split, "room"))
    folder, config = tmp_path / "run", load_config("standard", (), SETTINGS)
    write_recordings(
        Ingestion(tuple(SampleRecord(*one, len(read_samples(one[0])) / RATE, RATE) for one in records), (), ()), folder
    )
    write_config(config, folder / CONFIG_NAME)

    model = build_model(config.model, config.slices)
    for layer in model.layers:
        values = [np.zeros_like(one) for one in layer.get_weights()]
        if layer.name == "first_conv":
            values[0][-1, :, :, 0] = 1 / 40
            values[0][-1, :, :, 1] = USELESS
        elif "depthwise" in layer.name:
            values[0][-1, :, 0] = 1
        elif "pointwise" in layer.name:
            values[0][:, :, 0, 0] = 1
        elif layer.name == "head":
            values[0][0::6, 0], values[1][:] = 6 / (len(values[0]) / 6), -6
        else:
            continue
        layer.set_weights(values)
    (folder / WEIGHTS).parent.mkdir()
    save_weights(model, folder / WEIGHTS)
    return folder


def test_an_export_that_loses_more_than_the_limit_is_refused_and_writes_nothing(
    run_folder: Path, tmp_path: Path
) -> None:
    arguments = ["--checkpoint", run_folder / WEIGHTS, "--output", tmp_path / "out", "--jobs", 1]
    refused = run(tmp_path / "cache", "mww-export", *arguments)
    assert (refused.returncode, refused.stdout) == (1, ""), refused.stderr
    assert refused.stderr.count("error: ") == 1
    assert (
        f"error: int8 arithmetic finds 0 of {WORDS} validation utterances at no more than 0 false accepts, and the"
        f" float model {WORDS}: 100.0% became 0.0%, and export.max_recall_drop is 0.02; "
    ) in refused.stderr.splitlines()[-1]
    assert refused.stderr.endswith("nothing was written\n")
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]

    allowed = run(tmp_path / "cache", "mww-export", *arguments, "--set", "export.max_recall_drop=1")
    assert allowed.returncode == 0, allowed.stderr
    assert f"int8: 0/{WORDS} utterances found" in allowed.stdout
    assert (tmp_path / "out" / "loud.tflite").is_file()
