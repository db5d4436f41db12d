"""Rows that nobody measured, for tests of what is done with rows."""

from __future__ import annotations

from benchmarks.ablation.rows import Exploratory, Figures, OverNoise, Row
from benchmarks.ablation.steps import Cost
from harness.results.scores import hourly_record, share_record


def row(
    name: str = "plain-alexa-0-abc",
    *,
    word: str = "alexa",
    found: int = 150,
    false_accepts: int = 2,
    validation: dict[str, float] | None = None,
    digest: str = "abc",
    people_of: str = "all",
    streams: tuple[str, ...] = ("speech-test", "speech-train"),
    over_noise: OverNoise | None = None,
) -> Row:
    """A row in which `found` of 174 people are found."""
    figures = Figures(
        cutoff=0.9,
        window=5,
        people=share_record(found, 174),
        people_of=people_of,
        false_accepts_test=hourly_record(0, 0.6),
        false_accepts=hourly_record(false_accepts, 1.8),
        streams={stream: hourly_record(false_accepts, 0.9) for stream in streams},
        other_words=share_record(1, 795),
        at_one_false_accept=Exploratory(detected=found - 10, of=174, false_accepts=1, hours=1.8, cutoff=200),
        over_noise=over_noise,
    )
    said = {
        "step": 1000.0,
        "recall": 0.99,
        "export_detected": 99,
        "export_utterances": 100,
        "export_false_accepts": 0,
        "export_hours": 0.5,
    }
    return Row(
        name=name,
        recipe="plain",
        says="eSpeak and flite",
        word=word,
        seed=0,
        digest=digest,
        steps=(4000, 2000),
        commit="0123abc",
        created="2026-01-01T00:00:00+00:00",
        command="nox -s quality",
        model_sha256="0" * 64,
        validation=said | (validation or {}),
        figures=figures,
        costs={
            "generate plain": Cost(command="a", done=True, seconds=60, cpu_seconds=90, peak_mib=500),
            "train": Cost(command="b", seconds=120),
        },
    )
