"""Writing files so that a final name never holds half a file, whatever kills the process."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from wakeword.errors import ConfigError

PARTIAL_SUFFIX = ".partial"


@contextmanager
def partial_file(path: Path, *, private: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is renamed to `path`, on any error it is removed.

    The name is unique, so that two processes writing the same file do not disturb each other: the last one wins whole.
    A link is followed. What is no regular file (`/dev/null`, a pipe) is yielded itself: renaming would put a file in
    its place. What is `private` nobody but the user may read, at any moment.

    Raises `ConfigError` when `path` is a folder, and `OSError` when it cannot be written.
    """
    if path.is_dir():
        raise ConfigError(f"{path}: is a folder; give the name of a file to write")
    if path.exists() and not path.is_file():
        yield path
        return
    path = path.resolve()
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=PARTIAL_SUFFIX)
        os.close(descriptor)
        temporary = Path(name)
        yield temporary
        # mkstemp makes files private; a result is as readable as any other file that the user writes.
        if not private:
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except OSError as error:
        # A failed write names no file, or one that the user never named; the user must know which disk is full.
        if error.filename is None or str(error.filename).endswith(PARTIAL_SUFFIX):
            error.filename = str(path)
        raise
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: str | bytes, *, private: bool = False) -> None:
    """Write a whole file or nothing; `private` as in `partial_file`. Raises `OSError` when the disk is full or the
    folder cannot be written.
    """
    with partial_file(path, private=private) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def check_writable(path: Path) -> None:
    """Raise `ConfigError` when `path` cannot become a file, so that nobody learns it after hours of work. Nothing is
    created.
    """
    if path.is_dir():
        raise ConfigError(f"{path}: is a folder; give the name of a file to write")
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise ConfigError(f"{path}: {folder} is not a folder; choose another place to write")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"{path}: {folder} may not be written to; choose another place or change its permissions")


def check_outputs(outputs: Sequence[Path], inputs: Sequence[Path]) -> None:
    """Raise `ConfigError` for an output that cannot be written, or that is an input or another output: before the work,
    not after it.
    """
    taken = {path.resolve() for path in inputs}
    for output in outputs:
        check_writable(output)
        if output.resolve() in taken:
            raise ConfigError(
                f"{output}: would be overwritten, but it is also an input or another output; give it another name"
            )
        taken.add(output.resolve())


def cache_folder(name: str) -> Path:
    """The folder `mww/NAME` in the user's cache folder; it need not exist."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mww" / name
