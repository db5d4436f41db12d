"""Which recordings stay together in one split: a group.

- Wake words: a speaker. That is the first folder below the one that is given, or, for loose files, what stands before
  the take in their name (`speaker01_take01.wav`, `anna-3.wav`); loose files with other names count as one person.
- One or two speakers cannot fill three splits, so their recordings are split by session: by the folders below the
  speaker's, or file by file. A test then says nothing of other people, and whoever shows its figures says so.
- Generated speech, where it validates or tests: a family of voices of its engine, and all that it says.
- Recordings without the wake word: each by itself. But one that has the name of a speaker of wake words, as a folder's
  or before the take in its own, belongs to that speaker, and each folder in one of `paths.grouped_negative_dir`, or in
  a folder of recorded speakers (`recorded.json`), is a group.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from trainer.config.training_sections import HeldOut
from trainer.data.held_out import Family, family_of, held_out_engines, split_families
from trainer.data.ingest import FoundFile, Label, SampleRecord, speaker_of_name
from trainer.data.split import FRACTIONS, Fractions, Split, split_of
from trainer.data.spoken import SpokenTables
from wakeword.errors import ConfigError

FEWEST_SPEAKERS = len(Split)


def grouped(files: Sequence[FoundFile], grouped_folders: Iterable[Path] = ()) -> list[FoundFile]:
    """The recorded files of a run with their groups. Raises `ConfigError` for a folder of groups in which no negative
    lies.
    """
    speakers = {file.speaker for file in files if file.label is Label.POSITIVE}
    if len(speakers) < FEWEST_SPEAKERS:
        files = [replace(file, group=_session(file)) if file.label is Label.POSITIVE else file for file in files]
    else:
        files = [_of_a_speaker(file, speakers) for file in files]
    for folder in grouped_folders:
        inside = [file.label is not Label.POSITIVE and file.path.is_relative_to(folder.absolute()) for file in files]
        if not any(inside):
            raise ConfigError(
                f"{folder}: paths.grouped_negative_dir names it, but no negative recording lies in it; name a folder"
                " within paths.negative_dir"
            )
        files = [
            _of_a_folder(file, folder.absolute()) if within else file
            for file, within in zip(files, inside, strict=True)
        ]
    tables = SpokenTables()
    folders = [None if file.label is Label.POSITIVE else tables.speakers_folder(file.path) for file in files]
    return [file if folder is None else _of_a_folder(file, folder) for file, folder in zip(files, folders, strict=True)]


def by_families(
    files: Sequence[FoundFile], seed: int, held_out: HeldOut = "auto", fractions: Fractions = FRACTIONS
) -> tuple[list[FoundFile], dict[str, Split], tuple[str, ...]]:
    """Generated files with their groups, which are families of voices, the split of each group, and the engines of
    which nothing trains.

    Clips that no table lists count as one engine's, their speakers as families; fewer than three such families are
    split file by file. Raises `ConfigError` as `held_out_engines` does.
    """
    families = _families(files)
    say_the_word = {family for file, family in zip(files, families, strict=True) if file.label is Label.POSITIVE}
    engines = held_out_engines(say_the_word, seed, held_out)
    placed = split_families(say_the_word, seed, held_out, fractions)
    for family in set(families) - say_the_word:
        placed[family] = Split.VAL if family[0] in engines else split_of("/".join(family), seed, fractions)
    found = [replace(file, group="/".join(family)) for file, family in zip(files, families, strict=True)]
    return found, {"/".join(family): split for family, split in placed.items()}, engines


def in_families(files: Sequence[FoundFile]) -> list[FoundFile]:
    """Generated files with their groups, which are families of voices. Raises `ConfigError` for a table that cannot be
    read.
    """
    return [replace(file, group="/".join(family)) for file, family in zip(files, _families(files), strict=True)]


def _families(files: Sequence[FoundFile]) -> list[Family]:
    tables = SpokenTables()
    rows = [tables.row(file.path) for file in files]
    unlisted = [file for file, row in zip(files, rows, strict=True) if row is None]
    grouped_ones = iter(grouped(unlisted))
    families: list[Family] = []
    for file, row in zip(files, rows, strict=True):
        if row is None:
            one = next(grouped_ones)
            families.append(("", one.group or one.speaker))
        else:
            families.append(
                family_of(row.get("engine", ""), row.get("family") or row.get("speaker") or file.path.parent.name)
            )
    return families


def shared_speakers(records: Iterable[SampleRecord]) -> list[str]:
    """Speakers of wake words who train and are tested too, or validate: their recordings were split by session."""
    splits: dict[str, set[Split]] = {}
    for record in records:
        if record.label is Label.POSITIVE:
            splits.setdefault(record.speaker, set()).add(record.split)
    return sorted(speaker for speaker, found in splits.items() if len(found) > 1)


def session_note(speakers: Sequence[str]) -> str:
    """What figures of a run are worth whose speakers were split by session; empty where none was."""
    if not speakers:
        return ""
    who = "one speaker" if len(speakers) == 1 else f"{len(speakers)} speakers"
    return f"{who}, split by session: the test says nothing of other people"


def _session(file: FoundFile) -> str:
    """The folder below the speaker's, else the file."""
    folders = file.relative.parts[:-1]
    return f"{file.speaker}/{folders[1] if len(folders) > 1 else file.relative.stem}"


def _of_a_speaker(file: FoundFile, speakers: set[str]) -> FoundFile:
    if file.label is Label.POSITIVE:
        return file
    names = (*reversed(file.relative.parts[:-1]), speaker_of_name(file.relative.stem))
    known = next((name for name in names if name in speakers), None)
    return file if known is None else replace(file, speaker=known, group=known)


def _of_a_folder(file: FoundFile, folder: Path) -> FoundFile:
    below = file.path.relative_to(folder).parts[:-1]
    return replace(file, speaker=below[0], group=below[0]) if below else file
