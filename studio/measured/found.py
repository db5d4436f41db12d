"""The results of a workspace, put together as `mww-report` puts them: by model, operating point, way and board."""

from __future__ import annotations

import functools
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.results.matrix import measurement_groups, model_names
from harness.results.merge import merge_results
from harness.results.schema import Result, RunRecord, read_result
from harness.results.verdict import Verdict, judge
from studio.workspace import Workspace
from wakeword.errors import ConfigError

_NOT_IN = frozenset({"datasets", "recordings", "firmware"})
"""Folders of a workspace in which no results lie; the first may hold very many files."""
_BEGINS = re.compile(rb'^\{\s*"schema_version":\s*\d+,\s*"created":\s*"')
"""How a result.json begins; other records begin otherwise."""
_KEPT = 64
"""Results that are kept in memory."""


@dataclass(frozen=True, eq=False)
class MeasuredModel:
    """All results of one model at one operating point, measured in one way on one board."""

    key: str
    """Names it in addresses: made of the model, the way and the board, so it stays when results are added."""
    name: str
    files: tuple[str, ...]
    """Below the workspace."""
    result: Result
    verdict: Verdict
    apart: str
    """Why it does not stand together with others of its model; else empty."""

    @property
    def board(self) -> str:
        """Its board; empty for a simulation."""
        return "" if self.result.session is None else self.result.session.board.name

    @property
    def way(self) -> str:
        """How it was measured, in words."""
        return self.result.way


@dataclass(frozen=True)
class FoundResults:
    """What there is, the newest first, and files that cannot be read."""

    measured: tuple[MeasuredModel, ...]
    problems: tuple[str, ...]


def found_results(workspace: Workspace) -> FoundResults:
    """All results of a workspace; put together anew when one of their files changed."""
    seen: list[tuple[Path, int, int]] = []
    for path in _files(workspace.root):
        with suppress(OSError):
            status = path.stat()
            seen.append((path, status.st_mtime_ns, status.st_size))
    return _together(workspace, tuple(seen))


@functools.lru_cache(maxsize=2)
def _together(workspace: Workspace, files: tuple[tuple[Path, int, int], ...]) -> FoundResults:
    names: dict[int, str] = {}
    results: list[Result] = []
    problems: list[str] = []
    for path, changed_ns, size in files:
        try:
            result = _read(path, workspace.root, changed_ns, size)
        except (ConfigError, OSError) as error:
            problems.append(str(error).replace(f"{workspace.root}/", ""))
            continue
        names[id(result)] = workspace.relative(path)
        results.append(result)
    results.sort(key=lambda one: one.created, reverse=True)
    together: list[tuple[Sequence[Result], Result, str]] = []
    for group in measurement_groups(results):
        try:
            together.append((group, merge_results(group), ""))
        except ConfigError as error:
            together += [([one], merge_results([one]), str(error)) for one in group]
    called = model_names([merged for _, merged, _ in together]) if together else []
    measured = [
        _measured(tuple(names[id(one)] for one in group), merged, name, apart)
        for (group, merged, apart), name in zip(together, called, strict=True)
    ]
    measured.sort(key=lambda one: one.result.created, reverse=True)
    return FoundResults(tuple(measured), tuple(problems))


def _measured(files: tuple[str, ...], merged: Result, name: str, apart: str) -> MeasuredModel:
    return MeasuredModel(_key(merged, files if apart else ()), name, files, merged, judge(merged), apart)


def measured_by(workspace: Workspace, key: str) -> MeasuredModel:
    """The one that an address names. Raises `ConfigError` where there is none."""
    found = next((one for one in found_results(workspace).measured if one.key == key), None)
    if found is None:
        raise ConfigError(f"there is no result {key}; see the list of results")
    return found


def report_command(files: Sequence[str], *more: str) -> tuple[str, ...]:
    """What makes the report on these results, as a user types it in the workspace."""
    return ("mww-report", *files, *more)


def _files(root: Path) -> Iterator[Path]:
    for folder, below, names in os.walk(root):
        here = Path(folder)
        below[:] = sorted(name for name in below if not name.startswith(".") and not (here == root and name in _NOT_IN))
        for name in sorted(names):
            if name.endswith(".json") and not name.startswith("."):
                path = here / name
                try:
                    with path.open("rb") as file:
                        begins = file.read(80)
                except OSError:
                    continue
                if _BEGINS.match(begins) and path.resolve().is_relative_to(root.resolve()):
                    yield path


@functools.lru_cache(maxsize=_KEPT)
def _read(path: Path, root: Path, changed_ns: int, size: int) -> Result:
    """A result, its recordings and its model named from the root of the file system: commands ran in the workspace."""
    del changed_ns, size
    result = read_result(path)

    def located(run: RunRecord) -> RunRecord:
        files = tuple(file.model_copy(update={"path": str(root / file.path)}) for file in run.files)
        return run.model_copy(update={"files": files})

    return result.model_copy(
        update={
            "runs": tuple(map(located, result.runs)),
            "simulation": tuple(map(located, result.simulation)),
            "model": result.model.model_copy(update={"manifest_path": str(root / result.model.manifest_path)}),
        }
    )


def _key(result: Result, files: tuple[str, ...]) -> str:
    model, board = result.model, "" if result.session is None else result.session.board.name
    what = (
        model.tflite_sha256,
        model.feature_step_ms,
        model.cutoff_uint8,
        model.window,
        result.way,
        board,
        *files,
    )
    return hashlib.sha256(repr(what).encode()).hexdigest()[:12]
