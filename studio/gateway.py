"""Who may ask where a gateway stands before the studio: Home Assistant's ingress, which knows its users.

The gateway lets in who is logged in to Home Assistant, takes the beginning off each address
(`/api/hassio_ingress/TOKEN`) and names it in the header `X-Ingress-Path`; the host that the browser asked stays as it
is. So nobody needs the studio's own token, and nobody but the gateway may ask the studio
(https://developers.home-assistant.io/docs/apps/presentation#ingress).
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import Scope

from studio.access import changes_something
from wakeword.errors import ConfigError

_PREFIX = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9_.~-]+)*")
"""What an address begins with: nothing that would have to be escaped in a page."""


@dataclass(frozen=True)
class Gateway:
    """Lets in what comes from one address, and serves it where the gateway has the studio."""

    address: str
    """IPv4, as the kernel tells it of each connection."""

    @classmethod
    def named(cls, address: str) -> Gateway:
        """The gateway at an address. Raises `ConfigError` for one that is no IPv4 address."""
        try:
            return cls(str(ipaddress.IPv4Address(address)))
        except ValueError:
            raise ConfigError(
                f"--behind-ingress {address}: is no IPv4 address; Home Assistant's ingress is 172.30.32.2"
            ) from None

    def refusal(self, scope: Scope) -> Response | None:
        """What is answered instead; None lets the request through, with its path as the browser has it."""
        client = scope.get("client")
        if client is None or client[0] != self.address:
            return PlainTextResponse(
                "This studio is reached through its gateway alone: open it in Home Assistant.", 403
            )
        headers = Headers(scope=scope)
        prefix = headers.get("x-ingress-path", "").rstrip("/")
        if not _PREFIX.fullmatch(prefix):
            return PlainTextResponse("The header X-Ingress-Path is no path.", 403)
        hosts = (headers.get("host", ""), *headers.get("x-forwarded-host", "").split(","))
        asking = _host_of(headers.get("origin", ""))
        if changes_something(scope) and (
            asking is None or asking not in {_host_of(f"//{one.strip()}") for one in hosts}
        ):
            return PlainTextResponse("This comes from a page that is not the studio's.", 403)
        scope["root_path"] = prefix
        scope["path"] = prefix + scope["path"]
        if scope["type"] == "http" and headers.get("x-forwarded-proto", "").partition(",")[0].strip() == "https":
            scope["scheme"] = "https"
        return None


def _host_of(address: str) -> str | None:
    """The name of the machine in an address, in lower case; None for what has none. Proxies before Home Assistant name
    it with or without its port.
    """
    try:
        return urlsplit(address.strip()).hostname
    except ValueError:
        return None
