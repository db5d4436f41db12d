"""Jobs: what is at work, what waits, what ended and how; each with its log."""

from __future__ import annotations

import html
import re
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from studio.jobs.desk import StudioJob
from studio.jobs.records import JobPhase
from studio.jobs.wording import WORDS
from studio.page import Page, part, sheet, shown, went, workspace_of
from wakeword.errors import ConfigError

_ROWS = 50
"""Jobs on a page of their list."""


def _list_context(request: Request) -> dict[str, Any]:
    desk = workspace_of(request).desk
    return {"jobs": sheet(request, desk.jobs(), _ROWS), "damaged": desk.damaged(), **WORDS}


def _list(request: Request) -> Response:
    return shown(request, "jobs.html", _list_context(request))


def _list_part(request: Request) -> Response:
    return part(request, "jobs_list.html", _list_context(request))


def _chip(request: Request) -> Response:
    phases = [job.phase for job in workspace_of(request).desk.jobs()]
    return part(
        request, "job_chip.html", {"running": phases.count(JobPhase.RUNNING), "waiting": phases.count(JobPhase.QUEUED)}
    )


def _asked(request: Request) -> StudioJob:
    return workspace_of(request).desk.job(request.path_params["name"])


def _one(request: Request) -> Response:
    job = _asked(request)
    return shown(request, "job.html", {"job": job, "lines": [step.line for step in job.order.steps], **WORDS})


def _one_part(request: Request) -> Response:
    try:
        return part(request, "job_part.html", {"job": _asked(request), **WORDS})
    except ConfigError as error:  # removed, in another window
        return HTMLResponse(f'<p class="empty">{html.escape(str(error))}</p>')


def _log(request: Request) -> Response:
    asked = request.query_params.get("from", "")
    start = int(asked) if re.fullmatch("[0-9]{1,18}", asked) else None
    text, end = workspace_of(request).desk.log(request.path_params["name"], start)
    return JSONResponse({"text": text, "end": end})


def _stop(request: Request) -> Response:
    workspace_of(request).desk.stop(request.path_params["name"])
    return JSONResponse({})


def _go_on(request: Request) -> Response:
    workspace_of(request).desk.go_on(request.path_params["name"])
    return JSONResponse({})


def _remove(request: Request) -> Response:
    workspace_of(request).desk.remove(request.path_params["name"])
    return went(request, "/jobs/")


PAGE = Page(
    "jobs",
    "Jobs",
    100,
    [
        Route("/", _list),
        Route("/list", _list_part),
        Route("/chip", _chip),
        Route("/{name}/", _one),
        Route("/{name}/part", _one_part),
        Route("/{name}/log", _log),
        Route("/{name}/stop", _stop, methods=["POST"]),
        Route("/{name}/go-on", _go_on, methods=["POST"]),
        Route("/{name}/remove", _remove, methods=["POST"]),
    ],
)
