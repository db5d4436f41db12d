"""Fixtures shared by all tests."""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import signal
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.clusters import LocalCluster, local_cluster
from tests.once import made_once, one_at_a_time, shared_folder
from tests.programs import what_to_install
from tests.spoken import Spoken, generate, recorded
from tests.virtual_audio import VirtualAudio, missing, virtual_audio
from wakeword.errors import MwwError

if TYPE_CHECKING:
    from firmware.boards.kinds.virtual import VirtualBoard
    from firmware.build import Firmware
    from firmware.toolenv import ToolEnvironment

CORPUS = Path(os.environ.get("MWW_TEST_CORPUS", Path(__file__).parents[2] / "shared" / "corpus"))
LESS_MACHINE_CODE = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"


def pytest_configure() -> None:
    """A shell starts background jobs with Ctrl-C ignored, and so would all programs be that the tests start and
    interrupt.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Tests compile many programs and run each for some steps. XLA's own passes, which decide what is computed, stay;
    # LLVM's, which make machine code faster, cost more here than they save. Programs that tests start inherit it.
    given = os.environ.get("XLA_FLAGS", "")
    if "xla_backend_optimization_level" not in given:
        os.environ["XLA_FLAGS"] = f"{given} {LESS_MACHINE_CODE}".strip()
    # Machines are shared and noisy: how long an example takes says nothing.
    settings.register_profile("machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("machine")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None]:
    """A test that leaves this process at a higher priority would slow down, or stop, the tests that run beside it, and
    what is compiled for a module stays in memory.
    """
    yield
    if "trainer" in item.path.parts and (nextitem is None or nextitem.path != item.path):
        _give_back_memory()
    if hasattr(os, "sched_getscheduler") and os.sched_getscheduler(0) in (os.SCHED_RR, os.SCHED_FIFO):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        pytest.fail(
            "the test left its process at a real-time priority; run what asks for one in a thread or a process of"
            " its own"
        )


def _give_back_memory() -> None:
    """What JAX compiled and nobody runs any more, to the system: a training's programs take 200 MB."""
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()
    if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:  # glibc's
        trim(0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line says what would run the tests that this machine lacks programs for."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = [report.longrepr[2] for report in skipped if isinstance(report.longrepr, tuple)]
    if (line := what_to_install(reasons)) is not None:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The development corpus beside the checkout."""
    if not CORPUS.is_dir():
        pytest.skip(f"the development corpus is not at {CORPUS}; users do not have it")
    return CORPUS


@pytest.fixture(scope="session")
def generated_speech(tmp_path_factory: pytest.TempPathFactory) -> Spoken:
    """Words and sentences that are made on the spot."""
    return generate(tmp_path_factory.mktemp("spoken"))


@pytest.fixture(scope="session")
def spoken(request: pytest.FixtureRequest) -> Spoken:
    """People's words and sentences where the development corpus is there, else generated ones: a test is the stricter
    with people's.
    """
    if CORPUS.is_dir():
        return recorded(CORPUS)
    made: Spoken = request.getfixturevalue("generated_speech")
    return made


@pytest.fixture(scope="session")
def esphome() -> ToolEnvironment:
    """The real ESPHome, in the user's own cache so that it is installed once."""
    from firmware.toolenv import tool_environment

    try:
        return tool_environment()
    except MwwError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"ESPHome is not there: {error}")


@pytest.fixture(scope="session")
def official_models() -> Path:
    """Folder of the official v2 models and manifests that pymicro-wakeword ships."""
    import pymicro_wakeword

    return Path(pymicro_wakeword.__file__).parent / "models"


@pytest.fixture(scope="session")
def build_host(official_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Firmware]:
    """Compiles official models into a program for this machine, once for all tests and their processes."""
    from firmware.build import build, read_firmware
    from firmware.credentials import SECRETS_FILE

    # All are built in one folder, so that the second compiles only what its models change, and then copied: a finished
    # one may be moved.
    workshop = shared_folder(tmp_path_factory) / "workshop"

    @functools.cache
    def build_one(*models: str) -> Firmware:
        def make(folder: Path) -> None:
            with one_at_a_time(workshop):
                (workshop / SECRETS_FILE).unlink(missing_ok=True)  # each has a key of its own
                build("host", [official_models / f"{model}.json" for model in models], workshop)
                shutil.copytree(workshop, folder, symlinks=True, dirs_exist_ok=True)

        try:
            return read_firmware(made_once(tmp_path_factory, f"firmware_{'_'.join(models)}", make))
        except MwwError as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"no virtual board can be built here: {error}")

    return build_one


@pytest.fixture(scope="session")
def host_firmware(build_host: Callable[..., Firmware]) -> Firmware:
    """A program for this machine with the official alexa model."""
    return build_host("alexa")


@pytest.fixture(scope="session")
def two_models_firmware(build_host: Callable[..., Firmware]) -> Firmware:
    """A program for this machine with two official models: hey_mycroft, then okay_nabu."""
    return build_host("hey_mycroft", "okay_nabu")


@pytest.fixture(scope="module")
def air() -> Iterator[VirtualAudio]:
    """A loudspeaker and a microphone without a sound card, for this process and those that it starts."""
    absent = missing()
    if absent is not None:
        pytest.skip(f"no virtual audio here: {absent}")
    from bench_audio.devices import look_again

    before = dict(os.environ)
    with virtual_audio() as audio:
        os.environ.update(audio.variables)
        look_again()
        yield audio
        os.environ.clear()
        os.environ.update(before)
    look_again()


@pytest.fixture
def virtual_board(host_firmware: Firmware) -> VirtualBoard:
    """A virtual board with the alexa model, as fast as it goes; the test starts and stops it."""
    from firmware.boards.entry import VIRTUAL_BOARD
    from firmware.boards.kinds.virtual import VirtualBoard

    return VirtualBoard(VIRTUAL_BOARD, host_firmware)


@pytest.fixture(scope="session")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """A scheduler and two worker processes on this machine."""
    with local_cluster(tmp_path_factory.mktemp("cluster"), 2) as running:
        yield running


@pytest.fixture
def cluster(two_workers: LocalCluster) -> LocalCluster:
    """The same with both workers there, whatever an earlier test did to them."""
    two_workers.whole(2)
    return two_workers
