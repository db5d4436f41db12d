"""Start."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from studio.page import Page, shown


def _first(request: Request) -> Response:
    return shown(request, "soon.html", {"title": "Start", "line": "Type a phrase; get a model."})


PAGE = Page("start", "Start", 10, [Route("/", _first)])
