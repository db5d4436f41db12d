"""What the tests speak themselves when no people's recordings are there."""

from __future__ import annotations

from pathlib import Path

from tests.spoken import WORDS, Spoken
from wakeword.contract import cutoff_to_uint8
from wakeword.model.flatbuffer import read_model
from wakeword.model.manifest import read_manifest
from wakeword.presentation import CLIPS, STREAM
from wakeword.simulation.simulate import simulate


def test_the_official_model_finds_most_words_and_takes_no_sentence_for_one(
    generated_speech: Spoken, official_models: Path
) -> None:
    manifest, path = read_manifest(official_models / "alexa.json")
    model, cutoff, window = (
        read_model(path),
        cutoff_to_uint8(manifest.micro.probability_cutoff),
        manifest.micro.sliding_window_size,
    )
    found = sum(bool(one.detections(cutoff, window)) for one in simulate(model, generated_speech.words, CLIPS))
    assert len(generated_speech.words) == WORDS
    assert found >= 0.9 * WORDS
    (stream,) = simulate(model, generated_speech.speech[:6], STREAM)
    assert not stream.detections(cutoff, window)
