"""Libraries from source distributions: made once, never half, and what they compute."""

from __future__ import annotations

import hashlib
import io
import pickle
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware.packages import Package
from firmware.toolenv import ToolEnvironment, default_tools_folder
from firmware.virtual.compilers import Compilers, find_compilers
from firmware.virtual.host import HERE
from firmware.virtual.libraries import SODIUM, LibraryRecipe, library
from wakeword.errors import InfrastructureError
from wakeword.locks import wait_for

SOURCE = "int sum(int a, int b) { return a + b; }\n"
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def compilers(esphome: ToolEnvironment) -> Compilers:
    """This machine's, or Zig's."""
    return find_compilers(esphome)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package index with nothing in it, for pip, and a folder of tools with nothing in it."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("MWW_TOOLS_DIR", str(tmp_path / "tools"))
    (tmp_path / "tools").mkdir()
    return folder


@pytest.fixture
def recipe(index: Path) -> Callable[[str], LibraryRecipe]:
    """Puts a source distribution with one C source into the index; how its library is made."""

    def make(source: str) -> LibraryRecipe:
        path = index / "mww_sum-1.0.tar.gz"
        files = {
            "PKG-INFO": "Metadata-Version: 2.1\nName: mww-sum\nVersion: 1.0\n",
            "sum.c": source,
            "include/sum.h": "int sum(int, int);\n",
        }
        files["setup.py"] = "from setuptools import setup\nsetup(name='mww-sum', version='1.0')\n"
        with tarfile.open(path, "w:gz") as archive:
            for name, text in files.items():
                entry = tarfile.TarInfo(f"mww_sum-1.0/{name}")
                entry.size = len(text)
                archive.addfile(entry, io.BytesIO(text.encode()))
        return LibraryRecipe(
            "sum", Package("mww-sum", "1.0", (hashlib.sha256(path.read_bytes()).hexdigest(),)), ("*.c",), (), "include"
        )

    return make


def finished(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_it_is_made_once_and_found_without_the_index(
    recipe: Callable[[str], LibraryRecipe], index: Path, compilers: Compilers, esphome: ToolEnvironment, tmp_path: Path
) -> None:
    how = recipe(SOURCE)
    said: list[str] = []
    made = library(how, compilers, esphome, said.append)
    assert said == ["compiling libsum from mww-sum 1.0's source, once"]
    (tmp_path / "use.c").write_text('#include "sum.h"\nint main(void) { return sum(40, 2); }\n')
    compilers.run(
        [
            *compilers.c,
            "use.c",
            f"-I{made.include}",
            f"-L{made.archive.parent}",
            f"-l:{made.archive.name}",
            "-o",
            "use",
        ],
        tmp_path,
    )
    assert subprocess.run([tmp_path / "use"], check=False).returncode == 42
    for path in index.iterdir():
        path.unlink()
    assert library(how, compilers, esphome) == made
    assert finished(default_tools_folder()) == [made.archive.parent.name]


def test_what_a_killed_process_left_goes(
    recipe: Callable[[str], LibraryRecipe], compilers: Compilers, esphome: ToolEnvironment
) -> None:
    how = recipe(SOURCE)
    made = library(how, compilers, esphome).archive.parent
    half = made.with_name(f"{made.name}-abc123")
    made.rename(half)
    assert library(how, compilers, esphome).archive.is_file()
    assert finished(default_tools_folder()) == [made.name]


def test_a_source_that_does_not_compile_leaves_nothing(
    recipe: Callable[[str], LibraryRecipe], compilers: Compilers, esphome: ToolEnvironment
) -> None:
    how = recipe("int sum(int a, int b) { return a + ; }\n")
    with pytest.raises(
        InfrastructureError,
        match=r"libsum of mww-sum 1\.0 could not be compiled: .* does not work: .*sum\.c:1:.*error.*; mend that",
    ):
        library(how, compilers, esphome)
    assert not finished(default_tools_folder())


def test_another_source_than_the_pinned_one_is_not_even_read(
    recipe: Callable[[str], LibraryRecipe], index: Path, compilers: Compilers, esphome: ToolEnvironment
) -> None:
    how = recipe(SOURCE)
    (pinned,) = how.package.sha256
    recipe(SOURCE + "/* changed */\n")
    (file,) = index.iterdir()
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    with pytest.raises(
        InfrastructureError,
        match=rf"mww-sum 1\.0: the package index gives a file with SHA-256 {digest} instead of {pinned}; do not use it",
    ):
        library(how, compilers, esphome)
    assert not finished(default_tools_folder())


def test_a_source_that_cannot_be_fetched_is_said(
    recipe: Callable[[str], LibraryRecipe],
    compilers: Compilers,
    esphome: ToolEnvironment,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    how = recipe(SOURCE)
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(
        InfrastructureError,
        match=(
            r"mww-sum 1\.0 could not be fetched with pip: the package index does not answer: .*refused.*; check the"
            r" network"
        ),
    ):
        library(how, compilers, esphome)


def test_another_process_is_waited_for(
    recipe: Callable[[str], LibraryRecipe], compilers: Compilers, esphome: ToolEnvironment, tmp_path: Path
) -> None:
    how = recipe(SOURCE)
    made = library(how, compilers, esphome)
    folder, aside = made.archive.parent, tmp_path / "aside"
    folder.rename(aside)
    program = (
        "import pickle, sys; from firmware.virtual.libraries import library; "
        "print(library(*pickle.load(sys.stdin.buffer), lambda line: print(line, flush=True)).archive)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        with wait_for(folder.with_name(f"{folder.name}.lock"), lambda: None):
            # It begins when it has read what to make.
            other.stdin.write(pickle.dumps((how, compilers, esphome)))
            other.stdin.close()
            assert (
                other.stdout.readline() == b"waiting for another process: compiling libsum from mww-sum 1.0's source\n"
            )
            aside.rename(folder)
        assert other.stdout.read().decode() == f"{made.archive}\n"
    # It found what was made meanwhile; it made nothing itself.
    assert other.returncode == 0
    assert made.archive.is_file()
    assert finished(default_tools_folder()) == [folder.name]


HASHES = """#include <openssl/evp.h>
#include <cstdio>
#include <iostream>
#include <string>
// Each line: a kind, then parts of a message in hexadecimal, each with a dot before it.
int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_DigestInit_ex(context, line[0] == 'm' ? EVP_md5() : EVP_sha256(), nullptr);
    for (size_t at = line.find('.'); at != std::string::npos;) {
      const size_t next = line.find('.', at + 1);
      const std::string hex = line.substr(at + 1, next == std::string::npos ? next : next - at - 1);
      std::string part;
      for (size_t i = 0; i < hex.size(); i += 2)
        part += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
      EVP_DigestUpdate(context, part.data(), part.size());
      at = next;
    }
    uint8_t digest[32];
    unsigned length = 0;
    EVP_DigestFinal_ex(context, digest, &length);
    EVP_MD_CTX_free(context);
    for (unsigned i = 0; i < length; i++)
      std::printf("%02x", digest[i]);
    std::printf("\\n");
  }
}
"""


@pytest.fixture(scope="session")
def hashes(compilers: Compilers, esphome: ToolEnvironment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program over the header that answers for OpenSSL, with the real libsodium."""
    folder = tmp_path_factory.mktemp("hashes")
    (folder / "hashes.cpp").write_text(HASHES)
    sodium = library(SODIUM, compilers, esphome)
    includes = [f"-I{path}" for path in (HERE / "shims", sodium.include)]
    compilers.run(
        [
            *compilers.cxx,
            "-O2",
            "hashes.cpp",
            *includes,
            f"-L{sodium.archive.parent}",
            f"-l:{sodium.archive.name}",
            "-o",
            "hashes",
        ],
        folder,
    )
    return folder / "hashes"


def digests(program: Path, kind: str, messages: list[list[bytes]]) -> list[str]:
    text = "".join(f"{kind}{''.join(f'.{part.hex()}' for part in parts)}\n" for parts in messages)
    return subprocess.run([program], input=text, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize("kind", ["md5", "sha256"])
def test_hashes_are_openssls_at_every_length(kind: str, hashes: Path) -> None:
    # 55, 56, 63 and 64 bytes are where the padding changes.
    messages = [[bytes(range(length))] for length in range(200)]
    assert digests(hashes, kind, messages) == [hashlib.new(kind, message).hexdigest() for (message,) in messages]


@given(
    st.sampled_from(["md5", "sha256"]), st.lists(st.lists(st.binary(max_size=150), max_size=6), min_size=1, max_size=10)
)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_hashes_are_openssls_however_a_message_comes(hashes: Path, kind: str, messages: list[list[bytes]]) -> None:
    assert digests(hashes, kind, messages) == [hashlib.new(kind, b"".join(parts)).hexdigest() for parts in messages]
