"""The files around sound: opened by libsndfile, mended where their writer never filled in the header, and checked to be
whole.

A program that streams, or is killed, leaves the sizes in a header as they were at its start. In a WAV or RF64 file they
are 0, though the sound lies behind them: it is read to the end of the file. In FLAC the number of frames is 0, which
its specification allows for "unknown". Other formats are refused with that reason.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import soundfile

from wakeword.errors import ConfigError

_FRAMES_UNKNOWN = 0x7FFFFFFFFFFFFFFF
"""libsndfile's `SF_COUNT_MAX`: as many frames as there are."""
_SIZES_UNKNOWN = frozenset(
    {0x7F000008, 0x7FFFF000, 0x7FFFFF00, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF}
)
"""Sizes of sound that programs (SoX, arecord, ffmpeg, ...) write into a header when they stream and cannot come back to
fill it in."""
_HEADER_BYTES_AT_MOST = 4096
"""Beyond the sound's, in the size of the whole file."""
_SHORT_CHUNK = re.compile(
    r"^\s*(data|SSND|Data Size|riff|Riff size)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE | re.IGNORECASE
)
"""libsndfile shortens a truncated file's length by itself and says so only in its log."""
_OGG_HEADER = struct.Struct("<4sBBqIIIB")
_OGG_END_OF_STREAM = 4
_REVERSED_BITS = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))
_CHUNK = struct.Struct("<4sI")
_SIZE_32_AT_MOST = 0xFFFFFFFF


class Sound(soundfile.SoundFile):  # type: ignore[misc]  # soundfile carries no types
    """An open recording."""

    def __init__(self, path: Path) -> None:
        """Raises `soundfile.LibsndfileError` when libsndfile does not know the format or the file is damaged, and
        `OSError`.
        """
        self._path = path
        self._mended = _mended(path)
        try:
            super().__init__(path if self._mended is None else self._mended)
        except soundfile.LibsndfileError:
            self._close_mended()
            raise

    def close(self) -> None:
        """Close the file; it may be closed already."""
        super().close()
        self._close_mended()

    def seekable(self) -> bool:
        """False where the end is unknown: soundfile seeks behind each read, and beyond the last frame that fails."""
        return self.known_frames is not None and bool(super().seekable())

    @property
    def known_frames(self) -> int | None:
        """How many frames the file holds by its header; None where only its end will tell."""
        return None if self.frames == _FRAMES_UNKNOWN else int(self.frames)

    def check_whole(self) -> None:
        """Raise `ConfigError` when a file is not whole by its container, or says that it holds nothing though much lies
        behind its header.
        """
        for name, *sizes in _SHORT_CHUNK.findall(self.extra_info):
            declared, present = map(int, sizes)
            if declared > present and not _stands_for_unknown(declared, whole_file=name.lower().startswith("riff")):
                raise ConfigError(
                    f"{self._path}: truncated, the header promises {declared} bytes and {present} are there; copy or"
                    " record the file again"
                )
        if self.format == "OGG":
            _check_ogg_pages(self._path)
        size = self._path.stat().st_size
        if self.frames == 0 and size > _HEADER_BYTES_AT_MOST:
            why = (
                f"its header says that it holds no sound, but it has {size} bytes: perhaps the program that wrote it"
                " was stopped"
            )
            raise ConfigError(
                f"{self._path}: {why}; open the file in an audio editor and save it as WAV, or record it again"
            )

    def _close_mended(self) -> None:
        if self._mended is not None:
            self._mended.close()


def _stands_for_unknown(size: int, *, whole_file: bool) -> bool:
    if not whole_file:
        return size in _SIZES_UNKNOWN
    return any(0 <= size - unknown <= _HEADER_BYTES_AT_MOST for unknown in _SIZES_UNKNOWN)


class _Patched(io.FileIO):
    """A file of which some bytes read as others."""

    def __init__(self, path: Path, patches: dict[int, bytes]) -> None:
        super().__init__(path)
        self._patches = patches

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # of any buffer
        """Read into a buffer of bytes."""
        start = self.tell()
        count = super().readinto(buffer) or 0
        view = memoryview(buffer).cast("B")
        for offset, content in self._patches.items():
            first, last = max(offset, start), min(offset + len(content), start + count)
            if first < last:
                view[first - start : last - start] = content[first - offset : last - offset]
        return count


def _mended(path: Path) -> _Patched | None:
    """A WAV or RF64 file with the size of its sound filled in; None for every file that does not need it."""
    with path.open("rb") as file:
        patches = dict(_missing_sizes(file, path.stat().st_size))
    return _Patched(path, patches) if patches else None


def _missing_sizes(file: BinaryIO, length: int) -> Iterator[tuple[int, bytes]]:
    """Where a size is missing, and what it is. EBU Tech 3306: in RF64 the size of `data` is -1, and the chunk `ds64`
    holds it in 64 bits.
    """
    kind, _, form = struct.unpack("<4sI4s", file.read(12).ljust(12))
    if kind not in (b"RIFF", b"RF64") or form != b"WAVE":
        return
    long_sizes = None
    while len(header := file.read(_CHUNK.size)) == _CHUNK.size:
        name, size = _CHUNK.unpack(header)
        start = file.tell()
        if name == b"ds64":
            long_sizes = start, struct.unpack("<QQ", file.read(16).ljust(16, b"\0"))[1]
        if name == b"data":
            present = length - start
            if present > 0 and not _only_chunks(file, length):
                if size == 0:
                    yield (
                        start - 4,
                        struct.pack("<I", _SIZE_32_AT_MOST if kind == b"RF64" else min(present, _SIZE_32_AT_MOST)),
                    )
                if kind == b"RF64" and size in (0, _SIZE_32_AT_MOST) and long_sizes is not None and long_sizes[1] == 0:
                    yield long_sizes[0], struct.pack("<QQ", length - 8, present)
            return
        file.seek(start + size + size % 2)


def _only_chunks(file: BinaryIO, length: int) -> bool:
    """Whether what follows are chunks to the end of the file: an empty recording with a title, say."""
    while len(header := file.read(_CHUNK.size)) == _CHUNK.size:
        name, size = _CHUNK.unpack(header)
        if not all(0x20 <= letter <= 0x7E for letter in name):
            return False
        file.seek(size + size % 2, io.SEEK_CUR)
    return not header and file.tell() <= length + 1


def _check_ogg_pages(path: Path) -> None:
    """Walk the pages of an Ogg file (RFC 3533 section 6): checksums, sequence numbers and the end of the stream.

    The decoder skips a damaged page without a word and counts the frames as if it had been there.
    """
    following: dict[int, int] = {}
    ended = False
    with path.open("rb") as file:
        while len(header := file.read(_OGG_HEADER.size)) == _OGG_HEADER.size:
            capture, _, flags, _, serial, sequence, checksum, segments = _OGG_HEADER.unpack(header)
            if capture != b"OggS":
                break
            table = file.read(segments)
            body = file.read(sum(table))
            if (
                _ogg_checksum(header[:22] + bytes(4) + header[26:] + table + body) != checksum
                or following.get(serial, sequence) != sequence
            ):
                ended = False
                break
            following[serial] = (sequence + 1) & 0xFFFFFFFF
            ended = bool(flags & _OGG_END_OF_STREAM)
    if not ended:
        raise ConfigError(f"{path}: damaged or truncated, its Ogg pages are not whole; copy or record the file again")


def _ogg_checksum(page: bytes) -> int:
    """Ogg's CRC-32 is zlib's with every byte's and the result's bits the other way round, started at 0 and not
    inverted.
    """
    value = zlib.crc32(page.translate(_REVERSED_BITS), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{value:032b}"[::-1], 2)
