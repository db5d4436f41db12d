"""From an address to workers that may work."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wakeword.cluster.executor import ClusterExecutor, gone
from wakeword.cluster.terms import Terms, terms_of
from wakeword.errors import ArgumentError, InfrastructureError
from wakeword.extras import require
from wakeword.workers import work_on

if TYPE_CHECKING:
    from distributed import Client
    from distributed.worker import Worker

_CONNECT_S = 10.0
_CLOSE_S = 10.0


class Cluster:
    """The workers of a cluster, for `wakeword.workers`."""

    def __init__(self, client: Client, terms: Terms) -> None:
        self._client, self._terms = client, terms

    @property
    def count(self) -> int:
        """Workers that there are now. Raises `InfrastructureError` for a cluster that has gone."""
        try:
            return len(self._client.nthreads())
        except (OSError, TimeoutError) as error:
            raise gone(self._client) from error

    @contextmanager
    def executor(self, prepare: Callable[..., object], *arguments: object) -> Iterator[ClusterExecutor]:
        """See `wakeword.workers.Workers`."""
        executor = ClusterExecutor(self._client, self._terms, prepare, arguments)
        try:
            yield executor
        finally:
            executor.shutdown(cancel_futures=True)


@contextmanager
def working_on(address: str | None, *, read: Sequence[Path] = (), written: Sequence[Path] = ()) -> Iterator[None]:
    """What is spread in the block is done by the workers of the cluster at an address; None: by processes of this
    machine.

    `read` are files and folders that the work reads, `written` folders that are written to: all workers must see them.
    Raises `ArgumentError` for what is no address, and `InfrastructureError` where Dask is not installed, nobody answers
    there, or a worker cannot do the work.
    """
    if address is None:
        yield
        return
    with _connected(address) as client, terms_of(read, written) as terms:
        _refuse_workers(client, address, terms)
        with work_on(Cluster(client, terms)):
            yield


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    if not re.fullmatch(r"(tcp|tls)://\S+:\d+", address):
        raise ArgumentError("cluster", address, "give the scheduler's address, as tcp://HOST:8786 or tls://HOST:8786")
    require("--cluster", "distributed")
    from distributed import Client, Security

    try:
        security = Security()
        tls = security.get_connection_args("client")["ssl_context"] is not None
    except (OSError, ValueError) as error:
        raise InfrastructureError(f"the certificates of Dask's settings (distributed.comm.tls): {error}") from error
    if address.startswith("tls:") and not tls:
        raise InfrastructureError(
            f"{address} wants certificates, and Dask's settings name none; give distributed.comm.tls.ca-file,"
            " client.cert and client.key there, as docs/cluster.md says"
        )
    for name in ("distributed", "distributed.client", "distributed.core"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters of it is an error here
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of versions, which `Terms` refuses
        try:
            client = Client(address, timeout=_CONNECT_S, set_as_default=False, security=security)
        except (OSError, TimeoutError, ValueError) as error:
            why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise InfrastructureError(
                f"no Dask scheduler answers at {address} ({why}); start one, as docs/cluster.md says, or leave"
                " --cluster out"
            ) from error
    try:
        yield client
    finally:
        client.close(_CLOSE_S)


def _refuse_workers(client: Client, address: str, terms: Terms) -> None:
    try:
        answers = client.run(_refusal, terms, on_error="return")
    except (OSError, TimeoutError) as error:
        raise gone(client) from error
    if not answers:
        raise InfrastructureError(
            f"the cluster at {address} has no workers; start some: dask worker {address} --nthreads 1 --nworkers 8"
        )
    for worker, answer in sorted(answers.items()):
        if isinstance(answer, Exception):
            raise InfrastructureError(
                f"worker {worker} cannot run this project ({type(answer).__name__}: {answer}); install the same version"
                " there, and start the worker again"
            )
        if answer:
            raise InfrastructureError(f"worker {worker} {answer}")


def _refusal(terms: Terms, dask_worker: Worker) -> str:
    """On a worker."""
    return terms.refusal(dask_worker.state.nthreads)
