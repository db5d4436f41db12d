"""Running commands as a user does; the cache is the test's own."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests import commands
from tests.commands import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A command in this process."""
    return partial(commands.run, tmp_path / "cache")


@pytest.fixture
def run_apart(tmp_path: Path) -> Run:
    """A command in a process of its own."""
    return partial(commands.run_apart, tmp_path / "cache")
