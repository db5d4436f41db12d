"""Commands that are interrupted and killed."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.commands import DEADLINE_S, one_line_error, run_apart
from tests.trainer.commands.cycle import Cycle, alive, same_state, started, wait_until
from trainer.networks.weights import BEST_WEIGHTS, QUANTIZATION_AWARE
from wakeword.locks import hold_folder


@pytest.mark.slow
def test_an_interrupted_training_goes_on_to_the_same_weights(cycle: Cycle, tmp_path: Path) -> None:
    folder, log = tmp_path / "run", tmp_path / "stderr.txt"
    arguments = cycle.train_arguments(folder)
    with started(cycle.cache, "mww-train", *arguments, log=log) as process:
        wait_until(lambda: "step 20: recall" in log.read_text(), process)
        os.killpg(process.pid, signal.SIGINT)
        process.wait(DEADLINE_S)
    assert process.returncode == 130, log.read_text()
    assert log.read_text().splitlines()[-1].startswith("error: interrupted")
    assert "Traceback" not in log.read_text()
    assert not list(tmp_path.rglob("*.partial"))

    # Killed the second time: what was saved last is taken up.
    with started(cycle.cache, "mww-train", *arguments, log=log) as process:
        wait_until(lambda: log.read_text().count(": recall") > 1, process)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(DEADLINE_S)

    done = run_apart(cycle.cache, "mww-train", *arguments)
    assert done.returncode == 0, done.stderr
    assert "going on after step " in done.stderr
    assert same_state(folder, cycle.run)


@pytest.mark.slow
def test_of_two_trainings_into_one_folder_the_second_is_refused_and_a_kill_leaves_it_free(
    cycle: Cycle, tmp_path: Path
) -> None:
    folder, log = tmp_path / "run", tmp_path / "stderr.txt"
    with started(
        cycle.cache,
        "mww-train",
        *cycle.train_arguments(folder),
        "--set",
        "training.training_steps=[100000, 10]",
        log=log,
    ) as process:
        wait_until(lambda: "step 20: recall" in log.read_text(), process)
        refused = one_line_error(run_apart(cycle.cache, "mww-train", *cycle.train_arguments(folder)), 3)
        assert f"in use by pid {process.pid} (mww-train " in refused
        assert process.poll() is None
        process.kill()
        process.wait(DEADLINE_S)
    with hold_folder(folder, ""):
        pass


@pytest.mark.slow
def test_a_training_that_is_killed_again_and_again_ends_like_one_that_was_not(cycle: Cycle, tmp_path: Path) -> None:
    """With masks, TensorBoard and numbered checkpoints; killed between two evaluations, and at two places
    within one."""
    folder, log = tmp_path / "run", tmp_path / "stderr.txt"
    arguments = cycle.train_arguments(folder)
    table, numbered = folder / "validation.csv", folder / "checkpoints" / "checkpoint_step_100.weights.h5"
    moments: list[Callable[[], bool]] = [
        lambda: "step 20: recall" in log.read_text(),
        lambda: (
            table.is_file() and "\n60," in table.read_text()
        ),  # the row is there, the state of the evaluation perhaps not
        numbered.is_file,
        lambda: "step 140: recall" in log.read_text(),
    ]
    resumed = 0
    for moment in moments:
        with started(cycle.cache, "mww-train", *arguments, log=log) as process:
            wait_until(moment, process)
            os.killpg(process.pid, signal.SIGKILL)
            assert process.wait(DEADLINE_S) == -signal.SIGKILL
        resumed += "going on after step" in log.read_text()
    assert resumed == len(moments) - 1
    done = run_apart(cycle.cache, "mww-train", *arguments)
    assert done.returncode == 0, done.stderr

    assert same_state(folder, cycle.run)
    names = sorted(path.name for path in (cycle.run / "checkpoints").glob("*.h5"))
    assert sorted(path.name for path in (folder / "checkpoints").glob("*.h5")) == names
    assert len(names) > 3
    for name in names:
        assert weights_in(folder / "checkpoints" / name) == weights_in(cycle.run / "checkpoints" / name), name
    assert table.read_bytes() == (cycle.run / "validation.csv").read_bytes()
    assert [line.partition(",")[0] for line in table.read_text().splitlines()[1:]] == [
        str(step) for step in range(20, 161, 20)
    ]
    assert curve_of(folder) == curve_of(cycle.run)
    assert [step for step, _ in curve_of(folder)] == list(range(20, 161, 20))


@pytest.mark.slow
def test_a_phase_for_int8_arithmetic_that_is_killed_ends_like_one_that_was_not(cycle: Cycle, tmp_path: Path) -> None:
    """Both go on from a finished training; killed once its state of an evaluation is there, and once more."""
    whole, killed, log = tmp_path / "whole", tmp_path / "killed", tmp_path / "stderr.txt"
    for folder in (whole, killed):
        shutil.copytree(cycle.run, folder)
    steps = ["--set", "training.quantization_aware_steps=100"]
    done = run_apart(cycle.cache, "mww-train", *cycle.train_arguments(whole), *steps)
    assert done.returncode == 0, done.stderr
    table = killed / QUANTIZATION_AWARE / "validation.csv"
    for step in (20, 60):
        with started(cycle.cache, "mww-train", *cycle.train_arguments(killed), *steps, log=log) as process:
            wait_until(partial(has_row, table, step), process)
            os.killpg(process.pid, signal.SIGKILL)
            assert process.wait(DEADLINE_S) == -signal.SIGKILL
    assert "\n100," not in table.read_text(), "it was killed in the phase"
    done = run_apart(cycle.cache, "mww-train", *cycle.train_arguments(killed), *steps)
    assert done.returncode == 0, done.stderr
    assert "going on after step " in done.stderr
    assert same_state(killed, whole, QUANTIZATION_AWARE)
    assert weights_in(killed / QUANTIZATION_AWARE / BEST_WEIGHTS) == weights_in(
        whole / QUANTIZATION_AWARE / BEST_WEIGHTS
    )
    assert table.read_bytes() == (whole / QUANTIZATION_AWARE / "validation.csv").read_bytes()
    assert same_state(killed, cycle.run), "the training's own state stays"


def has_row(table: Path, step: int) -> bool:
    return table.is_file() and f"\n{step}," in table.read_text()


def weights_in(path: Path) -> dict[str, bytes]:
    """Every array of a Keras file, byte for byte."""
    import h5py

    values: dict[str, bytes] = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: values.update({name: item[()].tobytes()}) if isinstance(item, h5py.Dataset) else None
        )
    assert values
    return values


def curve_of(folder: Path) -> list[tuple[int, float]]:
    """What TensorBoard shows of the validation's average viable recall."""
    import tensorflow as tf

    points = []
    for path in sorted((folder / "tensorboard").glob("events.out.tfevents.*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            points += [
                (event.step, value.simple_value)
                for value in event.summary.value
                if value.tag == "validation/average_viable_recall"
            ]
    return sorted(points)


def test_a_killed_generation_leaves_no_process_and_is_completed(cycle: Cycle, tmp_path: Path) -> None:
    corpus, log = tmp_path / "corpus", tmp_path / "stderr.txt"
    arguments = [*cycle.generate_arguments(corpus), "--jobs", 2]
    with started(cycle.cache, "mww-generate", *arguments, log=log) as process:
        wait_until(lambda: next(corpus.rglob("*.wav"), None) is not None)
        process.kill()
        process.wait(DEADLINE_S)
        wait_until(lambda: not alive(process.pid))
    done = run_apart(cycle.cache, "mww-generate", *arguments)
    assert done.returncode == 0, done.stderr
    assert (corpus / "generated.csv").read_bytes() == (cycle.corpus / "generated.csv").read_bytes()
