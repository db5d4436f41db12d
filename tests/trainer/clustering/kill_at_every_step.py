"""A program of its own: kills apply and undo before each of their system calls that change a disk, and checks what is
left.

Arguments: a folder to work in, and how files move: link, copy (another file system), rename (no links). It forks, so it
must not run inside pytest, where threads are. Prints how many kills it survived.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trainer.clustering.apply import apply, prepare, undo
from trainer.clustering.manifest import MANIFEST_PREFIX

sys.path.insert(0, str(Path(__file__).parent))

from trees import AFTER, content, make_dataset, places, tree, write_namelist  # type: ignore[import-not-found,unused-ignore]

STEPS = ("link", "unlink", "rename", "replace", "mkdir", "rmdir", "utime", "fsync", "chmod", "chown", "sendfile")


def move_by(way: str) -> None:
    """Make this process see a disk of that kind. Syncing is counted and not done: a kill takes nothing from the
    system's memory.
    """
    if way != "link":
        number = errno.EXDEV if way == "copy" else errno.EPERM

        def refuse(*_: object, **__: object) -> None:
            raise OSError(number, os.strerror(number))

        os.link = refuse

    def synced(fd: object) -> None:
        del fd

    os.fsync = synced


def die_before(step: int) -> None:
    """From now on count the calls that change a disk, and kill this process before one of them."""
    done = 0

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal done
            done += 1
            if done == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return call

    for name in STEPS:
        setattr(os, name, counted(getattr(os, name)))


def survives(step: int, work: Callable[[], object]) -> bool:
    """Do something in a process that dies before its step-th change; whether it ended before that."""
    child = os.fork()
    if child == 0:
        try:
            die_before(step)
            work()
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return False
    assert os.WEXITSTATUS(status) == 0, f"failed by itself before step {step}"
    return True


def main(folder: Path, way: str) -> None:
    """All kills of one way of moving."""
    move_by(way)
    root, output = folder / "positive", folder / "output"
    names = write_namelist(output, make_dataset(root))
    original = tree(root)
    contents = set(places(root).values())

    def start() -> None:
        make_dataset(root)
        for manifest in output.glob(f"{MANIFEST_PREFIX}*"):
            manifest.unlink()
        assert tree(root) == original

    def move_all() -> None:
        apply(prepare([names], output))

    def bring_back() -> None:
        for manifest in output.glob(f"{MANIFEST_PREFIX}*"):
            undo(manifest)

    start()
    move_all()
    goal = places(root)
    assert [path[: len(prefix)] for path, prefix in zip(sorted(goal), AFTER, strict=True)] == list(AFTER), goal

    kills = {"apply": 0, "apply again": 0, "undo": 0}
    for then in ("undo", "apply"):
        while True:
            start()
            if survives(kills["apply again" if then == "apply" else "apply"] + 1, move_all):
                break
            kills["apply again" if then == "apply" else "apply"] += 1
            assert contents <= set(places(root).values()), "a file was lost"
            if then == "apply":
                move_all()
                assert places(root) == goal, places(root)
            bring_back()
            assert tree(root) == original, (kills, then)
            bring_back()
            assert tree(root) == original, "undo twice"
    while True:
        start()
        move_all()
        if survives(kills["undo"] + 1, bring_back):
            break
        kills["undo"] += 1
        assert contents <= set(places(root).values()), "a file was lost"
        bring_back()
        assert tree(root) == original, kills
    assert all(content(path) in {file.read_bytes() for file in root.rglob("*.wav")} for path in ("c.wav", "ann/a.wav"))
    shutil.rmtree(folder)
    print(kills)  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
