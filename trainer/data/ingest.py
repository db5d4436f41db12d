"""From folders of recordings to checked sample records. A file is a record or a rejection with its reason, never nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path

import numpy as np

from trainer.data.parallel import Progress, map_in_processes
from trainer.data.split import Split, Splitter, check_filled
from wakeword import contract
from wakeword.audio import probe, stream_samples
from wakeword.corpus.recordings import hash_file
from wakeword.corpus.walk import LeftOut, Rejection, walk
from wakeword.errors import ConfigError

MIN_CLIPS = {"positive": 100, "negative": 1000}
"""Fewer clips train, but seldom to a usable wake word: a warning."""

_FULL_SCALE = 32760
_FLAT_RUN = 3
"""So many samples in a row at full scale are a flattened peak; one or two are a normalised one."""
_CLIPPED_SHARE = 0.005


class Label(StrEnum):
    """What a recording is to the training. The value is the name of its folder in a dataset."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    HARD_NEGATIVE = "hard_negative"


@dataclass(frozen=True)
class FoundFile:
    """A file in a dataset, not looked into yet."""

    path: Path
    label: Label
    speaker: str


@dataclass(frozen=True)
class FoundFiles:
    """What lies in folders of a dataset: files that may be recordings, what is none with the reason, and what is neither."""

    files: tuple[FoundFile, ...] = ()
    rejections: tuple[Rejection, ...] = ()
    left_out: LeftOut = field(default_factory=LeftOut)

    def __add__(self, other: FoundFiles) -> FoundFiles:
        return FoundFiles(self.files + other.files, self.rejections + other.rejections, self.left_out + other.left_out)


@dataclass(frozen=True)
class SampleRecord:
    """A checked recording.

    `duration` in seconds, `sample_rate` of the file itself, `weight` relative to others of its label, `sha256` of the file's bytes, empty
    where it is not known.
    """

    path: Path
    label: Label
    split: Split
    speaker: str
    duration: float
    sample_rate: int
    weight: float = 1.0
    sha256: str = ""


@dataclass(frozen=True)
class Limits:
    """What a recording must be. Durations in seconds, `min_peak` as a fraction of full scale (0.002 is -54 dB)."""

    min_seconds: float = 0.2
    max_positive_seconds: float = 10.0
    min_peak: float = 0.002


@dataclass(frozen=True)
class Ingestion:
    """All usable recordings in order of label and path, all others with their reasons, and one-line warnings."""

    records: tuple[SampleRecord, ...]
    rejections: tuple[Rejection, ...]
    warnings: tuple[str, ...]


def find_dataset(root: Path) -> FoundFiles:
    """Files of a dataset folder: `positive/<speaker>/`, `negative/**` and, where there is one, `hard_negative/**`.

    Raises `ConfigError` when there is no `positive` or no `negative` folder.
    """
    labels = (label for label in Label if label is not Label.HARD_NEGATIVE or (root / label).is_dir())
    return sum((find_files(root / label, label) for label in labels), FoundFiles())


def find_files(folder: Path, label: Label) -> FoundFiles:
    """What lies below a folder of one label, by the rule of `wakeword.corpus.walk`. Raises `ConfigError` when there is no such folder.

    The speaker of a positive is the first folder below `folder`, that of a negative the last one, so that a voice which speaks both has
    one name. Loose positives are taken for one person, each loose negative for a recording of its own.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder; it must hold the {label.replace('_', ' ')} recordings")
    walked = walk(folder)
    files = tuple(FoundFile(path, label, _speaker(path.relative_to(folder), label)) for path in walked.recordings)
    return FoundFiles(files, walked.rejections, walked.left_out)


def ingest(
    found: FoundFiles,
    splitter: Splitter | None = None,
    *,
    limits: Limits | None = None,
    require_splits: bool = True,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Ingestion:
    """Decode and check every file, and place it in its split.

    Raises `ConfigError` when no positive or no negative is usable and, with `require_splits`, when positives or negatives miss a split.
    """
    rule = splitter or Splitter()
    check = partial(_check_file, limits or Limits())
    records: list[SampleRecord] = []
    rejections = list(found.rejections)
    for file, outcome in zip(found.files, map_in_processes(check, found.files, jobs=jobs, progress=progress), strict=True):
        if isinstance(outcome, Rejection):
            rejections.append(outcome)
        else:
            speaker, split = rule.place(file.path, file.speaker)
            records.append(SampleRecord(file.path, file.label, split, speaker, outcome.seconds, outcome.sample_rate, sha256=outcome.sha256))
    for label in (Label.POSITIVE, Label.NEGATIVE):
        if not any(record.label is label for record in records):
            reason = f" (first rejection: {rejections[0].path}: {rejections[0].reason})" if rejections else ""
            raise ConfigError(f"no usable {label} recording among {len(found.files) + len(found.rejections)} files{reason}; add recordings")
    if require_splits:
        check_filled(((record.label, record.speaker, record.split) for record in records if record.label is not Label.HARD_NEGATIVE), rule)
    records.sort(key=lambda record: (list(Label).index(record.label), record.path))
    return Ingestion(tuple(records), tuple(rejections), tuple(_warnings(found, records, rejections)))


@dataclass(frozen=True)
class _Sound:
    seconds: float
    sample_rate: int
    sha256: str


def _check_file(limits: Limits, file: FoundFile) -> _Sound | Rejection:
    samples, peak, clipped = 0, 0, 0
    try:
        sample_rate = probe(file.path).sample_rate
        for block in stream_samples(file.path):
            loudness = np.abs(block.astype(np.int32))
            samples += len(block)
            peak = max(peak, int(loudness.max()))
            clipped += _clipped_samples(loudness >= _FULL_SCALE)
        sha256 = hash_file(file.path)
    except ConfigError as error:
        return Rejection(file.path, str(error).removeprefix(f"{file.path}: "))
    seconds = samples / contract.SAMPLE_RATE_HZ
    if seconds < limits.min_seconds:
        return Rejection(file.path, f"too short: {seconds:.2f} s, at least {limits.min_seconds:g} s")
    if file.label is Label.POSITIVE and seconds > limits.max_positive_seconds:
        return Rejection(file.path, f"too long for one utterance: {seconds:.1f} s, at most {limits.max_positive_seconds:g} s")
    if peak < limits.min_peak * 32768:
        return Rejection(file.path, f"silent: its loudest sample is {peak} of 32768")
    if clipped > _CLIPPED_SHARE * samples:
        return Rejection(file.path, f"clipped: {100 * clipped / samples:.1f} % of the samples are flattened peaks")
    return _Sound(seconds, sample_rate, sha256)


def _clipped_samples(at_full_scale: np.typing.NDArray[np.bool_]) -> int:
    """Samples in runs of at least three at full scale."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], at_full_scale.astype(np.int8), [0]))))
    lengths = edges[1::2] - edges[::2]
    return int(lengths[lengths >= _FLAT_RUN].sum())


def _speaker(relative: Path, label: Label) -> str:
    folders = relative.parts[:-1]
    if label is Label.POSITIVE:
        return folders[0] if folders else label.value
    return folders[-1] if folders else f"{label.value}/{relative.stem}"


def _warnings(found: FoundFiles, records: Sequence[SampleRecord], rejections: Sequence[Rejection]) -> Iterator[str]:
    counts = Counter(record.label.value for record in records)
    for label, least in MIN_CLIPS.items():
        if counts[label] < least:
            yield f"only {counts[label]} {label} clips; at least {least} are recommended"
    if rejections:
        yield f"{len(rejections)} of {len(found.files) + len(found.rejections)} files were rejected"
    if left_out := str(found.left_out):
        yield left_out
    loose = sum(record.label is Label.POSITIVE and record.speaker == Label.POSITIVE for record in records)
    if loose:
        yield f"{loose} positives lie in no speaker's folder and count as one person; sort them into positive/<speaker>/"
