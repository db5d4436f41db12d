"""Boards."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from studio.page import Page, shown


def _first(request: Request) -> Response:
    return shown(request, "soon.html", {"title": "Boards", "line": "Firmware onto a board."})


PAGE = Page("boards", "Boards", 60, [Route("/", _first)])
