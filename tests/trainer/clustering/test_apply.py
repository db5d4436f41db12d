"""Moving files into speakers' folders and back: nothing lost, nothing overwritten, everything restored."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.clustering.trees import (
    AFTER,
    SPEAKERS,
    content,
    entry,
    make_dataset,
    namelist,
    places,
    tree,
    write_namelist,
)
from trainer.clustering.apply import apply, prepare, undo
from trainer.clustering.moving import move, partial_copy
from wakeword.errors import ConfigError, InfrastructureError

PROGRAM = Path(__file__).with_name("kill_at_every_step.py")
DEADLINE_S = 200


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_dataset(tmp_path / "positive")


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "output"


@pytest.mark.parametrize("way", ["link", "copy", "rename"])
def test_a_kill_at_any_point_loses_nothing(tmp_path: Path, way: str) -> None:
    """Killed before every call that changes the disk: undo restores every byte and time, apply goes on to
    the same end."""
    repository = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(tmp_path / "work"), way],
        env=os.environ | {"PYTHONPATH": str(repository)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "'apply': 0" not in done.stdout
    assert "'undo': 0" not in done.stdout


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()


def test_files_move_and_come_back(root: Path, output: Path) -> None:
    before, contents = tree(root), places(root).values()
    prepared = prepare([write_namelist(output, root)], output)
    assert tree(root) == before, "checking changes nothing"
    assert prepared.plan is not None
    assert (len(prepared.plan.moves), prepared.plan.in_place) == (5, 1)
    assert apply(prepared) == 5
    assert all(path.startswith(start) for path, start in zip(sorted(places(root)), AFTER, strict=True))
    assert sorted(places(root).values()) == sorted(contents)
    assert apply(prepare([output / "positive_namelist.json"], output)) == 0, "again: there is nothing left to do"
    assert undo(prepared.path).moved == 5
    assert tree(root) == before
    assert undo(prepared.path).moved == 0
    assert tree(root) == before
    assert apply(prepare([output / "positive_namelist.json"], output)) == 5, "undone is not the end"


def test_a_sorted_dataset_needs_no_moves(root: Path, output: Path) -> None:
    names = write_namelist(
        output,
        root,
        speakers={"ann": [entry("ann/a.wav"), entry("ann/b.wav")], "mixed": [entry("mixed/deep/e.wav")]},
        left_out=left("mixed/a.wav", "mixed/d.wav"),
    )
    prepared = prepare([names], output)
    assert prepared.manifest is None
    assert apply(prepared) == 0
    assert not prepared.path.exists()


def left(*paths: str) -> list[dict[str, str]]:
    return [{"path": path, "reason": "silent"} for path in paths]


def test_names_that_are_taken_are_never_overwritten(root: Path, output: Path) -> None:
    (root / "ann" / "D.WAV").write_bytes(b"another d")
    (root / "ann" / f"d_{entry('mixed/d.wav')['sha256'][:8]}.wav").write_bytes(b"a name as we would choose it")
    before = places(root)
    names = write_namelist(output, root, left_out=left("ann/D.WAV", f"ann/d_{entry('mixed/d.wav')['sha256'][:8]}.wav"))
    apply(prepare([names], output))
    after = places(root)
    assert sorted(after.values()) == sorted(before.values())
    assert after["ann/D.WAV"] == before["ann/D.WAV"]
    assert after[f"ann/d_{entry('mixed/d.wav')['sha256'][:16]}.wav"] == entry("mixed/d.wav")["sha256"]


def test_changed_and_missing_files_are_refused_by_name(root: Path, output: Path) -> None:
    names = write_namelist(output, root)
    (root / "c.wav").write_bytes(b"new")
    (root / "mixed" / "d.wav").write_bytes(b"new")
    before = tree(root)
    with pytest.raises(ConfigError, match=r"changed since the analysis.*(c\.wav.*mixed/d\.wav|mixed/d\.wav.*c\.wav)"):
        prepare([names], output)
    (root / "c.wav").unlink()
    with pytest.raises(ConfigError, match=r"not in .*: c\.wav; run mww-cluster-analyze again"):
        prepare([names], output)
    assert places(root) == {key: value[2] for key, value in before.items() if value[2] != "folder" and key != "c.wav"}
    assert not list(output.glob("cluster_backup*"))


def test_a_file_that_nobody_analysed_is_not_given_to_a_speaker(root: Path, output: Path) -> None:
    names = write_namelist(output, root)
    (root / "ann" / "new.wav").write_bytes(b"new")
    with pytest.raises(ConfigError, match=r"hold files that were not analysed: ann/new\.wav"):
        prepare([names], output)


def test_undo_brings_edited_files_back_and_keeps_what_is_new(root: Path, output: Path) -> None:
    prepared = prepare([write_namelist(output, root)], output)
    apply(prepared)
    (root / "speaker_001" / "c.wav").write_bytes(b"edited")
    (root / "speaker_001" / "new.wav").write_bytes(b"new")
    (root / "mixed" / "deep").rmdir()
    undone = undo(prepared.path)
    assert undone.edited == (str(root / "c.wav"),)
    assert undone.kept_folders == (str(root / "speaker_001"),)
    assert (root / "c.wav").read_bytes() == b"edited"
    assert (root / "speaker_001" / "new.wav").read_bytes() == b"new"
    assert (root / "mixed" / "deep" / "e.wav").read_bytes() == content("mixed/deep/e.wav")


def test_undo_brings_back_all_it_can_and_names_the_rest(root: Path, output: Path) -> None:
    prepared = prepare([write_namelist(output, root)], output)
    apply(prepared)
    (root / "speaker_001" / "c.wav").unlink()
    (root / "ann" / "a.wav").write_bytes(b"somebody else's")
    with pytest.raises(
        ConfigError, match=r"could not be brought back: (.*/c\.wav, .*/ann/a\.wav|.*/ann/a\.wav, .*/c\.wav); each is"
    ):
        undo(prepared.path)
    assert (root / "mixed" / "a.wav").read_bytes() == content("mixed/a.wav")
    assert (root / "ann" / "a.wav").read_bytes() == b"somebody else's"
    assert (root / "speaker_001").is_dir(), "the file that could not go back is still there"


def test_an_interrupted_apply_refuses_what_changed_meanwhile(root: Path, output: Path) -> None:
    names = write_namelist(output, root)
    prepared = prepare([names], output)
    with pytest.raises(KeyboardInterrupt):
        apply(prepared, interrupt_after(2))
    assert sum(path.startswith("speaker_001/") for path in places(root)) == 2
    begun = tree(root)
    target = next((root / "speaker_001").iterdir())
    target.write_bytes(b"edited")
    with pytest.raises(ConfigError, match=r"changed since the analysis: .*undo with --undo"):
        prepare([names], output)
    target.unlink()
    with pytest.raises(ConfigError, match="at neither of their places"):
        prepare([names], output)
    assert set(places(root)) == {key for key, value in begun.items() if value[2] != "folder"} - {
        target.relative_to(root).as_posix()
    }


def test_an_interrupted_apply_goes_on(root: Path, output: Path) -> None:
    before = tree(root)
    names = write_namelist(output, root)
    with pytest.raises(KeyboardInterrupt):
        apply(prepare([names], output), interrupt_after(2))
    again = prepare([names], output)
    assert apply(again) == 3
    undo(again.path)
    assert tree(root) == before


def interrupt_after(files: int) -> Any:
    def progress(done: int, _total: int) -> None:
        if done == files:
            raise KeyboardInterrupt

    return progress


def test_two_at_a_time_are_refused(root: Path, output: Path) -> None:
    prepared = prepare([write_namelist(output, root)], output)
    descriptor = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(InfrastructureError, match="another mww-cluster-apply"):
            apply(prepared)
    finally:
        os.close(descriptor)
    assert apply(prepared) == 5


def test_several_datasets_have_one_manifest(root: Path, output: Path, tmp_path: Path) -> None:
    other = make_dataset(tmp_path / "negative")
    before = tree(root), tree(other)
    first = write_namelist(output, root)
    second = output / "negative_namelist.json"
    second.write_text(json.dumps(namelist(other, dataset="negative", speakers={"noise": [entry("c.wav")]})))
    prepared = prepare([first, second], output)
    assert apply(prepared) == 6
    assert (other / "noise" / "c.wav").is_file()
    undo(prepared.path)
    assert (tree(root), tree(other)) == before


def test_one_dataset_in_two_namelists_is_refused(root: Path, output: Path) -> None:
    second = output / "again.json"
    first = write_namelist(output, root)
    second.write_text(first.read_text())
    with pytest.raises(ConfigError, match="stands in another namelist too"):
        prepare([first, second], output)


def test_a_manifest_in_the_dataset_is_refused(root: Path, output: Path) -> None:
    with pytest.raises(ConfigError, match="lies in the dataset's folder"):
        prepare([write_namelist(output, root)], root / "out")


def test_a_linked_folder_does_not_lead_out(root: Path, output: Path, tmp_path: Path) -> None:
    outside = make_dataset(tmp_path / "outside")
    (root / "elsewhere").symlink_to(outside)
    before = tree(outside)
    names = write_namelist(output, root, speakers={"ann": [entry("elsewhere/c.wav", sha256=entry("c.wav")["sha256"])]})
    with pytest.raises(ConfigError, match=r"leads out of .* by a link"):
        prepare([names], output)
    (root / "speaker_001").symlink_to(outside)
    names = write_namelist(output, root, speakers={"speaker_001": [entry("c.wav")]})
    with pytest.raises(ConfigError, match=r"leads out of .* by a link"):
        prepare([names], output)
    assert tree(outside) == before


def test_a_file_in_a_speakers_place_is_refused(root: Path, output: Path) -> None:
    (root / "speaker_001").write_bytes(b"a file")
    with pytest.raises(ConfigError, match="is a file where a speaker's folder must be"):
        prepare([write_namelist(output, root)], output)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"moves": [{"root": 0, "source": "../c.wav", "target": "x/c.wav", "sha256": "0" * 64}]},
            r"'\.\./c\.wav' may leave",
        ),
        (
            {"moves": [{"root": 0, "source": "/etc/c.wav", "target": "x/c.wav", "sha256": "0" * 64}]},
            r"'/etc/c\.wav' may leave",
        ),
        (
            {"moves": [{"root": 3, "source": "c.wav", "target": "x/c.wav", "sha256": "0" * 64}]},
            "root 3, and there are 1",
        ),
        ({"moves": [{"root": 0, "source": "c.wav", "target": "c.wav", "sha256": "0" * 64}]}, "named by two moves"),
        (
            {
                "moves": [
                    {"root": 0, "source": name, "target": f"x/{name}", "sha256": "0" * 64}
                    for name in ("d.wav", "D.wav")
                ]
            },
            "target of two moves",
        ),
        ({"moves": [{"root": 0, "source": "c.wav", "target": "x/c.wav", "sha256": "short"}]}, r"moves\.0\.sha256"),
        ({"created": [{"root": 0, "path": ".."}]}, "may leave"),
        ({"roots": ["relative"]}, "not the absolute path"),
        ({"roots": ["/"]}, "not the absolute path"),
        ({"roots": ["/no/such/place"]}, "does not exist; this file belongs to another dataset"),
        ({"schema_version": 2}, "schema_version 2"),
    ],
)
def test_a_damaged_manifest_is_refused(root: Path, output: Path, change: dict[str, Any], message: str) -> None:
    prepared = prepare([write_namelist(output, root)], output)
    apply(prepared)
    after = tree(root)
    prepared.path.write_text(json.dumps(json.loads(prepared.path.read_text()) | change))
    with pytest.raises(ConfigError, match=message):
        undo(prepared.path)
    assert tree(root) == after


def test_a_copy_to_another_disk_is_compared_before_the_original_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin, goal = tmp_path / "a.wav", tmp_path / "b.wav"
    origin.write_bytes(content("a.wav"))

    def other_disk(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    def damaged(source: Path, target: Path, **_: object) -> None:
        target.write_bytes(source.read_bytes()[:-1])

    monkeypatch.setattr(os, "link", other_disk)
    monkeypatch.setattr("shutil.copyfile", damaged)
    with pytest.raises(InfrastructureError, match=r"differs from it, so the original stays"):
        move(origin, goal, entry("a.wav")["sha256"])
    assert origin.read_bytes() == content("a.wav")
    assert list(tmp_path.glob(".*")) == []
    assert not goal.exists()


def test_a_move_between_real_disks(tmp_path: Path) -> None:
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second disk here")
    origin, goal = tmp_path / "a.wav", memory / f"{os.getpid()}.wav"
    origin.write_bytes(content("a.wav"))
    origin.chmod(0o640)
    os.utime(origin, ns=(1, 1_500_000_000_123_456_789))
    before = origin.stat()
    try:
        assert move(origin, goal, entry("a.wav")["sha256"])
        assert not origin.exists()
        assert (goal.stat().st_mtime_ns, goal.stat().st_mode) == (before.st_mtime_ns, before.st_mode)
        assert goal.read_bytes() == content("a.wav")
        assert not partial_copy(goal).exists()
    finally:
        goal.unlink(missing_ok=True)


def test_move_never_overwrites(tmp_path: Path) -> None:
    origin, goal = tmp_path / "a.wav", tmp_path / "b.wav"
    origin.write_bytes(b"a")
    goal.write_bytes(b"b")
    with pytest.raises(ConfigError, match="another file has this name"):
        move(origin, goal, "0" * 64)
    assert (origin.read_bytes(), goal.read_bytes()) == (b"a", b"b")
    with pytest.raises(ConfigError, match="neither there nor at"):
        move(tmp_path / "x", tmp_path / "y", "0" * 64)


def test_the_dataset_of_these_tests_is_as_described() -> None:
    assert sum(map(len, SPEAKERS.values())) == len(AFTER)
