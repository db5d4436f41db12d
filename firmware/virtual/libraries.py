"""The virtual board's libraries: compiled once from source distributions that pip brings, and found afterwards.

The frontend is pymicro-features' source, which equals the device's. libsodium is the one that PyNaCl carries: it
encrypts the native API.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from firmware.packages import Package, fetch_source, make_once
from firmware.toolenv import ToolEnvironment, default_tools_folder
from firmware.virtual.compilers import Compilers
from wakeword.errors import InfrastructureError

_MICROFRONTEND = "tensorflow/lite/experimental/microfrontend/lib"
_FRONTEND_UNITS = (
    *(
        "fft",
        "fft_util",
        "filterbank",
        "filterbank_util",
        "frontend",
        "frontend_util",
        "kiss_fft_int16",
        "log_lut",
        "log_scale",
        "log_scale_util",
    ),
    *(
        "noise_reduction",
        "noise_reduction_util",
        "pcan_gain_control",
        "pcan_gain_control_util",
        "window",
        "window_util",
    ),
)
_SODIUM = "src/libsodium/src/libsodium"
_COMMON_FLAGS = ("-O2", "-fPIC", "-w")


@dataclass(frozen=True)
class LibraryRecipe:
    """How a library is made. `units` are glob patterns of sources, `include` a folder of headers, both within the
    source distribution.
    """

    name: str
    package: Package
    units: tuple[str, ...]
    flags: tuple[str, ...]
    include: str
    more_includes: tuple[str, ...] = ()
    copies: tuple[tuple[str, str], ...] = ()
    """Files that are needed under another name."""

    @property
    def archive(self) -> str:
        """Its file."""
        return f"lib{self.name}.a"


FRONTEND = LibraryRecipe(
    "microfrontend",
    Package("pymicro-features", "2.0.2", ("0d0bed7843ec78b6ced82d1a2dcddeb4fe5df61b3af80a281d0868c8e279c727",)),
    (*(f"{_MICROFRONTEND}/{unit}.cc" for unit in _FRONTEND_UNITS), "kissfft/kiss_fft.cc", "kissfft/tools/kiss_fftr.cc"),
    # The device's arithmetic.
    ("-DFIXED_POINT=16",),
    ".",
    ("kissfft",),
)
SODIUM = LibraryRecipe(
    "sodium",
    Package("pynacl", "1.6.2", ("018494d6d696ae03c7e656e5e74cdfd8ea1326962cc401bcf018f1ed8436811c",)),
    (f"{_SODIUM}/**/*.c",),
    # What its `configure` would find on any 64-bit Linux. Without more of it, everything is plain C, which is right on
    # every processor.
    (
        "-D_GNU_SOURCE",
        "-DCONFIGURED=1",
        "-DNATIVE_LITTLE_ENDIAN=1",
        "-DHAVE_TI_MODE=1",
        "-DHAVE_GCC_MEMORY_FENCES=1",
        "-DHAVE_WEAK_SYMBOLS=1",
    ),
    f"{_SODIUM}/include",
    (f"{_SODIUM}/include/sodium",),
    # What `configure` would write.
    (("src/libsodium/builds/msvc/version.h", f"{_SODIUM}/include/sodium/version.h"),),
)


@dataclass(frozen=True)
class Library:
    """A compiled library and the folder that its headers are included from."""

    archive: Path
    include: Path


def library(
    recipe: LibraryRecipe,
    compilers: Compilers,
    environment: ToolEnvironment,
    report: Callable[[str], None] = lambda _: None,
) -> Library:
    """Find or make a library in the folder of tools. Two processes may call this at once.

    Raises `InfrastructureError` when the source cannot be fetched, is not the pinned one, or does not compile.
    """
    # Libraries of two compilers do not mix, nor do those of two recipes.
    made_by = hashlib.sha256(repr((recipe, _COMMON_FLAGS, compilers)).encode()).hexdigest()[:12]
    folder = default_tools_folder() / f"lib{recipe.name}-{recipe.package.version}-{made_by}"
    found = Library(folder / recipe.archive, folder / recipe.include)
    what = f"compiling lib{recipe.name} from {recipe.package}'s source"
    make_once(folder, what, lambda work: _made(recipe, work, compilers, environment), report)
    return found


def _made(recipe: LibraryRecipe, work: Path, compilers: Compilers, environment: ToolEnvironment) -> Path:
    """The source's folder within `work`, with the library in it."""
    fetched = work / "fetched"
    fetched.mkdir()
    source = fetch_source(recipe.package, environment, fetched)
    for origin, copy in recipe.copies:
        shutil.copyfile(source / origin, source / copy)
    includes = [f"-I{source / include}" for include in (recipe.include, *recipe.more_includes)]
    objects: list[str] = []
    try:
        for unit in _units(recipe, source):
            compiler = compilers.c if unit.suffix == ".c" else compilers.cxx
            objects.append(f"{len(objects)}-{unit.stem}.o")
            compilers.run([*compiler, *_COMMON_FLAGS, *recipe.flags, *includes, "-c", unit, "-o", objects[-1]], work)
        compilers.run([compilers.archiver, "rcs", source / recipe.archive, *objects], work)
    except InfrastructureError as error:
        raise InfrastructureError(
            f"lib{recipe.name} of {recipe.package} could not be compiled: {error}; mend that, then run again"
        ) from error
    return source


def _units(recipe: LibraryRecipe, source: Path) -> list[Path]:
    found = {pattern: sorted(source.glob(pattern)) for pattern in recipe.units}
    if missing := [pattern for pattern, paths in found.items() if not paths]:
        raise InfrastructureError(
            f"{recipe.package}: its source has no {missing[0]}; check your package index, then run again"
        )
    return [path for paths in found.values() for path in paths]
