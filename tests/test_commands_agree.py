"""One model and one set of recordings: whatever command looks at them names the same cutoff, counts and hours.

A tiny model is trained on tones, some seconds of work. Its validation recordings are such that the layout matters:
words of every loudness, tones in the pauses after some, and negatives with tones.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from harness.cli import report_app, simulate_app
from harness.results.merge import merge_results
from harness.results.schema import Result, read_result
from tests.trainer.evaluation.loudness import SETTINGS, write_bursts
from trainer.cli import export_app, train_app
from trainer.evaluation.cli import evaluate_app
from trainer.mining.cli import mine_app
from trainer.tuning.cli import autotune_app

TARGET = 60
"""False accepts an hour: one in the minute of validation."""
TRAINING = [
    f"training.target_minimization={TARGET}",
    "training.training_steps=[200]",
    "training.learning_rates=[0.02]",
    "training.positive_class_weight=[1.0]",
    "training.negative_class_weight=[1.0]",
    "training.eval_step_interval=50",
    "training.weight_averaging=0.5",
    "training.batch_size=16",
    "augmentation.copies=0",
    "training.sampling_weights.negative_augmented=0",
    "training.sampling_weights.negative_alone=1",
    "training.time_mask_count=[0]",
    "training.freq_mask_count=[0]",
    "model.dropout_rate=0.0",
]


@dataclass(frozen=True)
class Figures:
    """What a command says of a model."""

    cutoff: int
    found: int
    utterances: int
    false_accepts: int
    hours: float

    def __eq__(self, other: object) -> bool:
        assert isinstance(other, Figures)
        counts = [(one.cutoff, one.found, one.utterances, one.false_accepts) for one in (self, other)]
        return counts[0] == counts[1] and self.hours == pytest.approx(other.hours, rel=1e-9)


@dataclass(frozen=True)
class Trained:
    """A run, and its model as a user who follows the README exports it."""

    root: Path
    validated: dict[str, str]
    """The row of the best checkpoint in validation.csv."""

    @property
    def run(self) -> Path:
        return self.root / "runs" / "tone"

    @property
    def weights(self) -> Path:
        return self.run / "checkpoints" / "best_weights.weights.h5"

    @property
    def model(self) -> Path:
        return self.root / "models" / "tone.tflite"

    def listed(self, split: str, label: str) -> Path:
        return self.run / "lists" / f"{split}_{label}.txt"


def done(app: typer.Typer, *arguments: object, code: int = 0) -> str:
    """What a command prints. All of them run in this process, so TensorFlow is loaded once."""
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == code, result.output
    return result.stdout


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    root = tmp_path_factory.mktemp("commands")
    rows = []
    for number, (split, count) in enumerate({"train": 12, "val": 10, "test": 10}.items()):
        for index in range(count):
            level = 0.9 - index / count * (0.6 if split == "train" else 0.88)
            name = root / "dataset" / "positive" / f"{split}{index % 2}" / f"{index}.wav"
            # A second tone behind some words: with the pause of a session it is a detection of its own.
            bursts = {0.5: level, 2.4: level} if split != "train" and index % 4 == 1 else {0.5: level}
            write_bursts(name, 3.0 if len(bursts) == 2 else 1.1, bursts, seed=100 * number + index)
            rows.append((name.relative_to(root), f"{split}{index % 2}", split))
        for index in range(3):
            name = root / "dataset" / "negative" / f"{split}{index}" / "0.wav"
            write_bursts(
                name,
                14.0,
                {3.0: 0.01 + 0.02 * index, 9.0: 0.06} if split == "train" else {3.0: 0.3, 6.2 + index: 0.1},
                seed=900 + 10 * number + index,
            )
            rows.append((name.relative_to(root), f"other {split}{index}", split))
    (root / "splits.csv").write_text(
        "path,group,split\n" + "".join(f"{path},{group},{split}\n" for path, group, split in rows)
    )
    paths = [
        f"paths.{kind}={root / where}"
        for kind, where in (("positive_dir", "dataset/positive"), ("negative_dir", "dataset/negative"))
    ]
    settings = [*SETTINGS, *TRAINING, *paths, f"paths.splits={root / 'splits.csv'}", "export.wake_word=tone"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MWW_CACHE_DIR", str(root / "cache"))
        patch.setenv("COLUMNS", "200")
        run = root / "runs" / "tone"
        done(train_app, "--output", run, *(part for setting in settings for part in ("--set", setting)), "--jobs", 1)
        with (run / "validation.csv").open() as lines:
            best = next(row for row in reversed(list(csv.DictReader(lines))) if row["best"] == "1")
        made = Trained(root, best)
        done(export_app, "--checkpoint", made.weights, "--output", made.model.parent, "--jobs", 1)
        yield made


def evaluated(*arguments: object, split: str = "val") -> Figures:
    values = json.loads(done(evaluate_app, *arguments, "--split", split, "--jobs", 1, "--json"))
    device = values["device"]
    return Figures(
        values["point"]["cutoff"],
        device["recall"]["found"],
        device["recall"]["utterances"],
        len(device["false_accepts"]),
        device["hours"],
    )


def exported(trained: Trained) -> Figures:
    choice = json.loads(trained.model.with_suffix(".export.json").read_text())["chosen_on_validation"]
    return Figures(choice["cutoff"], choice["detected"], choice["utterances"], choice["false_accepts"], choice["hours"])


@pytest.fixture(scope="module")
def simulated(trained: Trained) -> list[Path]:
    """The results that a user makes for a report. Each measures the model's arena, which is what takes the time."""
    results = []
    for label, mode, truth in (("positive", "session", "wake"), ("negative", "stream", "none")):
        results.append(trained.root / f"val_{label}.json")
        done(
            simulate_app,
            trained.model.with_suffix(".json"),
            trained.listed("val", label),
            "--mode",
            mode,
            "--truth",
            truth,
            "--result",
            results[-1],
            "--jobs",
            1,
        )
    return results


def scored(result: Result) -> Figures:
    recall, accepts = result.scores.recall, result.scores.false_accepts_per_hour
    assert recall is not None
    assert accepts is not None
    return Figures(result.model.cutoff_uint8, recall.count, int(recall.of), accepts.count, accepts.of)


def test_the_model_has_learned_something(trained: Trained) -> None:
    """Else everything below would agree whatever the commands did."""
    figures = exported(trained)
    assert figures.cutoff > 1
    assert figures.found > 0


def test_the_float_model_in_training_evaluation_and_tuning(trained: Trained) -> None:
    at_best = evaluated("--checkpoint", trained.weights)
    assert float(trained.validated["recall"]) == pytest.approx(at_best.found / at_best.utterances)
    assert float(trained.validated["false_accepts_per_hour"]) == pytest.approx(at_best.false_accepts / at_best.hours)
    folder = trained.root / "tuning"
    tuning = [
        "--checkpoint",
        trained.weights,
        "--output-dir",
        folder,
        "--max-iterations",
        0,
        "--target-fah",
        TARGET,
        "--target-recall",
        0.01,
        "--jobs",
        1,
    ]
    done(autotune_app, *tuning)
    record = json.loads((folder / "tuning.json").read_text())
    point, (test, *_) = record["iterations"][0]["point"], record["measurements"]
    choice = point["choice"]
    chosen = Figures(
        choice["cutoff"], choice["detected"], choice["utterances"], choice["false_accepts"], choice["hours"]
    )
    assert chosen == evaluated(
        "--checkpoint", trained.weights, "--set", f"export.sliding_window_size={point['window']}"
    )
    measured = Figures(test["cutoff"], test["found"], test["utterances"], test["false_accepts"], test["hours"])
    tuned = folder / "checkpoints" / "best_weights.weights.h5"
    assert measured == evaluated("--checkpoint", tuned, "--config", folder / "config.yaml", split="test")


def test_the_exported_model_in_export_and_evaluation(trained: Trained, tmp_path: Path) -> None:
    assert evaluated("--tflite", trained.model) == exported(trained)
    alone = shutil.copy(trained.model, tmp_path)  # without the manifest the cutoff is chosen again
    assert evaluated("--tflite", alone, "--run", trained.run) == exported(trained)


def test_the_exported_model_in_simulation_and_report(trained: Trained, simulated: list[Path]) -> None:
    merged = merge_results([read_result(path) for path in simulated])
    figures = exported(trained)
    assert scored(merged) == figures
    page = trained.root / "report.html"
    said = done(report_app, *simulated, "--output", page).replace("\N{NO-BREAK SPACE}", " ")
    assert f"{figures.found} of {figures.utterances} utterances recognised" in said
    assert (
        f"{figures.false_accepts} false accept{'s' if figures.false_accepts != 1 else ''} in"
        f" {figures.hours * 60:.1f} min" in said
    )


def test_the_reports_curve_chooses_what_the_export_chose(trained: Trained, simulated: list[Path]) -> None:
    from harness.results.runs import run_streams, sweep_cutoffs
    from wakeword.scoring.operating_point import choose_cutoff

    merged = merge_results([read_result(path) for path in simulated])
    streams = [stream for run in merged.runs for stream in run_streams(run, merged.model.stride)]
    choice = choose_cutoff(sweep_cutoffs(streams, merged.model.window), TARGET)
    assert Figures(choice.cutoff, choice.detected, choice.utterances, choice.false_accepts, choice.hours) == exported(
        trained
    )


def test_mining_hears_what_the_simulation_hears(trained: Trained, tmp_path: Path) -> None:
    lines, folder, threshold = tmp_path / "lines.jsonl", tmp_path / "mined", 0.05
    audio = sorted((trained.root / "dataset" / "negative").glob("train*"))
    done(simulate_app, trained.model.with_suffix(".json"), *audio, "--json", lines, "--jobs", 1)
    mining = [
        "--tflite",
        trained.model,
        *(part for path in audio for part in ("--audio", path)),
        "--output",
        folder,
        "--fp-threshold",
        threshold,
    ]
    done(mine_app, *mining, "--jobs", 1)
    with (folder / "mined.csv").open() as rows:
        mined = list(csv.DictReader(rows))
    told = {
        Path(one["path"]).resolve(): one["max_probability"] for one in map(json.loads, lines.read_text().splitlines())
    }
    highest = {
        path: max((float(row["probability"]) for row in mined if Path(row["source"]).resolve() == path), default=0.0)
        for path in told
    }
    assert highest == pytest.approx({path: value if value > threshold else 0.0 for path, value in told.items()})
    assert any(highest.values())
