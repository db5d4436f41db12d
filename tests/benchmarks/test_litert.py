"""What the benchmark of LiteRT counts, on recordings of a few seconds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.litert import EngineDifference, difference, rows
from wakeword.detector import Detection
from wakeword.device_model import load_model
from wakeword.presentation import CLIPS
from wakeword.simulation.board import hear
from wakeword.simulation.simulate import Options


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "noises"
    folder.mkdir()
    rng = np.random.default_rng(2)
    for index in range(2):
        soundfile.write(folder / f"{index}.wav", rng.normal(0, 2000, 16_000).astype(np.int16), 16_000)
    return folder


def test_differences_are_counted_inference_by_inference(clips: Path, official_models: Path) -> None:
    model = load_model(official_models / "hey_mycroft.json", None, None)
    heard = hear(model, sorted(clips.iterdir()), CLIPS, Options("auto"))
    first, second = heard.streams
    inferences = len(first.probabilities) + len(second.probabilities)
    assert difference(heard, heard) == EngineDifference(inferences, 0, 0, 0, 0, 0, 0)
    moved = first.probabilities.copy()
    moved[:3] = moved[:3] + np.array([1, 10, 30], np.uint8)
    found = Detection(100, 200, 210)
    other = replace(
        heard,
        streams=(replace(first, probabilities=moved), second),
        detections=((found,), (replace(found, slice_index=101),)),
    )
    here = replace(heard, detections=((found,), (found,)))
    assert difference(here, other) == EngineDifference(inferences, 3, 1, 30, 2, 2, 1)


def test_the_table_has_a_row_for_clips_and_one_for_streams(
    clips: Path, official_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MWW_CACHE_DIR", str(tmp_path / "cache"))
    stream = clips.rename(tmp_path / "noise_of_a_test")
    clips.mkdir()
    soundfile.write(clips / "word.wav", np.zeros(16_000, np.int16), 16_000)
    table = list(rows([official_models / "alexa.json"], [clips, stream]))
    assert [line.split(" | ")[:2] for line in table[2:]] == [["| alexa", "1 clips"], ["| alexa", "2 streams"]]
    assert len({line.count("|") for line in table}) == 1
