"""The backup manifest: every move with both names, written before the first of them, and all that undo needs.

It never changes while files move. Where each file is, the disk itself says, so a kill at any point leaves nothing to
repair in here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from trainer.clustering.moving import write_durably
from trainer.clustering.namelist import ListedFile, Sha256, StoredModel, check_relative, read_stored
from trainer.clustering.naming import folded
from trainer.clustering.plan import Plan, check_inside, checked_root
from wakeword.corpus.recordings import hash_file
from wakeword.errors import ConfigError

MANIFEST_PREFIX = "cluster_backup_"
SCHEMA_VERSION = 1


class StoredMove(StoredModel):
    """A file's two names, relative to its root, and its content."""

    root: int = Field(ge=0)
    source: str
    target: str
    sha256: Sha256


class StoredFolder(ListedFile):
    """A folder ("." is its root) with its modification time before anything moved."""

    mtime_ns: int


class NewFolder(ListedFile):
    """A folder that apply makes."""


class MoveManifest(StoredModel):
    """Everything that one apply does."""

    schema_version: int
    namelists: tuple[Sha256, ...] = Field(strict=False)
    roots: tuple[str, ...] = Field(strict=False)
    created: tuple[NewFolder, ...] = Field(strict=False)
    folders: tuple[StoredFolder, ...] = Field(strict=False)
    moves: tuple[StoredMove, ...] = Field(strict=False)

    def path(self, root: int, relative: str) -> Path:
        """A path of the manifest as it is on the disk."""
        return Path(self.roots[root]) / relative


def manifest_path(folder: Path, namelists: Sequence[Path]) -> Path:
    """Where the manifest of these namelists lies: the same contents have the same manifest, so that apply can go on."""
    digest = hashlib.sha256("\n".join(sorted(hash_file(path) for path in namelists)).encode()).hexdigest()
    return folder / f"{MANIFEST_PREFIX}{digest[:12]}.json"


def make_manifest(plan: Plan, namelists: Sequence[Path]) -> MoveManifest:
    """The manifest of a plan, with the folders as they are now."""
    roots = sorted({move.root for move in plan.moves})
    numbers = {root: number for number, root in enumerate(roots)}
    created: set[tuple[int, str]] = set()
    touched: set[tuple[int, str]] = set()
    for move in plan.moves:
        number, speaker = numbers[move.root], Path(move.target).parent.as_posix()
        touched.add((number, Path(move.source).parent.as_posix()))
        if (move.root / speaker).is_dir():
            touched.add((number, speaker))
        else:
            created.add((number, speaker))
            touched.add((number, "."))
    return MoveManifest(
        schema_version=SCHEMA_VERSION,
        namelists=tuple(sorted(hash_file(path) for path in namelists)),
        roots=tuple(map(str, roots)),
        created=tuple(NewFolder(root=number, path=path) for number, path in sorted(created)),
        folders=tuple(
            StoredFolder(root=number, path=path, mtime_ns=(roots[number] / path).stat().st_mtime_ns)
            for number, path in sorted(touched)
        ),
        moves=tuple(
            StoredMove(root=numbers[move.root], source=move.source, target=move.target, sha256=move.sha256)
            for move in plan.moves
        ),
    )


def write_manifest(manifest: MoveManifest, path: Path) -> None:
    """Write a manifest, on the disk before this returns. Raises `OSError` when it cannot be written."""
    write_durably(path, json.dumps(manifest.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n")


def read_manifest(path: Path) -> MoveManifest:
    """Read and check a manifest.

    Raises `ConfigError` when it is missing or damaged, when its dataset is not here, or when it names a path outside
    the dataset, a file twice, or one name for two files.
    """
    manifest = read_stored(path, MoveManifest, "a backup manifest; mww-cluster-apply writes it and names it")
    if manifest.schema_version != SCHEMA_VERSION:
        raise ConfigError(
            f"{path}: has schema_version {manifest.schema_version}, this program reads {SCHEMA_VERSION}; use the"
            " program that wrote it"
        )
    names: set[tuple[int, str]] = set()
    targets: set[tuple[int, str]] = set()
    folders: list[ListedFile] = [*manifest.created, *manifest.folders]
    for number in (*(move.root for move in manifest.moves), *(folder.root for folder in folders)):
        if number >= len(manifest.roots):
            raise ConfigError(
                f"{path}: names root {number}, and there are {len(manifest.roots)}; the manifest is damaged"
            )
    for move in manifest.moves:
        for name in (move.source, move.target):
            check_relative(name, str(path))
            if (move.root, name) in names:
                raise ConfigError(f"{path}: {name} is named by two moves; the manifest is damaged")
            names.add((move.root, name))
        if (move.root, folded(move.target)) in targets:
            raise ConfigError(
                f"{path}: {move.target} is on some disks the target of two moves; the manifest is damaged"
            )
        targets.add((move.root, folded(move.target)))
    for folder in folders:
        if folder.path != ".":
            check_relative(folder.path, str(path))
    for number, name in enumerate(manifest.roots):
        root = checked_root(name, str(path))
        check_inside(
            root,
            (name for move in manifest.moves if move.root == number for name in (move.source, move.target)),
            str(path),
        )
        check_inside(root, (f"{folder.path}/x" for folder in folders if folder.root == number), str(path))
    return manifest
