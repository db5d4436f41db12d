"""Validation while training says what the streaming model, and so the device, would say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tests import networks
from trainer.config.lengths import receptive_field
from trainer.config.network import NetworkConfig
from trainer.data.ingest import Label, SampleRecord
from trainer.data.split import Split
from trainer.evaluation.windows import WordEnd
from trainer.inference.models import FloatModel
from trainer.inference.splits import PresentedSplit, SimulatedSplit, SplitRecords, present_split
from trainer.inference.temperature import WORD_LOG_ODDS
from trainer.networks.scaling import dequantise
from trainer.training.progress import Silent
from trainer.training.run import _validation_features
from trainer.training.validation import StreamingValidation
from wakeword import contract
from wakeword.corpus.feature_cache import CachedStream, FeatureCache
from wakeword.detector import detect
from wakeword.frontend import device_features
from wakeword.presentation import SESSION, STREAM, Presentation
from wakeword.scoring.matching import TOLERANCE_SECONDS, Span, match
from wakeword.scoring.operating_point import choose_cutoff
from wakeword.scoring.separation import average_log_odds, word_peaks
from wakeword.simulation.streams import PresentedStream

WINDOW = 4
FRAMES = 6
SECONDS = 4


def network(stride: int) -> NetworkConfig:
    return NetworkConfig(
        first_conv_filters=8,
        first_conv_kernel_size=5,
        stride=stride,
        pointwise_filters=(8, 10),
        mixconv_kernel_sizes=((3,), (3, 5)),
        repeat_in_block=(1, 1),
        residual_connection=(0, 1),
    )


@dataclass(frozen=True)
class Trained:
    """A model that behaves as a trained one, and validation data."""

    config: NetworkConfig
    slices: int
    model: Any
    data: PresentedSplit
    streamed: tuple[NDArray[np.float32], ...]
    """Probabilities of the streaming Keras clone, inference by inference from boot: of the wake words, then of the
    negatives."""

    @property
    def streams(self) -> tuple[CachedStream, ...]:
        return (self.data.positives.features, self.data.negatives.features)

    @property
    def settled(self) -> int:
        """Inferences until the model has forgotten boot, where its ring buffers held zeros and not the activations of
        silence.
        """
        return -(-self.slices // self.config.stride)


def stored(folder: Path, seed: int, presentation: Presentation, samples: tuple[int, ...]) -> PresentedStream:
    path, slices = folder / presentation.mode, contract.slice_count(presentation.silence(len(samples)) + sum(samples))
    networks.speechlike(seed, slices).tofile(path)
    return PresentedStream.of(
        [path] * len(samples), [""] * len(samples), presentation, CachedStream(path, slices, samples)
    )


def run_streaming(
    model: Any, config: NetworkConfig, slices: int, streams: Sequence[CachedStream]
) -> Iterator[NDArray[np.float32]]:
    import tensorflow as tf

    from trainer.networks.models import reset_streaming, streaming_clone

    clone = streaming_clone(model, config, slices)
    step = tf.function(clone, input_signature=[tf.TensorSpec((1, config.stride, 40))])
    for stream in streams:
        reset_streaming(clone)
        features = dequantise(stream.read())
        chunks = features[: len(features) // config.stride * config.stride].reshape(-1, config.stride, 40)
        yield np.array([float(step(chunk[None])[0, 0]) for chunk in chunks], np.float32)


@pytest.fixture(scope="module", params=[3, 2], ids=lambda stride: f"stride {stride}")
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    from trainer.networks.models import build_model

    config = network(request.param)
    slices = receptive_field(config, FRAMES)
    model = build_model(config, slices)
    networks.randomise(model, seed=6)
    folder = tmp_path_factory.mktemp("features")
    # No detection of these seeds hangs on one level of rounding or on the moments after boot, which the float model
    # does not have.
    words, negatives = stored(folder, 2, SESSION, 3 * (16_000,)), stored(folder, 9, STREAM, (16_000 * SECONDS,))
    streamed = tuple(run_streaming(model, config, slices, (words.features, negatives.features)))
    return Trained(config, slices, model, PresentedSplit(Split.VAL, words, negatives), streamed)


def validation(trained: Trained, cutoff: float | None = None, target: float = 2.0) -> StreamingValidation:
    return StreamingValidation(FloatModel(trained.config, trained.slices), trained.data, WINDOW, target, cutoff)


def heard(trained: Trained) -> SimulatedSplit:
    model = FloatModel(trained.config, trained.slices)
    model.load(trained.model)
    return trained.data.simulated(model.run)


def test_probabilities_line_up_with_the_streaming_model_inference_for_inference(trained: Trained) -> None:
    assert trained.slices < 100, "the first second is enough to forget boot"
    for (stream, _), expected in zip(heard(trained).streams, trained.streamed, strict=True):
        assert len(stream.probabilities) == len(expected) == stream.slices // trained.config.stride
        assert np.ptp(expected[trained.settled :]) > 0.3, (
            "probabilities that never move would agree however they were shifted"
        )
        levels = np.minimum(expected * 256, 255)
        np.testing.assert_allclose(stream.probabilities[trained.settled :], levels[trained.settled :], atol=0.51)


@pytest.mark.parametrize("cutoff", [0.3, 0.6, 0.9])
def test_scores_are_the_devices_decisions_on_the_streaming_model(trained: Trained, cutoff: float) -> None:
    level = contract.cutoff_to_uint8(cutoff)
    levels = [np.clip(np.rint(probabilities * 256), 0, 255).astype(np.uint8) for probabilities in trained.streamed]
    words, negatives = (
        [
            contract.slice_end_seconds(each.slice_index)
            for each in detect(stream_levels, trained.config.stride, stream.slices, level, WINDOW)
        ]
        for stream_levels, stream in zip(levels, trained.streams, strict=True)
    )
    assert words or cutoff > 0.5, "nothing is found even at a low cutoff"
    seconds = 1.5 + 3 * (1 + 3.5)
    matched = match([Span(start, start + 1) for start in (1.5, 6.0, 10.5)], words, seconds, TOLERANCE_SECONDS)
    scores = validation(trained, cutoff)(trained.model)
    assert scores.recall == pytest.approx(matched.found / 3)
    assert scores.false_accepts_per_hour == pytest.approx(
        (matched.false_accepts + len(negatives)) / ((SECONDS + seconds) / 3600)
    )
    assert 0 <= scores.average_viable_recall <= 1
    assert 0 <= scores.recall_at_no_faph <= 1


def test_a_stream_is_read_in_ranges_that_change_nothing(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = heard(trained).positives.probabilities
    monkeypatch.setattr(
        "trainer.inference.models.BLOCK_POSITIONS", 7
    )  # the model hears silence before the first two ranges
    ranges = heard(trained).positives.probabilities
    assert np.abs(whole.astype(int) - ranges).max() <= 1
    assert len(ranges) == len(whole)


def test_without_a_cutoff_the_one_that_the_export_would_choose_is_scored(trained: Trained) -> None:
    scores = validation(trained, target=500.0)(trained.model)
    choice = choose_cutoff(heard(trained).curve(WINDOW), 500.0)
    assert scores.recall == pytest.approx(choice.detected / 3)
    assert scores.false_accepts_per_hour == pytest.approx(choice.false_accepts / choice.hours)


def test_each_evaluation_takes_the_models_weights_of_that_time(trained: Trained) -> None:
    scored = validation(trained, cutoff=0.3)
    before = scored(trained.model)
    head = trained.model.get_layer("head")
    weights = head.get_weights()
    try:
        head.set_weights([weights[0] * 0, weights[1] * 0 - 9])
        silenced = scored(trained.model)
        assert (
            (silenced.recall, silenced.false_accepts_per_hour)
            == (0, 0)
            != (before.recall, before.false_accepts_per_hour)
        )
    finally:
        head.set_weights(weights)
    assert scored(trained.model) == before


def test_words_beyond_the_devices_scale_get_a_temperature(trained: Trained) -> None:
    """Where the device would say 255 to words and false accepts alike, no cutoff could tell them apart."""
    scored, head = validation(trained, target=500.0), trained.model.get_layer("head")
    weights = head.get_weights()
    try:
        head.set_weights([weights[0] * 10, weights[1] * 10])
        before = word_levels(trained)
        assert np.median(before) > 10
        validation(trained, cutoff=0.3).within_scale(trained.model)
        np.testing.assert_array_equal(
            word_levels(trained), before, "a cutoff that is given is one of these probabilities"
        )
        surest = np.concatenate([stream.probabilities for stream, _ in heard(trained).streams])
        scored.within_scale(trained.model)
        assert np.median(word_levels(trained)) == pytest.approx(WORD_LOG_ODDS, abs=0.05)
        now = np.concatenate([stream.probabilities for stream, _ in heard(trained).streams])
        assert len(np.unique(now[surest == 255])) > 5, "what was one level is several"
        assert now[surest > 150].min() >= 128 >= now[surest < 106].max(), "likelier than not is still likelier"
        kept = head.get_weights()
        scored.within_scale(trained.model)
        np.testing.assert_allclose(head.get_weights()[0], kept[0], rtol=0.02)
    finally:
        head.set_weights(weights)


def word_levels(trained: Trained) -> NDArray[np.float64]:
    """Highest log-odds of each of the three words."""
    model = FloatModel(trained.config, trained.slices)
    model.load(trained.model)
    levels = average_log_odds(model.probabilities(trained.streams[0]), trained.config.stride, WINDOW)
    return word_peaks(levels, trained.config.stride, [each.span for each in trained.data.positives.recordings])


def test_recordings_are_presented_as_the_simulated_board_does(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    sounds = {
        name: rng.normal(0, 1000, length).astype(np.int16)
        for name, length in (("b", 16_000), ("a", 8_000), ("word", 12_345), ("early", 8_000))
    }
    for name, sound in sounds.items():
        soundfile.write(tmp_path / f"{name}.wav", sound, 16_000)
    seconds: list[float] = []
    labels = {"word": Label.POSITIVE, "early": Label.POSITIVE, "b": Label.NEGATIVE, "a": Label.NEGATIVE}
    records = [
        SampleRecord(tmp_path / f"{name}.wav", label, Split.VAL, "", len(sounds[name]) / 16_000, 16_000)
        for name, label in labels.items()
    ]
    data = present_split(FeatureCache(tmp_path / "cache"), SplitRecords.of(records, Split.VAL), seconds.append)
    lead, pause, gap = (np.zeros(round(16_000 * seconds), np.int16) for seconds in (1.5, 3.5, 0.5))
    joined = np.concatenate([lead, sounds["early"], pause, sounds["word"], pause])
    np.testing.assert_array_equal(data.positives.features.read(), device_features(joined))
    early, word = (recording.span for recording in data.positives.recordings)
    assert (early.start, early.end) == (1.5, 2.0)
    assert (word.start, word.end) == (5.5, 5.5 + 12_345 / 16_000)
    np.testing.assert_array_equal(
        data.negatives.features.read(), device_features(np.concatenate([sounds["a"], gap, sounds["b"]]))
    )
    assert sum(seconds) == pytest.approx((12_345 + 32_000) / 16_000)


def test_features_that_another_command_removes_are_still_validated_with(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    records = []
    for label in (Label.POSITIVE, Label.NEGATIVE):
        soundfile.write(tmp_path / f"{label}.wav", rng.normal(0, 1000, 16_000).astype(np.int16), 16_000)
        records.append(SampleRecord(tmp_path / f"{label}.wav", label, Split.VAL, "", 1.0, 16_000))
    folder = tmp_path / "cache"
    before = _validation_features(records, FeatureCache(folder), Silent())
    found = _validation_features(records, FeatureCache(folder), Silent())
    assert FeatureCache(folder, limit_bytes=1).prune() == 0, "another command's cache is full"
    for kind in ("positives", "negatives"):
        expected, stream = getattr(before, kind).features.read(), getattr(found, kind).features
        np.testing.assert_array_equal(stream.read(), expected)
        np.testing.assert_array_equal(stream.read(3, 9), expected[3:9])


def test_figures_of_windows_are_those_that_an_evaluation_takes(trained: Trained) -> None:
    """Counted here by hand: of the windows 150 ms after each word, and of every 300 ms of the negatives."""
    words = trained.data.positives.recordings
    ends = [WordEnd(recording.samples - 1600, known=True) for recording in words]
    scorer = StreamingValidation(FloatModel(trained.config, trained.slices), trained.data, WINDOW, 2.0, word_ends=ends)
    scores, without = scorer(trained.model), validation(trained)(trained.model)
    assert (without.loss, without.accuracy, without.precision, without.f1, without.auc) == (None,) * 5
    assert (scores.recall, scores.false_accepts_per_hour) == (without.recall, without.false_accepts_per_hour)
    model, stride = FloatModel(trained.config, trained.slices), trained.config.stride
    model.load(trained.model)
    of_words, of_negatives = (model.probabilities(features) for features in trained.streams)
    heard = [
        contract.WINDOW_SAMPLES + ((index + 1) * stride - 1) * contract.STEP_SAMPLES for index in range(len(of_words))
    ]
    spoken = []
    for recording, end in zip(words, ends, strict=True):
        due = recording.start + end.sample + 15 * contract.STEP_SAMPLES
        spoken.append(of_words[max(index for index, samples in enumerate(heard) if samples < due + 160)])
    others = of_negatives[:: 30 // stride]
    likelihoods = [*np.log(spoken), *np.log1p(-others)]
    assert scores.loss == pytest.approx(-np.mean(likelihoods), abs=1e-4)
    found, false = sum(one > 0.5 for one in spoken), sum(one > 0.5 for one in others)
    assert scores.accuracy == pytest.approx((found + sum(one <= 0.5 for one in others)) / len(likelihoods))
    assert scores.precision == pytest.approx(found / (found + false))
    pairs = [(one > other) + (one == other) / 2 for one in spoken for other in others]
    assert scores.auc == pytest.approx(np.mean(pairs), abs=1e-4)
