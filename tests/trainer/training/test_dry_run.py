"""What a dry run prints of recordings that cannot be used and in two splits."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from trainer.analysis.analyse import ModelAnalysis
from trainer.analysis.layers import layer_costs
from trainer.config.loader import load_config
from trainer.data.ingest import Ingestion, Label, SampleRecord
from trainer.data.split import Split
from trainer.training.dry_run import SHOWN_REJECTIONS, DryRun, rendered
from trainer.training.memory import GIB, MIB, MemoryNeed
from wakeword.corpus.walk import Rejection


def text_of(dry: DryRun) -> str:
    output = io.StringIO()
    Console(file=output, width=200, no_color=True).print(rendered(dry))
    return output.getvalue()


def test_recordings_rejections_and_copies_are_told(tmp_path: Path) -> None:
    config = load_config("standard", (), ["export.wake_word=computer", "performance.max_memory_gb=4"])
    records = [
        SampleRecord(Path(f"{label}{index}.wav"), label, split, f"speaker{index % 2}", seconds, 16_000)
        for label, split, seconds in (
            (Label.POSITIVE, Split.TRAIN, 1.5),
            (Label.NEGATIVE, Split.TRAIN, 720.0),
            (Label.HARD_NEGATIVE, Split.VAL, 2.0),
        )
        for index in range(4)
    ]
    rejections = tuple(
        Rejection(Path(f"bad{index}.wav"), "silent: its loudest sample is 3 of 32768")
        for index in range(SHOWN_REJECTIONS + 2)
    )
    analysis = ModelAnalysis(203, 3, layer_costs(config.model, 203), 60_000, 26_000)
    folder = tmp_path / "run"
    dry = DryRun(
        config,
        folder,
        Ingestion(tuple(records), rejections, ("only 4 clips",)),
        "1 pair of copies",
        MemoryNeed(GIB, 2 * GIB, 512 * MIB),
        3,
        analysis,
    )
    lines = text_of(dry).splitlines()
    assert lines[1].split() == [
        "split",
        "wake",
        "words",
        "speakers",
        "length",
        "negatives",
        "length",
        "hard",
        "negatives",
        "length",
    ]
    assert lines[2].split() == ["train", "4", "2", "0.1", "min", "4", "0.80", "h", "0", "0.0", "min"]
    assert lines[3].split() == ["val", "0", "0", "0.0", "min", "0", "0.0", "min", "4", "0.1", "min"]
    assert "warning: only 4 clips" in lines
    assert "warning: 1 pair of copies" in lines
    assert f"Files that would not be used: {SHOWN_REJECTIONS + 2}" in lines
    assert f"bad{SHOWN_REJECTIONS - 1}.wav: silent: its loudest sample is 3 of 32768" in lines
    assert "and 2 more" in lines
    assert f"folder {folder}: a new run" in lines
    assert "20,000 + 10,000 steps of 128 windows, 60 evaluations" in lines
    assert "4 augmented copies of each wake word" in lines
    assert (
        "main memory about 1.0 GiB for the training; before it 2.0 GiB of features and 0.50 GiB for each of 3"
        " processes, limited to 4" in lines
    )

    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "training_state.npz").touch()
    assert f"folder {folder}: a run lies there, and what is left of it would be done" in text_of(dry).splitlines()
