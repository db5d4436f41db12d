"""Which compilers make the virtual board: the machine's where they work, else Zig's, and one line where none can be
had.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import zipfile
from pathlib import Path

import pytest

from firmware.toolenv import ToolEnvironment
from firmware.virtual.compilers import ZIG, find_compilers
from tests.programs import needs
from wakeword.errors import ConfigError, InfrastructureError

BROKEN = "#!/bin/sh\necho 'collect2: fatal error: cannot find ld' >&2\nexit 1\n"


@pytest.fixture(autouse=True)
def own_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of tools with nothing in it, no compiler chosen, and a package index that nobody serves."""
    for name in ("CC", "CXX", "AR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MWW_TOOLS_DIR", str(tmp_path / "tools"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    return tmp_path / "tools"


def put(folder: Path, **programs: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in programs.items():
        path = folder / name.replace("gxx", "g++")
        path.write_text(text)
        path.chmod(0o755)
    return folder


@needs("g++", "g++")
def test_the_machines_own_are_taken_and_told_to_esphome(
    esphome: ToolEnvironment, own_tools: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    found = find_compilers(esphome, said.append)
    assert not said
    assert not own_tools.exists()
    variables = found.for_esphome(tmp_path)
    assert variables == {"CC": shutil.which("gcc"), "CXX": shutil.which("g++"), "AR": shutil.which("ar")}
    assert found.said.splitlines()[0].startswith("g++")


@needs("g++", "g++")
def test_chosen_ones_go_before_with_their_options(
    esphome: ToolEnvironment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gxx = shutil.which("g++")
    assert gxx is not None
    put(tmp_path / "a folder", compiler=f'#!/bin/sh\nexec {gxx} "$@"\n')
    monkeypatch.setenv("CXX", f"'{tmp_path / 'a folder' / 'compiler'}' -DMINE")
    found = find_compilers(esphome)
    assert found.cxx == (str(tmp_path / "a folder" / "compiler"), "-DMINE")
    assert shlex.split(found.for_esphome(tmp_path)["CXX"]) == list(found.cxx)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("no-such-compiler", r"this machine has no .*g\+\+"),
        ("false", "false does not work: exit code 1"),
        ("'g++", "CXX cannot be read"),
    ],
)
def test_chosen_ones_that_do_not_work_are_an_error(
    value: str, reason: str, esphome: ToolEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A C compiler and an archiver that do as if.
    put(tmp_path / "programs", gcc="#!/bin/sh\nexit 0\n", ar="#!/bin/sh\nexit 0\n", false="#!/bin/sh\nexit 1\n")
    monkeypatch.setenv("PATH", str(tmp_path / "programs"))
    monkeypatch.setenv("CXX", value)
    with pytest.raises(
        ConfigError, match=rf"CXX={re.escape(value)}: {reason}.*; name compilers that work, or unset CC, CXX, AR"
    ):
        find_compilers(esphome)


def test_without_any_and_without_a_network_one_line_says_both(
    esphome: ToolEnvironment, own_tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    said: list[str] = []
    with pytest.raises(InfrastructureError) as raised:
        find_compilers(esphome, said.append)
    text = str(raised.value)
    assert text.startswith(
        "this machine has no gcc, g++, ar, and ziglang 0.17.1 could not be fetched with pip: the package index does not"
        " answer: "
    )
    assert "Connection refused" in text
    assert text.endswith("; or install a compiler (Debian: apt-get install g++)")
    assert "\n" not in text
    assert said[0] == "this machine has no gcc, g++, ar: Zig's compiler, which pip brings, is used instead"
    assert [path.name for path in own_tools.iterdir()] == ["ziglang-0.17.1.lock"]


def test_a_compiler_that_cannot_compile_is_told_and_replaced(
    esphome: ToolEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(put(tmp_path / "programs", gcc=BROKEN, gxx=BROKEN, ar=BROKEN)))
    said: list[str] = []
    with pytest.raises(InfrastructureError, match="could not be fetched"):
        find_compilers(esphome, said.append)
    assert (
        said[0]
        == "gcc does not work: collect2: fatal error: cannot find ld: Zig's compiler, which pip brings, is used instead"
    )


def test_another_wheel_than_the_pinned_one_is_not_taken(
    esphome: ToolEnvironment, own_tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = tmp_path / "index" / f"ziglang-{ZIG.version}-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("ziglang/zig", "#!/bin/sh\necho stolen\n")
        archive.writestr(
            f"ziglang-{ZIG.version}.dist-info/METADATA",
            f"Metadata-Version: 2.1\nName: ziglang\nVersion: {ZIG.version}\n",
        )
        archive.writestr(
            f"ziglang-{ZIG.version}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"ziglang-{ZIG.version}.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    monkeypatch.setenv("PATH", "/nowhere")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    with pytest.raises(
        InfrastructureError,
        match=(
            rf"ziglang {ZIG.version}: the package index gives a file with SHA-256 {digest} instead of {ZIG.sha256[0]}"
        ),
    ):
        find_compilers(esphome)
    assert [path.name for path in own_tools.iterdir()] == ["ziglang-0.17.1.lock"]


def test_zig_that_does_not_work_says_what_to_do(
    esphome: ToolEnvironment, own_tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = own_tools / f"ziglang-{ZIG.version}"
    put_zig = {"cc": BROKEN, "c++": BROKEN, "ar": BROKEN}
    (folder / "bin").mkdir(parents=True)
    for name, text in put_zig.items():
        put(folder / "bin", **{name: text})
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(
        InfrastructureError,
        match=(
            r"ziglang 0\.17\.1 is no help: cc does not work: .*cannot find ld; install a compiler .*, or remove"
            rf" {folder}"
        ),
    ):
        find_compilers(esphome)
