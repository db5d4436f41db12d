"""The recordings of a run: found, checked, split, and written down so that everybody after the training finds the same
ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

from trainer.config.data_sections import PathsSection
from trainer.config.training_sections import HeldOut
from trainer.data.feature_sets import feature_set_records, refuse_feature_sets
from trainer.data.grouping import by_families, grouped, in_families, session_note, shared_speakers
from trainer.data.ingest import (
    FoundFile,
    FoundFiles,
    Ingestion,
    Label,
    SampleRecord,
    find_files,
    find_generated,
    ingest,
)
from trainer.data.mined import place_mined
from trainer.data.parallel import Progress
from trainer.data.speech.plan import FOLDERS, NEAR_MISS
from trainer.data.split import FRACTIONS, Fractions, PlacedGroup, Split, Splitter, read_splits, refuse_repeated
from trainer.data.spoken import SpokenTables
from wakeword.corpus.recordings import NOTE, hash_file, is_generated, is_recording
from wakeword.corpus.walk import Rejection
from wakeword.errors import ConfigError
from wakeword.files import write_atomically
from wakeword.part import file_of
from wakeword.reading import csv_text, read_csv

TABLE_NAME = "recordings.csv"
REJECTED_NAME = "rejected.csv"
LISTS_FOLDER = "lists"
MIN_HARD_NEGATIVES = 50
"""Fewer, at their weight, are learned by heart."""
ENOUGH_HOURS = 0.5
"""Without the wake word, to validate with synthetic voices: the tail of false accepts is fitted to some twenty
peaks."""
_COLUMNS = ("path", "group", "split", "label", "seconds", "sample_rate", "sha256")
_SHA256 = re.compile("[0-9a-f]{64}|")
_READERS = 8


def load_recordings(
    paths: PathsSection,
    seed: int,
    jobs: int | None = None,
    progress: Progress | None = None,
    held_out: HeldOut = "auto",
    fractions: Fractions = FRACTIONS,
) -> Ingestion:
    """Find, check and split all recordings of a run; paths become absolute. What was mined trains, unless its source
    validates or tests.

    Where people say the wake word, generated speech trains only: speech of a synthesiser says little about people.
    Without them, or with a table that lets all of them train, generated speech validates and tests too, by voices and
    engines that never train (`held_out.py`).

    Args:
        paths: Where they lie.
        seed: Of the splits.
        jobs: Processes; None: one a core.
        progress: Told how many files are checked.
        held_out: Engines of which nothing trains, where synthetic voices validate.
        fractions: Expected shares of the groups that train, validate and test.

    Returns:
        The records with their splits, in order of label and path, what was rejected, and warnings.

    Raises `ConfigError` for a missing folder, a file that two folders hold, or when positives or negatives are missing
    from a split.
    """
    table = read_splits(paths.splits) if paths.splits else None
    tables = SpokenTables()
    generated = sum((find_generated(folder.absolute()) for folder in paths.generated_dir), FoundFiles())
    recorded_beside = {file.path for file in generated.files if tables.speakers_folder(file.path) is not None}
    found = find_recorded(paths, [file for file in generated.files if file.path in recorded_beside])
    generated = replace(generated, files=tuple(file for file in generated.files if file.path not in recorded_beside))
    refuse_repeated(file.path for file in (*found.files, *generated.files))
    stored = feature_set_records(paths.feature_sets, jobs=jobs) if paths.feature_sets else []
    check = partial(
        ingest,
        others=[PlacedGroup(record.label, "recordings", record.speaker, record.split, fixed=True) for record in stored],
        jobs=jobs,
    )
    recorded_files = [file for file in found.files if tables.root_of(file.path) is None]
    spoken = [*(file for file in found.files if tables.root_of(file.path) is not None), *generated.files]
    apart = bool(paths.generated_dir)
    rule = Splitter(seed, table=table, fractions=fractions)
    people = [rule.listed(file.path, file.speaker) for file in recorded_files if file.label is Label.POSITIVE]
    if any(listed is None or listed[1] is not Split.TRAIN for listed in people) or not spoken:
        given = in_families([file for file in found.files if tables.root_of(file.path) is not None])
        recorded = check(replace(found, files=(*recorded_files, *given)), rule, progress=progress)
        note = session_note(shared_speakers(recorded.records))
    else:
        families, placed, engines = by_families(spoken, seed, held_out, fractions)
        both = replace(found + generated, files=(*recorded_files, *families))
        recorded, apart = check(both, replace(rule, placed=placed), progress=progress), False
        note = _held_out_note(bool(people), engines, [*recorded.records, *stored])
    recorded = replace(recorded, records=(*recorded.records, *stored))
    warnings = [*([note] if note else []), *recorded.warnings]
    if apart:
        synthetic = ingest(generated, Splitter(only=Split.TRAIN), require_splits=False, jobs=jobs, progress=progress)
        warnings += [f"generated speech: {warning}" for warning in synthetic.warnings]
        recorded = Ingestion((*recorded.records, *synthetic.records), (*recorded.rejections, *synthetic.rejections), ())
    return _with_mined(replace(recorded, warnings=tuple(warnings)))


def _held_out_note(people: bool, engines: Sequence[str], records: Sequence[SampleRecord]) -> str:
    """What validates where no person does, and for how long."""
    whole = (
        f", and the engine{'s' * (len(engines) > 1)} {', '.join(filter(None, engines))} whole" if any(engines) else ""
    )
    hours = sum(record.duration for record in validation_negatives(records)) / 3600
    few = (
        "; that is little for a rate of false accepts, more sentences give more (mww-generate --sentences)"
        if hours < ENOUGH_HOURS
        else ""
    )
    why = (
        "the splits table lets all people who say the wake word train"
        if people
        else "nobody's recordings have the wake word"
    )
    return (
        f"{why}, so synthetic voices validate and test: families that never train{whole}; {hours:.2f} h without the"
        f" wake word validate{few}"
    )


def find_recorded(paths: PathsSection, others: Sequence[FoundFile] = ()) -> FoundFiles:
    """The recorded files of a run, and `others`, with their groups. Raises `ConfigError` as `load_recordings` does for
    folders.
    """
    labelled = [(label, folder) for label in Label for folder in paths.folders(f"{label}_dir")]
    for label, folder in labelled:
        if label is not Label.POSITIVE:
            refuse_feature_sets(folder, f"paths.{label}_dir")
    found = sum((find_files(folder.absolute(), label) for label, folder in labelled), FoundFiles())
    return replace(found, files=tuple(grouped((*found.files, *others), paths.grouped_negative_dir)))


def _with_mined(ingestion: Ingestion) -> Ingestion:
    """Mined clips placed by their sources, and warnings on hard negatives."""
    records, leaking = place_mined(ingestion.records)
    warnings = list(ingestion.warnings)
    if leaking:
        warnings.append(
            f"{len(leaking)} mined hard negatives are not used, first {leaking[0].path}: {leaking[0].reason}"
        )
    hard = sum(record.label is Label.HARD_NEGATIVE for record in records)
    if 0 < hard < MIN_HARD_NEGATIVES:
        warnings.append(f"only {hard} hard_negative clips; at least {MIN_HARD_NEGATIVES} are recommended, or none")
    return Ingestion(tuple(records), (*ingestion.rejections, *leaking), tuple(warnings))


def sounds(records: Iterable[SampleRecord]) -> list[SampleRecord]:
    """Those that can be heard: all but feature sets."""
    return [record for record in records if record.is_sound]


def select_records(records: Iterable[SampleRecord], split: Split, *labels: Label) -> list[SampleRecord]:
    """Records of one split and any of the labels, in order."""
    return [record for record in records if record.split is split and record.label in labels]


def validation_negatives(records: Iterable[SampleRecord]) -> list[SampleRecord]:
    """Negatives of the validation split without generated near misses, unless there is nothing else.

    A cutoff is chosen for a rate, and no hour of life has so many near misses. With them "alexa" chose 0.96 for the
    sake of "tralexa" and "alexis", which lost 28 of 174 people.
    """
    negatives = select_records(records, Split.VAL, Label.NEGATIVE)
    near = FOLDERS[NEAR_MISS].name
    return [
        record for record in negatives if record.path.parent.parent.name != near or not is_generated(record.path)
    ] or negatives


def write_recordings(ingestion: Ingestion, folder: Path) -> None:
    """Write `recordings.csv` and `rejected.csv` into a run's folder, and lists of val and test recordings for
    `mww-simulate`.
    """
    write_atomically(folder / TABLE_NAME, _records_table(ingestion.records))
    write_atomically(
        folder / REJECTED_NAME,
        csv_text(("path", "reason"), [(_printable(entry.path), entry.reason) for entry in ingestion.rejections]),
    )
    note = session_note(shared_speakers(ingestion.records))
    for split in (Split.VAL, Split.TEST):
        for label in (Label.POSITIVE, Label.NEGATIVE):
            heard = split is Split.VAL and label is Label.NEGATIVE
            mine = validation_negatives(ingestion.records) if heard else select_records(ingestion.records, split, label)
            listed = "".join(f"{record.path}\n" for record in mine)
            listed = f"{NOTE}{note}\n{listed}" if note and label is Label.POSITIVE else listed
            write_atomically(folder / LISTS_FOLDER / f"{split.value}_{label.value}.txt", listed)


def read_recordings(folder: Path) -> tuple[SampleRecord, ...]:
    """The records of a run's folder; tables of older runs lack the files' hashes. Raises `ConfigError` when the table
    is missing or damaged.
    """
    path = folder / TABLE_NAME
    table = read_csv(path, _COLUMNS[:-1], "give the folder of a run that mww-train made, or train again")
    hashed = _COLUMNS[-1] in table.columns
    try:
        return tuple(_record(row.values if hashed else {**row.values, _COLUMNS[-1]: ""}) for row in table.rows)
    except (KeyError, ValueError) as error:
        raise ConfigError(f"{path}: damaged ({error}); train again") from error


def same_recordings(earlier: Sequence[SampleRecord], now: Sequence[SampleRecord]) -> bool:
    """Whether two lists tell of the same recordings with the same content; an unknown hash is like any other."""
    pairs = zip(earlier, now, strict=False)
    return len(earlier) == len(now) and all(
        one == (other if one.sha256 else replace(other, sha256="")) for one, other in pairs
    )


def refuse_changed(records: Sequence[SampleRecord], run: Path) -> None:
    """Raise `ConfigError` when files of a run are gone, or hold something else than when it was trained. Reads them
    whole; `run` is named in messages.
    """
    table = run / TABLE_NAME
    files = {record.path: file_of(record.path) for record in records}
    gone = [record.path for record in records if not is_recording(record.path)]
    if gone:
        raise ConfigError(
            f"{gone[0]}: listed in {table}, but not there ({len(gone)} of {len(records)} are gone); bring the run's"
            " recordings back, or train anew"
        )
    known = [record for record in records if record.sha256]
    distinct = sorted({files[record.path] for record in known})
    with ThreadPoolExecutor(_READERS) as pool:
        hashes = dict(zip(distinct, pool.map(hash_file, distinct), strict=True))
    changed = [record.path for record in known if hashes[files[record.path]] != record.sha256]
    if changed:
        raise ConfigError(
            f"{changed[0]}: holds something else than when the run was trained, by its sha256 in {table}"
            f" ({len(changed)} of {len(records)} have changed); bring the run's recordings back, or train anew"
        )


def _record(row: Mapping[str, str]) -> SampleRecord:
    numbers = float(row["seconds"]), int(row["sample_rate"])
    sha256 = row["sha256"]
    if not _SHA256.fullmatch(sha256):
        raise ValueError(f"{sha256!r} is no SHA-256")
    return SampleRecord(
        Path(row["path"]), Label(row["label"]), Split(row["split"]), row["group"], *numbers, sha256=sha256
    )


def _records_table(records: Sequence[SampleRecord]) -> str:
    rows = [
        (
            str(record.path),
            record.speaker,
            record.split,
            record.label,
            str(record.duration),
            str(record.sample_rate),
            record.sha256,
        )
        for record in records
    ]
    return csv_text(_COLUMNS, rows)


def _printable(path: Path) -> str:
    """A name that is not UTF-8 was rejected, but the table of rejections must hold it all the same."""
    return str(path).encode(errors="backslashreplace").decode()


def rejection_summary(rejections: Sequence[Rejection]) -> str:
    """One line on rejected files: the first with its reason, and where all are; empty without any."""
    return (
        f"first rejected: {rejections[0].path}: {rejections[0].reason}; {REJECTED_NAME} has them all"
        if rejections
        else ""
    )
