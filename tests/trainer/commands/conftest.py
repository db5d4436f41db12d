"""One cycle for all tests of this room, whichever process runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.commands import run
from tests.once import made_once
from tests.trainer.commands.cycle import CONFIGURATION, WEIGHTS, Cycle


def made(folder: Path) -> None:
    """By the commands. Trained on one core, which costs less here, and by the steps that a process of its own takes
    (whatever the test that asks first does with its steps); those that are killed and go on do it on all cores, to the
    same bits.
    """
    cycle = Cycle(folder, {})
    cycle.root.mkdir()
    (cycle.root / "own.yaml").write_text(CONFIGURATION)
    said: dict[str, str] = {}
    for step, name, arguments in (
        ("generated", "mww-generate", cycle.generate_arguments(cycle.corpus)),
        ("trained", "mww-train", [*cycle.train_arguments(cycle.run), "--jobs", 1]),
        (
            "exported",
            "mww-export",
            ["--checkpoint", cycle.run / WEIGHTS, "--output", cycle.manifest.parent, "--jobs", 1],
        ),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("trainer.training.step.COMPILED", True)
            done = run(cycle.cache, name, *arguments)
        assert done.returncode == 0, done.stderr
        said[step] = done.stdout + (done.stderr if step == "trained" else "")
    (folder / "said.json").write_text(json.dumps(said))


@pytest.fixture(scope="session")
def cycle(tmp_path_factory: pytest.TempPathFactory) -> Cycle:
    folder = made_once(tmp_path_factory, "small cycle", made)
    return Cycle(folder, json.loads((folder / "said.json").read_text()))
