"""`mww-firmware`: parse, call, print."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wakeword.errors import reports_errors

if TYPE_CHECKING:
    from firmware.build import Firmware

firmware_app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)


@firmware_app.callback()
def firmware() -> None:
    """ESPHome firmware around a model, for measuring it on a board."""


@firmware_app.command()
@reports_errors
def build(
    target: Annotated[str, typer.Option(help="esp32-s3-devkitc-1, esp32-s3-box-3, waveshare-esp32-s3-audio, or host: a virtual board on this machine.")],
    model: Annotated[list[Path], typer.Option(help="ESPHome V2 manifest (.json); may be repeated.")],
    output: Annotated[Path | None, typer.Option(help="Folder of the project; built again, it compiles what changed. (default: runs/firmware/NAME)")] = None,
    name: Annotated[str | None, typer.Option(help="The device's name. (default: mww-TARGET)")] = None,
    secrets: Annotated[Path | None, typer.Option(help="YAML file with api_key, wifi_ssid, wifi_password. (default: ./secrets.yaml where it exists)")] = None,
    generate_only: Annotated[bool, typer.Option("--generate-only", help="Validate and write the C++; compile nothing and download no compiler.")] = False,
) -> None:
    """Build the firmware of a board with one or more models.

    Secrets come from MWW_API_KEY, MWW_WIFI_SSID and MWW_WIFI_PASSWORD, else from the secrets file; the virtual board makes a key of its own.
    ESPHome is installed once into an environment of its own, below MWW_TOOLS_DIR (default: ~/.cache/mww/tools).

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
        made = build_firmware(target, model, folder, name=name, generate_only=generate_only, secrets_file=secrets, report=report, progress=progress)
    _print_firmware(made)


def _print_firmware(made: Firmware) -> None:
    print(f"{made.name}: {made.target}, ESPHome {made.esphome_version}")
    for model in made.models:
        print(f"  {model.model_id}: {model.wake_word!r}, {model.bytes:,} bytes, cutoff {model.cutoff}/255, window {model.window}, arena {model.arena:,} bytes")
        print(f"    sha256 {model.sha256}")
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
