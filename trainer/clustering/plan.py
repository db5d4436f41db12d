"""From namelists to a list of moves, checked against the disk before anything moves."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from trainer.clustering.namelist import NamedFile, Namelist, writable
from trainer.clustering.naming import folded, present_folder
from trainer.data.ingest import find_files
from wakeword.corpus.recordings import hash_file
from wakeword.errors import ConfigError

_NAMES_SHOWN = 20


@dataclass(frozen=True)
class PlannedMove:
    """One file of one root, from and to a path relative to it."""

    root: Path
    source: str
    target: str
    sha256: str


@dataclass(frozen=True)
class Plan:
    """Moves in order, and how many files lie in their speaker's folder already."""

    moves: tuple[PlannedMove, ...]
    in_place: int


def plan_moves(namelists: Sequence[tuple[Path, Namelist]]) -> Plan:
    """What has to move so that every file lies in its speaker's folder. Nothing is touched.

    A file goes to `<root>/<speaker>/<name>`. Where that name is taken, on the disk or by another move, it gets part of
    its content's hash; nothing is overwritten. Raises `ConfigError` when a root is missing or two namelists share one,
    when files are missing, have changed since the analysis or lie behind a link, and when a speaker's folder holds
    recordings that the analysis never saw.
    """
    moves: list[PlannedMove] = []
    in_place = 0
    seen: set[Path] = set()
    for path, namelist in namelists:
        for number, name in enumerate(namelist.roots):
            root = checked_root(name, str(path))
            if root in seen:
                raise ConfigError(f"{path}: the folder {root} stands in another namelist too; apply one of them")
            seen.add(root)
            files = [(speaker, file) for speaker, file in namelist.files() if file.root == number]
            check_unchanged(root, [file for _, file in files], str(path))
            _refuse_unknown(root, number, namelist, path)
            to_move = [
                (speaker, file) for speaker, file in files if present_folder(namelist.label, file.path) != speaker
            ]
            in_place += len(files) - len(to_move)
            check_inside(root, (f"{speaker}/" + Path(file.path).name for speaker, file in to_move), str(path))
            moves += _targets(root, to_move)
    return Plan(tuple(moves), in_place)


def checked_root(name: str, where: str) -> Path:
    """A dataset's folder. Raises `ConfigError` unless it is absolute, not the root of the disk, and exists."""
    root = Path(name)
    if not root.is_absolute() or ".." in root.parts or root == Path(root.anchor):
        raise ConfigError(
            f"{where}: {name!r} is not the absolute path of a dataset's folder; run mww-cluster-analyze again"
        )
    if not root.is_dir():
        raise ConfigError(
            f"{where}: the dataset's folder {root} does not exist; this file belongs to another dataset or machine, so"
            " run mww-cluster-analyze here"
        )
    return root


def check_inside(root: Path, relatives: Iterable[str], where: str) -> None:
    """Raise `ConfigError` when a linked folder leads a path out of its root."""
    real = root.resolve()
    for folder in sorted({(root / relative).parent for relative in relatives}):
        if not folder.resolve().is_relative_to(real):
            raise ConfigError(
                f"{where}: {folder} leads out of {root} by a link; remove the link and run mww-cluster-analyze again"
            )


def check_unchanged(root: Path, files: Sequence[NamedFile], where: str) -> None:
    """Raise `ConfigError` with the names of all files that are missing or not what was analysed."""
    check_inside(root, (file.path for file in files), where)
    missing = [file.path for file in files if not (root / file.path).is_file() or (root / file.path).is_symlink()]
    if missing:
        raise ConfigError(
            f"{where}: not in {root}: {listed(missing)}; run mww-cluster-analyze again, or undo first if an earlier"
            " apply moved them"
        )
    changed = [file.path for file in files if hash_file(root / file.path) != file.sha256]
    if changed:
        raise ConfigError(
            f"{where}: changed since the analysis, in {root}: {listed(changed)}; nothing was moved, run"
            " mww-cluster-analyze again"
        )


def listed(names: Sequence[str]) -> str:
    """Names for one line of text; of very many, the first ones and a count."""
    more = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _refuse_unknown(root: Path, number: int, namelist: Namelist, where: Path) -> None:
    """A new file in a speaker's folder would join a speaker whom nobody compared it with."""
    known = {file.path for _, file in namelist.files() if file.root == number} | {
        file.path for file in namelist.left_out if file.root == number
    }
    speakers = {folded(name) for name in namelist.speakers}
    strangers = []
    for found in find_files(root, namelist.label).files:
        relative = found.path.relative_to(root).as_posix()
        folder = present_folder(namelist.label, relative)
        if writable(relative) not in known and folder is not None and folded(folder) in speakers:
            strangers.append(writable(relative))
    if strangers:
        raise ConfigError(
            f"{where}: speakers' folders in {root} hold files that were not analysed: {listed(strangers)}; run"
            " mww-cluster-analyze again"
        )


def _targets(root: Path, files: Sequence[tuple[str, NamedFile]]) -> list[PlannedMove]:
    taken: set[str] = set()
    looked_into: set[str] = set()
    moves = []
    for speaker, file in sorted(files, key=lambda entry: entry[1].path):
        folder = root / speaker
        if _is_no_folder(folder):
            raise ConfigError(
                f"{folder}: is a file where a speaker's folder must be; rename it, or the speaker in the namelist"
            )
        if speaker not in looked_into and folder.is_dir():
            taken |= {folded(f"{speaker}/{entry.name}") for entry in folder.iterdir()}
        looked_into.add(speaker)
        target = _free_name(speaker, file, taken)
        taken.add(folded(target))
        moves.append(PlannedMove(root, file.path, target, file.sha256))
    return moves


def _is_no_folder(path: Path) -> bool:
    """Whether a name is taken by something that is no folder, a broken link included."""
    return (path.exists() or path.is_symlink()) and not path.is_dir()


def _free_name(speaker: str, file: NamedFile, taken: Collection[str]) -> str:
    name = PurePosixPath(file.path)
    candidates = [name.name, *(f"{name.stem}_{file.sha256[:digits]}{name.suffix}" for digits in (8, 16))]
    candidates += [f"{name.stem}_{file.sha256[:8]}_{number}{name.suffix}" for number in range(2, len(taken) + 3)]
    return next(
        target for target in (f"{speaker}/{candidate}" for candidate in candidates) if folded(target) not in taken
    )
