"""Reading ahead keeps order and errors, and leaves no thread behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from wakeword.read_ahead import read_ahead


def test_items_come_in_order() -> None:
    with read_ahead(range(1000), depth=3) as items:
        assert list(items) == list(range(1000))


def test_an_error_comes_where_its_item_would_have_been() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    with read_ahead(broken()) as items:
        assert next(items) == 1
        with pytest.raises(ValueError, match="broken"):
            next(items)


def test_a_reader_that_stops_early_leaves_no_thread() -> None:
    before = threading.active_count()
    with read_ahead(iter(int, 1), depth=2) as items:
        assert next(items) == 0
    assert threading.active_count() == before
