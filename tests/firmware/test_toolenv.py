"""The tool environment with stand-ins for uv and Python: found, made, repaired, and refused in clear words."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from firmware import toolenv
from firmware.toolenv import MARKER, default_tools_folder, tool_environment
from wakeword.contract import ESPHOME_VERSION
from wakeword.errors import ConfigError, InfrastructureError

UV = """#!{python}
import os, sys
from pathlib import Path
if sys.argv[1] == "--version":
    print("uv 0"); sys.exit({answers})
with open(os.environ["UV_LOG"], "a") as log:
    print(*sys.argv[1:], file=log)
if sys.argv[1] == "venv":
    (Path(sys.argv[-1]) / "bin").mkdir(parents=True)
    (Path(sys.argv[-1]) / "bin" / "python").symlink_to(sys.executable)
else:
    {install}
    esphome = Path(sys.argv[4]).parent / "esphome"
    esphome.write_text("#!/bin/sh\\necho Version: {version}\\n")
    esphome.chmod(0o755)
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH of our own with nothing on it, and a tools folder of our own."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("MWW_TOOLS_DIR", str(tmp_path / "tools"))
    monkeypatch.setenv("UV_LOG", str(tmp_path / "uv.log"))
    monkeypatch.delenv("MWW_ESPHOME_ENV", raising=False)
    return folder


def put_uv(programs: Path, install: str = "pass", version: str = ESPHOME_VERSION, answers: int = 0) -> None:
    put(programs / "uv", UV.format(python=sys.executable, install=install, version=version, answers=answers))


def put(program: Path, text: str) -> None:
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(text)
    program.chmod(0o755)


def installations() -> int:
    log = Path(os.environ["UV_LOG"])
    return sum(line.startswith("pip install") for line in log.read_text().splitlines()) if log.exists() else 0


def test_it_is_made_once_and_found_afterwards(programs: Path) -> None:
    put_uv(programs)
    said: list[str] = []
    made = tool_environment(report=said.append)
    assert made.folder == default_tools_folder() / f"esphome-{ESPHOME_VERSION}"
    assert made.esphome.is_file()
    assert said == [f"installing ESPHome {ESPHOME_VERSION} into {made.folder}, once; it takes a minute or two"]
    assert tool_environment() == made
    assert installations() == 1


@pytest.mark.parametrize("damage", ["interrupted", "python gone", "esphome gone", "esphome broken"])
def test_a_broken_one_is_made_anew(damage: str, programs: Path) -> None:
    put_uv(programs)
    made = tool_environment()
    if damage == "interrupted":
        (made.folder / MARKER).unlink()
    elif damage == "python gone":
        made.python.unlink()
        made.python.symlink_to("/no/such/python")
    elif damage == "esphome gone":
        made.esphome.unlink()
    else:
        made.esphome.write_text("#!/bin/sh\nexit 1\n")
    said: list[str] = []
    assert tool_environment(report=said.append) == made
    assert "incomplete or broken" in said[0]
    assert installations() == 2


def test_a_failed_installation_says_why_and_leaves_nothing(programs: Path) -> None:
    complaint = (
        "error: Request failed after 3 retries\\n  cause: Failed to fetch:"
        " https://user:hunter2@index.example/simple/esphome/"
    )
    put_uv(programs, install=f'print("Resolving"); print("{complaint}"); sys.exit(2)')
    with pytest.raises(
        InfrastructureError,
        match=r"could not be installed into .*: error: Request failed .* https://index\.example/simple",
    ) as raised:
        tool_environment()
    assert "hunter2" not in str(raised.value)
    assert not (default_tools_folder() / f"esphome-{ESPHOME_VERSION}").exists()
    put_uv(programs)
    tool_environment()


def test_another_version_than_asked_for_is_not_taken(programs: Path) -> None:
    put_uv(programs, version="2020.1.0")
    with pytest.raises(InfrastructureError, match="does not run there"):
        tool_environment()


def test_no_fit_python(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolenv, "OLDEST_PYTHON", (3, 97))
    monkeypatch.setattr(toolenv, "FIRST_UNFIT_PYTHON", (3, 99))
    put(programs / "python3", "#!/bin/sh\necho 3 11\n")
    put(programs / "python3.97", "#!/bin/sh\nexit 127\n")
    with pytest.raises(ConfigError, match=r"no Python from 3\.97 to 3\.98 was found, which ESPHome needs; install one"):
        tool_environment()


@pytest.mark.parametrize("uv", ["none", "a name without a program"])
def test_without_uv_the_fit_python_makes_it(uv: str, programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolenv, "OLDEST_PYTHON", (3, 97))
    monkeypatch.setattr(toolenv, "FIRST_UNFIT_PYTHON", (3, 99))
    if uv != "none":
        put_uv(programs, answers=127)
    pip = (
        f'#!{sys.executable}\nimport os, sys\nif sys.argv[1] != "-m":\n    print("3 98"); print(__file__); sys.exit()\n'
    )
    no_venv = 'print("The virtual environment was not created successfully because ensurepip is not"); sys.exit(1)'
    put(programs / "python3.98", pip + no_venv)
    with pytest.raises(InfrastructureError, match="ensurepip is not"):
        tool_environment()
    esphome = f"#!/bin/sh\\necho Version: {ESPHOME_VERSION}\\n"
    put(
        programs / "python3.98",
        pip
        + f"""
from pathlib import Path
if sys.argv[2] == "venv":
    (Path(sys.argv[3]) / "bin").mkdir(parents=True)
    os.link(__file__, Path(sys.argv[3]) / "bin" / "python")
else:
    assert sys.argv[2:4] == ["pip", "install"], sys.argv
    assert sys.argv[-1] == "esphome=={ESPHOME_VERSION}"
    program = Path(__file__).parent / "esphome"
    program.write_text("{esphome}")
    program.chmod(0o755)
""",
    )
    assert tool_environment().esphome.is_file()
    assert installations() == 0


@pytest.mark.usefixtures("programs")
def test_a_chosen_environment_is_taken_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = tmp_path / "mine"
    monkeypatch.setenv("MWW_ESPHOME_ENV", str(chosen))
    with pytest.raises(ConfigError, match=r"MWW_ESPHOME_ENV=.*has no bin/esphome"):
        tool_environment()
    put(chosen / "bin" / "esphome", "#!/bin/sh\necho Version: 2020.1.0\n")
    with pytest.raises(ConfigError, match=f"holds ESPHome 2020.1.0, but {ESPHOME_VERSION} is needed"):
        tool_environment()
    put(chosen / "bin" / "esphome", "#!/bin/sh\nexit 1\n")
    with pytest.raises(ConfigError, match="holds ESPHome that does not run"):
        tool_environment()
    put(chosen / "bin" / "esphome", f"#!/bin/sh\necho Version: {ESPHOME_VERSION}\n")
    assert tool_environment().folder == chosen


def test_of_two_processes_one_installs_and_the_other_waits(programs: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    put_uv(programs, install=f'print("waiting at the gate"); open("{gate}").read()')
    program = (
        "from firmware.toolenv import tool_environment; print(tool_environment(report=lambda line: print(line,"
        " flush=True)).version)"
    )
    command = [sys.executable, "-c", program]
    root = Path(__file__).parents[2]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as first,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as second,
    ):
        assert first.stdout is not None
        assert second.stdout is not None
        said = {first.stdout.readline().split()[0], second.stdout.readline().split()[0]}
        assert said == {"installing", "waiting"}
        # Opens when the installer reads.
        gate.write_text("open")
        assert first.stdout.read() == second.stdout.read() == f"{ESPHOME_VERSION}\n"
    assert installations() == 1


def test_shims_and_variables_of_somebody_elses_python_change_nothing(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pyenv's shims stand before the real programs, and what a shell in another environment exports leads elsewhere."""
    monkeypatch.setattr(toolenv, "OLDEST_PYTHON", (3, 97))
    monkeypatch.setattr(toolenv, "FIRST_UNFIT_PYTHON", (3, 99))
    shim = '#!/bin/sh\necho "pyenv: $(basename $0): command not found" >&2\nexit 127\n'
    for name in ("uv", "python3.97", "python3", "python"):
        put(programs / name, shim)
    esphome = f"#!/bin/sh\\necho Version: {ESPHOME_VERSION}\\n"
    real = tmp_path / "real" / "python3.98"
    put(
        real,
        f"""#!{sys.executable}
import os, sys
from pathlib import Path
starts = ("PYTHON", "PYENV_", "UV_PYTHON", "VIRTUAL_ENV", "PIP_USER", "PIP_TARGET")
foreign = [name for name in os.environ if name.startswith(starts)]
assert not foreign, foreign
if sys.argv[1] == "-c":
    print("3 98"); print({str(real)!r})
elif sys.argv[2] == "venv":
    (Path(sys.argv[3]) / "bin").mkdir(parents=True)
    os.link(__file__, Path(sys.argv[3]) / "bin" / "python")
else:
    program = Path(__file__).parent / "esphome"
    program.write_text("{esphome}")
    program.chmod(0o755)
""",
    )
    # Which Python this shim starts depends on the folder: in that of the tools there is none.
    put(programs / "python3.98", f'#!/bin/sh\n[ "$(pwd)" = / ] || exit 127\nexec {real} "$@"\n')
    elsewhere = {
        "PYENV_VERSION": "2.7",
        "VIRTUAL_ENV": "/nowhere",
        "UV_PYTHON": "2.7",
        "PIP_USER": "1",
        "PIP_TARGET": "/nowhere",
    }
    for name, value in (
        elsewhere | {"PYTHONPATH": "/nowhere", "PYTHONHOME": "/nowhere", "PYTHONWARNINGS": "error"}
    ).items():
        monkeypatch.setenv(name, value)
    assert tool_environment().esphome.is_file()
