"""People's speech without the wake word: some hours of LibriSpeech, fetched once, as negatives beside generated speech.

Two of its parts (dev-clean and dev-other) are unpacked in the user's cache folder, a folder a speaker. A corpus gets
links to as many of their recordings as it asks for: one of each speaker, then a second one of each, since many voices
teach more than much of a few. Recordings in which somebody reads the wake word are left out, by their transcripts.
"""

from __future__ import annotations

import gzip
import json
import math
import re
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path, PurePosixPath

from trainer.data.parallel import Progress
from trainer.data.speech.fetch import Remote, fetch
from wakeword.audio import probe
from wakeword.corpus.recordings import RECORDED_TABLE
from wakeword.errors import ConfigError, InfrastructureError, tell
from wakeword.files import PARTIAL_SUFFIX, cache_folder, write_atomically
from wakeword.locks import hold_folder, wait_for
from wakeword.reading import csv_text, read_csv

FOLDER = Path("negative", "librispeech")
"""In a corpus, where any training finds it."""
SOURCE = {
    "corpus": "LibriSpeech ASR corpus, dev-clean and dev-other: English, read by volunteers of LibriVox",
    "authors": "Vassil Panayotov, Guoguo Chen, Daniel Povey, Sanjeev Khudanpur (2015)",
    "address": "https://www.openslr.org/12",
    "licence": "CC BY 4.0, https://creativecommons.org/licenses/by/4.0/",
    "changes": "recordings lie in a folder a speaker; the sound is unchanged",
}
"""What the licence asks to be named; it stands beside the recordings."""
_ADDRESS = "http://www.openslr.org/resources/12"
_UTTERANCES = "utterances.csv"
_TRANSCRIPT = ".trans.txt"
_MEGABYTE = 10**6
_ROOM = 1.1
"""What unpacking takes beside what the archive has, with some reserve: FLAC does not get smaller in an archive."""

Counting = Callable[[str], Progress]


@dataclass(frozen=True)
class SpeechArchive:
    """A part of the corpus: its name, its archive, and how large that is."""

    name: str
    remote: Remote
    size: int
    """Bytes, about."""


# The digests are those that torchaudio publishes (torchaudio/datasets/librispeech.py); OpenSLR itself gives MD5 alone.
ARCHIVES = (
    SpeechArchive(
        "dev-clean",
        Remote(
            f"{_ADDRESS}/dev-clean.tar.gz", "sha256", "76f87d090650617fca0cac8f88b9416e0ebf80350acb97b343a85fa903728ab3"
        ),
        337 * _MEGABYTE,
    ),
    SpeechArchive(
        "dev-other",
        Remote(
            f"{_ADDRESS}/dev-other.tar.gz", "sha256", "12661c48e8c3fe1de2c1caa4c3e135193bfb1811584f11f569dd12645aa84365"
        ),
        314 * _MEGABYTE,
    ),
)


@dataclass(frozen=True)
class Utterance:
    """A recording of a speaker: where it lies, its length in seconds, and what is said, in capitals without marks."""

    speaker: str
    path: Path
    seconds: float
    text: str


@dataclass(frozen=True)
class AddedSpeech:
    """What a corpus got: its folder, and how much that is."""

    folder: Path
    recordings: int
    speakers: int
    hours: float
    with_phrase: int
    """Recordings that were left out, since the wake word is read in them."""

    def __str__(self) -> str:
        left_out = f"; {self.with_phrase} in which the phrase is read are left out" if self.with_phrase else ""
        return (
            f"{self.hours:.2f} h of people's speech in {self.folder}: {self.recordings} recordings of"
            f" {self.speakers} speakers of LibriSpeech (CC BY 4.0, {RECORDED_TABLE} names its authors){left_out}"
        )


def fetched_speech(counting: Counting, archives: Sequence[SpeechArchive] | None = None) -> list[Utterance]:
    """All recordings, from the cache folder; what is not there is fetched and unpacked first.

    Interrupted or killed at any time, the next call goes on. Two at once: the second one waits for the first. Raises
    `ConfigError` where the cache folder is damaged, `InfrastructureError` where the disk has no room for it, the
    network or the server fails, or the archive is not the one that is expected, and `OSError` for the disk.
    """
    archives = ARCHIVES if archives is None else archives
    cache = cache_folder("librispeech")
    _check_room(cache, archives)
    missing = [archive for archive in archives if not (cache / archive.name).is_dir()]
    if missing:
        size = sum(archive.size for archive in missing)
        tell(
            f"people's speech: fetching {' and '.join(archive.name for archive in missing)} of LibriSpeech, once"
            f" ({_megabytes(size)} MB from {missing[0].remote.address.split('/')[2]}; kept in {cache})"
        )
    return [one for archive in archives for one in _utterances(_unpacked(archive, cache, counting))]


def add_speech(output: Path, utterances: Sequence[Utterance], phrase: str, hours: float) -> AddedSpeech:
    """Give a corpus, as links, so many hours of recordings in which the phrase is not read; all where there are less.
    What an earlier call gave it and is not among them is taken away.

    Raises `InfrastructureError` when another process writes to the corpus, and `OSError`.
    """
    silent = [one for one in utterances if not _reads(one.text, phrase)]
    chosen = list(_first_of_each(silent, hours * 3600))
    folder = output / FOLDER
    wanted = {folder / one.speaker / one.path.name: one.path.absolute() for one in chosen}
    with hold_folder(output, "give another --output"):
        # First: without it the links would be taken for a synthesiser's.
        write_atomically(folder / RECORDED_TABLE, json.dumps(SOURCE, indent=1) + "\n")
        for link in [path for path in folder.glob("*/*") if path.is_symlink()]:
            if wanted.get(link) != link.readlink():
                link.unlink()
        for link, target in wanted.items():
            link.parent.mkdir(exist_ok=True)
            # A corpus that was copied with links followed has the recording itself.
            if not link.is_symlink() and not link.is_file():
                link.symlink_to(target)
        for speaker in [path for path in folder.iterdir() if path.is_dir() and not any(path.iterdir())]:
            speaker.rmdir()
    speakers = len({one.speaker for one in chosen})
    seconds = sum(one.seconds for one in chosen)
    return AddedSpeech(folder, len(chosen), speakers, seconds / 3600, len(utterances) - len(silent))


def _first_of_each(utterances: Sequence[Utterance], seconds: float) -> Iterator[Utterance]:
    """So many seconds: the first recording of each speaker, then the second of each. More of it begins with the
    less."""
    by_speaker: dict[str, list[Utterance]] = {}
    for one in sorted(utterances, key=lambda one: (one.speaker, one.path.name)):
        by_speaker.setdefault(one.speaker, []).append(one)
    given = 0.0
    for takes in zip_longest(*by_speaker.values()):
        for one in filter(None, takes):
            if given >= seconds:
                return
            given += one.seconds
            yield one


def _reads(text: str, phrase: str) -> bool:
    """Whether a phrase, or its plural or genitive, stands in a transcript."""
    words = re.findall(r"[^\W_]+(?:'[^\W_]+)*", phrase.upper())
    return (
        bool(words) and re.search(rf"(?<![\w']){' '.join(map(re.escape, words))}(?:'?S|')?(?![\w'])", text) is not None
    )


def _check_room(cache: Path, archives: Sequence[SpeechArchive]) -> None:
    """Raise `InfrastructureError` where what is to be fetched and unpacked has no room."""
    missing = [archive.size for archive in archives if not (cache / archive.name).is_dir()]
    if not missing:
        return
    there = next(folder for folder in (cache, *cache.parents) if folder.exists())
    # An archive is removed once it is unpacked, so there is one of them at a time.
    fetched = [_size(cache / f"{archive.name}.tar.gz") for archive in archives]
    needed = math.ceil(sum(missing) * _ROOM + max(missing)) - max(fetched)
    free = shutil.disk_usage(there).free
    if free < needed:
        raise InfrastructureError(
            f"{cache}: {_megabytes(free)} MB are free there, and people's speech needs {_megabytes(needed)} MB while it"
            " is unpacked; free space, or leave --real-speech out"
        )


def _size(packed: Path) -> int:
    """Bytes of an archive that are there already, whole or in part."""
    there = (packed, packed.with_name(packed.name + PARTIAL_SUFFIX))
    return max((path.stat().st_size for path in there if path.is_file()), default=0)


def _unpacked(archive: SpeechArchive, cache: Path, counting: Counting) -> Path:
    """The folder of an archive's recordings. It has its name when it is whole."""
    folder, packed = cache / archive.name, cache / f"{archive.name}.tar.gz"
    with wait_for(
        cache / f"{archive.name}.lock", lambda: tell(f"waiting for another process that fetches {archive.name}")
    ):
        if not folder.is_dir():
            try:
                fetch(archive.remote, packed, _in_megabytes(counting(f"fetching {archive.name}, MB")))
            except InfrastructureError as error:
                raise InfrastructureError(
                    f"people's speech is not on this machine yet: {error}; connect it once, or leave --real-speech out"
                ) from error
            partial = cache / f"{archive.name}{PARTIAL_SUFFIX}"
            shutil.rmtree(partial, ignore_errors=True)  # a killed process left it
            try:
                _unpack(packed, partial)
                partial.rename(folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        packed.unlink(missing_ok=True)
    return folder


def _unpack(packed: Path, folder: Path) -> None:
    """The recordings of an archive into folders of their speakers, with a table of what is said. Raises
    `InfrastructureError`, and removes the archive, where it is damaged or would write outside the folder.
    """
    texts: dict[str, str] = {}
    files: list[PurePosixPath] = []
    folder.mkdir()
    try:
        with gzip.open(packed) as content, tarfile.open(fileobj=content, mode="r:") as tar:
            for member in tar:
                safe = tarfile.data_filter(member, str(folder))  # refuses what would lie outside
                name = PurePosixPath(safe.name)
                if not safe.isreg():
                    continue
                if name.suffix == ".flac" and len(name.parts) > 2:
                    files.append(PurePosixPath(name.parts[-3], name.name))
                    tar.extract(safe.replace(name=str(files[-1]), deep=False), folder, filter="data")
                elif name.name.endswith(_TRANSCRIPT) and (reader := tar.extractfile(member)) is not None:
                    lines = (line.partition(" ") for line in reader.read().decode().splitlines())
                    texts |= {key: text for key, _, text in lines}
            while content.read(_MEGABYTE):
                pass  # to the end, where its checksum is
        if not files:
            raise tarfile.ReadError("it holds no recordings")
        rows = [(str(file), str(probe(folder / file).seconds), texts.get(file.stem, "")) for file in sorted(files)]
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError, ConfigError) as error:
        packed.unlink()
        raise InfrastructureError(
            f"{packed}: cannot be unpacked ({error}); it is removed, and the same command fetches it anew"
        ) from error
    write_atomically(folder / _UTTERANCES, csv_text(("path", "seconds", "text"), rows))
    write_atomically(folder / RECORDED_TABLE, json.dumps(SOURCE, indent=1) + "\n")


def _utterances(folder: Path) -> Iterator[Utterance]:
    remedy = f"delete {folder}, and the same command fetches it anew"
    for row in read_csv(folder / _UTTERANCES, ("path", "seconds", "text"), remedy).rows:
        path = folder / row["path"]
        try:
            seconds = float(row["seconds"])
        except ValueError:
            raise ConfigError(f"{folder / _UTTERANCES}: {row['seconds']!r} is no length in seconds; {remedy}") from None
        if not path.is_file():
            raise ConfigError(f"{path}: is not there, though {_UTTERANCES} names it; {remedy}")
        yield Utterance(path.parent.name, path, seconds, row["text"])


def _in_megabytes(count: Progress) -> Progress:
    """Counts bytes as megabytes; the last one counts when all bytes are there."""

    def counted(done: int, total: int) -> None:
        count(_megabytes(total) if done >= total else done // _MEGABYTE, _megabytes(total))

    return counted


def _megabytes(size: int) -> int:
    return math.ceil(size / _MEGABYTE)
