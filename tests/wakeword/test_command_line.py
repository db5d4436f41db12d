"""What all commands of the project have in common."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pymicro_wakeword
import pytest

from tests.commands import run
from wakeword.errors import InfrastructureError
from wakeword.extras import MODULES, install, require

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
COMMANDS: dict[str, str] = PROJECT["scripts"]
HEAVY = "tensorflow", "keras", "scipy", "matplotlib", "torch"

WITHOUT = """
import importlib.util, sys
blocked, find_spec = {blocked}, importlib.util.find_spec
class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
importlib.util.find_spec = lambda name, *rest: None if name.partition(".")[0] in blocked else find_spec(name, *rest)
sys.meta_path.insert(0, Nothing())
sys.argv = {arguments}
from {module} import {app}
{app}()
"""


def without_extras(name: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A command where no module of an extra can be imported."""
    module, _, app = COMMANDS[name].partition(":")
    script = WITHOUT.format(
        blocked=[one for modules in MODULES.values() for one in modules],
        arguments=[name, *arguments],
        module=module,
        app=app,
    )
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=folder, timeout=120, check=False
    )


def test_every_command_says_its_version_and_needs_nothing_heavy_for_it(tmp_path: Path) -> None:
    script = f"""
import importlib, sys
import trainer.config.loader
for name, place in {COMMANDS}.items():
    module, _, app = place.partition(":")
    sys.argv = [name, "--version"]
    try:
        getattr(importlib.import_module(module), app)()
    except SystemExit as end:
        print(end.code, [module for module in {HEAVY} if module in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    version = importlib.metadata.version("wakeword-bench")
    assert done.stdout == "".join(f"{name} of wakeword-bench {version}\n0 []\n" for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_answers_and_names_the_version(name: str) -> None:
    done = run(None, name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Usage: {name} " in done.stdout
    assert "--version" in done.stdout


def test_every_package_of_an_extra_has_its_modules() -> None:
    """A package that an extra brings under a new name must be known, or its absence is a traceback."""
    names = {"pyserial": "serial", "cupy-cuda12x": "cupy", "hibari-tts": "hibari"}
    for extra, packages in PROJECT["optional-dependencies"].items():
        found = [re.split(r"[\[<>=]", package)[0] for package in packages if not package.startswith("wakeword-bench[")]
        modules = {names.get(package, package.replace("-", "_")) for package in found}
        assert modules - {"tensorflow"} == set(MODULES[extra]) - {"tensorflow"}, extra


def test_what_is_missing_is_said_with_what_installs_it_from_a_checkout() -> None:
    with pytest.raises(InfrastructureError) as raised:
        require("sound", "json", "no_such_module_of_audio")
    assert str(raised.value).startswith("sound needs the package no_such_module_of_audio, which is not installed")
    assert install("audio") == 'in the project\'s folder: pip install ".[audio]"'
    assert install("cluster") == 'in an environment of its own, from the project\'s folder: pip install ".[cluster]"'


WAV = "tone.wav"
ALEXA = Path(pymicro_wakeword.__file__).parent / "models" / "alexa.json"
NEEDS: dict[str, tuple[str, list[str]]] = {
    "calibrate": ("audio", ["mww-bench", "calibrate", "--simulate", "--output", "calibration.json"]),
    "calibrate with devices": ("audio", ["mww-bench", "calibrate", "--speaker", "KH 80", "--microphone", "UMIK"]),
    "generate": (
        "train",
        [
            "mww-generate",
            "computer",
            "--positives",
            "2",
            "--near-misses",
            "0",
            "--sentences",
            "0",
            "--engine",
            "espeak",
        ],
    ),
    "train": ("train", ["mww-train", "--set", "export.wake_word=computer"]),
    "train, dry": ("train", ["mww-train", "--set", "export.wake_word=computer", "--dry-run"]),
    "export to ONNX": ("onnx", ["mww-export", "--checkpoint", "no.weights.h5", "--onnx"]),
    "simulate on a cluster": ("dask", ["mww-simulate", str(ALEXA), "words", "--cluster", "tcp://127.0.0.1:1"]),
    "simulate with LiteRT": ("litert", ["mww-simulate", str(ALEXA), "words", "--engine", "litert"]),
    "analyze": (
        "cluster",
        ["mww-cluster-analyze", "--set", "export.wake_word=computer", "--set", "paths.positive_dir=words"],
    ),
    "measure": ("bench", ["mww-bench", "measure", "--board", "virtual", "--model", "none.json", "--none", "words"]),
    "boards": ("", ["mww-bench", "boards"]),
    "build": ("", ["mww-firmware", "build", "--help"]),
}


@pytest.mark.parametrize("case", NEEDS)
def test_a_command_without_its_extra_says_what_installs_it(case: str, tmp_path: Path) -> None:
    import numpy as np
    import soundfile

    (tmp_path / "words").mkdir()
    soundfile.write(tmp_path / "words" / WAV, np.random.default_rng(1).uniform(-0.3, 0.3, 24_000), 16_000)
    extra, command = NEEDS[case]
    done = without_extras(*command, folder=tmp_path)
    assert "Traceback" not in done.stderr
    if not extra:
        assert (done.returncode, done.stderr) == (0, "")
        return
    assert done.returncode in (2, 3), done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert f'pip install ".[{extra}]"' in done.stderr.splitlines()[-1]
    assert sorted(path.name for path in tmp_path.rglob("*")) == [WAV, "words"]
