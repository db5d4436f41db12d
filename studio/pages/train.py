"""Train."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from studio.page import Page, shown


def _first(request: Request) -> Response:
    return shown(request, "soon.html", {"title": "Train", "line": "Settings, cost, curves."})


PAGE = Page("train", "Train", 30, [Route("/", _first)])
