"""pytest for boards: tests marked `hardware` run on the board that `--board` names, and are skipped with a reason where
none is named.

    pytest -m hardware --board virtual --manifest alexa.json --junit-xml report.xml

A real board hears the loudspeaker that `boards.yaml` names for it. With `--firmware` it is flashed where it runs
another model, with `--flash` also where it is blank or has other firmware.

Fixtures: `board` (started and locked), `player` (brings sound to it), `collector` (connected to it), `session`
(measures, and writes what it measured into the JUnit file), `run` (awaits on the loop that they live on).
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Coroutine, Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from wakeword.errors import ConfigError, MwwError

if TYPE_CHECKING:
    from firmware.boards.board import Board, Player
    from firmware.boards.entry import BoardEntry
    from firmware.build import Firmware
    from harness.collect.collector import Collector
    from harness.results.schema import IntervalRecord, Result

ANSWER_SECONDS = 120.0
"""For one await in a test; a board that is gone must not hang the suite."""
CONNECT_SECONDS = 60.0


class Run(Protocol):
    """Awaits something and gives its value."""

    def __call__[T](self, coroutine: Coroutine[Any, Any, T], /) -> T:
        """Raises what the coroutine raises, and `TimeoutError` after `ANSWER_SECONDS`."""
        ...


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options that choose a board and a model."""
    group = parser.getgroup("wakeword-bench", "boards")
    group.addoption(
        "--board",
        metavar="NAME",
        help="run tests marked 'hardware' on this board of the inventory; 'virtual' is there without one",
    )
    group.addoption(
        "--boards",
        metavar="FILE",
        type=Path,
        help="the inventory (default: $MWW_BOARDS, or boards.yaml where it exists)",
    )
    group.addoption("--manifest", metavar="FILE", type=Path, help="ESPHome V2 manifest of the model under test")
    group.addoption(
        "--firmware",
        metavar="DIR",
        type=Path,
        help=(
            "folder of mww-firmware build with that model; flashed where the board runs another one (default for a"
            " virtual board: built)"
        ),
    )
    group.addoption(
        "--flash",
        action="store_true",
        help="flash --firmware also onto a board that is blank, or has firmware that is not the bench's",
    )
    group.addoption(
        "--calibration",
        metavar="FILE",
        type=Path,
        help="file of mww-bench calibrate, for a board that hears a loudspeaker",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known to --strict-markers."""
    config.addinivalue_line("markers", "hardware: needs a board, named by --board; skipped with a reason without one")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip tests of boards where none is named."""
    if config.getoption("--board") is None:
        skip = pytest.mark.skip(reason="no board is named; give --board NAME, for example --board virtual")
        for item in items:
            if item.get_closest_marker("hardware") is not None:
                item.add_marker(skip)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell what stopped a test of a board in the line that our errors are; where in our code it was noticed helps
    nobody.
    """
    report = yield
    if (
        call.excinfo is not None
        and call.excinfo.errisinstance(MwwError)
        and item.get_closest_marker("hardware") is not None
    ):
        report.longrepr = str(call.excinfo.value)
    return report


@pytest.fixture(scope="session")
def board_entry(pytestconfig: pytest.Config) -> BoardEntry:
    """The inventory's entry of the board that `--board` names."""
    from firmware.boards.inventory import find_board, inventory_path

    name = pytestconfig.getoption("--board")
    if name is None:
        pytest.skip("no board is named; give --board NAME, for example --board virtual")
    return find_board(name, inventory_path(pytestconfig.getoption("--boards")))


@pytest.fixture(scope="session")
def manifest(pytestconfig: pytest.Config) -> Path:
    """The manifest that `--manifest` names; a conftest may name another one instead."""
    path = pytestconfig.getoption("--manifest")
    if path is None:
        raise ConfigError("tests of boards need a model; give its manifest with --manifest FILE")
    assert isinstance(path, Path)
    if not path.is_file():
        raise ConfigError(f"--manifest {path}: no such file; give the manifest of the model under test")
    return path


@pytest.fixture(scope="session")
def board_firmware(pytestconfig: pytest.Config, board_entry: BoardEntry, manifest: Path) -> Firmware | None:
    """What the board is to run: the firmware given, one built for a virtual board, or None for a board that runs its
    model already.
    """
    from harness.session.firmware import find_firmware
    from wakeword.device_model import load_model

    return find_firmware(board_entry, load_model(manifest, None, None), pytestconfig.getoption("--firmware"))


@pytest.fixture
def run() -> Iterator[Run]:
    """Awaits something on a loop that goes on between the awaits of a test, so that connections stay alive."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="bench", daemon=True)
    thread.start()

    async def bounded[T](coroutine: Coroutine[Any, Any, T]) -> T:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await coroutine

    def on_the_loop[T](coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(bounded(coroutine), loop).result()

    yield on_the_loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def board(
    pytestconfig: pytest.Config,
    board_entry: BoardEntry,
    board_firmware: Firmware | None,
    manifest: Path,
    run: Run,
    tmp_path: Path,
) -> Iterator[Board]:
    """The board, with the model, started and locked for this test."""
    from firmware.boards.lock import hold_board
    from firmware.boards.ready import make_ready
    from firmware.boards.registry import kind_of

    with hold_board(board_entry):
        opened = kind_of(board_entry).open(board_entry, board_firmware, folder=tmp_path)
        try:
            # Not on the loop of `run`: flashing has time limits of its own, and long ones.
            asyncio.run(make_ready(opened, board_firmware, flash=pytestconfig.getoption("--flash"), say=print))
            asyncio.run(_give_model(opened, board_firmware, manifest))
            yield opened
        finally:
            run(opened.stop())


async def _give_model(board: Board, firmware: Firmware | None, manifest: Path) -> None:
    """Flash a real board that runs another model, as a session would."""
    from firmware.boards.registry import kind_of
    from firmware.native_api import ask
    from wakeword.device_model import load_model

    if firmware is None or kind_of(board.entry).runs_here:
        return
    running = await ask(board.target, CONNECT_SECONDS)
    if load_model(manifest, None, None).model.sha256 not in [model.sha256 for model in running.identity.models]:
        await board.flash(firmware, print)


@pytest.fixture
def player(pytestconfig: pytest.Config, board: Board, run: Run) -> Iterator[Player]:
    """Brings sound to the board, through the air where the inventory says so."""
    from harness.air.player import open_player
    from harness.air.settings import AirOptions, air_settings

    opened = open_player(
        board, air_settings(board.entry, AirOptions(calibration=pytestconfig.getoption("--calibration")))
    )
    yield opened
    run(opened.close())


@pytest.fixture
def collector(board: Board, run: Run, tmp_path: Path) -> Iterator[Collector]:
    """A collector that is connected to the board; its raw events are in `raw.jsonl` of the test's folder."""
    from harness.collect.collector import Collector
    from harness.collect.raw import RawLog

    with RawLog(tmp_path / "raw.jsonl") as raw:
        opened = Collector(board.target, raw)
        run(opened.__aenter__())
        try:
            run(opened.wait_connected(CONNECT_SECONDS))
            yield opened
        finally:
            run(opened.__aexit__(None, None, None))


@pytest.fixture
def session(
    request: pytest.FixtureRequest,
    board_entry: BoardEntry,
    manifest: Path,
    record_testsuite_property: Callable[[str, object], None],
    tmp_path: Path,
) -> Callable[..., Result]:
    """Measures the model on the board: `session(wake=[...], none=[...], seed=0)` gives the `Result`, as
    `mww-bench measure` would.

    The JUnit file gets the model's hash, versions and scores: the test as its properties, the suite those of its last
    measurement.
    """
    from harness.air.settings import AirOptions
    from harness.session.measure import measure
    from harness.session.request import SessionRequest

    numbers = itertools.count()

    def measured(
        *, wake: Sequence[Path] = (), none: Sequence[Path] = (), seed: int = 0, realtime: bool = False
    ) -> Result:
        asked = SessionRequest(
            board=board_entry.name,
            model=manifest,
            wake=tuple(wake),
            none=tuple(none),
            boards=request.config.getoption("--boards"),
            firmware=request.config.getoption("--firmware"),
            flash=request.config.getoption("--flash"),
            air=AirOptions(calibration=request.config.getoption("--calibration")),
            output=tmp_path / f"session-{next(numbers)}",
            seed=seed,
            realtime=realtime,
            command=("pytest", request.node.nodeid),
        )
        result = measure(asked).result
        for name, value in properties(result):
            request.node.user_properties.append((name, value))
            record_testsuite_property(name, value)
        return result

    return measured


def properties(result: Result) -> list[tuple[str, str]]:
    """What a reader of a JUnit file must know of a measurement: model, board, versions, and scores with their
    intervals.
    """
    facts = [
        ("wake_word", result.model.wake_word),
        ("model_sha256", result.model.tflite_sha256),
        ("cutoff", f"{result.model.cutoff_uint8}/255"),
        ("source", result.runs[0].source),
        *((f"version.{name}", version) for name, version in result.versions.items()),
    ]
    if result.session is not None:
        facts += [
            ("board", result.session.board.name),
            ("version.esphome", result.session.esphome_version or "unknown"),
        ]
    for name, record in (
        ("recall", result.scores.recall),
        ("false_accepts_per_hour", result.scores.false_accepts_per_hour),
    ):
        if record is not None:
            facts.append((name, _interval(record)))
    facts.append(("void_seconds", f"{result.scores.void_seconds:.2f}"))
    return facts


def _interval(record: IntervalRecord) -> str:
    if record.rate is None:
        return "not measured"
    return f"{record.rate:.4f} ({record.low:.4f}-{record.high:.4f}; {record.count} of {record.of:.4g}; {record.method})"
