"""What can go wrong with esptool, told apart by its words, and said so that one knows what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum

from firmware.serial.ports import port_holders
from wakeword.errors import BoardRefused, ConfigError, InfrastructureError, MwwError


class Fault(Enum):
    """What went wrong, with the words of esptool that tell it. The first that is found counts."""

    HELD = r"Could not exclusively lock|Device or resource busy"
    DENIED = r"Permission denied"
    GONE = (
        r"Lost connection|A serial exception error|Input/output error|returned no data|No more data to read|chip"
        r" stopped responding|Broken pipe"
    )
    NO_PORT = r"Could not open \S+, the port is busy or doesn't exist"
    WRONG_CHIP = r"This chip is (\S+), not (\S+)\. Wrong chip"
    WRONG_IMAGE = r"is not an ESP\S+ image|requires chip revision|will not fit in|[Ff]ile .* exceeds"
    NO_ANSWER = r"Failed to connect to|Failed to start stub flasher"
    DIFFERENT = r"Verification failed\.?$"
    NOT_WRITTEN = r"MD5 of file does not match|written flash region is empty"
    DAMAGED = (
        r"Failed to (?:write|enter|leave|calculate)|No serial data received|Invalid head of packet|Packet content"
        r" transfer stopped|Corrupt data|Digest mismatch"
    )
    OTHER = r""


MAY_PASS_SLOWER = frozenset({Fault.DAMAGED, Fault.NOT_WRITTEN, Fault.OTHER})
"""Faults that a lower speed of the line may mend."""

_EXPLAINED: dict[Fault, tuple[type[MwwError], str]] = {
    Fault.HELD: (InfrastructureError, "is held by {holders}; end it, then flash again"),
    Fault.DENIED: (
        ConfigError,
        "may not be opened by this user; join the port's group (dialout or uucp), log in again, then flash again",
    ),
    Fault.GONE: (
        InfrastructureError,
        "went away while esptool was at work ({said}); check cable and hub, then flash again",
    ),
    Fault.NO_PORT: (
        InfrastructureError,
        "cannot be opened ({said}); check that the board is plugged in, or the server runs, then flash again",
    ),
    Fault.WRONG_CHIP: (
        BoardRefused,
        (
            "the board there has an {first}, not an {second}; nothing was written; correct boards.yaml or plug in the"
            " right board"
        ),
    ),
    Fault.WRONG_IMAGE: (
        ConfigError,
        "the firmware does not fit this board ({said}); nothing was written; build it for the board's target",
    ),
    Fault.NO_ANSWER: (
        InfrastructureError,
        (
            "the board's loader does not answer ({said}); hold BOOT, press RESET, let BOOT go, then flash again; a"
            " cable made for charging has no data lines"
        ),
    ),
    Fault.DIFFERENT: (
        InfrastructureError,
        "the flash does not hold the image although it was written; flash again, and replace the board if it stays so",
    ),
    Fault.NOT_WRITTEN: (
        InfrastructureError,
        (
            "the flash does not hold what was written at {speeds} baud ({said}); flash again, and replace the board if"
            " it stays so"
        ),
    ),
    Fault.DAMAGED: (
        InfrastructureError,
        "blocks arrive damaged at {speeds} baud ({said}); take a shorter cable or another hub, then flash again",
    ),
    Fault.OTHER: (
        InfrastructureError,
        "esptool failed at {speeds} baud ({said}); the log of the flashing has all that it said",
    ),
}


class EsptoolError(Exception):
    """esptool gave up. `said` are its own words, `match` is what told the fault."""

    def __init__(self, fault: Fault, said: str, match: re.Match[str] | None = None):
        super().__init__(said)
        self.fault, self.said, self.match = fault, said, match


def fault_of(lines: Sequence[str], said: str) -> EsptoolError:
    """The fault in what esptool printed; `said` are its last words."""
    text = "\n".join(lines)
    for fault in Fault:
        match = re.search(fault.value, text, re.MULTILINE)
        if match is not None:
            return EsptoolError(fault, said, match)
    raise AssertionError("OTHER matches everything")


def explained(error: EsptoolError, port: str, bauds: Sequence[int]) -> MwwError:
    """The error for the user. `bauds` are the speeds that were tried.

    `BoardRefused` for another chip, `ConfigError` for a port or an image that the user must mend, else
    `InfrastructureError`.
    """
    kind, text = _EXPLAINED[error.fault]
    holders = ", ".join(map(str, port_holders(port))) if error.fault is Fault.HELD else ""
    first, second = error.match.groups() if error.fault is Fault.WRONG_CHIP and error.match is not None else ("", "")
    words = text.format(
        holders=holders or "a process of another user",
        first=first,
        second=second,
        said=error.said.rstrip("."),
        speeds=" and ".join(f"{baud:,}" for baud in bauds),
    )
    return kind(f"{port}: {words}")
