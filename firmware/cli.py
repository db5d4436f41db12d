"""`mww-firmware`: parse, call, print."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from wakeword.command_line import CommandApp, reports_errors, resumes
from wakeword.errors import ConfigError

if TYPE_CHECKING:
    from firmware.build import Firmware
    from firmware.flashing import Flashed

firmware_app = CommandApp(no_args_is_help=True)


@firmware_app.callback()
def firmware() -> None:
    """ESPHome firmware around a model, for measuring it on a board."""


@firmware_app.command()
@resumes
def build(
    target: Annotated[
        str,
        typer.Option(
            help=(
                "esp32-s3-devkitc-1, esp32-s3-box-3, home-assistant-voice-pe, m5stack-atoms3r-echo-base,"
                " seeed-respeaker-lite, waveshare-esp32-s3-audio, or host: a virtual board on this machine."
            )
        ),
    ],
    model: Annotated[list[Path], typer.Option(help="ESPHome V2 manifest (.json); may be repeated.")],
    output: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the project; built again, it compiles what changed. (default: runs/firmware/NAME)"
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The device's name. (default: mww-TARGET)")] = None,
    secrets: Annotated[
        Path | None,
        typer.Option(
            help="YAML file with api_key, wifi_ssid, wifi_password. (default: ./secrets.yaml where it exists)"
        ),
    ] = None,
    generate_only: Annotated[
        bool,
        typer.Option(
            "--generate-only",
            help="Validate and write the program's C++, and do not compile it: no ESP-IDF is downloaded.",
        ),
    ] = False,
    toolchain: Annotated[
        Literal["native", "platformio"],
        typer.Option(
            help=(
                "What compiles for a board: native, ESP-IDF's own build, or platformio, which ESPHome drops with"
                " 2027.2. Either is downloaded by the first build."
            )
        ),
    ] = "native",
    digital: Annotated[
        bool,
        typer.Option(
            "--digital",
            help=(
                "A bench firmware that hears what mww-bench measure --source digital plays over the network, instead of"
                " its own microphone."
            ),
        ),
    ] = False,
) -> None:
    """Build the firmware of a board with one or more models.

    Secrets come from MWW_API_KEY, MWW_WIFI_SSID and MWW_WIFI_PASSWORD, else from the secrets file; the virtual board
    makes a key of its own. ESPHome is installed once into an environment of its own, below MWW_TOOLS_DIR (default:
    ~/.cache/mww/tools). A virtual board is compiled by what CC, CXX and AR name, by gcc or by clang; where none works,
    by Zig's compiler, which pip brings.

    Exit code 2: a model, a secret or another input is wrong. 3: a tool, the network or the machine failed.

    Examples:

      mww-firmware build --target host --model okay_house.json

      mww-firmware build --target esp32-s3-box-3 --model okay_house.json --secrets secrets.yaml --output runs/box
    """
    from firmware.build import build as build_firmware
    from firmware.build import default_name
    from firmware.terminal import stages

    folder = output or Path("runs") / "firmware" / (name or default_name(target))
    with stages() as (report, progress):
        made = build_firmware(
            target,
            model,
            folder,
            name=name,
            generate_only=generate_only,
            toolchain=toolchain,
            digital=digital,
            secrets_file=secrets,
            report=report,
            progress=progress,
        )
    _print_firmware(made)


@firmware_app.command()
@reports_errors
def arena(
    models: Annotated[list[Path], typer.Argument(help="Manifests (.json) or models (.tflite).", show_default=False)],
) -> None:
    """Tell the tensor arena that a model needs on an ESP32-S3, with each version of ESP-NN whose rules are known.

    ESP-NN's kernels compute on an ESP32-S3, and each version asks for other scratch memory; ESPHome 2026.10 pins 1.1.2.
    Forms that a version is known to compute wrongly are named, with their source. All figures are estimates.

    Exit code 0 whatever is found; mww-verify judges a model.

    Examples:

      mww-firmware arena okay_house.json
    """
    from rich.console import Console

    from firmware.arena import arena_rows, arena_table, error_words, version_words

    console = Console(width=None if sys.stdout.isatty() else 120)
    for path in models:
        rows = arena_rows(path)
        console.print(arena_table(path, rows))
        for line in error_words(path, rows):
            print(line)
    for line in version_words():
        print(line)


@firmware_app.command()
@reports_errors
def flash(
    board: Annotated[str, typer.Option(help="Name of the board in boards.yaml.")],
    firmware: Annotated[
        Path | None,
        typer.Option(help="Folder of mww-firmware build. (default: runs/firmware/mww-TARGET, of the board's target)"),
    ] = None,
    boards: Annotated[
        Path | None, typer.Option(help="The inventory. (default: $MWW_BOARDS, or boards.yaml where it exists)")
    ] = None,
    via: Annotated[
        Literal["auto", "serial", "network"],
        typer.Option(help="auto: over the air where the board answers on the network, else over its serial port."),
    ] = "auto",
    port: Annotated[
        str | None,
        typer.Option(
            help=(
                "Serial port, rfc2217://HOST:PORT or socket://HOST:PORT. (default: the USB port with the board's serial"
                " number or MAC)"
            )
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write also what the board holds already.")] = False,
    boot_seconds: Annotated[
        float,
        typer.Option(help="How long the board's log is kept after its start, at most; 0: not at all.", min=0, max=600),
    ] = 15.0,
    network_seconds: Annotated[
        float, typer.Option(help="How long the board may take until it is on the network.", min=0, max=3600)
    ] = 60.0,
) -> None:
    """Bring a firmware to a board, and prove that it is there.

    The board is proven by the MAC address and the kind of its chip before anything is written, and again afterwards;
    the flash by the MD5 that the board computes; the running models by their hashes, where the board's address is
    known. A board that holds the image already is left alone.

    Exit code 2: no such board, no image, or one for another target. 3: a port, a tool, the network or the board failed.
    4: another board or chip.

    Examples:

      mww-firmware flash --board desk

      mww-firmware flash --board desk --firmware runs/box --port rfc2217://bench-pi:4000
    """
    from firmware.boards.entry import HOST_TARGET
    from firmware.boards.inventory import find_board, inventory_path
    from firmware.boards.lock import hold_board
    from firmware.build import default_name, read_firmware
    from firmware.flashing import FlashOptions, check_board, flash_board
    from firmware.terminal import stages

    entry = find_board(board, inventory_path(boards))
    check_board(entry)
    if entry.target == HOST_TARGET and firmware is None:
        raise ConfigError(
            f"boards.yaml gives board {board!r} no target; add the one that its firmware is built for, such as 'target:"
            " esp32-s3-devkitc-1'"
        )
    image = read_firmware(firmware or Path("runs") / "firmware" / default_name(entry.target))
    options = FlashOptions(via, port, force, boot_seconds, network_seconds)
    try:
        with hold_board(entry, room=False), stages() as (report, progress):
            flashed = flash_board(entry, image, options, report=report, progress=progress)
    except KeyboardInterrupt:
        print(
            f"board {board!r}: if it was being written, it holds half an image until it is flashed again",
            file=sys.stderr,
        )
        raise
    _print_flashed(board, image, flashed)


def _print_flashed(board: str, firmware: Firmware, flashed: Flashed) -> None:
    serial = flashed.serial
    how = f"{flashed.written_bytes:,} bytes in {flashed.seconds:.1f} s"
    match flashed.way:
        case "already there":
            print(f"{board}: holds {firmware.name} already; nothing was written")
        case "network":
            print(f"{board}: updated over the air at {flashed.where}, {how}")
        case "serial":
            print(
                f"{board}: flashed over {flashed.where}{f' at {serial.baud:,} baud' if serial else ''}, {how}; the"
                " flash is verified"
            )
    print(f"  board: {f'{serial.board.chip}, ' if serial else ''}MAC {flashed.mac}")
    if serial is not None and serial.boot is not None:
        state = (
            "ESPHome is up"
            if serial.boot.started
            else "ESPHome said nothing on this port"
            if serial.boot.lines
            else "nothing was printed on this port"
        )
        print(f"  start: {state}; {len(serial.boot.lines)} lines in {serial.boot_log}")
    if flashed.running is None:
        print("  running models: not asked, the board was not reached on the network (address in boards.yaml)")
    else:
        for model in flashed.running.identity.models:
            print(f"  runs {model.model_id}: {model.wake_word!r}, sha256 {model.sha256}")
    print(f"  log: {flashed.log}")


def _print_firmware(made: Firmware) -> None:
    from firmware.project import HOST

    print(f"{made.name}: {made.target}, ESPHome {made.esphome_version}")
    for model in made.models:
        print(
            f"  {model.model_id}: {model.wake_word!r}, {model.bytes:,} bytes, cutoff {model.cutoff}/255, window"
            f" {model.window}, arena {model.arena:,} bytes"
        )
        print(f"    sha256 {model.sha256}")
    if made.digital and made.target != HOST:
        print("  hears what the bench plays over the network (--source digital), not its own microphone")
    if made.program is None:
        print(f"Generated, not compiled: {made.source}")
        return
    for what, path in (("program", made.program), ("factory image", made.factory_image), ("ELF", made.elf)):
        if path is not None and (what == "program" or path != made.program):
            print(f"  {what}: {path}")
    # A program on Linux has no flash; its figures say nothing of a board's.
    sizes = ("code and constants", "static data") if made.factory_image is None else ("flash", "RAM, static")
    for what, size in zip(sizes, (made.flash_bytes, made.ram_bytes), strict=True):
        print(f"  {what}: {'unknown' if size is None else f'{size:,} bytes'}")
