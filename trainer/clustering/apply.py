"""Moving a dataset's files into speakers' folders, and back.

Both directions look where each file is and bring it to where it belongs, so each may be killed at any point and run
again, or be followed by the other. Speakers' old folders stay, empty if they are, so that undo finds them as they were.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from trainer.clustering.manifest import (
    MoveManifest,
    StoredMove,
    make_manifest,
    manifest_path,
    read_manifest,
    write_manifest,
)
from trainer.clustering.moving import Whereabouts, is_one_file, move, partial_copy, sync, whereabouts
from trainer.clustering.namelist import read_namelist
from trainer.clustering.plan import Plan, checked_root, listed, plan_moves
from trainer.data.parallel import Progress
from wakeword.corpus.recordings import hash_file
from wakeword.errors import ConfigError, InfrastructureError
from wakeword.locks import try_lock


@dataclass(frozen=True)
class Prepared:
    """An apply that has passed every check. `manifest` is None when nothing has to move."""

    plan: Plan | None
    """None when an interrupted apply goes on."""
    manifest: MoveManifest | None
    path: Path


@dataclass(frozen=True)
class Undone:
    """What undo did: files brought back by this call, and files that are back but were edited in between."""

    moved: int
    edited: tuple[str, ...]
    kept_folders: tuple[str, ...]
    """Folders of apply that stay because they hold other files."""


def prepare(namelists: Sequence[Path], output: Path) -> Prepared:
    """Check everything before anything moves. Nothing is written.

    An apply of the same namelists that was begun goes on with its manifest. Raises `ConfigError` for whatever
    `read_namelist` and `plan_moves` refuse, and when files of a begun apply are missing, changed, or in the way of one
    another.
    """
    read = [(namelist, read_namelist(namelist)) for namelist in namelists]
    for namelist, content in read:
        for root in content.roots:
            if output.resolve().is_relative_to(checked_root(root, str(namelist)).resolve()):
                raise ConfigError(
                    f"{namelist}: the output folder {output} lies in the dataset's folder {root}; give --output-dir"
                    " another place"
                )
    path = manifest_path(output, namelists)
    if path.is_file():
        begun = read_manifest(path)
        if _is_begun(begun):
            _check_whole(begun, path)
            return Prepared(None, begun, path)
    plan = plan_moves(read)
    return Prepared(plan, make_manifest(plan, namelists) if plan.moves else None, path)


def apply(prepared: Prepared, progress: Progress | None = None) -> int:
    """Write the manifest, then move. Returns how many files this call moved.

    Raises `InfrastructureError` when another apply or undo works in the dataset, `ConfigError` when a file came in the
    way meanwhile, and `OSError` when the disk refuses; the manifest then tells undo all, and apply can be run again.
    """
    manifest = prepared.manifest
    if manifest is None:
        return 0
    report = progress or (lambda _done, _total: None)
    with _locked(manifest):
        if prepared.plan is not None:
            write_manifest(manifest, prepared.path)
        for folder in manifest.created:
            manifest.path(folder.root, folder.path).mkdir(exist_ok=True)
        moved = 0
        report(0, len(manifest.moves))
        for done, entry in enumerate(manifest.moves, 1):
            source, target = _ends(manifest, entry)
            moved += move(source, target, entry.sha256)
            report(done, len(manifest.moves))
        _sync_folders(manifest)
    return moved


def undo(path: Path, progress: Progress | None = None) -> Undone:
    """Bring every file of a manifest back, remove the folders that apply made, and give the others their times back.

    A file that was edited since is brought back as it is. Running it again does nothing. Raises `ConfigError` when the
    manifest cannot be used, and, after all other files are back, when a file is at neither of its places or another
    file has taken its old name.
    """
    manifest = read_manifest(path)
    report = progress or (lambda _done, _total: None)
    moved = 0
    edited: list[str] = []
    lost: list[str] = []
    with _locked(manifest):
        report(0, len(manifest.moves))
        for done, entry in enumerate(reversed(manifest.moves), 1):
            source, target = _ends(manifest, entry)
            if not _can_return(source, target, entry.sha256):
                lost.append(str(source))
            else:
                source.parent.mkdir(parents=True, exist_ok=True)  # somebody may have removed the empty folder
                moved += move(target, source, entry.sha256)
                if hash_file(source) != entry.sha256:
                    edited.append(str(source))
            report(done, len(manifest.moves))
        kept = _remove_created(manifest)
        _sync_folders(manifest)
        for folder in manifest.folders:
            place = manifest.path(folder.root, folder.path)
            if place.is_dir():
                os.utime(place, ns=(place.stat().st_atime_ns, folder.mtime_ns))
    if lost:
        raise ConfigError(
            f"{path}: could not be brought back: {listed(lost)}; each is at neither of its places, or another file has"
            " its name"
        )
    return Undone(moved, tuple(edited), kept)


def _ends(manifest: MoveManifest, entry: StoredMove) -> tuple[Path, Path]:
    return manifest.path(entry.root, entry.source), manifest.path(entry.root, entry.target)


def _is_begun(manifest: MoveManifest) -> bool:
    """Whether anything of a manifest is done; if not, it is made anew from the dataset as it is now."""
    if any(manifest.path(folder.root, folder.path).is_dir() for folder in manifest.created):
        return True
    return any(os.path.lexists(target) for _, target in (_ends(manifest, entry) for entry in manifest.moves))


def _check_whole(manifest: MoveManifest, path: Path) -> None:
    missing, changed = [], []
    for entry in manifest.moves:
        source, target = _ends(manifest, entry)
        where = whereabouts(source, target)
        if where is Whereabouts.NOWHERE:
            missing.append(entry.source)
        elif where is Whereabouts.BOTH:
            if not is_one_file(source, target, entry.sha256):
                raise ConfigError(
                    f"{target}: another file has this name, so {source} stays where it is; move one of them away"
                )
        else:
            there = source if where is Whereabouts.ORIGIN else target
            if there.is_symlink() or not there.is_file() or hash_file(there) != entry.sha256:
                changed.append(entry.source)
    if missing:
        raise ConfigError(
            f"{path}: of the apply that was begun, files are at neither of their places: {listed(missing)}; undo with"
            f" --undo {path}"
        )
    if changed:
        raise ConfigError(
            f"{path}: changed since the analysis: {listed(changed)}; undo with --undo {path}, then run"
            " mww-cluster-analyze again"
        )


def _can_return(source: Path, target: Path, sha256: str) -> bool:
    where = whereabouts(source, target)
    if where is Whereabouts.BOTH:
        return is_one_file(source, target, sha256)
    return where is not Whereabouts.NOWHERE and (source if where is Whereabouts.ORIGIN else target).is_file()


def _remove_created(manifest: MoveManifest) -> tuple[str, ...]:
    for entry in manifest.moves:
        for end in _ends(manifest, entry):
            partial_copy(end).unlink(missing_ok=True)
    kept = []
    for folder in manifest.created:
        place = manifest.path(folder.root, folder.path)
        if place.is_dir():
            if any(place.iterdir()):
                kept.append(str(place))
            else:
                place.rmdir()
    return tuple(kept)


def _sync_folders(manifest: MoveManifest) -> None:
    """The disk must not forget a file's new name and keep the loss of its old one."""
    folders = {end.parent for entry in manifest.moves for end in _ends(manifest, entry)} | set(
        map(Path, manifest.roots)
    )
    for folder in sorted(folders):
        if folder.is_dir():
            sync(folder)


@contextmanager
def _locked(manifest: MoveManifest) -> Iterator[None]:
    """One apply or undo at a time in a dataset. The lock goes with the process, so a kill leaves none behind."""
    with ExitStack() as stack:
        for root in manifest.roots:
            descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
            stack.callback(os.close, descriptor)
            if not try_lock(descriptor):
                raise InfrastructureError(
                    f"{root}: another mww-cluster-apply moves files there; wait for it, then run again"
                )
        yield
