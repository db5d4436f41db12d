"""`mww-firmware build` as a user meets it, with an esphome that does what the test says."""

from __future__ import annotations

import base64
import fcntl
import os
import signal
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from firmware.build import api_key, build, read_firmware
from tests import commands
from tests.commands import Done
from tests.firmware.quoting import WAYS
from wakeword.errors import ConfigError, InfrastructureError
from wakeword.locks import hold

type MakeManifest = Callable[..., Path]
type StandIn = Callable[..., None]

MAKE_IMAGES = """
from pathlib import Path
folder = Path(".esphome/build/box/build")
folder.mkdir(parents=True, exist_ok=True)
for name in ("firmware.ota.bin", "firmware.factory.bin", "box.elf"):
    (folder / name).touch()
print("[1/2] CXX main.cpp.o")
print("[2/2] LINK program")
print("RAM:   [====      ]  26.5% (used 47932 bytes from 180736 bytes)")
print("Flash: [===       ]  48.4% (used 888511 bytes from 1835008 bytes)")
"""


run = partial(commands.run, None, "mww-firmware")


def build_box(folder: Path, *models: Path, **options: object) -> Done:
    flags = [part for name, value in options.items() for part in (f"--{name}", value)]
    return run(
        "build",
        "--target",
        "esp32-s3-box-3",
        "--name",
        "box",
        *(part for model in models for part in ("--model", model)),
        "--output",
        folder,
        *flags,
    )


def assert_refused(done: Done, exit_code: int, complaint: str) -> None:
    assert done.returncode == exit_code, done.stderr
    assert done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert complaint in last
    assert "Traceback" not in done.stderr


def assert_secret(folder: Path, done: Done, secrets: dict[str, str], past_python: str) -> None:
    """No secret in what was printed, by the command or by what it started, logged or recorded; the project's own file
    is for its owner alone.
    """
    shown = (
        done.stdout
        + done.stderr
        + past_python
        + "".join((folder / name).read_text() for name in ("build.log", "firmware.json") if (folder / name).exists())
    )
    key = base64.b64decode(secrets["MWW_API_KEY"])
    for secret in (
        *(form for value in secrets.values() for way in WAYS.values() for form in (way(value), way(value[1:-1]))),
        ", ".join(map(str, key)),
    ):
        assert secret not in shown
    assert (folder / "secrets.yaml").stat().st_mode & 0o777 == 0o600


def test_help_names_every_target() -> None:
    from firmware.project import targets

    done = run("build", "--help")
    assert done.returncode == 0
    words = done.stdout.replace("│", " ").split()
    for target in targets():
        assert any(word.strip(",:.") == target for word in words), target


def test_a_build(
    stand_in: StandIn, secrets: dict[str, str], official_models: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    stand_in(compile=MAKE_IMAGES)
    folder = tmp_path / "box"
    done = build_box(folder, official_models / "alexa.json")
    assert done.returncode == 0, done.stderr
    assert "flash: 888,511 bytes" in done.stdout
    assert "RAM, static: 47,932 bytes" in done.stdout
    assert "factory image: " in done.stdout
    stages = [line for line in done.stderr.splitlines() if "min so far" not in line]  # on a busy machine
    assert stages[1:] == ["validating the configuration", "generating and compiling the program"]
    assert_secret(folder, done, secrets, "".join(capfd.readouterr()))
    made = read_firmware(folder)
    assert (made.name, made.target, made.flash_bytes) == ("box", "esp32-s3-box-3", 888511)
    assert made.program == made.ota_image == folder / ".esphome/build/box/build/firmware.ota.bin"
    assert [model.wake_word for model in made.models] == ["Alexa"]
    assert api_key(folder) == secrets["MWW_API_KEY"]
    assert (folder / ".esphome").stat().st_mode & 0o777 == 0o700
    # What was given once serves again, and a finished folder may be moved.
    for variable in secrets:
        del os.environ[variable]
    moved = folder.rename(tmp_path / "moved")
    assert build_box(moved, official_models / "alexa.json").returncode == 0
    assert read_firmware(moved).program == moved / ".esphome/build/box/build/firmware.ota.bin"


def test_what_ccache_keeps_of_a_program_is_its_owners(
    stand_in: StandIn, secrets: dict[str, str], official_models: Path, tmp_path: Path
) -> None:
    assert secrets
    stand_in(compile=f"import os\nassert os.environ['CCACHE_UMASK'] == '077'\n{MAKE_IMAGES}")
    done = build_box(tmp_path / "box", official_models / "alexa.json")
    assert done.returncode == 0, done.stderr


def test_a_program_that_prints_secrets(
    stand_in: StandIn, secrets: dict[str, str], official_models: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    print_all = (
        "import base64, json, shlex, urllib.parse, yaml\nfor value in yaml.safe_load(open('secrets.yaml')).values():\n "
        "   print('ERROR', value, json.dumps(value), repr(value), shlex.quote(value), urllib.parse.quote(value),"
        " base64.b64encode(value.encode()))\n    print(f'password: \\\\033[8m{value[:-1]}\\\\033[28m"
        " \\x1b[8m{value[1:]}\\x1b[28m')"
    )
    stand_in(
        config=f"{print_all}\nassert not any(name.startswith('MWW_W') for name in os.environ)",
        compile=f"{print_all}\nsys.exit(1)",
    )
    done = build_box(tmp_path / "box", official_models / "alexa.json")
    assert_refused(done, 3, "compiling failed: ERROR [redacted]")
    assert_secret(tmp_path / "box", done, secrets, "".join(capfd.readouterr()))


@pytest.mark.usefixtures("secrets")
def test_unchanged_files_are_not_touched(stand_in: StandIn, official_models: Path, tmp_path: Path) -> None:
    stand_in(compile=MAKE_IMAGES)

    def times() -> dict[Path, int]:
        build("esp32-s3-box-3", [official_models / "alexa.json"], tmp_path / "box", name="box")
        files = [
            path
            for path in (tmp_path / "box").rglob("*")
            if path.is_file() and path.name not in ("build.log", "firmware.json", "firmware.lock")
        ]
        return {path: path.stat().st_mtime_ns for path in files if ".esphome" not in path.parts}

    first = times()
    assert len(first) > 5
    assert times() == first


FAILURES = {
    "configuration": (
        {
            "config": (
                "print('Failed config'); print('wifi: [source x]'); print('  '); print('  Too short.'); print('  ssid:"
                " x'); print('  no: y'); sys.exit(2)"
            )
        },
        2,
        "ESPHome refuses the configuration: Too short; see",
    ),
    "download": (
        {
            "compile": (
                "print('INFO Downloading ESP-IDF 5.5.6 framework ...'); print('ERROR Failed to download from all"
                " mirrors:');print('  https://github.example/x.tar.xz'); sys.exit(1)"
            )
        },
        3,
        "ESP-IDF 5.5.6 framework from github.example could not be downloaded; connect this machine to the network",
    ),
    "code": (
        {
            "compile": (
                "print('[3/70] CXX x.o'); print('FAILED: x.o'); print('x.cpp:3:1: error: expected ;'); print('note');"
                " sys.exit(1)"
            )
        },
        3,
        "compiling failed: x.cpp:3:1: error: expected ;",
    ),
    "disk": (
        {"compile": "print('ld: final link failed: No space left on device'); sys.exit(1)"},
        3,
        "No space left on device",
    ),
    "silence": ({"compile": "sys.exit(1)"}, 3, "compiling failed"),
    "nothing made": ({"compile": "pass"}, 3, "ESPHome ended well, but did not make this file"),
}


@pytest.mark.usefixtures("secrets")
@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_is_one_line_and_nothing_counts_as_built(
    failure: str, stand_in: StandIn, official_models: Path, tmp_path: Path
) -> None:
    commands, exit_code, complaint = FAILURES[failure]
    folder = tmp_path / "box"
    stand_in(compile=MAKE_IMAGES)
    build("esp32-s3-box-3", [official_models / "alexa.json"], folder, name="box")
    for image in folder.glob(".esphome/build/box/build/*"):
        image.unlink()
    stand_in(**commands)
    assert_refused(build_box(folder, official_models / "alexa.json"), exit_code, complaint)
    assert "ran config box.yaml" in (folder / "build.log").read_text()
    with pytest.raises(ConfigError, match="holds no finished firmware"):
        read_firmware(folder)


def test_inputs_are_refused_before_any_work(
    stand_in: StandIn,
    secrets: dict[str, str],
    official_models: Path,
    manifest: MakeManifest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stand_in(config="raise SystemExit('must not run')")
    alexa = official_models / "alexa.json"
    folder = tmp_path / "box"
    assert_refused(
        run("build", "--target", "esp8266", "--model", alexa, "--output", folder),
        2,
        "there is no such target; choose one of esp32-s3-box-3",
    )
    assert_refused(
        run("build", "--target", "host", "--model", alexa, "--name", "My Board", "--output", folder),
        2,
        "--name 'My Board': a device's name has at most 31",
    )
    assert_refused(
        run("build", "--target", "host", "--model", alexa, "--name", "models", "--output", folder),
        2,
        "--name 'models': models.yaml is another file of the project",
    )
    assert_refused(
        run("build", "--target", "host", "--model", alexa, "--toolchain", "platformio", "--output", folder),
        2,
        "--toolchain platformio: the virtual board is compiled by this machine's compiler",
    )
    assert_refused(build_box(folder, tmp_path / "none.json"), 2, "cannot read the manifest")
    assert_refused(build_box(folder, manifest(version=1)), 2, "version")
    assert_refused(build_box(folder, alexa, manifest("okay_nabu", wake_word="Alexa")), 2, "could not be told apart")
    assert_refused(build_box(folder, alexa, secrets=tmp_path / "none.yaml"), 2, "cannot read the secrets")
    assert not folder.exists()
    assert_refused(build_box(tmp_path, alexa), 2, "holds files that are no firmware project")
    assert_refused(build_box(alexa, alexa), 2, "is a file; give a folder")
    monkeypatch.setenv("MWW_API_KEY", "wrong")
    assert_refused(build_box(folder, alexa), 2, "MWW_API_KEY: is not base64")
    monkeypatch.delenv("MWW_API_KEY")
    assert_refused(build_box(folder, alexa), 2, "api_key missing: set MWW_API_KEY, or put it into a file for --secrets")
    assert not folder.exists()
    assert secrets["MWW_WIFI_PASSWORD"] not in build_box(folder, alexa).stderr


@pytest.mark.usefixtures("secrets", "stand_in")
def test_two_builds_in_one_folder(official_models: Path, tmp_path: Path) -> None:
    with (
        hold(tmp_path / "box" / "firmware.lock", "", ""),
        pytest.raises(InfrastructureError, match=rf"box: in use by pid {os.getpid()} .* or give another --output"),
    ):
        build("esp32-s3-box-3", [official_models / "alexa.json"], tmp_path / "box")


@pytest.mark.usefixtures("secrets")
@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_leaves_no_process_and_no_firmware(
    number: signal.Signals, exit_code: int, stand_in: StandIn, official_models: Path, tmp_path: Path
) -> None:
    gate, lock = tmp_path / "gate", tmp_path / "lock"
    os.mkfifo(gate)
    stand_in(
        compile=f"""
import fcntl, subprocess, time
lock = open("{lock}", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], pass_fds=[lock.fileno()])
open("{gate}", "w").close()
time.sleep(600)
"""
    )
    arguments = [
        "build",
        "--target",
        "esp32-s3-box-3",
        "--name",
        "box",
        "--model",
        official_models / "alexa.json",
        "--output",
        tmp_path / "box",
    ]
    with subprocess.Popen(commands.command("mww-firmware", *arguments), stderr=subprocess.PIPE, text=True) as process:
        gate.read_text()
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == exit_code
    assert errors.splitlines()[-1].startswith("error: ")
    with lock.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
    with pytest.raises(ConfigError):
        read_firmware(tmp_path / "box")


def test_the_virtual_boards_key_is_made_once(tmp_path: Path) -> None:
    from firmware import credentials
    from firmware.project import collect_secrets

    made = collect_secrets("host", tmp_path, None)
    assert len(base64.b64decode(made["api_key"])) == 32
    credentials.write(tmp_path / "secrets.yaml", made)
    assert collect_secrets("host", tmp_path, None) == made
    os.environ["MWW_API_KEY"] = credentials.new_api_key()
    try:
        assert collect_secrets("host", tmp_path, None) == {"api_key": os.environ["MWW_API_KEY"]}
    finally:
        del os.environ["MWW_API_KEY"]


@pytest.mark.parametrize("damage", ["{", "{}", '{"format": 2}', "[]"])
def test_a_damaged_record(damage: str, tmp_path: Path) -> None:
    (tmp_path / "firmware.json").write_text(damage)
    with pytest.raises(ConfigError, match="build again"):
        read_firmware(tmp_path)


def test_a_record_whose_program_is_gone(
    stand_in: StandIn, secrets: dict[str, str], official_models: Path, tmp_path: Path
) -> None:
    assert secrets
    stand_in(compile=MAKE_IMAGES)
    made = build("esp32-s3-box-3", [official_models / "alexa.json"], tmp_path / "box", name="box")
    assert made.program is not None
    assert read_firmware(tmp_path / "box") == made
    made.program.unlink()
    with pytest.raises(ConfigError, match="is gone since the firmware was built"):
        read_firmware(tmp_path / "box")
