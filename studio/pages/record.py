"""Record."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from studio.page import Page, shown


def _first(request: Request) -> Response:
    return shown(request, "soon.html", {"title": "Record", "line": "Say the word, and keep it."})


PAGE = Page("record", "Record", 20, [Route("/", _first)])
