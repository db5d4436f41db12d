"""Moving clips: rejecting them, giving them another label or speaker, and back. Nothing is deleted, and each move is in
a journal before it is made.
"""

from __future__ import annotations

import datetime
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from studio.gallery.places import REJECTED, checked_speaker, clip_path, free_path, label_of
from trainer.data.ingest import Label
from wakeword.errors import ConfigError
from wakeword.locks import wait_for

JOURNAL = "moves.jsonl"
_LOCK = ".moves.lock"


@dataclass(frozen=True)
class ClipMove:
    """One line of the journal. An accepted clip stays where it is: both names are the same."""

    number: int
    date: str
    action: str
    """`rejected`, `restored`, `relabelled`, `accepted`, or `undone`."""
    before: str
    after: str


def reject(root: Path, name: str) -> ClipMove:
    """Move a clip to the folder of rejected ones, where no command reads it."""
    if label_of(name) == REJECTED:
        raise ConfigError(f"{name}: is rejected already")
    return _move(root, name, f"{REJECTED}/{name}", "rejected")


def restore(root: Path, name: str) -> ClipMove:
    """Move a rejected clip back to where it was."""
    if label_of(name) != REJECTED:
        raise ConfigError(f"{name}: is not rejected")
    return _move(root, name, name.removeprefix(f"{REJECTED}/"), "restored")


def relabel(root: Path, name: str, label: Label, speaker: str) -> ClipMove:
    """Give a clip another label or speaker. A wake word needs a speaker; of others the folders stay as they are where
    none is given. Raises `ConfigError`.
    """
    parts = PurePosixPath(name.removeprefix(f"{REJECTED}/")).parts
    if speaker.strip():
        folders: tuple[str, ...] = (checked_speaker(speaker),)
    elif label is Label.POSITIVE and len(parts) < 3:
        raise ConfigError(f"{name}: say who speaks; a wake word lies in its speaker's folder")
    else:
        folders = parts[1:-1]
    return _move(root, name, "/".join((label.value, *folders, parts[-1])), "relabelled")


def accept(root: Path, name: str) -> ClipMove:
    """Note that a clip was listened to and stays."""
    clip_path(root, name)
    with wait_for(root / _LOCK, lambda: None):
        return _write(root, "accepted", name, name)


def undo(root: Path, number: int) -> ClipMove:
    """Take a move back. Raises `ConfigError` where the clip is no longer where it was moved to, or its place is
    taken.
    """
    move = next((one for one in journal(root) if one.number == number), None)
    if move is None or move.action == "undone":
        raise ConfigError(f"move {number}: there is no such move to take back")
    if move.before == move.after:
        with wait_for(root / _LOCK, lambda: None):
            return _write(root, "undone", move.after, move.before)
    return _move(root, move.after, move.before, "undone", exactly=True)


def journal(root: Path) -> list[ClipMove]:
    """All moves, the first one first. A line that a kill cut off is passed over."""
    try:
        lines = (root / JOURNAL).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    moves: list[ClipMove] = []
    for line in lines:
        try:
            moves.append(ClipMove(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return moves


def accepted(moves: list[ClipMove]) -> set[str]:
    """Clips that were listened to and accepted, and not moved or taken back since."""
    names: set[str] = set()
    for move in moves:
        if move.action == "accepted":
            names.add(move.after)
        else:
            names.discard(move.before)
            names.discard(move.after)
    return names


def _move(root: Path, before: str, after: str, action: str, *, exactly: bool = False) -> ClipMove:
    source = clip_path(root, before)
    if before == after:
        raise ConfigError(f"{before}: lies there already")
    with wait_for(root / _LOCK, lambda: None):
        target = root / after
        if exactly and target.exists():
            raise ConfigError(f"{after}: something else lies there now; move that first")
        target.parent.mkdir(parents=True, exist_ok=True)
        target = free_path(target.parent, target.stem, target.suffix)
        move = _write(root, action, before, target.relative_to(root).as_posix())
        source.rename(target)
    return move


def _write(root: Path, action: str, before: str, after: str) -> ClipMove:
    earlier = journal(root)
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    move = ClipMove(1 + max((one.number for one in earlier), default=0), date, action, before, after)
    path = root / JOURNAL
    cut_off = path.exists() and path.stat().st_size and not path.read_bytes().endswith(b"\n")
    with path.open("a", encoding="utf-8") as file:
        file.write(("\n" if cut_off else "") + json.dumps(asdict(move), ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return move
