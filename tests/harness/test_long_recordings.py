"""Hours of audio in bounded memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

HOURS = 10
LIMIT_BYTES = 1 << 30

MEASURED = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ten_hours_need_less_than_a_gibibyte(official_models: Path, tmp_path: Path) -> None:
    recording = tmp_path / "night.flac"
    rng = np.random.default_rng(0)
    minute = rng.integers(-6, 7, 16000 * 60).astype(np.int16)
    with soundfile.SoundFile(recording, "w", 16000, 1, subtype="PCM_16") as file:
        for _ in range(HOURS * 60):
            file.write(minute)
    program = Path(sys.executable).parent / "mww-simulate"
    command = [program, official_models / "okay_nabu.json", recording, "--mode", "stream", "--truth", "none"]
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *map(str, command)],
        capture_output=True,
        text=True,
        env=os.environ | {"MWW_CACHE_DIR": str(tmp_path / "cache")},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "10.0\N{NO-BREAK SPACE}h" in done.stdout
    # ru_maxrss is the largest of the command and its processes, in KiB; two of them may stand side by side.
    largest = int(done.stdout.splitlines()[-1]) * 1024
    processes = 1 + len(os.sched_getaffinity(0))
    assert largest * processes < LIMIT_BYTES
