"""The benchmark as a whole: once with programs that stand for the slow ones, once with all of them on a recipe of
seconds.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import quality
from benchmarks.ablation import commands, recipes
from benchmarks.ablation.corpus import VARIABLE, open_corpus
from benchmarks.ablation.recipes import RECIPES, SPEECH, Recipe
from benchmarks.ablation.rows import looks, read_rows
from harness.results.schema import read_result
from tests.spoken import Spoken
from trainer.data.split import Split, Splitter, read_splits
from wakeword.errors import ConfigError

STAND_INS = {
    "mww-generate": "",
    "mww-train": (
        """
if not (notes.parent / "may_train").exists():
    print("error: the disk is full")
    sys.exit(3)
run = pathlib.Path(option("--output"))
(run / "checkpoints").mkdir(parents=True)
(run / "validation.csv").write_text(
    "step,recall,false_accepts_per_hour,best,mined\\n"
    "500,0.5,2,1,0\\n1000,0.9,0,1,0\\n1500,0.8,0,0,0\\n"
)
"""
    ),
    "mww-export": (
        """
import json, shutil, pymicro_wakeword
models = pathlib.Path(pymicro_wakeword.__file__).parent / "models"
output = pathlib.Path(option("--output"))
output.mkdir(parents=True)
shutil.copy(models / "alexa.tflite", output)
shutil.copy(models / "alexa.json", output / f"{option('--model-name')}.json")
"""
    ),
    "mww-simulate": "os.execv(real, [real, *sys.argv[1:]])",
}
"""What stands for each program, behind the lines that note its call; the simulation is the real one."""


@pytest.fixture
def corpus_folder(generated_speech: Spoken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A corpus of a few recordings."""
    folder = tmp_path / "corpus"
    kinds = [
        *(
            ("wake", "alexa", "train"),
            ("wake", "alexa", "test"),
            ("wake", "jarvis", "test"),
            ("wake", "computer", "train"),
        ),
        *(
            ("wake", "computer", "train"),
            ("wake", "computer", "train"),
            ("wake", "computer", "test"),
            ("speech", "", "train"),
            ("speech", "", "test"),
        ),
    ]
    words, speech = iter(generated_speech.words), iter(generated_speech.speech)
    listed = []
    for number, (kind, word, split) in enumerate(kinds):
        path = folder / (word or kind) / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(next(words if kind == "wake" else speech))
        group = "p1" if number in (4, 5) else f"g{number}"
        listed.append(
            {"path": str(path.relative_to(folder)), "kind": kind, "word": word, "group": group, "split": split}
        )
    _write(folder / "manifest.csv", ("path", "kind", "word"), listed)
    _write(folder / "splits.csv", ("path", "group", "split"), listed)
    monkeypatch.setenv(VARIABLE, str(folder))
    return folder


@pytest.fixture
def called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Puts the stand-ins in place; tells the names of the programs that were called since it was asked last."""
    programs, notes = tmp_path / "bin", tmp_path / "notes"
    programs.mkdir()
    for name, rest in STAND_INS.items():
        text = f"""#!{sys.executable}
import os, pathlib, sys
real, notes = {str(commands.PROGRAMS / name)!r}, pathlib.Path({str(notes)!r})
option = lambda key: sys.argv[sys.argv.index(key) + 1]
with notes.open("a") as file:
    file.write("{name}\\n")
{rest}
"""
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setattr(commands, "PROGRAMS", programs)
    monkeypatch.setattr(quality, "PUBLISHED", {})

    def since_last() -> list[str]:
        names = notes.read_text().split() if notes.exists() else []
        notes.unlink(missing_ok=True)
        return names

    return since_last


def call(output: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the benchmark in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["quality", "--output", str(output), *arguments])
    try:
        quality.main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_a_row_that_failed_goes_on_and_one_that_is_there_is_not_made_again(
    corpus_folder: Path,
    called: Callable[[], list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "quality"
    assert corpus_folder.is_dir()
    assert call(output, monkeypatch, "--words", "alexa") == 3
    assert called() == ["mww-generate", "mww-train"]
    failed = capsys.readouterr()
    assert "error: plain-alexa-0-" in failed.err
    assert "the disk is full" in failed.err
    assert "No rows" in failed.out
    assert not looks(output)

    (tmp_path / "may_train").touch()
    assert call(output, monkeypatch, "--words", "alexa") == 0
    assert called() == ["mww-train", "mww-export", *["mww-simulate"] * 7]
    (row,) = read_rows(output)
    assert (row.recipe, row.word, row.figures.people.of, row.figures.other_words.of) == ("plain", "alexa", 2, 5)
    assert sorted(row.figures.streams) == ["speech-test", "speech-train"]
    assert row.figures.false_accepts.of > row.figures.false_accepts_test.of > 0
    noisy = row.figures.over_noise
    assert noisy is not None
    assert (noisy.noise_floor_dbfs, noisy.people.of, noisy.false_accepts.of) == (-60.0, 2, row.figures.false_accepts.of)
    heard = [read_result(path) for path in sorted((output / "rows" / row.name / "results").iterdir())]
    assert [one.runs[0].protocol.noise_floor_dbfs for one in heard] == [None, *[-60.0, None] * 3]
    assert (row.validation["step"], row.validation["recall"]) == (1000, 0.9)
    assert row.costs["train"].attempts == 2
    assert looks(output) == {"alexa": 1}
    assert "2/2" in (output / "table.md").read_text() or "1/2" in (output / "table.md").read_text()

    assert call(output, monkeypatch, "--words", "alexa") == 0
    assert called() == []
    assert read_rows(output) == [row]
    assert looks(output) == {"alexa": 1}

    # Another seed shares the speech that is there, and is another look.
    assert call(output, monkeypatch, "--words", "alexa", "--seeds", "0", "1") == 0
    assert called() == ["mww-train", "mww-export", *["mww-simulate"] * 7]
    assert looks(output) == {"alexa": 2}


def test_the_table_needs_no_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nowhere"))
    assert call(tmp_path / "quality", monkeypatch, "--table") == 0
    assert "No rows" in capsys.readouterr().out
    assert call(tmp_path / "quality", monkeypatch) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "quality").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(("--recipes", "plian"), "did you mean plain?"), (("--words", "snowboy"), "words are alexa, jarvis, computer")],
)
def test_names_that_are_none_are_told(
    arguments: Sequence[str],
    told: str,
    corpus_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert corpus_folder.is_dir()
    assert call(tmp_path / "quality", monkeypatch, *arguments) == 2
    assert told in capsys.readouterr().err


def asked(recipe: Recipe, tmp_path: Path) -> commands.Asked:
    return commands.Asked(recipe, "computer", 0, (10, 5), 0, tmp_path / "row", tmp_path / "speech", tmp_path / "cache")


def test_own_recordings_are_those_of_one_person_and_train(corpus_folder: Path, tmp_path: Path) -> None:
    recipe = Recipe("own2", "two of one person", recordings=2, people="test split")
    command = list(map(str, commands.train(asked(recipe, tmp_path), open_corpus())))
    mine = sorted((tmp_path / "row" / "own" / "me").iterdir())
    assert [path.name for path in mine] == ["4.wav", "5.wav"]
    assert f"paths.splits={corpus_folder / 'splits.csv'}" in command
    assert (
        f"paths.positive_dir=[{tmp_path / 'speech' / 'computer_plain_0' / 'positive'}, {tmp_path / 'row' / 'own'}]"
        in command
    )
    rule = Splitter(table=read_splits(corpus_folder / "splits.csv"))
    assert [rule.place(path, "me")[1] for path in mine] == [Split.TRAIN] * 2, "by the links"
    with pytest.raises(ConfigError, match="nobody has 3"):
        commands.train(asked(replace(recipe, recordings=3), tmp_path), open_corpus())
    with pytest.raises(ValueError, match="cannot test"):
        replace(recipe, people="all")


def test_the_last_setting_of_a_key_counts_and_a_lever_is_another_row(corpus_folder: Path, tmp_path: Path) -> None:
    plain = recipes.PLAIN
    lever = plain.plus("copies", "more copies", "augmentation.copies=8", "training.training_steps=[1,2]")
    command = list(map(str, commands.train(asked(lever, tmp_path), open_corpus())))
    assert [part for part in command if part.startswith("augmentation.copies")] == ["augmentation.copies=8"]
    assert "training.training_steps=[1,2]" in command
    digests = {asked(recipe, tmp_path).digest for recipe in (plain, lever, *RECIPES.values())}
    assert len(digests) == len(RECIPES) + 1
    assert corpus_folder.is_dir()


def test_recipes_name_speech_that_there_is() -> None:
    for recipe in RECIPES.values():
        assert set(recipe.speech) <= set(SPEECH), recipe.name
        assert recipe.cycle or recipe.speech, recipe.name


@pytest.mark.slow
def test_a_recipe_from_type_to_table(
    corpus_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All programs are real: speech is generated, a model trained for seconds, exported and simulated beside the
    published one.
    """
    monkeypatch.setitem(
        SPEECH, "tiny", ("--engine", "espeak", "--positives", "40", "--near-misses", "20", "--sentences", "20")
    )
    tiny = Recipe("tiny", "seconds", ("tiny",), ("augmentation.copies=0",), preset="fast_test", words=("alexa",))
    monkeypatch.setattr(recipes, "RECIPES", {"tiny": tiny})
    output = tmp_path / "quality"
    assert call(output, monkeypatch, "--recipes", "tiny", "--words", "alexa", "--steps", "20,10") == 0
    published, row = read_rows(output)
    assert (published.published, row.published) == (True, False)
    assert row.figures.people.of == 2
    assert row.validation["export_utterances"] > 0
    assert set(row.costs) >= {
        "generate tiny",
        "train",
        "export",
        "simulate people",
        "simulate people over noise",
        "simulate speech-test",
        "simulate other_words",
    }
    assert all(cost.done for cost in row.costs.values())
    assert "tiny" in capsys.readouterr().out
    assert corpus_folder.is_dir()


def _write(path: Path, columns: Sequence[str], rows: Sequence[dict[str, str]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
