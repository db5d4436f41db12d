"""A page of the studio: a module of `studio.pages` with the constant `PAGE`; nothing else lists them.

A page's functions take Starlette's `Request` and give a `Response`; those that are not `async` run in threads, so they
may read files and compute. What a user did wrong is raised as an `MwwError`, or given to the field by `refused`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute

from studio.workspace import Workspace
from wakeword.pages import render_page


@dataclass(frozen=True)
class Page:
    """What a module of `studio.pages` registers."""

    name: str
    """Of its address: its routes lie below `/NAME/`."""
    title: str
    order: int
    """Its place in the navigation; pages of 100 or more are not in it."""
    routes: Sequence[BaseRoute]
    """Its first page has the path `/`."""


@dataclass(frozen=True)
class Sheet[T]:
    """A page of a long list."""

    rows: Sequence[T]
    number: int
    """From 1."""
    sheets: int


def sheet[T](request: Request, rows: Sequence[T], size: int) -> Sheet[T]:
    """The page of a list that the address asks for by `?page=`; the last one where there are fewer."""
    sheets = max(-(-len(rows) // size), 1)
    asked = request.query_params.get("page", "")
    number = min(max(int(asked), 1), sheets) if re.fullmatch("[0-9]{1,9}", asked) else 1
    return Sheet(rows[(number - 1) * size : number * size], number, sheets)


@dataclass(frozen=True)
class Tab:
    """An entry of the navigation."""

    name: str
    title: str


def workspace_of(connection: HTTPConnection) -> Workspace:
    """The workspace that the studio shows."""
    workspace = connection.app.state.workspace
    assert isinstance(workspace, Workspace)
    return workspace


def root_of(connection: HTTPConnection) -> str:
    """What all addresses of the studio begin with: "", or the path at which a gateway has it (`Doorkeeper`)."""
    return str(connection.scope.get("app_root_path", connection.scope.get("root_path", "")))


def shown(request: Request, template: str, context: Mapping[str, Any] | None = None, status: int = 200) -> Response:
    """A whole page from a template of `studio/templates` that extends `base.html`."""
    root = root_of(request)
    here = request.url.path.removeprefix(root).split("/")[1]
    values = {"root": root, "tabs": request.app.state.tabs, "here": here, **(context or {})}
    return HTMLResponse(render_page("studio", template, values), status)


def part(request: Request, template: str, context: Mapping[str, Any]) -> Response:
    """A part of a page, which the page asks for again and again (`data-live`)."""
    return HTMLResponse(render_page("studio", template, {"root": root_of(request), **context}))


def went(request: Request, address: str) -> Response:
    """The answer to a form (`data-post`) that was taken: the browser goes to this address of the studio."""
    return JSONResponse({"go": root_of(request) + address})


def refused(errors: Mapping[str, str], status: int = 422) -> Response:
    """The answer to a form that was not taken: a line for each field by its name; "" is the form as a whole."""
    return JSONResponse({"errors": dict(errors)}, status)
