"""Threads that compute in order, and BLAS that keeps to the thread that calls it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from wakeword.threads import _blas, one_blas_thread, thread_map


def blas_threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


@pytest.fixture
def three_blas_threads() -> Iterator[None]:
    """Whatever the machine and its environment say."""
    assert np.ones((2, 2)) @ np.ones((2, 2)) is not None  # its BLAS is loaded
    _blas.cache_clear()  # and whatever another test has loaded since
    with threadpool_limits(3, user_api="blas"):
        assert blas_threads() == {3}
        yield


@pytest.mark.usefixtures("three_blas_threads")
def test_blas_has_one_thread_within_the_block_and_what_it_had_after_it() -> None:
    with one_blas_thread():
        assert blas_threads() == {1}
        with one_blas_thread():
            assert blas_threads() == {1}
        assert blas_threads() == {1}
    assert blas_threads() == {3}
    with pytest.raises(KeyError), one_blas_thread():
        raise KeyError
    assert blas_threads() == {3}


@pytest.mark.usefixtures("three_blas_threads")
def test_the_last_thread_that_leaves_gives_back_what_was_before() -> None:
    """Two threads, the first of which leaves while the second is inside."""
    first, second = one_blas_thread(), one_blas_thread()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert blas_threads() == {1}
    second.__exit__(None, None, None)
    assert blas_threads() == {3}


@pytest.mark.usefixtures("three_blas_threads")
def test_threads_that_begin_in_the_block_have_one_too() -> None:
    def inside(_: int) -> set[int]:
        with one_blas_thread():
            return blas_threads()

    with one_blas_thread(), thread_map(inside, range(6), 3) as seen:
        assert list(seen) == [{1}] * 6
    assert blas_threads() == {3}


def test_results_come_in_order_from_several_threads() -> None:
    together = threading.Barrier(3, timeout=60)

    def work(item: int) -> tuple[int, str]:
        together.wait()  # passes when three threads are at work
        return item, threading.current_thread().name

    with thread_map(work, range(9), 3) as results:
        items, names = zip(*results, strict=True)
    assert items == tuple(range(9))
    assert len(set(names)) == 3


@pytest.mark.parametrize(("items", "threads"), [(5, 1), (1, 4), (0, 4)])
def test_what_needs_no_threads_has_none(items: int, threads: int) -> None:
    with thread_map(lambda _: threading.current_thread(), range(items), threads) as results:
        assert list(results) == [threading.current_thread()] * items


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_reaches_the_caller(threads: int) -> None:
    def work(item: int) -> int:
        if item == 2:
            raise ValueError("the third one")
        return item

    found = []
    with pytest.raises(ValueError, match="the third one"), thread_map(work, range(100), threads) as results:
        for result in results:
            found.append(result)  # noqa: PERF402 - what comes before the error stays
    assert found == [0, 1]
    with thread_map(work, range(2), threads) as results:
        assert list(results) == [0, 1]
