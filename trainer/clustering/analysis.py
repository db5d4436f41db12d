"""From a configuration's folders to who speaks in which file. Nothing is moved."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainer.clustering.embedder import EmbedderLoader
from trainer.clustering.leaks import SpeakerLeak, find_speaker_leaks
from trainer.clustering.linkage import Labels, Vectors, group_voices, unit_rows
from trainer.clustering.naming import check_speaker_name, existing_folders, folded, name_groups, present_folder
from trainer.clustering.quality import Quality, judge
from trainer.clustering.voices import embed_recordings
from trainer.config.sections import SpeakerClusteringSection, TrainerConfig
from trainer.data.dataset import find_recorded
from trainer.data.ingest import FoundFile, Label, find_files
from trainer.data.parallel import Progress
from trainer.data.split import Splitter, read_splits
from wakeword.corpus.walk import LeftOut
from wakeword.errors import ConfigError


@dataclass(frozen=True)
class Dataset:
    """The folders of one label."""

    label: Label
    roots: tuple[Path, ...]


@dataclass(frozen=True)
class Found:
    """A file of a dataset. `relative` counts from its root; `speaker` is what the folders say."""

    path: Path
    label: Label
    root: int
    relative: str
    speaker: str


@dataclass(frozen=True)
class EmbeddedFile:
    """A file with its content and voice. `agreement` is the similarity of its two least similar windows."""

    found: Found
    sha256: str
    agreement: float


@dataclass(frozen=True)
class VoiceAnalysis:
    """Groups of voices over one or several datasets. `labels` and `unit` have one row a file of `files`, `names` one
    name a group.
    """

    settings: SpeakerClusteringSection
    datasets: tuple[Dataset, ...]
    files: tuple[EmbeddedFile, ...]
    left_out: tuple[tuple[Found, str], ...]
    not_counted: LeftOut
    """Hidden names, tables and second links."""
    unit: Vectors
    labels: Labels
    names: tuple[str, ...]
    quality: Quality
    leaks: Leakage | None


@dataclass(frozen=True)
class Leakage:
    """Voices on two sides of the training's splits: with the folders as they are, and once the groups are folders."""

    now: tuple[SpeakerLeak, ...]
    applied: tuple[SpeakerLeak, ...]
    listed: int
    """Files that `paths.splits` lists by a path which apply would change."""


def datasets_of(config: TrainerConfig, labels: Sequence[Label]) -> tuple[Dataset, ...]:
    """The folders of the labels. Where all are asked for, a hard-negative folder that does not exist is left out.

    Raises `ConfigError` when a folder is missing, or lies in another of the same analysis.
    """
    chosen = []
    for label in labels:
        roots = tuple(path.absolute() for path in getattr(config.paths, f"{label.value}_dir", ()))
        if label is Label.HARD_NEGATIVE and len(labels) > 1:
            roots = tuple(root for root in roots if root.is_dir())
            if not roots:
                continue
        if not roots:
            raise ConfigError(
                f"paths.{label.value}_dir names no folder; give it in the configuration or with --set"
                f" paths.{label.value}_dir=FOLDER"
            )
        chosen.append(Dataset(label, roots))
    every = [root for dataset in chosen for root in dataset.roots]
    for root in every:
        for other in every:
            if root is not other and root.resolve().is_relative_to(other.resolve()):
                raise ConfigError(
                    f"{root}: lies in {other}, so its files would have two speakers; give folders apart from one"
                    " another"
                )
    return tuple(chosen)


def analyse(
    config: TrainerConfig,
    datasets: Sequence[Dataset],
    load: EmbedderLoader,
    *,
    max_files: int | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> VoiceAnalysis:
    """Hear all files of the datasets and group them together, so that a voice has one name in all of them.

    Args:
        config: How voices are compared and grouped, and the splits in which they are looked for.
        datasets: The folders.
        load: Gives the embedder of a model; called when the first recording has to be embedded.
        max_files: So many of each dataset, by a hash of their names: the same ones every time, from all over the
        dataset. None: all.
        cache: Folder of voices that were embedded before; None: the user's.
        progress: Told how many files are heard.

    Returns:
        Files with their groups and names, how well the groups are separated, and voices on two sides of the splits.

    Raises `ConfigError` when no file can be used or a folder is missing, and whatever loading the model raises.
    """
    settings = config.speaker_clustering
    found, unusable, not_counted = _find(datasets, max_files)
    splitter = _splitter(config) if settings.leakage_audit_enabled else None
    groups = _groups(config) if splitter is not None else {}
    by_path = {file.path: file for file in found}
    voices = embed_recordings([file.path for file in found], settings.embedding_model, load, cache, progress)
    left_out = [(by_path[entry.path], entry.reason) for entry in voices.left_out] + unusable
    if not voices.recordings:
        raise ConfigError(_nothing_heard(datasets, left_out))
    unit = unit_rows(np.stack([voice.embedding for voice in voices.recordings]))
    labels = group_voices(unit, settings)
    files = tuple(EmbeddedFile(by_path[voice.path], voice.sha256, voice.agreement) for voice in voices.recordings)
    names = _names(files, labels, datasets)
    leaks = (
        None
        if splitter is None
        else _leakage(files, unit, [names[label] for label in labels], splitter, groups, settings.similarity_threshold)
    )
    quality = judge(unit, labels, settings.similarity_threshold)
    return VoiceAnalysis(
        settings, tuple(datasets), files, tuple(left_out), not_counted, unit, labels, tuple(names), quality, leaks
    )


_LINKED = "lies behind a link, which cannot be moved without breaking it; put the recording itself here"


def _find(datasets: Sequence[Dataset], max_files: int | None) -> tuple[list[Found], list[tuple[Found, str]], LeftOut]:
    """Files to hear, those that are not heard with the reason, and how many names are neither."""
    taken: list[Found] = []
    unusable: list[tuple[Found, str]] = []
    not_counted = LeftOut()
    for dataset in datasets:
        files: list[Found] = []
        for number, root in enumerate(dataset.roots):
            found, real = find_files(root, dataset.label), root.resolve()
            not_counted += found.left_out
            for file in found.files:
                relative = file.path.relative_to(root)
                entry = Found(file.path, dataset.label, number, relative.as_posix(), file.speaker)
                if file.path.resolve() == real / relative:
                    files.append(entry)
                else:
                    unusable.append((entry, _LINKED))
            for path, reason in ((one.path, one.reason) for one in found.rejections):
                unusable.append((Found(path, dataset.label, number, path.relative_to(root).as_posix(), ""), reason))
        drawn = sorted(files, key=lambda file: hashlib.sha256(file.relative.encode(errors="surrogateescape")).digest())[
            :max_files
        ]
        chosen = set(drawn)
        taken += [file for file in files if file in chosen]
        unusable += [(file, "beyond --max-files") for file in files if file not in chosen]
    return taken, unusable, not_counted


def _nothing_heard(datasets: Sequence[Dataset], left_out: Sequence[tuple[Found, str]]) -> str:
    folders = ", ".join(str(root) for dataset in datasets for root in dataset.roots)
    first = f" (first: {left_out[0][0].path}: {left_out[0][1]})" if left_out else ""
    return f"{folders}: no usable recording among {len(left_out)} files{first}; add recordings"


def _names(files: Sequence[EmbeddedFile], labels: Labels, datasets: Sequence[Dataset]) -> list[str]:
    """A dataset that is analysed alone has names of its own: its speaker 1 is nobody's speaker 1 elsewhere."""
    prefix = "speaker" if len(datasets) > 1 else f"{datasets[0].label.value}_speaker"
    roots = [root for dataset in datasets for root in dataset.roots]
    folders = [_nameable(present_folder(file.found.label, file.found.relative)) for file in files]
    return name_groups(
        [int(label) for label in labels],
        folders,
        existing_folders(roots) | {folded(name) for name in folders if name},
        prefix,
    )


def _nameable(folder: str | None) -> str | None:
    try:
        check_speaker_name(folder or "", "")
    except ConfigError:
        return None
    return folder


def _splitter(config: TrainerConfig) -> Splitter:
    table = read_splits(config.paths.splits) if config.paths.splits else None
    return Splitter(config.training.seed, table=table, fractions=config.training.split_fractions)


def _groups(config: TrainerConfig) -> dict[Path, FoundFile]:
    """What the training would keep together, by file. Folders that are not there are left out: not every label is
    heard.
    """
    keys = [f"{label}_dir" for label in Label]
    there = config.paths.model_copy(
        update={key: tuple(folder for folder in config.paths.folders(key) if folder.is_dir()) for key in keys}
    )
    return {file.path: file for file in find_recorded(there).files}


def _leakage(
    files: Sequence[EmbeddedFile],
    unit: Vectors,
    names: Sequence[str],
    splitter: Splitter,
    groups: Mapping[Path, FoundFile],
    threshold: float,
) -> Leakage:
    def audit(placed: Iterable[tuple[str, str]]) -> tuple[SpeakerLeak, ...]:
        speakers, splits = zip(*placed, strict=True)
        return find_speaker_leaks(unit, splits, speakers, threshold)

    listed = splitter.table.files if splitter.table is not None else {}
    known = [groups[file.found.path] for file in files]
    now = audit(
        (speaker, split.value)
        for speaker, split in (splitter.place(file.path, file.speaker, file.group) for file in known)
    )
    # A moved file is at a path that no table lists, so its folder decides.
    later = audit((name, splitter.place(Path(), name)[1].value) for name in names)
    moving = sum(
        file.found.path.resolve() in listed and present_folder(file.found.label, file.found.relative) != name
        for file, name in zip(files, names, strict=True)
    )
    return Leakage(now, later, moving)
