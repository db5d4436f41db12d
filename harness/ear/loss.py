"""What is lost between a loudspeaker and a decision: the simulation of what was played, the simulation of what the
board's microphone heard of it, and the board itself, word by word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.diagnosis.reference import framed, heard_by
from harness.results.schema import IntervalRecord
from harness.results.scores import share_record
from harness.results.wording import interval, number, p_value
from harness.session.paired import simulate_audio
from wakeword.audio import read_samples
from wakeword.contract import SAMPLE_RATE_HZ, slice_count, slice_end_seconds
from wakeword.detector import detect
from wakeword.device_model import DeviceModel
from wakeword.engines import open_engine
from wakeword.errors import InfrastructureError
from wakeword.records import Record
from wakeword.scoring.agreement import mcnemar

LOSS_FILE = "acoustic_loss.json"


@dataclass(frozen=True)
class PlayedWord:
    """A recording that was played, and the samples [start, end) of what was heard in which it lies."""

    path: Path
    start: int
    end: int
    void: str = ""
    """Why it tells nothing, in words: sound of it was lost. Empty where it does."""


class WordLoss(Record):
    """One word on its way."""

    file: str
    played: bool
    """Found by the simulation in the recording itself."""
    heard: bool
    """Found by the simulation in what the microphone heard."""
    board: bool
    """Found by the board."""


class VoidWord(Record):
    """A word that is left out."""

    file: str
    why: str


class AcousticLoss(Record):
    """All words whose sound was whole. Shares have 95 % Clopper-Pearson intervals."""

    schema_version: int = 1
    model_sha256: str
    words: tuple[WordLoss, ...]
    void: tuple[VoidWord, ...] = ()
    """Words whose sound was lost on its way to detection or to this machine; in no figure."""
    played: IntervalRecord
    heard: IntervalRecord
    board: IntervalRecord
    lost: int
    """Found in the recording, not in what the microphone heard."""
    gained: int
    """The other way round."""
    p: float
    """McNemar's exact test of the two."""
    otherwise: int
    """Words on which the board and the simulation of what it heard differ."""


def acoustic_loss(
    model: DeviceModel, words: Sequence[PlayedWord], heard: NDArray[np.int16], detections: Sequence[int]
) -> AcousticLoss:
    """Compare three ears: `heard` is the whole recording `[n]`, `detections` the board's of this model, in samples of
    it. Raises `InfrastructureError` where no word was whole.
    """
    whole = [word for word in words if not word.void]
    if not whole:
        raise InfrastructureError(
            f"no word was heard without a gap ({words[0].void}): nothing can be compared; go nearer to the access point"
        )
    engine, _ = open_engine(model.model)
    found = detect(
        simulate_audio(engine, [heard]),
        model.model.stride,
        slice_count(len(heard)),
        model.point.cutoff,
        model.point.window,
    )
    simulated = [round(slice_end_seconds(one.slice_index) * SAMPLE_RATE_HZ) for one in found]
    rows = tuple(
        WordLoss(
            file=str(word.path),
            played=heard_by(model, framed(read_samples(word.path)))[1],
            heard=any(word.start <= at < word.end for at in simulated),
            board=any(word.start <= at < word.end for at in detections),
        )
        for word in whole
    )
    lost = sum(row.played and not row.heard for row in rows)
    gained = sum(row.heard and not row.played for row in rows)
    return AcousticLoss(
        model_sha256=model.model.sha256,
        words=rows,
        void=tuple(VoidWord(file=str(word.path), why=word.void) for word in words if word.void),
        played=share_record(sum(row.played for row in rows), len(rows)),
        heard=share_record(sum(row.heard for row in rows), len(rows)),
        board=share_record(sum(row.board for row in rows), len(rows)),
        lost=lost,
        gained=gained,
        p=mcnemar(lost, gained),
        otherwise=sum(row.heard != row.board for row in rows),
    )


def loss_lines(loss: AcousticLoss) -> list[str]:
    """The comparison in words."""
    total = len(loss.words)
    rows = (
        ("What was played, simulated", loss.played),
        ("What the microphone heard, simulated", loss.heard),
        ("The board itself", loss.board),
    )
    lines = [f"{name}: {share.count} of {total} words ({interval(share)})" for name, share in rows]
    lines.append(f"On the way {loss.lost} were lost and {loss.gained} gained, {p_value(loss.p)} (McNemar)")
    lines.append(f"Board and simulation of what it heard differ on {loss.otherwise} of {total} words")
    if loss.void:
        lines.append(f"Left out: {number(len(loss.void), 'word')} with gaps ({loss.void[0].why})")
    return lines
