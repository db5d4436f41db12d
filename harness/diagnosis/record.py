"""A diagnosis as a file: `diagnosis.json`, and the page that is made from it."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from harness.diagnosis.facts import Facts
from harness.diagnosis.finding import Finding, Status
from harness.diagnosis.hearing import BANDS_HZ
from harness.diagnosis.verdict import findings, verdict
from wakeword.drawing import ACCENT, SECOND, Plot, draw
from wakeword.files import write_atomically
from wakeword.pages import render_page
from wakeword.records import Record, write_record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RECORD_FILE, PAGE_FILE = "diagnosis.json", "diagnosis.html"
STATUS_WORDS: dict[Status, str] = {"fault": "fault", "good": "good", "note": "note", "not looked at": "not looked at"}


class FindingRecord(Record):
    """One thing that was looked at, see `harness.diagnosis.finding.Finding`."""

    kind: str
    about: str
    status: Status
    found: str
    remedy: str = ""


class Diagnosis(Record):
    """What was looked at on a board, and what keeps it from waking."""

    schema_version: int = 1
    created: str
    """Time with its zone, ISO 8601."""
    source: str
    """`virtual board` or `on-device`."""
    board: str
    target: str
    wake_word: str
    model_sha256: str
    rehearsed: str | None = None
    """The fault that was planted, where one was."""
    verdict: str
    findings: tuple[FindingRecord, ...]
    heard_db: tuple[float | None, ...] | None = None
    """Power in each third-octave band of 125-6300 Hz against the whole, of what the microphone heard."""
    trained_db: tuple[float | None, ...] | None = None
    """The same of the training data."""

    @property
    def faults(self) -> tuple[FindingRecord, ...]:
        """What keeps it from waking."""
        return tuple(one for one in self.findings if one.status == "fault")


def make_diagnosis(facts: Facts, source: str, rehearsed: str | None) -> Diagnosis:
    """Judge the facts."""
    found = findings(facts)
    return Diagnosis(
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        source=source,
        board=facts.board,
        target=facts.identity.target,
        wake_word=facts.wake_word,
        model_sha256=facts.model_sha256,
        rehearsed=rehearsed,
        verdict=verdict(found),
        findings=tuple(_recorded(one) for one in found),
        heard_db=None if facts.ear is None else facts.ear.speech.bands_db,
        trained_db=None if facts.reference is None else facts.reference.bands_db,
    )


def _recorded(one: Finding) -> FindingRecord:
    return FindingRecord(kind=one.kind, about=one.about, status=one.status, found=one.found, remedy=one.remedy)


def write_diagnosis(diagnosis: Diagnosis, folder: Path) -> Path:
    """Write both files; returns the page's path. Raises `OSError` when the disk is full."""
    write_record(diagnosis, folder / RECORD_FILE)
    page = render_page(
        "harness.diagnosis",
        "diagnosis.html.j2",
        {
            "d": diagnosis,
            "sentence": sentence(diagnosis),
            "plot": spectrum_plot(diagnosis),
            "words": STATUS_WORDS,
            "colours": {"fault": "bad", "good": "good", "note": "fair", "not looked at": "muted"},
        },
    )
    write_atomically(folder / PAGE_FILE, page)
    return folder / PAGE_FILE


def sentence(diagnosis: Diagnosis) -> str:
    """The verdict as a sentence."""
    return f"{diagnosis.verdict[0].upper()}{diagnosis.verdict[1:]}."


def spectrum_plot(diagnosis: Diagnosis) -> Plot | None:
    """What was heard beside the training data; None where nothing was heard."""
    heard, trained = diagnosis.heard_db, diagnosis.trained_db
    if heard is None:
        return None

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        lines = [(heard, ACCENT, "heard by the board", "o")]
        lines += [] if trained is None else [(trained, SECOND, "training data", "s")]
        for bands, colour, label, marker in lines:
            points = [(hz, level) for hz, level in zip(BANDS_HZ, bands, strict=True) if level is not None]
            axes.plot(*zip(*points, strict=True), color=colour, label=label, marker=marker, markersize=4)
        axes.set_xscale("log")
        axes.set_xticks([125, 250, 500, 1000, 2000, 4000], ["125", "250", "500", "1000", "2000", "4000"])
        axes.minorticks_off()
        axes.set_xlabel("Hz")
        axes.set_ylabel("dB of the whole")
        axes.grid(visible=True, axis="y")
        figure.legend(frameon=False, loc="outside upper left", ncols=2)

    return draw("spectrum", paint, 3.4)
