"""`performance.max_memory_gb`: fewer processes, or a refusal before any work."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.trainer.training.test_loop import WINDOW, rising_sets
from trainer.config.loader import load_config
from trainer.config.sections import TrainerConfig
from trainer.data.batches import BatchSampler
from trainer.data.drawn_ahead import ENOUGH_FOR_ONE
from trainer.data.ingest import Label, SampleRecord
from trainer.data.split import Split
from trainer.training import memory
from trainer.training.memory import (
    GIB,
    MIB,
    WORKER_BYTES,
    MemoryNeed,
    check_memory,
    feature_workers,
    memory_need,
    workers,
)
from wakeword.errors import ConfigError


def loaded(*settings: str) -> TrainerConfig:
    return load_config("standard", (), ["export.wake_word=computer", *settings])


def record(label: Label, hours: float, split: Split = Split.TRAIN) -> SampleRecord:
    return SampleRecord(Path("a.wav"), label, split, "somebody", hours * 3600, 16_000)


def test_without_a_limit_nothing_changes() -> None:
    assert workers(loaded().performance) is None
    assert workers(loaded("performance.num_workers=3").performance) == 3
    assert workers(loaded("performance.num_workers=3").performance, 5) == 5
    assert feature_workers(loaded(), [record(Label.NEGATIVE, 5000)], 64) == 64
    check_memory(loaded("training.batch_size=1000000"), [record(Label.NEGATIVE, 5000)])


def test_a_limit_lowers_the_number_of_processes() -> None:
    config = loaded("performance.max_memory_gb=1", "performance.num_workers=64")
    few = workers(config.performance)
    assert few == workers(config.performance, 1000) == (GIB - 100 * MIB) // WORKER_BYTES
    assert workers(config.performance, 2) == 2
    # Longer recordings and more of them leave room for fewer.
    short, long = (feature_workers(config, [record(Label.NEGATIVE, hours)]) for hours in (0.1, 2))
    assert few is not None
    assert short is not None
    assert long is not None
    assert few >= short > long >= 1
    assert MemoryNeed(0, 10 * GIB, WORKER_BYTES).jobs(GIB, 8) == 1


def test_what_grows_with_the_settings() -> None:
    usual = memory_need(loaded(), [])
    assert memory_need(loaded("training.batch_size=2048"), []).training > usual.training + 500 * MIB
    ahead = memory_need(loaded("performance.prefetch_factor=103"), []).training - usual.training
    assert ahead == 100 * 128 * 203 * 40
    assert memory_need(loaded("model.pointwise_filters=240,240,240,240"), []).training > usual.training
    assert memory_need(loaded(), [record(Label.NEGATIVE, 100, Split.TEST)]) == usual, "only what trains is held"
    # The largest kind is held, not all: each is stored before the next is computed.
    kinds = [record(Label.NEGATIVE, 100), record(Label.HARD_NEGATIVE, 90)]
    assert memory_need(loaded(), kinds).features == memory_need(loaded(), kinds[:1]).features
    assert memory_need(loaded(), kinds).features >= 100 * 3600 * 4000


@pytest.mark.parametrize(
    ("settings", "hours", "message"),
    [
        (
            ["performance.max_memory_gb=0.5"],
            1,
            (
                r"is 0\.5, but training takes about 0\.83 GiB with batches of 128 and 3 made ahead, 0\.78 of it"
                r" whatever these are; lower"
            ),
        ),
        (["performance.max_memory_gb=1", "training.batch_size=4096"], 1, "with batches of 4096 and 3 made ahead"),
        (
            ["performance.max_memory_gb=2"],
            1000,
            r"max_memory_gb is 2, but computing features takes about \d+\.\d\d GiB, .* cut long recordings up",
        ),
    ],
)
def test_what_cannot_fit_is_refused(settings: list[str], hours: float, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_memory(loaded(*settings), [record(Label.NEGATIVE, hours)])


def test_what_fits_is_not_refused() -> None:
    check_memory(loaded("performance.max_memory_gb=1"), [record(Label.NEGATIVE, 1), record(Label.POSITIVE, 0.5)])


def test_a_gpu_has_processes_that_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where JAX's plugin for one is installed and JAX may compute."""
    usual = memory_need(loaded(), []).training
    find = importlib.util.find_spec
    monkeypatch.setattr(memory, "find_spec", lambda name: object() if name == memory.GPU_PLUGINS else find(name))
    drawn = memory_need(loaded(), []).training
    assert drawn > usual + ENOUGH_FOR_ONE * memory.DRAWER_BYTES
    assert memory_need(loaded("performance.step=tensorflow"), []).training == usual
    numbers = BatchSampler(rising_sets(), WINDOW, loaded().training).numbers(0, with_features=False)
    assert sum(values.nbytes for values in numbers.values()) < memory.NUMBER_BYTES * loaded().training.batch_size
