"""Results."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from studio.page import Page, shown


def _first(request: Request) -> Response:
    return shown(request, "soon.html", {"title": "Results", "line": "Figures, cutoffs, models."})


PAGE = Page("results", "Results", 50, [Route("/", _first)])
