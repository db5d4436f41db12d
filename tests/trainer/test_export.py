"""Export: the int8 model keeps the device contract and the float model's probabilities, and its files are whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import networks
from trainer.config.lengths import receptive_field
from trainer.config.loader import load_config
from trainer.config.network import NetworkConfig
from trainer.data.ingest import Label, SampleRecord
from trainer.data.split import Split
from trainer.export.convert import SAVED_MODEL, convert, convert_float
from trainer.export.onnx import OPSET, convert_onnx
from trainer.export.package import package_paths, write_package
from trainer.export.representative import representative_chunks
from trainer.exporting import ONNX_TOLERANCE, trained_languages
from trainer.inference.agreement import measure_agreement, measure_onnx_agreement
from wakeword import contract
from wakeword.errors import ConfigError, InfrastructureError
from wakeword.model.flatbuffer import TfliteModel, parse_model
from wakeword.model.manifest import Manifest, MicroSection, read_manifest
from wakeword.model.verify import verify_model
from wakeword.operators import foreign_operators

NETWORKS = {
    "single kernels": (NetworkConfig(first_conv_filters=10, pointwise_filters=(12, 12, 12, 12)), 6),
    "mixed kernels": (
        NetworkConfig(
            first_conv_filters=10,
            pointwise_filters=(12, 12, 12, 12),
            mixconv_kernel_sizes=((5,), (7, 11), (9, 15), (23,)),
        ),
        6,
    ),
    "residual, stride 1": (
        networks.RESIDUAL,
        4,
    ),
}


@dataclass(frozen=True)
class Exported:
    """One network, before and after its export."""

    config: NetworkConfig
    slices: int
    frames: int
    model: Any
    content: bytes
    tflite: TfliteModel
    folder: Path


CLIPS = [networks.speechlike(seed, 300) for seed in range(8)]


@pytest.fixture(scope="module", params=list(NETWORKS.values()), ids=list(NETWORKS))
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exported]:
    from trainer.networks.models import build_model

    config, frames = request.param
    slices = receptive_field(config, frames)
    model = build_model(config, slices)
    networks.randomise(model, seed=4)
    folder = tmp_path_factory.mktemp("exported")
    content = convert(model, config, slices, CLIPS, folder=folder, windows=30)
    yield Exported(config, slices, frames, model, content, parse_model(content), folder)


def test_input_and_output_are_the_contracts(exported: Exported) -> None:
    graph = exported.tflite.main
    taken, given = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    assert (taken.shape, taken.type_name, taken.zero_point) == (
        (1, exported.config.stride, 40),
        "INT8",
        contract.INPUT_ZERO_POINT,
    )
    assert taken.scale == pytest.approx(contract.INPUT_SCALE, rel=1e-6)
    assert (given.shape, given.type_name, given.scale, given.zero_point) == ((1, 1), "UINT8", 1 / 256, 0)


def test_every_operator_is_registered_on_the_device(exported: Exported) -> None:
    assert len(exported.tflite.subgraphs) == 2
    assert not foreign_operators(exported.tflite)


def test_every_ring_buffer_is_an_int8_variable(exported: Exported) -> None:
    config, graph = exported.config, exported.tflite.main
    states = {
        graph.tensors[tensor].shape: graph.tensors[tensor].type_name
        for operator in graph.operators
        if operator.name == "READ_VARIABLE"
        for tensor in operator.outputs
    }
    rings = [config.first_conv_kernel_size - config.stride, *config.context_frames, exported.frames - 1]
    assert sorted(shape[1] for shape in states) == sorted(rings)
    assert set(states.values()) == {"INT8"}
    assert sum(operator.name == "VAR_HANDLE" for operator in graph.operators) == len(rings)


def test_a_four_block_model_has_six_variables(exported: Exported) -> None:
    handles = sum(operator.name == "VAR_HANDLE" for operator in exported.tflite.main.operators)
    assert handles == 2 + len(exported.config.context_frames)
    assert [len(graph.operators) for graph in exported.tflite.subgraphs][1] == 2 * handles


def test_the_exported_model_agrees_with_the_float_model(exported: Exported) -> None:
    recordings = [networks.speechlike(seed, 400) for seed in (20, 21)]
    agreement = measure_agreement(exported.content, exported.model, exported.config, exported.slices, recordings)
    assert agreement.inferences == 2 * (400 // exported.config.stride)
    # Random weights take quantisation worse than trained ones, whose mean is near 0.001.
    assert agreement.mean < 0.05
    assert agreement.maximum < 0.3


def test_another_models_export_does_not_agree(exported: Exported) -> None:
    from trainer.networks.models import build_model

    other = build_model(exported.config, exported.slices)
    networks.randomise(other, seed=77)
    agreement = measure_agreement(
        exported.content, other, exported.config, exported.slices, [networks.speechlike(20, 400)]
    )
    assert agreement.mean > 0.1
    assert agreement.suspicious


def test_onnx_runtime_gives_the_float_models_probabilities(exported: Exported) -> None:
    import onnx

    content = convert_onnx(exported.model, exported.config, exported.slices, {"wake_word": "Grüß dich"})
    recordings = [networks.speechlike(seed, 400) for seed in (20, 21)]
    agreement = measure_onnx_agreement(content, exported.model, exported.config, exported.slices, recordings)
    assert agreement.inferences == 2 * (400 // exported.config.stride)
    assert agreement.maximum < ONNX_TOLERANCE / 10
    from trainer.networks.models import build_model

    other = build_model(exported.config, exported.slices)
    networks.randomise(other, seed=77)
    assert (
        measure_onnx_agreement(content, other, exported.config, exported.slices, recordings).maximum
        > ONNX_TOLERANCE * 100
    )
    written = onnx.load_from_string(content)
    rings = {name.name for name in written.graph.input} - {"features"}
    assert {output.name for output in written.graph.output} == {"probability", *(f"{ring}_next" for ring in rings)}
    assert {entry.key: entry.value for entry in written.metadata_props} == {"wake_word": "Grüß dich"}
    assert [opset.version for opset in written.opset_import if not opset.domain] == [OPSET]


def without_an_input(converted: Any) -> None:
    """Its first operator reads what nothing gives."""
    converted.graph.node[0].input[0] = "nothing"


def with_another_type(converted: Any) -> None:
    """Its output is told to be text, which no shape inference finds."""
    converted.graph.output[0].type.tensor_type.elem_type = 8


@pytest.mark.parametrize("broken", [without_an_input, with_another_type])
def test_what_is_no_valid_onnx_is_told_in_one_line(
    exported: Exported, broken: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The converter's own file, with a fault that the checker finds, or shape inference."""
    import tf2onnx

    convert_it = tf2onnx.convert.from_function

    def made(*arguments: Any, **options: Any) -> tuple[Any, Any]:
        converted, rest = convert_it(*arguments, **options)
        broken(converted)
        return converted, rest

    monkeypatch.setattr(tf2onnx.convert, "from_function", made)
    with pytest.raises(InfrastructureError, match="is no valid ONNX") as raised:
        convert_onnx(exported.model, exported.config, exported.slices, {})
    assert "\n" not in str(raised.value)


def test_a_model_that_gives_no_numbers_is_told(exported: Exported) -> None:
    from trainer.networks.models import build_model

    diverged = build_model(exported.config, exported.slices)
    diverged.set_weights([np.full_like(weight, np.nan) for weight in diverged.get_weights()])
    with pytest.raises(ConfigError, match="gives no number"):
        measure_agreement(exported.content, diverged, exported.config, exported.slices, [networks.speechlike(20, 400)])


def test_the_saved_model_streams_as_the_float_model_does(exported: Exported) -> None:
    import tensorflow as tf

    from trainer.networks.models import streaming_clone

    saved = tf.saved_model.load(str(exported.folder / SAVED_MODEL))
    streaming = streaming_clone(exported.model, exported.config, exported.slices)
    for chunk in representative_chunks(CLIPS, exported.config.stride, exported.slices, windows=1):
        np.testing.assert_allclose(saved.serve(tf.constant(chunk)), streaming(chunk), atol=1e-5)


def test_representative_chunks_follow_one_another_and_span_the_inputs_range() -> None:
    clip = np.repeat(np.arange(100, dtype=np.int8)[:, None], 40, axis=1)
    chunks = list(representative_chunks([clip], stride=3, slices=62, windows=2))
    assert len(chunks) == 2 * (62 // 3)
    assert chunks[0].shape == (1, 3, 40)
    assert chunks[0].dtype == np.float32
    assert (float(chunks[0].min()), float(chunks[0].max())) == (0.0, 26.0)
    slices = np.concatenate([chunk[0, :, 7] for chunk in chunks]) * 255 / 26 - 128
    for window in np.split(slices, 2):
        np.testing.assert_allclose(np.diff(window), 1, atol=1e-3)
    again = list(representative_chunks([clip], stride=3, slices=62, windows=2))
    np.testing.assert_array_equal(chunks, again)


def test_clips_without_a_whole_inference_are_refused(exported: Exported) -> None:
    nothing = [np.zeros((0, 40), np.int8)]
    with pytest.raises(ConfigError, match="no training clip has"):
        list(representative_chunks(nothing, exported.config.stride, exported.slices))
    with pytest.raises(ConfigError, match="no recording has"):
        measure_agreement(exported.content, exported.model, exported.config, exported.slices, nothing)


def test_a_float_export_is_the_float_model_and_no_device_takes_it(exported: Exported, tmp_path: Path) -> None:
    content = convert_float(exported.model, exported.config, exported.slices, folder=tmp_path)
    assert (tmp_path / SAVED_MODEL / "saved_model.pb").is_file()
    graph = parse_model(content).main
    taken, given = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    assert (taken.shape, taken.type_name) == ((1, exported.config.stride, 40), "FLOAT32")
    assert (given.shape, given.type_name) == ((1, 1), "FLOAT32")
    recordings = [networks.speechlike(seed, 400) for seed in (20, 21)]
    agreement = measure_agreement(content, exported.model, exported.config, exported.slices, recordings)
    assert agreement.inferences == 2 * (400 // exported.config.stride)
    assert agreement.maximum < 1e-4
    report = verify_model(parse_model(content))
    assert {"input", "output", "state types"} <= {check.name for check in report.failures}


def test_a_model_of_another_stride_is_not_compared(exported: Exported) -> None:
    other = exported.config.model_copy(update={"stride": exported.config.stride + 1})
    with pytest.raises(
        ConfigError, match=rf"takes {exported.config.stride} slices an inference and the float model {other.stride}"
    ):
        measure_agreement(exported.content, exported.model, other, exported.slices, [networks.speechlike(20, 400)])


MANIFEST = Manifest(
    wake_word="hey you",
    author="",
    model="somewhere/else.tflite",
    micro=MicroSection(probability_cutoff=0.9, sliding_window_size=5, tensor_arena_size=30_000),
)


def test_the_manifest_names_the_languages_of_the_generated_wake_words(tmp_path: Path) -> None:
    (tmp_path / "generated.csv").write_text(
        "path,language\npositive/a/1.wav,de\npositive/a/2.wav,de-AT\npositive/a/4.wav,sv\nnegative/a/3.wav,fr\n"
    )
    paths = [
        tmp_path / "positive/a/1.wav",
        tmp_path / "positive/a/2.wav",
        tmp_path / "positive/a/4.wav",
        tmp_path / "negative/a/3.wav",
    ]
    labels = (Label.POSITIVE, Label.POSITIVE, Label.POSITIVE, Label.NEGATIVE, Label.POSITIVE)
    records = [
        SampleRecord(path, label, Split.TRAIN, "a", 1.0, 16_000)
        for path, label in zip([*paths, tmp_path.parent / "recorded.wav"], labels, strict=True)
    ]
    config = load_config("fast_test", settings=["export.wake_word=hallo haus"])
    assert trained_languages(config, records) == ("de",), "one has a Swedish accent"
    assert trained_languages(config, records[3:]) == ("en",)
    own = load_config("fast_test", settings=["export.wake_word=hallo haus", "export.trained_languages=[nl, de]"])
    assert trained_languages(own, records) == ("nl", "de")


def test_a_package_is_a_model_and_the_manifest_that_names_it(tmp_path: Path) -> None:
    package = write_package(tmp_path / "out", "hey_you", b"model", MANIFEST)
    assert package == package_paths(tmp_path / "out", "hey_you")
    manifest, model = read_manifest(package.manifest)
    assert manifest == MANIFEST.model_copy(update={"model": "hey_you.tflite"})
    assert model.read_bytes() == b"model"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "hey_you.esphome.yaml",
        "hey_you.json",
        "hey_you.tflite",
    ]


def test_a_comment_beside_the_devices_lines_says_how_the_cutoff_was_chosen(tmp_path: Path) -> None:
    package = write_package(tmp_path, "hey_you", b"model", MANIFEST, "chosen on validation data: 9/9 utterances found")
    assert (
        f"# Cutoff {MANIFEST.micro.probability_cutoff:g}, chosen on validation data: 9/9 utterances found.\n"
        in package.yaml.read_text()
    )
    assert "Cutoff" not in write_package(tmp_path, "hey_you", b"model", MANIFEST).yaml.read_text()


def test_a_failing_write_leaves_the_older_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = write_package(tmp_path, "hey_you", b"old", MANIFEST)
    before = package.manifest.read_bytes()

    def full(path: Path, content: bytes) -> int:  # noqa: ARG001
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        write_package(tmp_path, "hey_you", b"new", MANIFEST)
    assert (package.model.read_bytes(), package.manifest.read_bytes()) == (b"old", before)
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize(
    "name", ["", "../evil", "hey you", ".hidden", "a/b", "ä", "computer.float32", "computer.export"]
)
def test_a_name_that_is_no_file_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="use letters, digits"):
        write_package(tmp_path, name, b"", MANIFEST)
