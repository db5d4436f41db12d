"""ESPHome's native API of a board, asked once: who it is, and what it runs. What keeps a connection for a session is in
`harness.collect`.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import secrets
from dataclasses import dataclass

from aioesphomeapi.client import APIClient
from aioesphomeapi.core import (
    APIConnectionError,
    BadMACAddressAPIError,
    BadNameAPIError,
    EncryptionErrorAPIError,
    EncryptionPlaintextAPIError,
    InvalidAuthAPIError,
    InvalidEncryptionKeyAPIError,
    RequiresEncryptionAPIError,
)
from aioesphomeapi.model import HomeassistantServiceCall

from firmware.answers import IDENTITY_EVENT, Identity, parse_identity
from firmware.redaction import Redactor
from wakeword.errors import BoardRefused, ConfigError, InfrastructureError

# Every failure is told by an exception of this package; without a handler Python would print the library's warnings.
logging.getLogger("aioesphomeapi").addHandler(logging.NullHandler())

IDENTIFY = "mww_identify"
_KEY_BYTES = 32
_INT32 = 1 << 31


class WrongBoard(BoardRefused):
    """Another board is behind the address."""


@dataclass(frozen=True)
class Target:
    """Which board, and where. The key shows in no text."""

    address: str
    port: int
    key: str
    name: str
    mac: str | None
    """12 hex digits, lower case."""

    @property
    def where(self) -> str:
        """For messages."""
        return f"{self.name} at {self.address}:{self.port}"

    def __repr__(self) -> str:
        return f"Target({self.where})"


def make_target(address: str, port: int, key: str, name: str, mac: str | None) -> Target:
    """Check the parts and bring the MAC into the form of the protocol. Raises `ConfigError`; its words do not hold the
    key.
    """
    try:
        good = len(base64.b64decode(key, validate=True)) == _KEY_BYTES
    except (binascii.Error, ValueError):
        good = False
    if not good:
        raise ConfigError(
            f"{name} at {address}:{port}: the API key is not {_KEY_BYTES} bytes in base64; give the key that the board"
            " was built with"
        )
    plain = None if mac is None else mac.replace(":", "").replace("-", "").lower()
    if plain is not None and (len(plain) != 12 or set(plain) - set("0123456789abcdef")):
        raise ConfigError(f"{name}: {mac} is no MAC address; write it like 00:aa:22:33:44:55")
    return Target(address, port, key, name, plain)


@dataclass(frozen=True)
class Running:
    """What a board says of itself. `mac` is upper case with colons; `built` is the time of its build in ESPHome's
    words, which the image holds too.
    """

    name: str
    mac: str
    esphome_version: str
    built: str
    identity: Identity


async def ask(target: Target, timeout: float, *, expected_name: str | None = None) -> Running:
    """Connect, ask the board which models it runs, and hang up.

    Raises `BoardRefused` for a wrong key, another board behind the address, or firmware that is not the bench's, and
    `InfrastructureError` when nothing answers within `timeout` seconds.
    """
    client = APIClient(
        target.address,
        target.port,
        noise_psk=target.key,
        expected_name=expected_name,
        expected_mac=target.mac,
        client_info="mww-firmware",
        provide_time=False,
    )
    try:
        async with asyncio.timeout(timeout):
            await client.connect(log_errors=False)
            return await _identified(client, target)
    except TimeoutError:
        raise InfrastructureError(
            f"{target.where}: no answer within {timeout:g} s; check power, network and address of the board"
        ) from None
    except APIConnectionError as error:
        refusal = explain_refusal(error, target)
        if refusal is not None:
            raise refusal from error
        reason = Redactor([target.key])(str(error))
        raise InfrastructureError(
            f"{target.where}: no connection ({type(error).__name__}: {reason}); check power, network and address of the"
            " board"
        ) from error
    finally:
        client.force_disconnect()


async def _identified(client: APIClient, target: Target) -> Running:
    info, _, services = await client.device_info_and_list_entities()
    mac = info.mac_address.replace(":", "").lower()
    if target.mac not in (None, mac):  # firmware before 2025.4 does not tell its MAC in the handshake
        raise WrongBoard(
            f"{target.where}: the board there has the MAC {info.mac_address}, not {target.mac}; correct boards.yaml"
        )
    action = next((service for service in services if service.name == IDENTIFY), None)
    if action is None:
        raise BoardRefused(f"{target.where}: lacks the action {IDENTIFY}; build and flash the bench's firmware")
    probe = secrets.randbelow(_INT32)
    answer: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()

    def on_event(call: HomeassistantServiceCall) -> None:
        if call.service == IDENTITY_EVENT and call.data.get("probe") == str(probe) and not answer.done():
            answer.set_result(dict(call.data))

    client.subscribe_service_calls(on_event)
    await client.execute_service(action, {"probe": probe})
    try:
        identity = parse_identity(await answer)
    except (KeyError, ValueError) as error:
        raise BoardRefused(
            f"{target.where}: its identity cannot be read ({error}); build and flash the bench's firmware"
        ) from error
    return Running(info.name, info.mac_address.upper(), info.esphome_version, info.compilation_time, identity)


def explain_refusal(error: BaseException, target: Target) -> BoardRefused | None:
    """Return why trying again is useless, or None where it is not. Looks through the errors that the library wraps
    around the cause.
    """
    seen: BaseException | None = error
    for _ in range(8):
        if seen is None:
            return None
        words = _words(seen, target)
        if words is not None:
            wrong = isinstance(seen, BadNameAPIError | BadMACAddressAPIError)
            refusal = (WrongBoard if wrong else BoardRefused)(f"{target.where}: {words}")
            refusal.__cause__ = seen
            return refusal
        seen = seen.__cause__ or seen.__context__
    return None


def _words(error: BaseException, target: Target) -> str | None:
    match error:
        case EncryptionErrorAPIError():  # a damaged frame after a good handshake: not the key's fault
            return None
        case InvalidEncryptionKeyAPIError():
            return "refuses the API key; give the key that this board was built with, or build and flash it again"
        case BadNameAPIError():
            return (
                f"the board there is named {error.received_name!r}; correct the address of {target.name} in boards.yaml"
            )
        case BadMACAddressAPIError():
            return (
                f"the board there has the MAC {error.received_mac}, not {target.mac}; correct address or mac of"
                f" {target.name} in boards.yaml"
            )
        case RequiresEncryptionAPIError() | EncryptionPlaintextAPIError():
            return "does not speak with encryption; build and flash the bench's firmware"
        case InvalidAuthAPIError():
            return "asks for a password; build and flash the bench's firmware"
        case _:
            return None
