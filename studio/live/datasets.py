"""The datasets of a workspace, as the pages name them: the folders of `datasets/`."""

from __future__ import annotations

import re
from pathlib import Path

from studio.workspace import Workspace
from wakeword.errors import ConfigError

FIRST = "mine"
"""What the first one is called unless somebody says otherwise."""
_NAME = re.compile(r"[^\W_][\w .-]{0,58}")


def dataset_names(workspace: Workspace) -> list[str]:
    """All that there are, the one that was changed last first, and `FIRST` where there is none yet. A link that leads
    out of the workspace is none.
    """
    folder = workspace.datasets
    found = [
        one
        for one in (folder.iterdir() if folder.is_dir() else ())
        if one.is_dir() and _NAME.fullmatch(one.name) and _is_inside(workspace, one)
    ]
    names = [one.name for one in sorted(found, key=lambda one: (-one.stat().st_mtime_ns, one.name))]
    return names or [FIRST]


def dataset_folder(workspace: Workspace, name: str) -> Path:
    """The folder of a dataset, which need not exist. Raises `ConfigError` for what cannot be a folder's name, or leads
    out of the workspace.
    """
    name = name.strip() or FIRST
    folder = workspace.datasets / name
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"dataset {name!r}: give a name of at most 59 letters, digits, spaces, '-', '_' and '.', beginning with a"
            " letter or digit"
        )
    if not _is_inside(workspace, folder):
        raise ConfigError(f"dataset {name!r}: leads out of the workspace; put the recordings themselves into {folder}")
    return folder


def _is_inside(workspace: Workspace, folder: Path) -> bool:
    return folder.resolve().is_relative_to(workspace.root.resolve())
