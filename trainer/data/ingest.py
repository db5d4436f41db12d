"""From folders of recordings to checked sample records. A file is a record or a rejection with its reason, never
nothing.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from trainer.data.listening import CheckedSound, check_file
from trainer.data.parallel import Progress, map_in_processes
from trainer.data.speech.plan import THROWN_OUT
from trainer.data.split import PlacedGroup, Split, Splitter, check_filled
from trainer.data.stretches import LONG_SECONDS, stretches
from wakeword import contract
from wakeword.audio import stream_samples
from wakeword.corpus.recordings import hash_file, hash_part
from wakeword.corpus.walk import LeftOut, Rejection, walk
from wakeword.errors import ConfigError
from wakeword.part import Part, part_of

MIN_CLIPS = {"positive": 100, "negative": 1000}
"""Fewer clips train, but seldom to a usable wake word: a warning."""

_SPEAKER_AND_TAKE = re.compile(r"(?P<speaker>[^\W\d_].*?)[_-](?:take)?[_-]?\d{1,4}", re.IGNORECASE)
_LONG_NUMBER = re.compile(r"\d{5}")
_HOURS_ENOUGH = 1.0
"""So many hours without the wake word are enough, however few files they are in."""

_SAID_WRONG = "was thrown out by the pronunciation check of mww-generate"

GENERATED = "generated"
"""Who speaks generated clips that lie in no voice's folder."""


class Label(StrEnum):
    """What a recording is to the training. The value is the name of its folder in a dataset."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    HARD_NEGATIVE = "hard_negative"


@dataclass(frozen=True)
class FoundFile:
    """A file in a dataset, not looked into yet. `relative` is its path below the folder in which it was found."""

    path: Path
    label: Label
    speaker: str
    relative: Path
    group: str = ""
    """What is split as one, where `grouping.py` has found a group that is not the speaker, or that a negative belongs
    to."""


@dataclass(frozen=True)
class FoundFiles:
    """What lies in folders of a dataset: files that may be recordings, what is none with the reason, and what is
    neither.
    """

    files: tuple[FoundFile, ...] = ()
    rejections: tuple[Rejection, ...] = ()
    left_out: LeftOut = field(default_factory=LeftOut)

    def __add__(self, other: FoundFiles) -> FoundFiles:
        return FoundFiles(self.files + other.files, self.rejections + other.rejections, self.left_out + other.left_out)


@dataclass(frozen=True)
class SampleRecord:
    """A checked recording, or a stretch of one: then `path` names a part of a file (`wakeword.part`).

    `duration` in seconds, `sample_rate` of the file itself (0: features without sound, see `feature_sets.py`), `sha256`
    of the whole file's bytes, empty where it is not known.
    """

    path: Path
    label: Label
    split: Split
    speaker: str
    duration: float
    sample_rate: int
    sha256: str = ""

    @property
    def is_sound(self) -> bool:
        """Whether there is something to hear, and not a folder of features."""
        return self.sample_rate > 0

    @property
    def content(self) -> str:
        """A hash of what is heard: the file's, or that of the part (`wakeword.corpus.recordings.hash_file`). Raises as
        that does.
        """
        part = part_of(self.path)
        return (
            hash_file(self.path) if not self.sha256 else self.sha256 if part is None else hash_part(self.sha256, part)
        )


@dataclass(frozen=True)
class Ingestion:
    """All usable recordings in order of label and path, all others with their reasons, and one-line warnings."""

    records: tuple[SampleRecord, ...]
    rejections: tuple[Rejection, ...]
    warnings: tuple[str, ...]


def find_generated(root: Path) -> FoundFiles:
    """Files of a folder of generated speech: those of a dataset, of which any folder may be missing, or wake words side
    by side in `root` itself.

    Loose wake words are of no speaker that is known.
    Raises `ConfigError` for another layout.
    """
    if not root.is_dir():
        raise ConfigError(f"{root}: no such folder; it must hold generated speech, such as mww-generate makes")
    labelled = _labelled_folders(root)
    if labelled:
        found = sum(
            (find_files(folder, label) for label, folders in labelled.items() for folder in folders),
            _beside(root, labelled),
        )
    else:
        found = find_files(root, Label.POSITIVE)
        below = sorted({file.relative.parts[0] for file in found.files if len(file.relative.parts) > 1})
        if below:
            raise ConfigError(
                f"{root}: holds neither {Label.POSITIVE}/ nor {Label.NEGATIVE}/ but other folders, so what is the wake"
                " word is not known; name those with the wake word, if it is all of them:"
                f" {set_command('paths.generated_dir', [root / name for name in below])}"
            )
    return replace(
        found, files=tuple(replace(file, speaker=GENERATED) if _is_loose_word(file) else file for file in found.files)
    )


def _labelled_folders(root: Path) -> dict[Label, list[Path]]:
    """The folders in `root` that a label's name begins: `positive`, or `positive_train` beside `positive_test`, as
    openWakeWord has them.
    """
    found: dict[Label, list[Path]] = {}
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        for label in Label:
            if folder.name == label or folder.name.startswith(f"{label}_"):
                found.setdefault(label, []).append(folder)
    return found


def _is_loose_word(file: FoundFile) -> bool:
    return file.label is Label.POSITIVE and len(file.relative.parts) == 1


def _beside(root: Path, labelled: Mapping[Label, Sequence[Path]]) -> FoundFiles:
    """What lies in `root` but in none of the labels' folders: rejections."""
    walked, names = walk(root), [folder.name for folders in labelled.values() for folder in folders]
    reason = f"lies beside {' and '.join(f'{name}/' for name in names)}, so what it is to the training is not known"
    ones = (
        *(
            Rejection(path, _SAID_WRONG if path.is_relative_to(root / THROWN_OUT) else reason)
            for path in walked.recordings
        ),
        *walked.rejections,
    )
    return FoundFiles(rejections=tuple(one for one in ones if one.path.relative_to(root).parts[0] not in names))


def find_files(folder: Path, label: Label) -> FoundFiles:
    """What lies below a folder of one label, by the rule of `wakeword.corpus.walk`. Raises `ConfigError` when there is
    no such folder.

    The speaker of a positive is told by its folder or name, each negative stands for itself; see `grouping.py`.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder; it must hold the {label.replace('_', ' ')} recordings")
    dataset = _labelled_folders(folder)
    if Label.POSITIVE in dataset and Label.NEGATIVE in dataset:
        commands = [set_command(f"paths.{one}_dir", dataset[one]) for one in (Label.POSITIVE, Label.NEGATIVE)]
        raise ConfigError(f"{folder}: holds a whole dataset; give its folders: {' '.join(commands)}")
    walked = walk(folder)
    files = tuple(
        FoundFile(path, label, _speaker(path.relative_to(folder), label), path.relative_to(folder))
        for path in walked.recordings
    )
    return FoundFiles(files, walked.rejections, walked.left_out)


def ingest(
    found: FoundFiles,
    splitter: Splitter | None = None,
    *,
    require_splits: bool = True,
    others: Sequence[PlacedGroup] = (),
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Ingestion:
    """Decode and check every file, and place it in its split: a long negative by stretches, if it belongs to no group.

    Args:
        found: The files, and those that are rejected already.
        splitter: Which group goes where; None: by seed 0.
        require_splits: Whether positives and negatives must be in all three splits.
        others: Negatives besides these files.
        jobs: Processes; None: one a core.
        progress: Told how many files are done.

    Returns:
        Records by label and path, rejections with reasons, and warnings.

    Raises `ConfigError` when nothing is usable and, with `require_splits`, when no positive or no negative is, or one
    of them misses a split.
    """
    rule = splitter or Splitter()
    rejections = list(found.rejections)
    pieces: list[tuple[FoundFile, CheckedSound, Path, tuple[str, Split]]] = []
    for file, outcome in zip(
        found.files, map_in_processes(_check, found.files, jobs=jobs, progress=progress), strict=True
    ):
        if isinstance(outcome, Rejection):
            rejections.append(outcome)
        else:
            pieces += [(file, outcome, path, place) for path, place in _pieces(file, outcome.seconds, rule)]
    parts = [path for file, _, path, _ in pieces if path is not file.path]
    lengths = dict(zip(parts, map_in_processes(_seconds, parts, jobs=jobs), strict=True))
    records: list[SampleRecord] = []
    placed = list(others)
    for file, sound, path, (speaker, split) in pieces:
        seconds = lengths.get(path, sound.seconds)
        if isinstance(seconds, Rejection):
            rejections.append(seconds)
            continue
        records.append(SampleRecord(path, file.label, split, speaker, seconds, sound.sample_rate, sha256=sound.sha256))
        if file.label is not Label.HARD_NEGATIVE:
            fixed = path is not file.path or file.group in rule.placed
            placed.append(PlacedGroup(file.label, _kind(file, rule), file.group or speaker, split, fixed=fixed))
    for label in (Label.POSITIVE, Label.NEGATIVE) if require_splits else ():
        if not any(one.label == label for one in placed):
            raise ConfigError(f"no usable {label} recording {_among(found, rejections, label)}; add recordings")
    if not records:
        raise ConfigError(f"no usable recording {_among(found, rejections)}; add recordings")
    if require_splits:
        check_filled(placed, rule)
    records.sort(key=lambda record: (list(Label).index(record.label), record.path))
    return Ingestion(
        tuple(records), tuple(rejections), tuple(_warnings(found, records, rejections, stored=bool(others)))
    )


def _check(file: FoundFile) -> CheckedSound | Rejection:
    return check_file(file.path, one_word=file.label is Label.POSITIVE)


def _pieces(file: FoundFile, seconds: float, rule: Splitter) -> list[tuple[Path, tuple[str, Split]]]:
    """What a file becomes: itself or parts of it, each with its speaker and split. A table goes first here too."""
    if rule.table is not None and (parts := rule.table.parts(file.path)):
        return [(part.path, rule.place(part.path, file.speaker)) for part in parts]
    by_itself = file.label is not Label.POSITIVE and not file.group and rule.may_cut(file.path, file.speaker)
    if not by_itself or seconds < LONG_SECONDS:
        return [(file.path, rule.place(file.path, file.speaker, file.group))]
    cut = stretches(file.speaker, seconds, rule.seed, rule.fractions)
    return [(Part(file.path, start, stop).path, (file.speaker, split)) for start, stop, split in cut]


def _seconds(path: Path) -> float | Rejection:
    try:
        return sum(map(len, stream_samples(path))) / contract.SAMPLE_RATE_HZ
    except ConfigError as error:
        return Rejection(path, str(error).removeprefix(f"{path}: "))


def _kind(file: FoundFile, rule: Splitter) -> str:
    session = file.group.startswith(f"{file.speaker}/")
    if file.group in rule.placed or (file.label is Label.POSITIVE and file.group and not session):
        return "synthetic voices"
    if file.label is Label.POSITIVE:
        return "sessions of one or two people" if session else "speakers"
    return "recordings"


def _among(found: FoundFiles, rejections: Sequence[Rejection], label: Label | None = None) -> str:
    """How many files were looked at, and the first rejection: of a recording with the label, where there is one."""
    own = {file.path for file in found.files if file.label is label}
    first = next((one for one in rejections if one.path in own), rejections[0] if rejections else None)
    reason = f" (first rejection: {first.path}: {first.reason})" if first is not None else ""
    return f"among {len(found.files) + len(found.rejections)} files{reason}"


def _speaker(relative: Path, label: Label) -> str:
    if label is not Label.POSITIVE:
        return f"{label.value}/{relative.with_suffix('').as_posix()}"
    return relative.parts[0] if len(relative.parts) > 1 else speaker_of_name(relative.stem) or label.value


def set_command(key: str, paths: Sequence[Path]) -> str:
    """What on the command line gives a key these folders, quoted for a shell. Those below the present folder are named
    from there.
    """
    here = Path.cwd()
    names = [str(path.relative_to(here) if path.is_relative_to(here) else path) for path in paths]
    value = names[0] if len(names) == 1 else "[" + ", ".join(names) + "]"
    return f"--set {shlex.quote(f'{key}={value}')}"


def speaker_of_name(stem: str) -> str:
    """The speaker in a file's name, without its ending, that is `<speaker>_take<number>` or `<speaker>_<number>` (`-`
    for `_`); else empty.

    A number is a take's up to four digits, and a name with a longer one in it is a date's or a database's.
    """
    named = _SPEAKER_AND_TAKE.fullmatch(stem)
    return named["speaker"] if named is not None and not _LONG_NUMBER.search(stem) else ""


def _warnings(
    found: FoundFiles, records: Sequence[SampleRecord], rejections: Sequence[Rejection], stored: bool
) -> Iterator[str]:
    counts = Counter(record.label.value for record in records)
    hours = sum(record.duration for record in records if record.label is Label.NEGATIVE) / 3600
    for label, least in MIN_CLIPS.items():
        if 0 < counts[label] < least and (label != Label.NEGATIVE or (hours < _HOURS_ENOUGH and not stored)):
            yield f"only {counts[label]} {label} clips; at least {least} are recommended"
    if rejections:
        yield f"{len(rejections)} of {len(found.files) + len(found.rejections)} files were rejected"
    if left_out := str(found.left_out):
        yield left_out
    loose = [file for file in found.files if _is_loose_word(file) and file.speaker != GENERATED]
    named = [file for file in loose if file.speaker != Label.POSITIVE]
    if named:
        who, speakers = named[0], len({file.speaker for file in named})
        yield (
            f"{len(named)} positives lie in no speaker's folder; by their names they are of {speakers} (such as"
            f" {who.path.name} of {who.speaker!r})"
        )
    if len(loose) > len(named):
        yield (
            f"{len(loose) - len(named)} positives lie in no speaker's folder and count as one person; "
            "sort them into positive/<speaker>/, or name them <speaker>_take<number>"
        )
