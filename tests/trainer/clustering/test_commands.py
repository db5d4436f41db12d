"""`mww-cluster-analyze` and `mww-cluster-apply` as a user runs them, up to a sorted dataset and back."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from tests.trainer.clustering.trees import entry, make_dataset, places, tree, write_namelist
from tests.trainer.clustering.voices import record, record_speakers
from trainer.clustering.cli import analyze_app, apply_app
from trainer.clustering.moving import move

SPEAKERS = {
    "ann/1.wav": "ann",
    "ann/2.wav": "ann",
    "ann/3.wav": "ben",  # in the wrong folder
    "ben/1.wav": "ben",
    "ben/2.wav": "ben",
    "loose.wav": "cleo",
    "other.wav": "cleo",
    "alone.wav": "dan",
}
NEGATIVES = {"talk/x.wav": "ann", "talk/y.wav": "eve", "noise.wav": "rain"}


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MWW_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    record_speakers(tmp_path / "dataset" / "positive", tmp_path / "cache", SPEAKERS)
    record_speakers(tmp_path / "dataset" / "negative", tmp_path / "cache", NEGATIVES)
    return tmp_path / "dataset"


def invoke(app: typer.Typer, *arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def analyze(*arguments: object) -> Result:
    return invoke(analyze_app, "--set", "export.wake_word=computer", *arguments)


def said(result: Result, code: int) -> str:
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def test_from_a_mess_to_speakers_and_back(dataset: Path) -> None:
    positive, before = dataset / "positive", tree(dataset)
    (positive / "notes.txt").write_text("not sound")
    (positive / "broken.wav").write_text("not sound either")
    before = tree(dataset)
    told = said(analyze(), 0)
    assert "8 files, 4 voices, 1 of them with one file; 2 files left out" in told
    assert tree(dataset) == before, "analysing moves nothing"
    output = dataset.parent / "cluster_output"
    namelist = json.loads((output / "positive_namelist.json").read_text())
    assert {name: sorted(file["path"] for file in files) for name, files in namelist["speakers"].items()} == {
        "ben": ["ann/3.wav", "ben/1.wav", "ben/2.wav"],
        "ann": ["ann/1.wav", "ann/2.wav"],
        "positive_speaker_001": ["loose.wav", "other.wav"],
        "positive_speaker_002": ["alone.wav"],
    }
    assert {entry["path"] for entry in namelist["left_out"]} == {"notes.txt", "broken.wav"}
    report = (output / "positive_cluster_report.txt").read_text()
    assert "Silhouette 0." in report
    assert re.search(r"^ben +3 +0\.9", report, re.MULTILINE)
    assert "Alone: voices with one file (1)\n  alone.wav" in report
    assert "Folders with several voices (1)\n  ann: 2 ann, 1 ben" in report
    assert "broken.wav: cannot be read as sound" in report

    assert "ann/3.wav" in (told := said(invoke(apply_app, "--namelist-dir", output, "--dry-run"), 0))
    assert "4 moves, 4 files in their speaker's folder already; nothing was moved" in told
    assert tree(dataset) == before
    told = said(invoke(apply_app, "--namelist", output / "positive_namelist.json"), 0)
    assert "4 files moved" in told
    manifest = Path(re.findall(r"Manifest: (\S+)", told)[0])
    assert (positive / "ben" / "3.wav").is_file()
    assert (positive / "positive_speaker_002" / "alone.wav").is_file()
    assert "0 files moved, 4 were there already" in said(invoke(apply_app, "--namelist-dir", output), 0)
    again = said(analyze("--output-dir", "again"), 0)
    assert "8 files, 4 voices" in again
    assert "Every file lies in its speaker's folder already" in said(invoke(apply_app, "--namelist-dir", "again"), 0)

    assert "files would be back at their places; nothing was moved" in said(
        invoke(apply_app, "--undo", manifest, "--dry-run"), 0
    )
    assert "4 files moved back" in said(invoke(apply_app, "--undo", manifest), 0)
    assert tree(dataset) == before
    assert "0 files moved back" in said(invoke(apply_app, "--undo", manifest), 0)


def test_what_lies_behind_links_stays_where_it_is(dataset: Path) -> None:
    positive, nas = dataset / "positive", dataset.parent / "nas"
    record_speakers(nas, dataset.parent / "cache", {"1.wav": "fay"})
    (positive / "fay").symlink_to(nas)
    (positive / "2.wav").symlink_to(nas / "1.wav")
    (positive / "gone.wav").symlink_to(nas / "none.wav")
    (positive / "._1.wav").touch()
    told = said(analyze(), 0)
    assert "8 files, 4 voices, 1 of them with one file; 2 files left out" in told
    assert "left out: 1 hidden name, 1 link to what is there already" in told
    report = (dataset.parent / "cluster_output" / "positive_cluster_report.txt").read_text()
    assert "2.wav: lies behind a link" in report
    assert "gone.wav: a broken link" in report
    said(invoke(apply_app, "--namelist-dir", "cluster_output"), 0)
    assert (nas / "1.wav").is_file()


def test_all_datasets_share_their_voices_and_leaks_are_found(dataset: Path) -> None:
    splits = dataset.parent / "splits.csv"
    rows = [
        ("ann/1.wav", "ann", "train"),
        ("ann/2.wav", "ann", "train"),
        ("ann/3.wav", "ann", "train"),
        ("ben/1.wav", "ben", "test"),
        ("ben/2.wav", "ben", "test"),
    ]
    splits.write_text(
        "path,group,split\n" + "".join(f"dataset/positive/{path},{group},{split}\n" for path, group, split in rows)
    )
    result = analyze("--dataset", "all", "--set", f"paths.splits={splits}")
    told = said(result, 0)
    assert "11 files, 6 voices" in told
    assert "sound alike; the report names them" in told
    assert "paths.splits lists 1 files by a path that applying changes" in told
    output = dataset.parent / "cluster_output"
    assert "ann" in json.loads((output / "negative_namelist.json").read_text())["speakers"], "one name in both datasets"
    report = (output / "positive_cluster_report.txt").read_text()
    now, applied = report.split("Voices on two sides of the splits, ")[1:]
    assert re.search(r"ben \(test\) and ann \(train\): 2 pairs of files, 0\.9", now)
    assert "none found" in applied
    assert not (output / "hard_negative_namelist.json").exists()


def test_number_threshold_and_size(dataset: Path) -> None:
    assert "8 files, 2 voices" in said(analyze("--n-clusters", 2), 0)
    assert "8 files, 8 voices" in said(analyze("--threshold", 0.999), 0)
    assert "3 files, " in (told := said(analyze("--max-files", 3), 0))
    assert "5 files left out" in told
    assert "beyond --max-files" in (dataset.parent / "cluster_output" / "positive_cluster_report.txt").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ["--threshold", "0"],
            2,
            "error: --threshold: speaker_clustering.similarity_threshold is 0.0: it must be above 0",
        ),
        (
            ["--set", "speaker_clustering.enabled=false"],
            2,
            "speaker_clustering.enabled is false: the dataset's folders count as its speakers",
        ),
        (
            ["--set", "speaker_clustering.enabled=false", "--n-clusters", "3"],
            2,
            "speaker_clustering.enabled is false: the dataset's folders count as its",
        ),
        (
            ["--set", "speaker_clustering.enabled=false", "--threshold", "2"],
            2,
            "speaker_clustering.enabled is false: the dataset's folders count as its",
        ),
        (
            ["--set", "speaker_clustering.method=threshold", "--n-clusters", "3"],
            2,
            "error: --n-clusters: speaker_clustering.n_clusters needs",
        ),
        (["--n-clusters", "9"], 2, "9 clusters are asked of 8 usable files"),
        (["--dataset", "hard_negative", "--set", "paths.positive_dir=nowhere"], 2, "hard_negative"),
        (["--set", "paths.positive_dir=nowhere"], 2, "nowhere: no such folder"),
        (["--set", "paths.positive_dir=[dataset, dataset/positive]"], 2, "lies in"),
        (["--output-dir", "dataset/positive/out"], 2, "lies in the dataset's folder"),
        (["--config", "nothing"], 2, "neither a preset nor a file"),
        (["--override", "missing.yaml"], 2, "missing.yaml: cannot be read"),
    ],
)
def test_bad_arguments_of_analyze(dataset: Path, arguments: list[str], code: int, message: str) -> None:
    before = tree(dataset)
    assert message in said(analyze(*arguments), code)
    assert tree(dataset) == before
    assert not (dataset.parent / "cluster_output").exists()


def test_without_torch_analyze_says_what_to_install(dataset: Path) -> None:
    if importlib.util.find_spec("torch") is not None:
        pytest.skip("torch is installed here")
    record(dataset / "positive" / "new.wav")
    assert (
        "embedding voices needs the package speechbrain, which is not installed; in an environment of its own"
        in said(analyze(), 3)
    )


def test_an_empty_dataset_is_an_error(dataset: Path) -> None:
    (dataset.parent / "empty").mkdir()
    assert "no usable recording among 0 files; add recordings" in said(analyze("--set", "paths.positive_dir=empty"), 2)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return make_dataset(tmp_path / "positive")


def changed(**changes: object) -> Callable[[Path, Path], Path]:
    return lambda root, folder: write_namelist(folder, root, **changes)


def text(content: str, name: str = "positive_namelist.json") -> Callable[[Path, Path], Path]:
    def make(_root: Path, folder: Path) -> Path:
        (folder / name).write_text(content)
        return folder / name

    return make


def negative_in_positive(root: Path, folder: Path) -> Path:
    return write_namelist(folder, root, dataset="negative")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda _root, folder: folder / "none_namelist.json",
            "none_namelist.json: cannot be read (No such file or directory); give a namelist",
        ),
        (text("[]"), "give a namelist; mww-cluster-analyze writes it"),
        (text("{"), "is not the JSON it must be"),
        (
            text('{"speakers": {"a": [], "a": []}}'),
            "'a' stands there twice: to join two speakers, put their files into one list",
        ),
        (text('{"schema_version": 1}'), "dataset: Field required"),
        (changed(more=1), "more: Extra inputs are not permitted"),
        (changed(schema_version=7), "schema_version 7, this program reads 1"),
        (changed(dataset="noise"), "dataset is 'noise'; it must be one of positive"),
        (negative_in_positive, "is a namelist of the dataset 'negative', not of the one in its name"),
        (changed(roots=["/no/such/dataset"]), "does not exist; this file belongs to another dataset"),
        (changed(roots=["dataset"]), "is not the absolute path of a dataset's folder"),
        (changed(roots=["/"]), "is not the absolute path of a dataset's folder"),
        (changed(speakers={"ann": [entry("../c.wav")]}), "'../c.wav' may leave the dataset's folder"),
        (changed(speakers={"ann": [entry("ann/../../c.wav")]}), "may leave the dataset's folder"),
        (changed(speakers={"ann": [entry("/etc/passwd")]}), "'/etc/passwd' may leave the dataset's folder"),
        (changed(speakers={"..": [entry("c.wav")]}), "'..' cannot be a speaker's folder"),
        (changed(speakers={"a/b": [entry("c.wav")]}), "'a/b' cannot be a speaker's folder"),
        (
            changed(speakers={"x": [entry("c.wav")], "y": [entry("c.wav")]}),
            "c.wav is listed twice; a file has one speaker",
        ),
        (changed(speakers={"x": [entry("c.wav")], "X": [entry("mixed/a.wav")]}), "are one folder on some disks"),
        (changed(speakers={"x": [entry("c.wav", root=1)]}), "lies in root 1, and there are 1"),
        (changed(speakers={"x": [entry("nowhere.wav")]}), "nowhere.wav; run mww-cluster-analyze again"),
        (changed(speakers={"x": [entry("c.wav", sha256="0" * 64)]}), "changed since the analysis"),
        (changed(speakers={"x": [entry("c.wav", sha256="abc")]}), "sha256"),
    ],
)
def test_bad_namelists(small: Path, tmp_path: Path, make: Callable[[Path, Path], Path], message: str) -> None:
    before = tree(small)
    (tmp_path / "output").mkdir()
    path = make(small, tmp_path / "output")
    assert message in said(invoke(apply_app, "--namelist", path), 2)
    assert tree(small) == before
    assert not list(tmp_path.rglob("cluster_backup*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give one of --namelist, --namelist-dir and --undo"),
        (["--namelist", "a", "--undo", "b"], "give one of"),
        (["--undo", "a", "--output-dir", "b"], "leave --output-dir out"),
        (
            ["--undo", "missing.json"],
            "missing.json: cannot be read (No such file or directory); give a backup manifest",
        ),
        (["--namelist-dir", "."], "no *_namelist.json in it; give the --output-dir of mww-cluster-analyze"),
    ],
)
def test_bad_arguments_of_apply(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in said(invoke(apply_app, *arguments), 2)


def test_an_interrupt_says_how_to_go_back(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tree(small)
    names = write_namelist(tmp_path / "output", small)
    moved: list[Any] = []

    def interrupted(*arguments: Any) -> bool:
        if len(moved) == 2:
            raise KeyboardInterrupt
        moved.append(arguments)
        return move(*arguments)

    monkeypatch.setattr("trainer.clustering.apply.move", interrupted)
    told = said(invoke(apply_app, "--namelist", names), 130)
    monkeypatch.undo()
    command = re.findall(r"to go back: mww-cluster-apply --undo (\S+)", told)
    assert len(places(small)) == 6
    assert "2 files moved back" in said(invoke(apply_app, "--undo", command[0]), 0)
    assert tree(small) == before


def test_undo_warns_of_what_it_cannot_restore(small: Path, tmp_path: Path) -> None:
    told = said(invoke(apply_app, "--namelist", write_namelist(tmp_path / "output", small)), 0)
    (small / "speaker_001" / "c.wav").write_bytes(b"edited")
    (small / "speaker_001" / "new.wav").write_bytes(b"new")
    told = said(invoke(apply_app, "--undo", re.findall(r"Manifest: (\S+)", told)[0]), 0)
    assert "c.wav was edited since it was moved" in told
    assert "speaker_001 stays, it holds other files" in told
