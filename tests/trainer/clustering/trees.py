"""A small dataset on disk, its namelist, and a description of every byte and time of a folder."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

FILES = ("ann/a.wav", "ann/b.wav", "c.wav", "mixed/a.wav", "mixed/d.wav", "mixed/deep/e.wav", "empty/")
SPEAKERS = {
    "speaker_001": ("ann/a.wav", "c.wav", "mixed/a.wav", "mixed/deep/e.wav"),
    "ann": ("ann/b.wav", "mixed/d.wav"),
}
AFTER = ("ann/b.wav", "ann/d.wav", "speaker_001/a.wav", "speaker_001/a_", "speaker_001/c.wav", "speaker_001/e.wav")
"""Where the files are afterwards; one of the two a.wav has part of its hash in its name."""


def content(relative: str) -> bytes:
    return f"sound of {relative} ".encode() * 300


def make_dataset(root: Path) -> Path:
    """`root`, filled anew. Every file and folder has a time of its own, with nanoseconds."""
    shutil.rmtree(root, ignore_errors=True)
    for relative in FILES:
        path = root / relative
        (path if relative.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not relative.endswith("/"):
            path.write_bytes(content(relative))
            path.chmod(0o640)
    for number, path in enumerate(sorted(root.rglob("*"), reverse=True)):
        os.utime(path, ns=(1_600_000_000_000_000_000, 1_500_000_000_123_456_789 + number * 1_000_000_007))
    os.utime(root, ns=(1_600_000_000_000_000_000, 1_400_000_000_987_654_321))
    return root


def entry(relative: str, **more: object) -> dict[str, Any]:
    return {"path": relative, "sha256": hashlib.sha256(content(relative)).hexdigest()} | more


def namelist(root: Path, **changes: object) -> dict[str, Any]:
    """A namelist of that dataset as JSON values."""
    return {
        "schema_version": 1,
        "dataset": "positive",
        "roots": [str(root)],
        "analysis": {
            "embedding_model": "none",
            "method": "agglomerative",
            "similarity_threshold": 0.72,
            "n_clusters": 0,
        },
        "speakers": {speaker: [entry(path) for path in paths] for speaker, paths in SPEAKERS.items()},
        "left_out": [],
    } | changes


def write_namelist(folder: Path, root: Path, **changes: object) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "positive_namelist.json"
    path.write_text(json.dumps(namelist(root, **changes)))
    return path


def tree(root: Path) -> dict[str, tuple[object, ...]]:
    """Of everything below a folder, and the folder: kind, mode, modification time, links, content."""
    described: dict[str, tuple[object, ...]] = {}
    for path in (root, *root.rglob("*")):
        status = path.lstat()
        what = (hashlib.sha256(path.read_bytes()).hexdigest(), status.st_nlink) if path.is_file() else ("folder",)
        described[path.relative_to(root).as_posix()] = (status.st_mode, status.st_mtime_ns, *what)
    return described


def places(root: Path) -> dict[str, str]:
    """Every file's place, by content."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }
