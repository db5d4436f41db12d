"""A workspace with real results of a real model."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.commands import run
from tests.spoken import Spoken

EVERY, SPEECHES = 6, 3
"""Of the words every sixth one, and so many stretches of speech."""


def simulate_a_model(root: Path, models: Path, spoken: Spoken) -> None:
    """Fill a workspace: the official model, simulated at two cutoffs as the commands do it there."""
    for folder, paths in (("words", spoken.words[::EVERY]), ("speech", spoken.speech[:SPEECHES])):
        (root / "corpus" / folder).mkdir(parents=True)
        for path in paths:
            shutil.copy(path, root / "corpus" / folder)
    (root / "models" / "alexa").mkdir(parents=True)
    for suffix in (".json", ".tflite"):
        shutil.copy(models / f"alexa{suffix}", root / "models" / "alexa")
    model = "models/alexa/alexa.json"
    for name, more in (("own", ()), ("high", ("--cutoff", "0.99"))):
        for part, how in (("words", ("wake", "session")), ("speech", ("none", "stream"))):
            done = run(
                root.parent / "cache", "mww-simulate", model, f"corpus/{part}", "--truth", how[0], "--mode", how[1],
                "--provenance", "recorded", "--result", f"results/{name}_{part}.json", *more, folder=root,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
