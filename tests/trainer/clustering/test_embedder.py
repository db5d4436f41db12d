"""Loading the model: what is missing is said, the hub's absence is told from a wrong name, and the real library is
called as it wants to be.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from trainer.clustering.embedder import HYPERPARAMETERS, load_speechbrain, model_identity
from trainer.config.sections import SpeakerClusteringSection
from wakeword.errors import ConfigError, InfrastructureError, MwwError

INSTALLED = all(importlib.util.find_spec(name) for name in ("torch", "torchaudio", "speechbrain"))
DEADLINE_S = 200
MODEL = SpeakerClusteringSection().embedding_model


@pytest.mark.skipif(INSTALLED, reason="torch and speechbrain are installed here")
def test_missing_packages_are_named() -> None:
    with pytest.raises(
        InfrastructureError,
        match=(
            r"embedding voices needs the package speechbrain, which is not installed; in an environment of its"
            r" own.*\.\[cluster\]"
        ),
    ):
        load_speechbrain(MODEL)


class LocalEntryNotFoundError(FileNotFoundError):
    """What the hub's client raises without a network, by its name."""


class RepositoryNotFoundError(OSError):
    """What it raises for a name that nobody has."""


class FakeEncoder:
    """Stands for speechbrain's class: remembers how it was called."""

    calls: list[dict[str, Any]]
    error: Exception | None = None

    @classmethod
    def from_hparams(cls, **arguments: Any) -> FakeEncoder:
        cls.calls.append(arguments)
        if cls.error is not None:
            raise cls.error
        return cls()


@pytest.fixture
def speechbrain(monkeypatch: pytest.MonkeyPatch) -> type[FakeEncoder]:
    class Encoder(FakeEncoder):
        calls: list[dict[str, Any]] = []  # noqa: RUF012 - one list a test

    modules: dict[str, Any] = {
        "torch": {"cuda": SimpleNamespace(is_available=lambda: False)},
        "speechbrain": {},
        "speechbrain.inference": {},
        "speechbrain.inference.classifiers": {"EncoderClassifier": Encoder},
        "speechbrain.utils": {},
        "speechbrain.utils.fetching": {"FetchConfig": dict},
    }
    for name, members in modules.items():
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    return Encoder


def test_a_name_goes_to_the_hub_and_a_revision_with_it(speechbrain: type[FakeEncoder]) -> None:
    load_speechbrain(MODEL)
    load_speechbrain(f"{MODEL}@abc123")
    plain = {"source": MODEL, "run_opts": {"device": "cpu"}}
    assert speechbrain.calls == [plain, plain | {"fetch_config": {"revision": "abc123"}}]


def test_a_folder_is_read_from_the_folder(speechbrain: type[FakeEncoder], tmp_path: Path) -> None:
    load_speechbrain(str(tmp_path))
    (call,) = speechbrain.calls
    assert (call["source"], call["overrides"]) == (str(tmp_path), {"pretrained_path": str(tmp_path)})


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (
            LocalEntryNotFoundError("cannot find the requested files in the local cache"),
            InfrastructureError,
            "connect this machine to the hub once",
        ),
        (
            ConnectionError("no route"),
            InfrastructureError,
            r"no route.*give their folder as speaker_clustering\.embedding_model",
        ),
        (
            RepositoryNotFoundError("404"),
            ConfigError,
            r"the hub has no model .*correct speaker_clustering\.embedding_model",
        ),
        (ValueError("File not found on HF hub"), ConfigError, "the hub has no model"),
    ],
)
def test_the_hubs_absence_is_told_from_a_wrong_name(
    speechbrain: type[FakeEncoder], error: Exception, kind: type[MwwError], message: str
) -> None:
    speechbrain.error = error
    with pytest.raises(kind, match=message):
        load_speechbrain(MODEL)


def test_a_folder_that_does_not_load_is_the_users(speechbrain: type[FakeEncoder], tmp_path: Path) -> None:
    speechbrain.error = KeyError("modules")
    with pytest.raises(ConfigError, match="cannot be loaded as a SpeechBrain encoder"):
        load_speechbrain(str(tmp_path))


def test_a_broken_installation_is_named(speechbrain: type[FakeEncoder], monkeypatch: pytest.MonkeyPatch) -> None:
    assert not speechbrain.calls
    monkeypatch.setitem(sys.modules, "speechbrain.inference.classifiers", None)
    with pytest.raises(InfrastructureError, match=r"speechbrain cannot be imported .*\.\[cluster\]"):
        load_speechbrain(MODEL)


def test_a_models_identity_is_its_content_or_its_name(tmp_path: Path) -> None:
    assert model_identity(f"{MODEL}@abc") == f"{MODEL}@abc"
    with pytest.raises(ConfigError, match=f"holds no {HYPERPARAMETERS}"):
        model_identity(str(tmp_path))
    (tmp_path / HYPERPARAMETERS).write_text("a")
    (tmp_path / "weights.ckpt").write_text("1")
    first = model_identity(str(tmp_path))
    (tmp_path / "weights.ckpt").write_text("2")
    assert model_identity(str(tmp_path)) != first
    for name in ("ecapa", "./models/ecapa", "/no/such", "a/b/c"):
        with pytest.raises(ConfigError, match="neither a folder nor a name"):
            model_identity(name)


@pytest.mark.skipif(not INSTALLED, reason="needs torch and speechbrain: nox -s cluster")
def test_the_real_library_embeds_with_weights_from_a_folder(tmp_path: Path) -> None:
    program = Path(__file__).with_name("real_library.py")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3]), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, str(program), str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
