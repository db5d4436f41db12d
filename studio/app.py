"""The application: all pages behind one door, one look, one answer to what went wrong."""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

import studio.pages
import wakeword
from studio.access import HEADERS, Doorkeeper, Entrance
from studio.page import Page, Tab, refused, root_of, shown
from studio.workspace import Workspace
from wakeword.errors import ConfigError, MwwError
from wakeword.registry import registered

HERE = Path(__file__).parent
LOOK = Path(wakeword.__file__).parent / "templates" / "page.css"
LAST_TAB = 100


def create_app(workspace: Workspace, door: Entrance) -> Starlette:
    """All pages of a workspace, for those whom the door lets in."""
    pages: list[Page] = sorted(registered(studio.pages, "PAGE"), key=lambda page: page.order)
    tabs = [Tab(page.name, page.title) for page in pages if page.order < LAST_TAB]
    app = Starlette(
        routes=[
            Route("/", lambda request: RedirectResponse(f"{root_of(request)}/{tabs[0].name}/", 303)),
            Route("/static/page.css", lambda _: FileResponse(LOOK)),
            Mount("/static", StaticFiles(directory=HERE / "static")),
            *(Mount(f"/{page.name}", routes=list(page.routes)) for page in pages),
        ],
        middleware=[Middleware(Doorkeeper, door=door)],
        exception_handlers={MwwError: _told, HTTPException: _told, OSError: _told, Exception: _failed},
    )
    app.state.workspace = workspace
    app.state.tabs = tabs
    return app


def _failed(request: Request, error: Exception) -> Response:
    """What nobody has foreseen: a line here, and where it happened in the terminal."""
    line = f"Something in the studio itself failed ({type(error).__name__}); the terminal of mww-studio says where."
    response = _answer(request, line, 500)
    # This answer is given outside of the door, which gives all others their headers.
    response.headers.update(HEADERS)
    return response


def _told(request: Request, error: Exception) -> Response:
    """What went wrong in one line: to the form that asked, or as a page."""
    status = 500
    line = str(error)
    if isinstance(error, HTTPException):
        status, line = error.status_code, "There is no such page." if error.status_code == 404 else error.detail
    elif isinstance(error, ConfigError):
        status = 422
    return _answer(request, line, status)


def _answer(request: Request, line: str, status: int) -> Response:
    if request.method != "GET":
        return refused({"": line}, status)
    return shown(request, "error.html", {"line": line}, status)
