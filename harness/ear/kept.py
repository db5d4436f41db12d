"""What was kept of a room: WAV files in the folders of a dataset, and one table that says where each is from.

positive/BOARD/, hard_negative/BOARD/   what the user says that it holds; mww-train takes these folders
unsorted/BOARD/                         what nobody has said it of, and recordings of many utterances: listen, cut, move
kept.csv                                a row a file
"""

from __future__ import annotations

import csv
import datetime
import hashlib
import io
import wave
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from wakeword.contract import SAMPLE_RATE_HZ
from wakeword.errors import InfrastructureError
from wakeword.files import write_atomically

TABLE_NAME = "kept.csv"
Holds = Literal["wake", "none", "unknown"]
FOLDERS: dict[Holds, str] = {"wake": "positive", "none": "hard_negative", "unknown": "unsorted"}


@dataclass(frozen=True)
class KeptRow:
    """A row of the table."""

    file: str
    """Relative to the table."""
    sha256: str
    """Of the samples, int16 little-endian."""
    recorded: str
    """When its first sample was heard, ISO 8601 with the zone."""
    seconds: float
    board: str
    target: str
    microphone: str
    """Channel and gain, in words."""
    holds: str
    """What the user says: wake, none, unknown."""
    wake_word: str = ""
    """Of the detection that it was kept for; empty for a recording."""
    model_sha256: str = ""
    detected_seconds: float | None = None
    """Of the detection, from its first sample."""
    probability: float | None = None
    """The highest of the model within it, 0-1."""
    lost_samples: int = 0
    """That the board threw away while this was heard: it may have gaps."""
    rate: float | None = None
    """Samples a second by the board's clock."""
    consent: str = ""


def keep(folder: Path, samples: NDArray[np.int16], row: KeptRow) -> KeptRow:
    """Write 16 kHz mono samples `[n]` where their row says, the row first: a row without a file is harmless, a file
    without a row would be trained on. Returns the row with the hash of the samples. Raises `InfrastructureError` when
    the disk refuses.
    """
    path, data = folder / row.file, np.ascontiguousarray(samples, "<i2").tobytes()
    row = replace(row, sha256=hashlib.sha256(data).hexdigest())
    append_row(folder, row)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as wav:
        wav.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
        wav.writeframes(data)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, buffer.getvalue())
    except OSError as error:
        raise InfrastructureError(f"{path}: cannot be kept ({error.strerror}); free space or check the disk") from error
    return row


def append_row(folder: Path, row: KeptRow) -> None:
    """Add a row to the table, which is written whole or not at all. Raises `InfrastructureError` when the disk
    refuses.
    """
    path = folder / TABLE_NAME
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    try:
        if path.is_file():
            buffer.write(path.read_text(encoding="utf-8"))
        else:
            writer.writerow([field.name for field in fields(KeptRow)])
        writer.writerow(["" if value is None else value for value in astuple(row)])
        write_atomically(path, buffer.getvalue())
    except OSError as error:
        raise InfrastructureError(f"{path}: cannot be written ({error.strerror}); free space") from error


def stamp(moment: datetime.datetime) -> str:
    """A moment for a file's name: to the millisecond, in UTC."""
    return f"{moment.astimezone(datetime.UTC):%Y%m%dT%H%M%S}{moment.microsecond // 1000:03}"
