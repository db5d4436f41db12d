"""A firmware over the air to a running board, with ESPHome's own uploader, encrypted with the API key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from firmware.processes import run_program
from firmware.redaction import Redactor
from firmware.toolenv import ToolEnvironment, neutral_environment
from wakeword.errors import InfrastructureError

UPLOAD_SECONDS = 300.0
"""A megabyte over bad Wi-Fi takes a minute; an upload that hangs must not hang its caller."""

_KEY_VARIABLE = "MWW_OTA_KEY"
# The key goes through the environment: arguments are seen by every user of the machine.
_UPLOAD = f"""
import os, sys
from pathlib import Path
from esphome import espota2
from esphome.log import setup_log
setup_log()
address, port, image = sys.argv[1:]
code, _ = espota2.run_ota([address], int(port), None, Path(image), noise_psk=os.environ[{_KEY_VARIABLE!r}])
sys.exit(code)
"""


def upload(
    image: Path,
    address: str,
    port: int,
    key: str,
    environment: ToolEnvironment,
    report: Callable[[str], None] = lambda _: None,
) -> None:
    """Send a firmware to a running board, which then restarts with it.

    Args:
        image: The file for updates over the air.
        address: Host name or IP address of the board.
        port: TCP, of its updates.
        key: The API key that the board has now: 32 bytes in base64.
        environment: With ESPHome's uploader.
        report: Takes a line when it begins.

    Raises `InfrastructureError` when the board does not take it; the board then runs what it ran before.
    """
    lines: list[str] = []
    report(f"sending {image.name} to {address}:{port}")
    variables = neutral_environment() | {_KEY_VARIABLE: key}
    command: list[str | Path] = [environment.python, "-c", _UPLOAD, address, str(port), image]
    code = run_program(command, environment.folder, variables, lines.append, timeout=UPLOAD_SECONDS)
    if code != 0:
        said = [line.strip() for line in lines if "ERROR" in line or "WARNING" in line or "Error" in line]
        telling = Redactor([key])((said or lines or [f"exit code {code}"])[-1])
        raise InfrastructureError(
            f"{address}:{port}: the update over the air failed ({telling}); check that the board is on and runs a bench"
            " firmware with this key"
        )
