"""Moving one file so that it is never lost, never half there under its name, and never over another.

A move within a file system is a second name (`link`, which refuses a name that is taken) and the end of the first. A
kill in between leaves two names of one file. A move to another file system is a copy under a hidden name, on disk and
compared, before it gets its name and the first goes. Whatever was left by a kill, `move` finishes it.
"""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from enum import Enum
from pathlib import Path

from wakeword.corpus.recordings import hash_file
from wakeword.errors import ConfigError, InfrastructureError
from wakeword.files import PARTIAL_SUFFIX, partial_file

_NO_LINKS = frozenset(
    {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES, errno.EINVAL}
)
"""FAT, some network folders, and Linux's protection of other users' files do without links."""


class Whereabouts(Enum):
    """Which of a move's two names exist."""

    ORIGIN = "origin"
    GOAL = "goal"
    BOTH = "both"
    NOWHERE = "nowhere"


def whereabouts(origin: Path, goal: Path) -> Whereabouts:
    """Look for a file under both of its names."""
    there = (os.path.lexists(origin), os.path.lexists(goal))
    return {(True, False): Whereabouts.ORIGIN, (False, True): Whereabouts.GOAL, (True, True): Whereabouts.BOTH}.get(
        there, Whereabouts.NOWHERE
    )


def is_one_file(origin: Path, goal: Path, sha256: str) -> bool:
    """Whether two existing names hold the file of this content, as a kill leaves them: two links, or a copy whose
    original still stands.
    """
    if origin.is_symlink() or goal.is_symlink() or not (origin.is_file() and goal.is_file()):
        return False
    return origin.samefile(goal) or hash_file(origin) == hash_file(goal) == sha256


def move(origin: Path, goal: Path, sha256: str) -> bool:
    """Bring a file from one name to another; True when there was something to do, False when it was there already.

    Modification time and permissions stay. Raises `ConfigError` when `goal` is another file or neither exists,
    `InfrastructureError` when a copy differs from its original, and `OSError` when the disk refuses.
    """
    partial_copy(goal).unlink(missing_ok=True)
    partial_copy(origin).unlink(missing_ok=True)  # of a move in the other direction
    where = whereabouts(origin, goal)
    if where is Whereabouts.GOAL:
        return False
    if where is Whereabouts.NOWHERE:
        raise ConfigError(f"{origin}: neither there nor at {goal}; find out who moved it")
    if where is Whereabouts.BOTH:
        if not is_one_file(origin, goal, sha256):
            raise ConfigError(
                f"{goal}: another file has this name, so {origin} stays where it is; move one of them away"
            )
        origin.unlink()
        return True
    try:
        os.link(origin, goal, follow_symlinks=False)
    except FileExistsError as error:
        raise ConfigError(f"{goal}: another file has just got this name; run again") from error
    except OSError as error:
        if error.errno == errno.EXDEV:
            _copy(origin, goal)
        elif error.errno in _NO_LINKS:
            if os.path.lexists(goal):
                raise ConfigError(f"{goal}: another file has just got this name; run again") from error
            origin.rename(goal)
            return True
        else:
            raise
    origin.unlink()
    return True


def partial_copy(goal: Path) -> Path:
    """The hidden name of a copy that is not whole yet; always the same one, so that it can be found after a kill."""
    return goal.with_name(f".{goal.name}.moving{PARTIAL_SUFFIX}")


def _copy(origin: Path, goal: Path) -> None:
    partial = partial_copy(goal)
    try:
        shutil.copyfile(origin, partial, follow_symlinks=False)
        status = origin.stat()
        with suppress(PermissionError):
            os.chown(partial, status.st_uid, status.st_gid)
        shutil.copystat(origin, partial)  # after chown, which clears mode bits
        sync(partial)
        # Of the original as it is now: it may have been edited since it was analysed, and what is edited is moved back
        # too.
        if hash_file(partial) != hash_file(origin):
            raise InfrastructureError(
                f"{goal}: the copy of {origin} differs from it, so the original stays; check both disks"
            )
        if os.path.lexists(goal):
            raise ConfigError(f"{goal}: another file has just got this name; run again")
        partial.rename(goal)
    finally:
        partial.unlink(missing_ok=True)
    sync(goal.parent)


def sync(path: Path) -> None:
    """Have a file's content, or a folder's names, on the disk and not just in memory. Raises `OSError` when the disk
    refuses.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems cannot sync a folder
            raise
    finally:
        os.close(descriptor)


def write_durably(path: Path, text: str) -> None:
    """Write a whole file, on the disk before this returns. Raises `OSError` when it cannot be written."""
    with partial_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
        sync(temporary)
    sync(path.resolve().parent)
