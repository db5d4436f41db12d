"""Work on a real cluster of two processes: in order, as without it, and what a lost worker, a wrong one or an interrupt
do to it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from tests.clusters import DEADLINE_S, LocalCluster, local_cluster
from wakeword.cluster import connection, terms
from wakeword.cluster import executor as executor_module
from wakeword.cluster.connection import working_on
from wakeword.cluster.executor import WAITING_PER_WORKER, ClusterExecutor
from wakeword.errors import ArgumentError, ConfigError, InfrastructureError
from wakeword.processes import process_map

WORKERS = 2


def start(offset: int) -> int:
    return offset


def add(offset: int, value: int) -> int:
    return value + offset


def where(_: int, __: int) -> int:
    return os.getpid()


def refuse(_: int, value: int) -> int:
    raise ConfigError(f"{value} is wrong")


def die_once(folder: Path, value: int) -> int:
    """The third item kills its process, unless it has done so before."""
    if value == 3:
        try:
            (folder / "died").touch(exist_ok=False)
        except FileExistsError:
            return -value
        os.kill(os.getpid(), signal.SIGKILL)
    return value


def die(_: int, value: int) -> int:
    if value == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return value


def hold(folder: Path, value: int) -> int:
    """Say that it has begun, and wait until it may end."""
    (folder / f"began{value}").touch()
    wait_for((folder / "go").exists)
    return value


def name(_: int, path: Path) -> str:
    return path.read_text()


def itself(folder: Path) -> Path:
    return folder


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def test_results_come_in_order_from_prepared_workers(cluster: LocalCluster) -> None:
    with working_on(cluster.address):
        for offset in (100, 200):
            with process_map(add, range(50), 1, start, offset) as results:
                assert list(results) == list(range(offset, offset + 50))
        with process_map(where, range(50), 1, start, 0) as results:
            assert set(results) <= set(cluster.processes()), "and none is computed here"
    with process_map(where, range(2), 1, start, 0) as results:
        assert not set(results) & set(cluster.processes()), "the cluster is left with the block"


def test_one_call_is_a_future(cluster: LocalCluster) -> None:
    from distributed import Client

    with Client(cluster.address, set_as_default=False) as client, terms.terms_of() as agreed:
        executor = ClusterExecutor(client, agreed, start, (100,))
        assert executor.submit(cast(Any, add), 7).result(DEADLINE_S) == 107
        with pytest.raises(ConfigError, match=r"^7 is wrong$"):
            executor.submit(cast(Any, refuse), 7).result(DEADLINE_S)
        executor.shutdown()


def test_an_error_of_the_function_is_raised_as_what_it_is(cluster: LocalCluster) -> None:
    with (
        working_on(cluster.address),
        pytest.raises(ConfigError, match=r"^7 is wrong$"),
        process_map(refuse, [7, 8], 1, start, 0) as results,
    ):
        list(results)


def test_names_of_files_mean_the_same_there(
    cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "said.txt").write_text("hello")
    monkeypatch.chdir(tmp_path)
    with working_on(cluster.address), process_map(name, [Path("said.txt")], 1, start, 0) as results:
        assert list(results) == ["hello"]


def test_a_killed_worker_costs_its_tasks_only(cluster: LocalCluster, tmp_path: Path) -> None:
    with working_on(cluster.address), process_map(die_once, range(20), 1, itself, tmp_path) as results:
        assert list(results) == [-value if value == 3 else value for value in range(20)]


def test_a_task_that_kills_its_worker_again_and_again_ends_with_one_line(cluster: LocalCluster) -> None:
    with (
        working_on(cluster.address),
        pytest.raises(
            InfrastructureError, match=r"^2 workers of the cluster died while they had one task, .* beside it: \d$"
        ),
        process_map(die, range(4), 1, start, 0) as results,
    ):
        list(results)


def test_an_interrupt_drops_what_has_not_begun(cluster: LocalCluster, tmp_path: Path) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        working_on(cluster.address),
        process_map(hold, range(100), 1, itself, tmp_path) as results,
    ):
        # The first result never comes: the interrupt arrives while this process waits for it.
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        before = signal.signal(signal.SIGALRM, lambda *_: interrupt_once_begun(tmp_path))
        try:
            next(results)
        finally:
            signal.signal(signal.SIGALRM, before)
    began = len(list(tmp_path.glob("began*")))
    (tmp_path / "go").touch()
    wait_for(lambda: cluster.client.run_on_scheduler(tasks_left) == 0)
    assert WORKERS <= len(list(tmp_path.glob("began*"))) <= began + WORKERS < WAITING_PER_WORKER * WORKERS


def interrupt_once_begun(folder: Path) -> None:
    if len(list(folder.glob("began*"))) == WORKERS:
        raise KeyboardInterrupt
    signal.setitimer(signal.ITIMER_REAL, 0.01)


def tasks_left(dask_scheduler: object) -> int:
    return sum(str(key).startswith("_run_each") for key in dask_scheduler.tasks)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"python": "3.9"}, r"has Python 3\.1\d, and this machine 3\.9; install the same there"),
        ({"version": "9.9"}, r"has wakeword-bench \S+, and this machine 9\.9; install the same there"),
        ({"sources": "other"}, r"has other sources of wakeword-bench \S+ than this machine; install the same there"),
        ({"packages": (("numpy", "0.1"),)}, r"has numpy [\d.]+, and this machine has 0\.1; install"),
        ({"packages": (("nothing", "0.1"),)}, r"lacks the package nothing, and this machine has 0\.1; install"),
    ],
)
def test_a_worker_with_another_program_is_refused(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch, change: dict[str, object], said: str
) -> None:
    other = replace(terms.this_program(), **change)  # type: ignore[arg-type]
    monkeypatch.setattr(terms, "this_program", lambda: other)
    with pytest.raises(InfrastructureError, match=rf"^worker tcp://\S+ {said}"), working_on(cluster.address):
        pytest.fail("it should have been refused")


def test_a_worker_that_does_not_see_the_same_folder_is_refused(
    cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recording.wav").touch()
    # In each process this name is another folder.
    mine = Path("/proc/self/cwd")
    refused = r"^worker tcp://\S+ does not see /proc/self/cwd\S* as this machine does; mount the same folder there"
    for folders in ({"written": [mine / "cache"]}, {"read": [mine / "recording.wav"]}):
        with pytest.raises(InfrastructureError, match=refused), working_on(cluster.address, **folders):
            pytest.fail("it should have been refused")
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_is_no_cluster_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(connection, "_CONNECT_S", 0.5)
    with pytest.raises(ArgumentError) as refused, working_on("here"):
        pytest.fail("no address")
    assert refused.value.of_option.startswith("--cluster here: give the scheduler's address, as tcp://HOST:8786")
    with (
        pytest.raises(InfrastructureError, match=r"^no Dask scheduler answers at tcp://127.0.0.1:1 \(.*\); start one"),
        working_on("tcp://127.0.0.1:1"),
    ):
        pytest.fail("nobody is there")


def test_a_cluster_without_workers_is_told(tmp_path: Path) -> None:
    with (
        local_cluster(tmp_path, 0) as cluster,
        pytest.raises(InfrastructureError, match=r"has no workers; start some: dask worker tcp://"),
        working_on(cluster.address),
    ):
        pytest.fail("no workers")


def test_a_worker_of_several_threads_is_refused(tmp_path: Path) -> None:
    with (
        local_cluster(tmp_path, 1, "--nthreads", "2") as cluster,
        pytest.raises(InfrastructureError, match=r"runs 2 tasks at once in one process; start it with --nthreads 1"),
        working_on(cluster.address),
    ):
        pytest.fail("several threads")


def test_a_worker_that_comes_later_is_asked_too(tmp_path: Path) -> None:
    with (
        local_cluster(tmp_path, 1) as cluster,
        pytest.raises(InfrastructureError, match=r"^worker tcp://\S+ runs 2 tasks at once in one process"),
        working_on(cluster.address),
        process_map(hold, range(100), 1, itself, tmp_path) as results,
    ):
        cluster.start("worker", "--nthreads", "2", "--nworkers", "1")
        cluster.whole(2)
        (tmp_path / "go").touch()
        list(results)


@pytest.mark.parametrize(
    ("dies", "said"),
    [
        ("scheduler", r"connection to the cluster's scheduler .* was lost; start it"),
        ("workers", r"the cluster has had no worker for 1 s; start some, then run again to go on"),
    ],
)
def test_a_cluster_that_dies_ends_the_work_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies: str, said: str
) -> None:
    monkeypatch.setattr(executor_module, "LOOK_EVERY_S", 0.2)
    monkeypatch.setattr(executor_module, "WORKERLESS_S", 1.0)
    with local_cluster(tmp_path, 1) as cluster:
        with (
            pytest.raises(InfrastructureError, match=said),
            working_on(cluster.address),
            process_map(hold, range(4), 1, itself, tmp_path) as results,
        ):
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            before = signal.signal(signal.SIGALRM, lambda *_: kill_once_begun(tmp_path, cluster, dies))
            try:
                next(results)
            finally:
                signal.signal(signal.SIGALRM, before)
        (tmp_path / "go").touch()


def kill_once_begun(folder: Path, cluster: LocalCluster, dies: str) -> None:
    if not list(folder.glob("began*")):
        signal.setitimer(signal.ITIMER_REAL, 0.01)
    elif dies == "scheduler":
        cluster.scheduler.kill()
    else:
        cluster.workers[0].kill()  # the nanny, whose worker ends with it
