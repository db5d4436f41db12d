"""A cluster of its own on this machine: a scheduler and worker processes, as a user starts them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from distributed import Client

DEADLINE_S = 180
ROOT = Path(__file__).parents[1]


@dataclass
class LocalCluster:
    """A running scheduler, and the client of a test that looks at it."""

    address: str
    client: Client
    scheduler: subprocess.Popen[bytes]
    start: Callable[..., subprocess.Popen[bytes]]
    """`start("worker", ...)` starts more workers, with options of `dask worker`; they end with the cluster."""
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def processes(self) -> list[int]:
        """Process ids of the workers."""
        return list(self.client.run(os.getpid).values())

    def kill_a_worker(self) -> None:
        """SIGKILL one of them; its nanny starts another."""
        os.kill(self.processes()[0], signal.SIGKILL)

    def whole(self, count: int) -> None:
        """Wait until so many workers are there."""
        self.client.wait_for_workers(count, DEADLINE_S)


@contextmanager
def local_cluster(
    folder: Path, workers: int, *arguments: str, security: Any = None, **variables: str
) -> Iterator[LocalCluster]:
    """A scheduler on loopback and worker processes of one thread each, unless `arguments` of the workers say otherwise.

    A task may lose its worker once; the second loss is one too many.
    """
    distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")
    places = {"PYTHONPATH": str(ROOT), "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
    environment = os.environ | places | variables
    common = ["--scheduler-file", str(folder / "scheduler.json"), "--no-dashboard"]
    common += ["--protocol", "tls"] if security is not None else []
    with ExitStack() as ending:

        def start(kind: str, *more: str) -> subprocess.Popen[bytes]:
            # Its working folder, where workers keep what they spill, is none of the test's.
            program = [str(Path(sys.executable).parent / "dask"), kind, *common, *more]
            with (folder / f"{kind}.log").open("ab") as told:
                process = subprocess.Popen(program, stdout=told, stderr=told, env=environment, cwd=folder)
            ending.callback(_end, process)
            return process

        scheduler = start("scheduler", "--host", "127.0.0.1", "--port", "0")
        client = ending.enter_context(
            distributed.Client(scheduler_file=common[1], timeout=DEADLINE_S, set_as_default=False, security=security)
        )
        cluster = LocalCluster(client.scheduler.address, client, scheduler, start)
        if workers:
            cluster.workers.append(start("worker", "--nthreads", "1", "--nworkers", str(workers), *arguments))
            cluster.whole(workers)
        yield cluster


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(30)
