"""SpecAugment: the masks of a plain loop, in one call a kind, the same on every array module."""

from __future__ import annotations

import importlib.util
import sys
import types
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from trainer.data import spec_augment as module
from trainer.data.spec_augment import (
    Masks,
    MaskSettings,
    apply_masks,
    choose_array_module,
    draw_masks,
    from_tensor,
    spec_augment,
    to_tensor,
)
from trainer.networks.scaling import FEATURE_MIN, dequantise
from wakeword.errors import ConfigError
from wakeword.frontend import device_features

SETTINGS = MaskSettings(time_mask_max_size=8, time_mask_count=2, freq_mask_max_size=6, freq_mask_count=3)


def batch_of(size: int, slices: int, seed: int = 0) -> NDArray[np.int8]:
    return np.random.default_rng(seed).integers(-128, 128, (size, slices, 40)).astype(np.int8)


def by_loops(features: NDArray[np.int8], settings: MaskSettings, seed: int, step: int) -> NDArray[np.int8]:
    """What SpecAugment is, sample by sample and mask by mask, from the same random numbers."""
    result = features.copy()
    batch, slices, _ = features.shape
    time, frequency = np.random.SeedSequence((seed, step, 1)).spawn(2)
    for sequence, size, count, length, axis in (
        (time, settings.time_mask_max_size, settings.time_mask_count, slices, 0),
        (frequency, settings.freq_mask_max_size, settings.freq_mask_count, 40, 1),
    ):
        if size and count:
            generator = np.random.default_rng(sequence)
            sizes = generator.integers(0, min(size, length), (batch, count, 1), endpoint=True)
            starts = generator.integers(0, length - sizes, endpoint=True)
            for sample in range(batch):
                for mask in range(count):
                    start, stop = int(starts[sample, mask, 0]), int(starts[sample, mask, 0] + sizes[sample, mask, 0])
                    if axis == 0:
                        result[sample, start:stop, :] = -128
                    else:
                        result[sample, :, start:stop] = -128
    return result


class FakeCupy(types.ModuleType):
    """An array module with arrays of its own type, which forwards to NumPy and counts what would be kernels and
    transfers.
    """

    def __init__(self) -> None:
        super().__init__("fake_cupy")
        self.calls: Counter[str] = Counter()
        stream = types.SimpleNamespace(synchronize=lambda: self.calls.update(["synchronize"]))
        self.cuda = types.SimpleNamespace(get_current_stream=lambda: stream)

    def array(self, values: Any) -> Any:
        self.calls["array"] += 1
        return np.array(values).view(_OnDevice)

    def asarray(self, values: Any) -> Any:
        self.calls["asarray"] += 1
        return np.asarray(values).view(_OnDevice)

    def minimum(self, left: Any, right: Any, out: Any) -> Any:
        assert all(isinstance(operand, _OnDevice) for operand in (left, right, out))
        self.calls["kernel"] += 1
        return np.minimum(left, right, out=out)

    def from_dlpack(self, capsule_or_tensor: Any) -> Any:
        self.calls["from_dlpack"] += 1
        return capsule_or_tensor


class _OnDevice(np.ndarray[Any, Any]):
    """NumPy must not be given one of these unnoticed."""


@given(
    st.integers(1, 5),
    st.integers(1, 30),
    st.builds(MaskSettings, *(st.integers(0, most) for most in (30, 3, 40, 3))),
    st.integers(0, 9),
    st.integers(0, 9),
)
def test_masks_are_those_of_a_plain_loop(size: int, slices: int, settings: MaskSettings, seed: int, step: int) -> None:
    features = batch_of(size, slices)
    before = features.copy()
    result = spec_augment(features, settings, seed, step)
    np.testing.assert_array_equal(result, by_loops(features, settings, seed, step))
    np.testing.assert_array_equal(features, before)
    assert result.dtype == np.int8


@given(st.integers(1, 20), st.integers(1, 60), st.integers(0, 60), st.integers(1, 3), st.integers(0, 99))
def test_masks_are_runs_of_at_most_their_size(size: int, slices: int, longest: int, count: int, seed: int) -> None:
    masks = draw_masks(MaskSettings(time_mask_max_size=longest, time_mask_count=count), size, slices, seed, 0)
    assert masks.frequency is None
    assert (masks.time is None) == (longest == 0)
    if masks.time is not None:
        assert masks.time.shape == (size, slices)
        assert masks.time.sum(axis=1).max() <= min(count * longest, slices)
        assert np.diff(masks.time.astype(int), axis=1, prepend=0, append=0).clip(min=0).sum(axis=1).max() <= count


def test_every_size_and_place_is_drawn() -> None:
    masks = draw_masks(
        MaskSettings(time_mask_max_size=3, time_mask_count=1, freq_mask_max_size=40, freq_mask_count=1), 4000, 6, 0, 0
    )
    assert masks.time is not None
    assert masks.frequency is not None
    assert np.bincount(masks.time.sum(axis=1)) / 4000 == pytest.approx([0.25] * 4, abs=0.03)
    assert set(np.unique(masks.frequency.sum(axis=1))) == set(range(41))
    assert masks.time.any(axis=0).all()


def test_steps_and_seeds_differ_and_repeat() -> None:
    features = batch_of(8, 50)
    drawn = [spec_augment(features, SETTINGS, *which) for which in ((0, 0), (0, 1), (1, 0), (0, 0))]
    assert len({result.tobytes() for result in drawn}) == 3
    np.testing.assert_array_equal(drawn[0], drawn[3])


def test_each_kind_of_mask_is_drawn_for_itself() -> None:
    both = draw_masks(SETTINGS, 8, 50, 3, 4)
    time = draw_masks(MaskSettings(time_mask_max_size=8, time_mask_count=2), 8, 50, 3, 4)
    frequency = draw_masks(MaskSettings(freq_mask_max_size=6, freq_mask_count=3), 8, 50, 3, 4)
    np.testing.assert_array_equal(both.time, time.time)
    np.testing.assert_array_equal(both.frequency, frequency.frequency)


def test_masks_do_not_share_the_batches_random_numbers() -> None:
    """`SeedSequence` takes (seed, step) and (seed, step, 0) for the same; batches are drawn from (seed, step)."""
    assert not np.array_equal(
        np.random.SeedSequence((5, 6)).generate_state(4),
        np.random.SeedSequence((5, 6, module._STREAM)).generate_state(4),
    )


def test_golden_masks() -> None:
    masks = draw_masks(SETTINGS, 2, 20, 0, 7)
    assert masks.time is not None
    assert masks.frequency is not None
    assert [np.flatnonzero(row).tolist() for row in masks.time] == GOLDEN_TIME
    assert [np.flatnonzero(row).tolist() for row in masks.frequency] == GOLDEN_FREQUENCY


def test_a_mask_is_what_the_device_hears_in_silence() -> None:
    silence = device_features(np.zeros(4800, np.int16))
    assert (silence == FEATURE_MIN).all()
    features = batch_of(2, 5)
    everything = Masks(np.ones((2, 5), np.bool_), None)
    floats = dequantise(features)
    apply_masks(features, everything)
    apply_masks(floats, everything)
    assert (features == FEATURE_MIN).all()
    assert (floats == 0.0).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dequantised_features_get_the_same_masks(dtype: type[np.floating[Any]]) -> None:
    features = batch_of(4, 30)
    floats = dequantise(features).astype(dtype)
    apply_masks(floats, draw_masks(SETTINGS, 4, 30, 0, 0))
    np.testing.assert_array_equal(floats, dequantise(spec_augment(features, SETTINGS, 0, 0)).astype(dtype))


def test_one_kernel_a_kind_and_the_same_masks_on_another_array_module() -> None:
    features, fake = batch_of(64, 204), FakeCupy()
    result = spec_augment(features, SETTINGS, 2, 3, fake)
    np.testing.assert_array_equal(np.asarray(result), spec_augment(features, SETTINGS, 2, 3))
    assert fake.calls == {"array": 1, "asarray": 2, "kernel": 2}
    fake.calls.clear()
    spec_augment(features, MaskSettings(time_mask_max_size=5, time_mask_count=9), 2, 3, fake)
    assert fake.calls == {"array": 1, "asarray": 1, "kernel": 1}
    fake.calls.clear()
    spec_augment(features, MaskSettings(), 2, 3, fake)
    assert fake.calls == {"array": 1}


def test_a_tensor_is_handed_over_without_a_copy() -> None:
    fake = FakeCupy()
    masked = np.array(spec_augment(batch_of(4, 30), SETTINGS, 0, 0, fake))
    tensor = to_tensor(masked, fake)
    np.testing.assert_array_equal(tensor.numpy(), masked)
    assert fake.calls["synchronize"] == 1
    assert np.shares_memory(np.from_dlpack(tensor), masked)
    assert type(from_tensor(tensor, fake)).__name__ == "PyCapsule"
    assert fake.calls["from_dlpack"] == 1


def test_on_the_host_a_tensor_is_copied() -> None:
    features = batch_of(2, 3)
    tensor = to_tensor(features)
    back = from_tensor(tensor)
    back[:] = 0
    np.testing.assert_array_equal(tensor.numpy(), features)


def test_shapes_and_types_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"a mask of \(1, 5\)"):
        apply_masks(batch_of(2, 5), Masks(np.ones((1, 5), np.bool_), None))
    with pytest.raises(ValueError, match=r"a mask of \(2, 1\)"):
        apply_masks(batch_of(2, 5), Masks(None, np.ones((2, 1), np.bool_)))
    with pytest.raises(ValueError, match="int8 or float, got uint8"):
        apply_masks(batch_of(2, 5).view(np.uint8), Masks(None, None))


class _CudaError(Exception):
    pass


def fake_cuda(devices: int | None) -> Any:
    def count() -> int:
        if devices is None:
            raise _CudaError("cudaErrorNoDevice")
        return devices

    fake: Any = types.ModuleType("cupy")
    fake.cuda = types.SimpleNamespace(runtime=types.SimpleNamespace(getDeviceCount=count, CUDARuntimeError=_CudaError))
    return fake


@pytest.mark.parametrize(
    ("devices", "says"),
    [
        ("none", r"CuPy is not installed; in the project's folder: pip install \"\.\[gpu\]\""),
        (None, "cudaErrorNoDevice"),
        (0, "CuPy finds no GPU; see whether nvidia-smi"),
    ],
)
def test_without_a_gpu_numpy_is_taken_or_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, devices: Any, says: str
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None if devices == "none" else fake_cuda(devices))
    assert choose_array_module(gpu_only=False) is np
    with pytest.raises(ConfigError, match=says):
        choose_array_module(gpu_only=True)


def test_tensorflow_must_see_the_gpu_too(monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    fake = fake_cuda(1)
    monkeypatch.setitem(sys.modules, "cupy", fake)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: [])
    with pytest.raises(ConfigError, match=r"though CuPy does; in the project's folder: pip install"):
        choose_array_module(gpu_only=True)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: ["GPU:0"])
    assert choose_array_module(gpu_only=False) is fake


@pytest.mark.skipif(
    importlib.util.find_spec("cupy") is None,
    reason="CuPy is not installed; the extra gpu has it, for a machine with a GPU",
)
def test_cupy_gives_what_numpy_gives() -> None:
    try:
        cupy = choose_array_module(gpu_only=True)
    except ConfigError as error:
        pytest.skip(str(error))
    features = batch_of(128, 204)
    expected = spec_augment(features, SETTINGS, 5, 6)
    masked: Any = spec_augment(features, SETTINGS, 5, 6, cupy)
    np.testing.assert_array_equal(cupy.asnumpy(masked), expected)
    tensor = to_tensor(masked, cupy)
    assert "GPU" in tensor.device
    np.testing.assert_array_equal(tensor.numpy(), expected)
    np.testing.assert_array_equal(cupy.asnumpy(from_tensor(tensor, cupy)), expected)


GOLDEN_TIME = [[10, 11, 13, 14, 15], [1, 2, 15, 16]]
GOLDEN_FREQUENCY = [[4, 5, 6, 7, 31, 32, 33], [18, 19, 35, 36, 37]]
