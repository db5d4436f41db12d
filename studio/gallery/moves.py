"""Moving clips: rejecting them, giving them another label or speaker, and back. Nothing is deleted, and each move is in
a journal before it is made.
"""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from studio.gallery.places import REJECTED, checked_speaker, clip_path, clips_held, free_path, label_of
from trainer.data.ingest import Label
from wakeword.errors import ConfigError

JOURNAL = "moves.jsonl"
_UNDONE = "undone"


@dataclass(frozen=True)
class ClipMove:
    """One line of the journal. An accepted clip stays where it is: both names are the same."""

    number: int
    date: str
    action: str
    """`rejected`, `restored`, `relabelled`, `accepted`, or `undone`."""
    before: str
    after: str
    of: int = 0
    """Number of the move that this one takes back, or that was not made in the end."""


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
    with clips_held(root):
        clip_path(root, name)
        return _write(root, "accepted", name, name)


def undo(root: Path, number: int) -> ClipMove:
    """Take a move back. Raises `ConfigError` where the clip is no longer where it was moved to, or its place is
    taken.
    """
    with clips_held(root):
        moves = journal(root)
        move = next((one for one in moves if one.number == number), None)
        if move is None or move.action == _UNDONE:
            raise ConfigError(f"move {number}: there is no such move to take back")
        if number in _taken_back(moves):
            raise ConfigError(f"move {number}: was taken back already")
        if move.before == move.after:
            return _write(root, _UNDONE, move.after, move.before, number)
        return _made(root, move.after, move.before, _UNDONE, number)


def last_to_undo(root: Path, moves: Sequence[ClipMove]) -> ClipMove | None:
    """The last of these moves that can be taken back: the clip is where it was moved to, and its place is free."""
    taken_back = _taken_back(moves)
    for move in reversed(moves):
        if move.action == _UNDONE or move.number in taken_back or not (root / move.after).is_file():
            continue
        if move.before == move.after or not (root / move.before).exists():
            return move
    return None


def _taken_back(moves: Sequence[ClipMove]) -> set[int]:
    """Numbers of moves that no longer hold. A later line may say of an earlier one that it was not carried out."""
    numbers: set[int] = set()
    for move in reversed(moves):
        if move.of and move.number not in numbers:
            numbers.add(move.of)
    return numbers


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


def _move(root: Path, before: str, after: str, action: str) -> ClipMove:
    if before == after:
        raise ConfigError(f"{before}: lies there already")
    with clips_held(root):
        return _made(root, before, after, action)


def _made(root: Path, before: str, after: str, action: str, of: int = 0) -> ClipMove:
    """Move a clip; one that takes another move back goes to that very place. The caller holds the clips."""
    source, target = clip_path(root, before), root / after
    if of and target.exists():
        raise ConfigError(f"{after}: something else lies there now; move that first")
    target.parent.mkdir(parents=True, exist_ok=True)
    target = free_path(target.parent, target.stem, target.suffix)
    move = _write(root, action, before, target.relative_to(root).as_posix(), of)
    try:
        source.rename(target)
    except OSError:
        _write(root, _UNDONE, move.after, move.before, move.number)
        raise
    return move


def _write(root: Path, action: str, before: str, after: str, of: int = 0) -> ClipMove:
    earlier = journal(root)
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    move = ClipMove(1 + max((one.number for one in earlier), default=0), date, action, before, after, of)
    path = root / JOURNAL
    cut_off = path.exists() and path.stat().st_size and not path.read_bytes().endswith(b"\n")
    with path.open("a", encoding="utf-8") as file:
        file.write(("\n" if cut_off else "") + json.dumps(asdict(move), ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return move
