"""What a judge says of a clip, against a slow reference: each model run alone, inference by inference."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from judge.deciding import Judge, combined_score, open_judge
from judge.members import FloatStream, Member
from tests.judge.models import other_alexa
from tests.spoken import Spoken
from wakeword.audio import read_samples
from wakeword.contract import PROBABILITY_MAX, quantise
from wakeword.device_model import load_model
from wakeword.engines import open_engine
from wakeword.errors import ConfigError
from wakeword.frontend import compute_features, open_frontend
from wakeword.model.float_windows import FloatWindows


def reference_peak(manifest: Path, clip: NDArray[np.int16]) -> float:
    """The highest mean of a window of probabilities that lie in the clip, by tflite-micro and plain loops."""
    model = load_model(manifest)
    step = model.manifest.micro.feature_step_size
    silence = np.zeros(round(1.5 * max(1.0, step / 10) * 16_000), np.int16)
    engine, _ = open_engine(model.model, "reference")
    frontend = open_frontend(step)
    before = engine.run(quantise(frontend.process(silence)))
    assert len(before) > 10
    levels = [int(level) for level in engine.run(quantise(frontend.process(clip)))]
    window = model.point.window
    return max(
        (sum(levels[first : first + window]) / (window * 255) for first in range(len(levels) - window + 1)), default=0.0
    )


def clip_of(spoken: Spoken, number: int) -> NDArray[np.int16]:
    return read_samples(spoken.words[number])[-40_000:]


@pytest.fixture(scope="module")
def manifests(official_models: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The official model, and the same network at a step of 20 ms and with another window."""
    return [official_models / "alexa.json", other_alexa(official_models, tmp_path_factory.mktemp("other"))]


def test_one_model_scores_its_highest_averaged_window(manifests: list[Path], spoken: Spoken) -> None:
    for manifest in manifests:
        judge = open_judge([manifest], 0.5)
        for number in range(0, 12, 3):
            clip = clip_of(spoken, number)
            expected = min(max(reference_peak(manifest, clip), 0.5 / 255), 1 - 0.5 / 255)
            answer = judge.ask(clip)
            assert answer.score == pytest.approx(expected, abs=1e-12)
            assert answer.yes == (expected >= 0.5)


def test_several_models_answer_by_the_mean_of_their_logits(manifests: list[Path], spoken: Spoken) -> None:
    judge = open_judge(manifests, 0.5)
    scores = set()
    for number in range(0, 12, 3):
        clip = clip_of(spoken, number)
        logits = []
        for manifest in manifests:
            peak = min(max(reference_peak(manifest, clip), 0.5 / 255), 1 - 0.5 / 255)
            logits.append(math.log(peak / (1 - peak)))
        answer = judge.ask(clip)
        assert answer.score == pytest.approx(1 / (1 + math.exp(-sum(logits) / 2)), rel=1e-9)
        scores.add(answer.score)
    assert len(scores) > 1


def test_pieces_of_a_clip_give_the_answer_of_the_whole(manifests: list[Path], spoken: Spoken) -> None:
    judge, clip = open_judge(manifests, 0.5), clip_of(spoken, 1)
    whole, listener = judge.ask(clip), judge.listen()
    for _ in range(2):
        listener.reset()
        scores = []
        for start in range(0, len(clip), 1111):
            listener.hear(clip[start : start + 1111])
            scores.append(listener.answer.score)
        assert listener.answer == whole
        assert scores == sorted(scores)
    assert listener.seconds == pytest.approx(len(clip) / 16_000)


def test_silence_and_a_clip_without_a_window_are_no(official_models: Path) -> None:
    judge = open_judge([official_models / "alexa.json"])
    assert judge.cutoff == 0.9
    for samples in (0, 100, 40_000):
        answer = judge.ask(np.zeros(samples, np.int16))
        assert not answer.yes
        assert answer.score < 0.1


def test_yes_is_at_or_above_the_cutoff(official_models: Path) -> None:
    judge = open_judge([official_models / "alexa.json"], 0.5)
    assert judge.answer([0.5]).yes
    assert not judge.answer([0.5 - 1e-9]).yes
    assert open_judge([official_models / "alexa.json"], 0.0).ask(np.zeros(16_000, np.int16)).yes


def test_no_model_is_infinitely_sure() -> None:
    assert combined_score([1.0], [1 / 255]) == 1 - 0.5 / 255
    assert combined_score([0.0, 1.0], [1 / 255, 1 / 255]) == pytest.approx(0.5)
    assert combined_score([0.0, 1.0], [1 / 255, 2**-24]) > 0.5


def test_float_windows_slide_over_pieces_as_over_the_whole() -> None:
    """Each probability is known from the first and last slice of its window."""
    slices, stride = 20, 3

    def run(features: NDArray[np.int8]) -> NDArray[np.float32]:
        starts = range(0, len(features) - slices + 1, stride)
        return np.array(
            [(features[at, 0] + 2.0 * features[at + slices - 1, 1] + 500) / 1000 for at in starts], np.float32
        )

    windows = FloatWindows(Path("w"), "0" * 64, "alexa", slices, stride, 5, None, run)
    features = np.random.default_rng(5).integers(-128, 128, (100, 40)).astype(np.int8)
    silent = np.full((slices - stride, 40), -128, np.int8)
    expected = run(np.concatenate([silent, features]))
    assert len(expected) == len(features) // stride
    model = FloatStream(windows)
    for size in (1, 7, 50, 100):
        model.reset()
        heard = [model.run(features[start : start + size]) for start in range(0, len(features), size)]
        assert np.array_equal(np.concatenate(heard), expected)


def test_a_float_model_counts_in_the_score(official_models: Path) -> None:
    base = open_judge([official_models / "alexa.json"]).members[0]
    windows = FloatWindows(
        Path("run/checkpoints/w.h5"), "0" * 64, "alexa", 6, 3, 2, None,
        lambda features: np.full((len(features) - 6) // 3 + 1, 0.25, np.float32),
    )  # fmt: skip
    member = Member(
        windows.weights, "0" * 64, "float", "alexa", 10, 3, 2, None, 1, 2**-24, lambda: FloatStream(windows)
    )
    assert Judge((member,), 0.2).ask(np.zeros(8000, np.int16)).score == pytest.approx(0.25)
    both = Judge((base, member), 0.2).ask(np.zeros(8000, np.int16))
    assert both.peaks[1] == pytest.approx(0.25)
    assert both.score == pytest.approx(combined_score([both.peaks[0], 0.25], [1 / PROBABILITY_MAX, 2**-24]))


def test_what_is_no_judge_is_refused(official_models: Path, tmp_path: Path) -> None:
    alexa = official_models / "alexa.json"
    for models, cutoff, before, after, message in (
        ([], None, 2.0, 0.5, "a judge needs a model"),
        ([alexa, official_models / "hey_jarvis.json"], None, 2.0, 0.5, "knows the wake word 'Hey Jarvis', not 'Alexa'"),
        ([tmp_path / "gone"], None, 2.0, 0.5, "does not exist"),
        ([official_models / "alexa.tflite"], None, 2.0, 0.5, "without its manifest"),
        ([alexa], 1.5, 2.0, 0.5, "a score is between 0 and 1"),
        ([alexa], None, 9.0, 0.5, "give 0 to 5 seconds"),
        ([alexa], None, 0.1, 0.1, "hold no word"),
    ):
        with pytest.raises(ConfigError, match=message):
            open_judge(models, cutoff, before, after)


def test_the_silence_before_a_clip_is_the_simulated_clips(official_models: Path) -> None:
    """The frontend hears the clip after it: features of the two together."""
    judge = open_judge([official_models / "alexa.json"])
    clip = np.random.default_rng(0).integers(-3000, 3000, 16_000).astype(np.int16)
    engine, _ = open_engine(load_model(official_models / "alexa.json").model)
    levels = engine.run(quantise(compute_features(np.concatenate([np.zeros(24_000, np.int16), clip]))))
    heard = judge.listen()
    heard.hear(clip)
    inside = levels[148 // 3 :].astype(int)
    best = max(int(inside[at : at + 5].sum()) for at in range(len(inside) - 4))
    assert heard.answer.peaks[0] == pytest.approx(best / (5 * 255), abs=1e-12)
