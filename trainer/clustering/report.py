"""`{dataset}_cluster_report.txt`: what the analysis found, in words and figures, and the namelist that goes with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from trainer.clustering.analysis import Dataset, Leakage, VoiceAnalysis
from trainer.clustering.leaks import SpeakerLeak
from trainer.clustering.namelist import (
    Analysed,
    LeftOutFile,
    NamedFile,
    Namelist,
    namelist_path,
    writable,
    write_namelist,
)
from trainer.clustering.naming import present_folder
from wakeword.files import write_atomically

REPORT_SUFFIX = "_cluster_report.txt"
_LEAKS_SHOWN = 50
_NEAR = 0.07
"""Two groups so little below the threshold may be one voice."""


def write_outputs(analysis: VoiceAnalysis, output: Path) -> list[tuple[Path, Path]]:
    """Write namelist and report of each dataset; returns their paths. Raises `OSError` when they cannot be written."""
    written = []
    for dataset in analysis.datasets:
        names, report = namelist_path(output, dataset.label), output / f"{dataset.label.value}{REPORT_SUFFIX}"
        write_namelist(make_namelist(analysis, dataset), names)
        write_atomically(report, render_report(analysis, dataset))
        written.append((names, report))
    return written


def make_namelist(analysis: VoiceAnalysis, dataset: Dataset) -> Namelist:
    """The namelist of one dataset, speakers in order of their groups."""
    speakers: dict[str, list[NamedFile]] = {}
    for row in np.argsort(analysis.labels, kind="stable"):
        file = analysis.files[row]
        if file.found.label is dataset.label:
            entry = NamedFile(path=file.found.relative, root=file.found.root, sha256=file.sha256)
            speakers.setdefault(analysis.names[analysis.labels[row]], []).append(entry)
    settings = analysis.settings
    left_out = [(found, reason) for found, reason in analysis.left_out if found.label is dataset.label]
    return Namelist(
        schema_version=1,
        dataset=dataset.label.value,
        roots=tuple(map(str, dataset.roots)),
        analysis=Analysed(
            embedding_model=settings.embedding_model,
            method=settings.method,
            similarity_threshold=float(settings.similarity_threshold),
            n_clusters=settings.n_clusters,
        ),
        speakers={name: tuple(files) for name, files in speakers.items()},
        left_out=tuple(
            LeftOutFile(path=writable(found.relative), root=found.root, reason=reason) for found, reason in left_out
        ),
    )


def render_report(analysis: VoiceAnalysis, dataset: Dataset) -> str:
    """The report of one dataset as text."""
    return (
        "\n".join(
            [
                *_head(analysis, dataset),
                *_groups(analysis, dataset),
                *_attention(analysis, dataset),
                *_leaks(analysis),
                *_left_out(analysis, dataset),
            ]
        )
        + "\n"
    )


def _head(analysis: VoiceAnalysis, dataset: Dataset) -> Iterator[str]:
    settings = analysis.settings
    here = [row for row, file in enumerate(analysis.files) if file.found.label is dataset.label]
    how = (
        f"{settings.n_clusters} clusters asked for"
        if settings.n_clusters
        else f"similarity at least {settings.similarity_threshold:g}"
    )
    silhouette = "-" if analysis.quality.silhouette is None else f"{analysis.quality.silhouette:.2f}"
    yield f"Voices in {dataset.label.value}: {', '.join(map(str, dataset.roots))}"
    yield (
        f"{len(here)} files, {len({int(analysis.labels[row]) for row in here})} voices; {settings.method}, {how}, model"
        f" {settings.embedding_model}"
    )
    if len(analysis.datasets) > 1:
        others = ", ".join(other.label.value for other in analysis.datasets)
        yield (
            f"Grouped together: {others}, {len(analysis.files)} files, {len(analysis.names)} voices. A voice has one"
            " name in all of them."
        )
    yield f"Silhouette {silhouette} - {analysis.quality.in_words}"
    yield (
        "Similarities are cosines of voice vectors. An estimate: one person with a cold may be two voices, two sisters"
        " one. Listen before you apply."
    )


def _groups(analysis: VoiceAnalysis, dataset: Dataset) -> Iterator[str]:
    here = Counter(
        int(label)
        for label, file in zip(analysis.labels, analysis.files, strict=True)
        if file.found.label is dataset.label
    )
    width = max([len("speaker"), *(len(name) for name in analysis.names)])
    yield ""
    yield f"{'speaker':<{width}}  files   mean    min  nearest"
    for label, group in enumerate(analysis.quality.groups):
        if not here[label]:
            continue
        nearest = (
            "-"
            if group.nearest is None or group.nearest_similarity is None
            else f"{group.nearest_similarity:.2f} {analysis.names[group.nearest]}"
        )
        yield (
            f"{analysis.names[label]:<{width}}  {here[label]:>5}  {_figure(group.mean_similarity)} "
            f" {_figure(group.min_similarity)}  {nearest}"
        )
    yield (
        "mean, min: similarity of the files to one another. nearest: the most similar other voice, by mean similarity."
    )


def _attention(analysis: VoiceAnalysis, dataset: Dataset) -> Iterator[str]:
    def row_name(row: int) -> str:
        return analysis.files[row].found.relative

    here = [row for row, file in enumerate(analysis.files) if file.found.label is dataset.label]
    present = {int(analysis.labels[row]) for row in here}
    threshold, groups = analysis.settings.similarity_threshold, analysis.quality.groups
    doubts = [doubt for doubt in analysis.quality.doubts if analysis.files[doubt.index].found.label is dataset.label]
    lines = []
    for doubt in sorted(doubts, key=lambda doubt: (int(analysis.labels[doubt.index]), doubt.own_similarity)):
        other = "" if doubt.other is None else f", {doubt.other_similarity:.2f} to {analysis.names[doubt.other]}"
        lines.append(
            f"{analysis.names[analysis.labels[doubt.index]]}: {row_name(doubt.index)} has {doubt.own_similarity:.2f} to"
            f" its group{other}"
        )
    yield from _section("Perhaps mixed: files unlike the rest of their group", lines)
    near = [
        f"{analysis.names[label]} and {analysis.names[group.nearest]}: {group.nearest_similarity:.2f}"
        for label, group in enumerate(groups)
        if group.nearest is not None
        and group.nearest_similarity is not None
        and group.nearest_similarity >= threshold - _NEAR
        if label < group.nearest or groups[group.nearest].nearest != label
        if label in present or group.nearest in present
    ]
    yield from _section("Perhaps one voice: groups close to the threshold", near)
    several = [
        f"{row_name(row)}: its parts have {analysis.files[row].agreement:.2f}"
        for row in here
        if analysis.files[row].agreement < threshold
    ]
    yield from _section("Perhaps several voices in one file", several)
    yield from _section(
        "Alone: voices with one file", [row_name(row) for row in here if groups[analysis.labels[row]].size == 1]
    )
    folders: dict[str, Counter[str]] = {}
    for row in here:
        folder = present_folder(dataset.label, row_name(row))
        if folder is not None:
            folders.setdefault(folder, Counter())[analysis.names[analysis.labels[row]]] += 1
    split = [
        f"{folder}: {', '.join(f'{count} {name}' for name, count in voices.most_common())}"
        for folder, voices in sorted(folders.items())
        if len(voices) > 1
    ]
    yield from _section("Folders with several voices", split)


def _leaks(analysis: VoiceAnalysis) -> Iterator[str]:
    leakage = analysis.leaks
    if leakage is None:
        return
    yield from _section(
        "Voices on two sides of the splits, as the folders are now", _leak_lines(analysis, leakage.now), "none found"
    )
    yield from _section(
        "Voices on two sides of the splits, once the groups are folders",
        _leak_lines(analysis, leakage.applied),
        "none found",
    )
    yield from _splits_note(leakage)


def _splits_note(leakage: Leakage) -> Iterator[str]:
    if leakage.listed:
        yield ""
        yield (
            f"paths.splits lists {leakage.listed} files by a path that mww-cluster-apply changes: write that table anew"
            " afterwards."
        )


def _leak_lines(analysis: VoiceAnalysis, leaks: Sequence[SpeakerLeak]) -> list[str]:
    lines = []
    for leak in leaks[:_LEAKS_SHOWN]:
        left, right = (str(analysis.files[row].found.path) for row in leak.example)
        lines.append(
            f"{leak.speakers[0]} ({leak.splits[0]}) and {leak.speakers[1]} ({leak.splits[1]}): "
            f"{leak.pairs} pairs of files, {leak.similarity:.2f} at most: {left} and {right}"
        )
    return [*lines, f"and {len(leaks) - _LEAKS_SHOWN} more pairs of speakers"] if len(leaks) > _LEAKS_SHOWN else lines


def _left_out(analysis: VoiceAnalysis, dataset: Dataset) -> Iterator[str]:
    lines = [
        f"{writable(found.relative)}: {reason}" for found, reason in analysis.left_out if found.label is dataset.label
    ]
    yield from _section("Left out: these files stay where they are", lines, "none")


def _section(title: str, lines: Sequence[str], nothing: str | None = None) -> Iterator[str]:
    if lines or nothing is not None:
        yield ""
        yield f"{title} ({len(lines)})" if lines else f"{title}: {nothing}"
        yield from (f"  {line}" for line in lines)


def _figure(value: float | None) -> str:
    return f"{'-':>5}" if value is None else f"{value:5.2f}"
