"""What the tests of boards measure when nothing else is named: the official alexa model."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def manifest(pytestconfig: pytest.Config, official_models: Path) -> Path:
    """`--manifest`, or the official alexa model."""
    given = pytestconfig.getoption("--manifest")
    return official_models / "alexa.json" if given is None else Path(given)
