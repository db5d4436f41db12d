"""Backgrounds and room impulse responses: decoded once, kept as int16 on disk, shared by all workers.

The store is a folder of `.npy` files, each named by the SHA-256 of the samples that it holds, and of small notes, each
named by the SHA-256 of a source file's bytes, that say which samples came out of it or why none did. So a moved or
renamed file is not decoded again, the same sound in two files is one sound, and workers map the same pages instead of
holding copies: memory does not grow with the number of sounds.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from trainer.data.parallel import Progress, map_in_processes
from trainer.data.split import FRACTIONS, Fractions, Split, split_of
from wakeword import contract
from wakeword.audio import conversion_id, stream_samples
from wakeword.corpus.walk import LeftOut, Rejection, Walked, walk
from wakeword.errors import ConfigError
from wakeword.files import PARTIAL_SUFFIX, write_atomically

_FORMAT = 2
"""Part of every note's name; raise it when what is stored changes its meaning."""
_HASHED_BLOCK = 1 << 20
_MAX_IMPULSE_S = 20.0
BEFORE_DIRECT_SAMPLES = contract.SAMPLE_RATE_HZ // 1000
"""1 ms before the direct sound is kept: its own rise."""
_DIRECT_SHARE = 0.25
"""The direct sound is the first that is a quarter as strong as the strongest: far from the mouth, reflections that come
together are stronger."""


@dataclass(frozen=True)
class StoredSound:
    """One stored sound: 16 kHz mono int16."""

    source: Path
    """The file that it came from; the first by name where several hold the same sound."""
    content: str
    """SHA-256 of the samples, hexadecimal."""
    stored: Path
    samples: int
    peak: int

    def read(self, start: int = 0, count: int | None = None) -> NDArray[np.int16]:
        """A copy of `count` samples from `start` (all to the end without it), int16 `[count]`; shorter where the sound
        ends.

        The file is mapped and released again, so that neither memory nor open files grow with the number of sounds.
        """
        mapped = np.load(self.stored, mmap_mode="r")
        return np.array(mapped[start : None if count is None else start + count])


@dataclass(frozen=True)
class SoundBank:
    """Sounds of one kind, those of files sorted by content so that names and folders mean nothing, and the files that
    gave none.
    """

    sounds: tuple[StoredSound, ...] = ()
    rejections: tuple[Rejection, ...] = ()


@dataclass(frozen=True)
class Sounds:
    """What is mixed into clips of one split."""

    backgrounds: SoundBank = SoundBank()
    impulses: SoundBank = SoundBank()
    speech: SoundBank = SoundBank()
    """What is said right before and after a clip."""

    @property
    def contents(self) -> list[list[str]]:
        """The hashes of all, which tell these sounds from others."""
        return [[sound.content for sound in bank.sounds] for bank in (self.backgrounds, self.impulses, self.speech)]


def find_sounds(folders: Iterable[Path]) -> Walked:
    """All recordings in the folders, sorted, each file once. Raises `ConfigError` for a missing folder."""
    found: dict[Path, Path] = {}
    rejections: list[Rejection] = []
    left_out = LeftOut()
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(
                f"{folder}: no such folder; name one with backgrounds or impulse responses, or leave it out"
            )
        walked = walk(folder)
        for path in walked.recordings:
            found.setdefault(path.resolve(), path)
        rejections += walked.rejections
        left_out += walked.left_out
    return Walked(tuple(sorted(found.values())), tuple(rejections), left_out=left_out)


def store_backgrounds(
    paths: Sequence[Path], folder: Path, *, jobs: int | None = None, progress: Progress | None = None
) -> SoundBank:
    """Decode noises and long recordings into the store at `folder`. A file that is damaged or silent is a rejection
    with its reason.

    Raises `OSError` when the store cannot be written.
    """
    return _store(paths, folder, _no_objection, jobs, progress)


def store_impulses(
    paths: Sequence[Path], folder: Path, *, jobs: int | None = None, progress: Progress | None = None
) -> SoundBank:
    """Decode room impulse responses into the store at `folder`, as `store_backgrounds` does; one longer than 20 s is
    rejected too.
    """
    return _store(paths, folder, _objection_to_impulse, jobs, progress)


def split_sounds(bank: SoundBank, seed: int, fractions: Fractions = FRACTIONS) -> dict[Split, SoundBank]:
    """Share sounds out between the splits, so that no noise or room of the training serves validation or test.

    A sound's split is a hash of the seed and its content (`trainer.data.split.split_of`): the same for a renamed or
    re-encoded lossless copy, and whatever other sounds are added. Of few sounds a split may get none. Each bank keeps
    all rejections.
    """
    placed: dict[Split, list[StoredSound]] = {split: [] for split in Split}
    for sound in bank.sounds:
        placed[split_of(sound.content, seed, fractions)].append(sound)
    return {split: SoundBank(tuple(sounds), bank.rejections) for split, sounds in placed.items()}


def impulse_samples(sound: StoredSound, longest: int) -> NDArray[np.float32]:
    """A room impulse response ready for convolution, float32 `[at most longest]`, of energy 1.

    It begins 1 ms before its direct sound: what lies before is the sound's way through the air, which would shift the
    word towards the clip's end. Energy 1 keeps the power of white sound, so that a gain that was drawn before stays
    what it was.
    """
    samples = sound.read().astype(np.float32)
    loudness = np.abs(samples)
    direct = int(np.argmax(loudness >= _DIRECT_SHARE * loudness.max()))
    response = samples[max(0, direct - BEFORE_DIRECT_SAMPLES) :][:longest]
    energy = float(np.sum(response.astype(np.float64) ** 2))
    normalised: NDArray[np.float32] = response * np.float32(energy**-0.5)
    return normalised


def _store(
    paths: Sequence[Path],
    folder: Path,
    objection: Callable[[StoredSound], str],
    jobs: int | None,
    progress: Progress | None,
) -> SoundBank:
    sounds: dict[str, StoredSound] = {}
    rejections: list[Rejection] = []
    for outcome in map_in_processes(partial(_store_file, folder), sorted(paths), jobs=jobs, progress=progress):
        if isinstance(outcome, Rejection):
            rejections.append(outcome)
        elif reason := objection(outcome):
            rejections.append(Rejection(outcome.source, reason))
        else:
            sounds.setdefault(outcome.content, outcome)
    return SoundBank(tuple(sounds[content] for content in sorted(sounds)), tuple(rejections))


def _no_objection(_: StoredSound) -> str:
    return ""


def _objection_to_impulse(sound: StoredSound) -> str:
    seconds = sound.samples / contract.SAMPLE_RATE_HZ
    if seconds > _MAX_IMPULSE_S:
        return f"no impulse response: {seconds:.1f} s long, at most {_MAX_IMPULSE_S:g} s"
    return ""


def _store_file(folder: Path, path: Path) -> StoredSound | Rejection:
    try:
        key = _file_key(path)
    except OSError as error:
        return Rejection(path, f"cannot be read: {error.strerror}")
    return kept_sound(folder, key, path, partial(stream_samples, path))


def kept_sound(
    folder: Path, key: str, source: Path, blocks: Callable[[], Iterable[NDArray[np.int16]]]
) -> StoredSound | Rejection:
    """The sound that the store has under `key`, or, where it has none, the one that `blocks` gives, int16 `[n]` each;
    `source` names it.

    A rejection is what is silent, or what `blocks` cannot read (`ConfigError`). Raises `OSError` when the store cannot
    be written.
    """
    note = folder / "files" / f"{key}.json"
    told = _read_note(note)
    if told is None or not _is_whole(folder, told):
        told = _write_sound(folder, source, blocks)
        write_atomically(note, json.dumps(told))
    if "rejected" in told:
        return Rejection(source, str(told["rejected"]))
    content = str(told["content"])
    return StoredSound(source, content, _stored(folder, content), int(told["samples"]), int(told["peak"]))


def key_of(*made_from: object) -> str:
    """A key of `kept_sound` for what is made from things whose `repr` tells them apart."""
    return hashlib.sha256(repr((_FORMAT, made_from)).encode()).hexdigest()


def _file_key(path: Path) -> str:
    digest = hashlib.sha256(f"{_FORMAT} {conversion_id()}\n".encode())
    with path.open("rb") as file:
        while block := file.read(_HASHED_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _stored(folder: Path, content: str) -> Path:
    return folder / "sounds" / content[:2] / f"{content}.npy"


def _read_note(note: Path) -> Mapping[str, str | int] | None:
    try:
        told = json.loads(note.read_bytes())
    except (OSError, ValueError):
        return None
    return (
        told if isinstance(told, dict) and ("rejected" in told or {"content", "samples", "peak"} <= set(told)) else None
    )


def _is_whole(folder: Path, told: Mapping[str, str | int]) -> bool:
    """Whether the samples that a note speaks of are there: somebody may have cleared a part of the store."""
    if "rejected" in told:
        return True
    try:
        mapped = np.load(_stored(folder, str(told["content"])), mmap_mode="r")
    except (EOFError, OSError, ValueError):
        return False
    return bool(mapped.dtype == np.int16 and mapped.shape == (told["samples"],))


def _write_sound(folder: Path, source: Path, blocks: Callable[[], Iterable[NDArray[np.int16]]]) -> dict[str, str | int]:
    """Write samples to the store block by block; the name, which is their hash, is known only at the end."""
    digest, samples, peak = hashlib.sha256(), 0, 0
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, suffix=PARTIAL_SUFFIX) as scratch:
        temporary = Path(scratch) / "samples.npy"
        try:
            with temporary.open("wb") as file:
                _write_header(file, 0)
                begin = file.tell()
                for block in blocks():
                    data = block.astype("<i2").tobytes()
                    digest.update(data)
                    file.write(data)
                    samples += len(block)
                    peak = max(peak, int(np.abs(block.astype(np.int32)).max(initial=0)))
                file.seek(0)
                _write_header(file, samples)
                assert file.tell() == begin
        except ConfigError as error:
            return {"rejected": str(error).removeprefix(f"{source}: ")}
        if peak == 0:
            return {"rejected": "silent: all its samples are 0"}
        content = digest.hexdigest()
        final = _stored(folder, content)
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary.replace(final)
    return {"content": content, "samples": samples, "peak": peak}


def _write_header(file: BinaryIO, samples: int) -> None:
    """NumPy pads a header so that the array may grow without moving its data (`numpy.lib.format`), so all have one
    length.
    """
    np.lib.format.write_array_header_1_0(file, {"descr": "<i2", "fortran_order": False, "shape": (samples,)})
