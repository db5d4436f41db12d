"""Who may ask: whoever shows the token, by the machine's own name, from a page of the studio.

A page of somebody else's that is open in the same browser can send requests to this machine too. It does not know the
token; the cookie that holds it is not sent along with what other sites ask (SameSite); a name of theirs that they let
point to this machine is refused (Host, "DNS rebinding"); what changes something, and each WebSocket, must come from a
page of the studio (Origin).
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wakeword.files import write_atomically
from wakeword.pages import render_page

PARAMETER = "token"
OPEN_PATHS = ("/static/",)
"""What needs no token: the look, which the page that refuses needs too."""
HARMLESS = frozenset({"GET", "HEAD"})

_POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    )
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Of every answer that does not set its own: the browser asks nobody but the studio, whatever a page says."""


class Entrance(Protocol):
    """Who is let in."""

    def refusal(self, scope: Scope) -> Response | None:
        """What a request or WebSocket is answered instead; None lets it through."""


def changes_something(scope: Scope) -> bool:
    """Whether a request may do more than show something; a WebSocket may."""
    return scope["type"] == "websocket" or scope["method"] not in HARMLESS


def is_own_page(origin: str | None, host: str) -> bool:
    """Whether the page that asks (header Origin) was served from this host."""
    return origin in (f"http://{host}", f"https://{host}")


@dataclass(frozen=True)
class Door:
    """Lets in who shows the token."""

    token: str
    port: int
    """Where the studio listens."""
    names: Collection[str] = ("127.0.0.1", "localhost")
    """Names of the machine that a browser may have asked for; any port is right for those of a container's owner."""

    @property
    def cookie(self) -> str:
        """Name of the cookie. Browsers give a cookie to all ports of a machine: two studios must not share one."""
        return f"studio_{self.port}"

    def hosts(self) -> set[str]:
        """Values of the header Host that are right."""
        return {f"{name}:{self.port}" for name in self.names} | {name for name in self.names if ":" in name}

    def fits(self, given: str | None) -> bool:
        """Whether this is the token. The time it takes tells nothing."""
        return given is not None and hmac.compare_digest(given.encode(), self.token.encode())

    def refusal(self, scope: Scope) -> Response | None:
        """What is answered instead; None lets the request through."""
        headers, path = Headers(scope=scope), str(scope["path"])
        host = headers.get("host", "")
        if host not in self.hosts():
            return PlainTextResponse("This name is not the studio's: open the address that mww-studio printed.", 403)
        if changes_something(scope) and not is_own_page(headers.get("origin"), host):
            return PlainTextResponse("This comes from a page that is not the studio's.", 403)
        harmless = not changes_something(scope)
        if harmless and path.startswith(OPEN_PATHS):
            return None
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if harmless and self.fits(dict(query).get(PARAMETER)):
            return self._welcome(path, [(key, value) for key, value in query if key != PARAMETER])
        # Cookies of other programs of this machine stand beside it, in whatever form they like.
        if self.fits(cookie_parser(headers.get("cookie", "")).get(self.cookie)):
            return None
        return Response(render_page("studio", "refused.html", {"root": ""}), 401, media_type="text/html")

    def _welcome(self, path: str, query: list[tuple[str, str]]) -> Response:
        """The token moves from the address, which stays in the browser's history, to a cookie that no script reads."""
        # A path that begins with two slashes would be another machine's address.
        where = "/" + path.lstrip("/") + (f"?{urlencode(query)}" if query else "")
        response = RedirectResponse(where, 303)
        response.set_cookie(self.cookie, self.token, max_age=30 * 86400, path="/", httponly=True, samesite="strict")
        return response


def kept_token(file: Path) -> str:
    """The token of a workspace: made once, so that a page that was open goes on after a restart of the server. Only the
    user may read the file; one that others could read is made anew.
    """
    if file.is_file() and not file.stat().st_mode & 0o077:
        kept = file.read_text(encoding="ascii", errors="replace").strip()
        if len(kept) >= 32 and kept.isascii():
            return kept
    token = secrets.token_urlsafe(32)
    write_atomically(file, token, private=True)
    return token


class Doorkeeper:
    """Lets through what the door allows, and gives each answer the headers that keep a page to itself."""

    def __init__(self, app: ASGIApp, door: Entrance) -> None:
        self._app = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request or WebSocket."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._door.refusal(scope)
        if refusal is None:
            await self._app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await refusal(scope, receive, _with_headers(send))


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
