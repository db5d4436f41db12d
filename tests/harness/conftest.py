"""Running commands as a user does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

type Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a command of this environment; its cache is its own."""

    def run_command(command: str, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        program = Path(sys.executable).parent / command
        environment = os.environ | {"MWW_CACHE_DIR": str(tmp_path / "cache"), "COLUMNS": "160"} | variables
        return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, env=environment, timeout=120, check=False)

    return run_command
