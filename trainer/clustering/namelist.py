"""`{dataset}_namelist.json`: which file belongs to which speaker. Written by the analysis, read by people, who may
rename speakers, and by apply.

Files are named relative to the dataset's folders, with the hash of what was heard. Everything read here is checked
before it is believed: a path that leaves its folder, a file that is listed twice, a name that is no folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from trainer.clustering.naming import check_speaker_name, folded
from trainer.data.ingest import Label
from wakeword.complaints import first_fault
from wakeword.errors import ConfigError
from wakeword.files import write_atomically

NAMELIST_SUFFIX = "_namelist.json"
SCHEMA_VERSION = 1

Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]


class StoredModel(BaseModel):
    """Base of what clustering keeps in JSON: frozen, unknown keys refused, nothing converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class ListedFile(StoredModel):
    """Something in a dataset: a path relative to one of the roots, given by its number."""

    path: str
    root: int = Field(0, ge=0)


class NamedFile(ListedFile):
    """A recording and its content when it was heard."""

    sha256: Sha256


class LeftOutFile(ListedFile):
    """A file that has no voice, and why."""

    reason: str


class Analysed(StoredModel):
    """How the speakers were found."""

    embedding_model: str
    method: str
    similarity_threshold: float
    n_clusters: int


class Namelist(StoredModel):
    """A dataset's files by speaker."""

    schema_version: int
    dataset: str
    roots: tuple[str, ...] = Field(min_length=1, strict=False)
    analysis: Analysed
    speakers: dict[str, Annotated[tuple[NamedFile, ...], Field(strict=False)]]
    left_out: tuple[LeftOutFile, ...] = Field((), strict=False)

    @property
    def label(self) -> Label:
        """The dataset's label; `read_namelist` has checked that it is one."""
        return Label(self.dataset)

    def files(self) -> Iterable[tuple[str, NamedFile]]:
        """Every file with its speaker."""
        return ((speaker, file) for speaker, files in self.speakers.items() for file in files)


def namelist_path(folder: Path, dataset: Label) -> Path:
    """Where the namelist of a dataset lies in an output folder."""
    return folder / f"{dataset.value}{NAMELIST_SUFFIX}"


def write_namelist(namelist: Namelist, path: Path) -> None:
    """Write a namelist, whole or not at all. Raises `OSError` when it cannot be written."""
    write_atomically(path, json.dumps(namelist.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n")


def read_namelist(path: Path) -> Namelist:
    """Read and check a namelist.

    Raises `ConfigError` when it is missing, no namelist, of another dataset than its name says, or when it names a path
    outside its folders, a file twice, or a speaker that cannot be a folder or differs from another by case alone.
    """
    namelist = read_stored(path, Namelist, "a namelist; mww-cluster-analyze writes it")
    if namelist.schema_version != SCHEMA_VERSION:
        raise ConfigError(
            f"{path}: has schema_version {namelist.schema_version}, this program reads {SCHEMA_VERSION}; run"
            " mww-cluster-analyze again"
        )
    if namelist.dataset not in set(Label):
        raise ConfigError(f"{path}: dataset is {namelist.dataset!r}; it must be one of {', '.join(Label)}")
    if path.name.endswith(NAMELIST_SUFFIX) and path.name.removesuffix(NAMELIST_SUFFIX) in set(Label) - {
        namelist.dataset
    }:
        raise ConfigError(
            f"{path}: is a namelist of the dataset {namelist.dataset!r}, not of the one in its name; give the right"
            " file, or rename it"
        )
    names: dict[str, str] = {}
    for speaker in namelist.speakers:
        check_speaker_name(speaker, str(path))
        if folded(speaker) in names:
            raise ConfigError(
                f"{path}: the speakers {names[folded(speaker)]!r} and {speaker!r} are one folder on some disks; put"
                " their files together"
            )
        names[folded(speaker)] = speaker
    seen: set[tuple[int, str]] = set()
    entries: list[ListedFile] = [*(file for _, file in namelist.files()), *namelist.left_out]
    for file in entries:
        check_relative(file.path, str(path))
        if file.root >= len(namelist.roots):
            raise ConfigError(
                f"{path}: {file.path} lies in root {file.root}, and there are {len(namelist.roots)}; run"
                " mww-cluster-analyze again"
            )
        if (file.root, file.path) in seen:
            raise ConfigError(f"{path}: {file.path} is listed twice; a file has one speaker, so remove one entry")
        seen.add((file.root, file.path))
    return namelist


def read_stored[Model: StoredModel](path: Path, model: type[Model], what: str) -> Model:
    """Read JSON that clustering wrote. Raises `ConfigError` when it is missing, is no JSON, has a key twice, or is not
    as it must be.
    """
    try:
        values = json.loads(path.read_bytes(), object_pairs_hook=_unique)
        return model.model_validate(values)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); give {what}") from error
    except ValidationError as error:
        raise ConfigError(f"{path}: {first_fault(error)}; give {what}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: is not the JSON it must be ({error}); give {what}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Renaming a speaker to one that exists makes a second key, of which JSON readers silently keep the last."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key!r} stands there twice: to join two speakers, put their files into one list")
        found[key] = value
    return found


def check_relative(path: str, where: str) -> None:
    """Raise `ConfigError` unless a path is relative, in its plain form, and stays below the folder that it
    counts from."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or str(pure) != path or path in ("", ".") or "\0" in path:
        raise ConfigError(
            f"{where}: the path {path!r} may leave the dataset's folder; paths are relative to it, without '..'"
        )


def writable(name: str) -> str:
    """A file's name as JSON and text can hold it: bytes that are not UTF-8 become escapes."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")
