"""The unrolled engine gives the reference's probabilities, bit for bit, however the features are cut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from threadpoolctl import threadpool_info, threadpool_limits

from tests.model_builder import ModelBuilder
from wakeword import engines, threads
from wakeword.engines import EngineChoice, open_engine
from wakeword.engines.litert import LiteRtEngine
from wakeword.engines.reference import ReferenceEngine
from wakeword.engines.unrolled import UnrolledEngine
from wakeword.errors import ConfigError
from wakeword.frontend import device_features
from wakeword.model import arena_host
from wakeword.model.flatbuffer import TfliteModel, parse_model, read_model

OFFICIAL = ["alexa", "hey_jarvis", "hey_mycroft", "okay_nabu"]


def square_wave(seconds: float) -> NDArray[np.int16]:
    time = np.arange(int(16000 * seconds))
    return np.where(time // 20 % 2, 32767, -32768).astype(np.int16)


@pytest.fixture(scope="session")
def inputs() -> dict[str, NDArray[np.int8]]:
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 3000, 16000 * 6).astype(np.int16)
    return {
        "silence": device_features(np.zeros(16000 * 4, np.int16)),
        "noise": device_features(noise),
        "square": device_features(square_wave(4)),
        "random": rng.integers(-128, 128, (900, 40)).astype(np.int8),
        # Slowly varying values reach probabilities that independent ones never do.
        "patches": np.repeat(rng.integers(-128, 128, (120, 40)), 9, axis=0).astype(np.int8),
    }


@pytest.fixture(scope="session")
def speech(corpus: Path) -> NDArray[np.int8]:
    import soundfile

    files = [
        *sorted((corpus / "golden_a").glob("*.flac")),
        *sorted((corpus / "golden_b").glob("*.flac")),
        *sorted((corpus / "alexa").glob("*.flac"))[:20],
    ]
    return device_features(np.concatenate([soundfile.read(path, dtype="int16")[0] for path in files]))


def assert_equal_engines(model: TfliteModel, features: NDArray[np.int8]) -> NDArray[np.uint8]:
    expected = ReferenceEngine(model).run(features)
    np.testing.assert_array_equal(UnrolledEngine(model).run(features), expected)
    return expected


def test_an_engine_computes_in_its_own_thread_alone(official_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads._blas.cache_clear()  # other tests may have loaded more libraries
    engine = UnrolledEngine(read_model(official_models / "alexa.tflite"))
    seen: set[int] = set()
    batch = engine._batch

    def watched(inputs: NDArray[np.int8]) -> NDArray[np.uint8]:
        seen.update(one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas")
        return batch(inputs)

    monkeypatch.setattr(engine, "_batch", watched)
    with threadpool_limits(3, user_api="blas"):
        engine.run(np.zeros((300, 40), np.int8))
    assert seen == {1}


def test_a_fresh_engine_is_after_boot_and_leaves_the_other_where_it_is(
    official_models: Path, inputs: dict[str, NDArray[np.int8]]
) -> None:
    model, heard = read_model(official_models / "hey_mycroft.tflite"), inputs["patches"]
    engine, expected = UnrolledEngine(model), UnrolledEngine(model).run(heard)
    first = engine.run(heard[:500])
    np.testing.assert_array_equal(engine.fresh().run(heard), expected)
    np.testing.assert_array_equal(np.concatenate([first, engine.run(heard[500:])]), expected)


@pytest.mark.parametrize("name", OFFICIAL)
def test_official_models_on_made_up_audio(
    name: str, official_models: Path, inputs: dict[str, NDArray[np.int8]]
) -> None:
    model = read_model(official_models / f"{name}.tflite")
    for features in inputs.values():
        assert_equal_engines(model, features)
    assert_equal_engines(model, np.concatenate(list(inputs.values())))


@pytest.mark.corpus
@pytest.mark.parametrize("name", OFFICIAL)
def test_official_models_on_real_speech(name: str, official_models: Path, speech: NDArray[np.int8]) -> None:
    probabilities = assert_equal_engines(read_model(official_models / f"{name}.tflite"), speech)
    assert probabilities.max() > 200  # the golden takes hold every one of these wake words


GRAPHS: list[dict[str, Any]] = [
    {},
    {"stride": 1},
    {"stride": 2},
    {"stride": 4, "first_stride": 2},
    {"stride": 2, "first_stride": 1, "blocks": ((5,), (3, 7))},
    {"stride": 3, "first_stride": 1, "blocks": ((4,), (9,))},
    {"residual": True},
    {"residual": True, "stride": 1, "activation": "RELU6"},
    {"activation": "NONE", "negative_slices": True},
    {"head": "average_pool"},
    {"head": "max_pool"},
    {"head": "mean"},
    {"head": "mean_keep"},
    {"head": "average_pool", "activation": "NONE"},
    {"mul": "constant"},
    {"mul": "gate"},
    {"mul": "broadcast_gate"},
    {"pad": "time"},
    {"pad": "channels"},
    {"pack": True},
    {"requantise": True, "add_constant": True},
    {"head_rows": 1, "first_kernel": 3},
]


@pytest.mark.parametrize(
    "options", GRAPHS, ids=lambda options: "-".join(f"{k}={v}" for k, v in options.items()) or "plain"
)
def test_graphs_that_official_models_lack(
    options: dict[str, Any], streaming_model: Callable[..., bytes], inputs: dict[str, NDArray[np.int8]]
) -> None:
    for seed in (0, 1):
        model = parse_model(streaming_model(seed=seed, **options))
        expected = assert_equal_engines(model, np.concatenate(list(inputs.values())))
        assert len(np.unique(expected)) > 5  # a dead model would prove nothing


@given(cuts=st.lists(st.integers(0, 400), max_size=8))
@settings(max_examples=25, deadline=None)
def test_cutting_the_stream_changes_nothing(
    cuts: list[int], official_models: Path, inputs: dict[str, NDArray[np.int8]]
) -> None:
    model = read_model(official_models / "okay_nabu.tflite")
    features = inputs["patches"]
    engine = UnrolledEngine(model)
    whole = engine.run(features)
    engine.reset()
    pieces = np.split(features, sorted(cuts))
    np.testing.assert_array_equal(np.concatenate([engine.run(piece) for piece in pieces]), whole)


def test_the_reference_keeps_pending_slices_and_resets(
    official_models: Path, inputs: dict[str, NDArray[np.int8]]
) -> None:
    engine = ReferenceEngine(read_model(official_models / "hey_mycroft.tflite"))
    features = inputs["patches"]
    whole = engine.run(features)
    engine.reset()
    np.testing.assert_array_equal(
        np.concatenate([engine.run(piece) for piece in np.split(features, [1, 5, 6, 400])]), whole
    )


@pytest.mark.parametrize("name", OFFICIAL)
def test_the_past_is_forgotten_after_the_memory(
    name: str, official_models: Path, inputs: dict[str, NDArray[np.int8]]
) -> None:
    engine = UnrolledEngine(read_model(official_models / f"{name}.tflite"))
    features = np.concatenate([inputs["random"], inputs["patches"]])
    whole = engine.run(features)
    start = 600
    engine.reset()
    tail = engine.run(features[start:])
    np.testing.assert_array_equal(tail[engine.memory_slices // 3 :], whole[start // 3 :][engine.memory_slices // 3 :])


def test_a_graph_that_is_not_understood_falls_back_and_says_so(streaming_model: Callable[..., bytes]) -> None:
    # A depthwise kernel over the whole row range with SAME padding is legal on the device but not unrolled.
    model = parse_model(streaming_model())
    graph = model.main
    convolution = next(op for op in graph.operators if op.name == "DEPTHWISE_CONV_2D")
    convolution.options.padding = 0
    engine, reason = open_engine(model)
    assert engine.name == "reference"
    assert "DEPTHWISE_CONV_2D with SAME padding" in reason
    assert open_engine(model, "reference")[1] == ""


def test_a_graph_that_does_not_fit_together_is_left_to_the_reference(streaming_model: Callable[..., bytes]) -> None:
    model = parse_model(streaming_model())
    convolution = next(op for op in model.main.operators if op.name == "CONV_2D")
    object.__setattr__(convolution, "options", None)
    engine, reason = open_engine(model)
    assert engine.name == "reference"
    assert "a part of unknown form (AttributeError" in reason


def test_a_model_that_crashes_the_interpreter_is_an_error(
    streaming_model: Callable[..., bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "child.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    monkeypatch.setattr(arena_host, "_CHILD", tmp_path / "child.py")
    engines._refuse_what_crashes.cache_clear()  # of a test that ran this model before
    with pytest.raises(ConfigError, match="crashed with signal 11"):
        open_engine(parse_model(streaming_model()), "reference")


@pytest.mark.parametrize("choice", ["auto", "unrolled", "reference"])
def test_a_float_model_is_refused_by_every_engine(choice: EngineChoice) -> None:
    builder = ModelBuilder()
    source = builder.tensor("source", "FLOAT32", (1, 3, 40))
    output = builder.tensor("output", "FLOAT32", (1, 1))
    builder.operator("RESHAPE", [source], [output])
    builder.interface([source], [output])
    with pytest.raises(ConfigError, match="takes FLOAT32 and gives FLOAT32, and a device needs INT8 and UINT8"):
        open_engine(parse_model(builder.build()), choice)


def test_the_unrolled_engine_is_the_default(official_models: Path) -> None:
    engine, reason = open_engine(read_model(official_models / "alexa.tflite"))
    assert (engine.name, reason) == ("unrolled", "")


def test_no_slices_give_no_probability(official_models: Path) -> None:
    for choice in ("unrolled", "reference"):
        engine, _ = open_engine(read_model(official_models / "alexa.tflite"), choice)
        assert engine.run(np.zeros((2, 40), np.int8)).shape == (0,)
        assert engine.run(np.zeros((1, 40), np.int8)).shape == (1,)


@pytest.mark.corpus
@pytest.mark.parametrize("name", OFFICIAL)
def test_litert_is_near_the_reference(name: str, official_models: Path, speech: NDArray[np.int8]) -> None:
    """Its kernels round otherwise; with a state that is lost, or slices out of order, most would differ."""
    model = read_model(official_models / f"{name}.tflite")
    exact, other = UnrolledEngine(model).run(speech), LiteRtEngine(model).run(speech)
    assert other.max() > 200
    steps = np.abs(exact.astype(int) - other)
    assert 0 < (steps > 0).mean() < 0.1
    assert steps.max() < 64


def test_litert_goes_on_where_it_was_and_forgets_at_boot(
    official_models: Path, inputs: dict[str, NDArray[np.int8]]
) -> None:
    model, features = read_model(official_models / "hey_mycroft.tflite"), inputs["patches"]
    engine = LiteRtEngine(model)
    whole = engine.run(features)
    assert np.abs(whole.astype(int) - ReferenceEngine(model).run(features)).max() < 64
    assert whole.max() > 10
    assert not np.array_equal(engine.run(features), whole)  # it has not forgotten
    engine.reset()
    parts = [engine.run(features[start : start + 100]) for start in range(0, len(features), 100)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_what_litert_cannot_load_is_refused_in_one_line(official_models: Path) -> None:
    model = read_model(official_models / "alexa.tflite")
    with pytest.raises(ConfigError, match=r"alexa\.tflite: LiteRT cannot load the model \(.+\); run mww-verify on it$"):
        LiteRtEngine(replace(model, content=b"no model at all"))
