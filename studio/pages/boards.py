"""Boards: which there are and who uses them; firmware built and flashed, models measured."""

from __future__ import annotations

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from firmware.boards.entry import BoardEntry
from firmware.boards.inventory import find_board, inventory_path
from firmware.boards.registry import kind_of
from firmware.credentials import SECRETS_FILE, VARIABLES
from harness.session.measure import board_rows
from studio.bench import actions, begin_action, jobs_of, lacks, lines_of, page_of
from studio.jobs.wording import WORDS
from studio.live.models import found_models
from studio.page import Page, part, refused, sheet, shown, went, workspace_of
from studio.workspace import Workspace

_HEARD = {
    "wake": ("words/*/run/lists/test_positive.txt", "datasets/*/positive"),
    "none": ("words/*/run/lists/test_negative.txt", "datasets/*/negative"),
}
"""What a board may hear, offered first: utterances and speech that no training heard."""
_ROWS = 50
"""Jobs of a board on a page of their list."""


def _first(request: Request) -> Response:
    context = {"rows": board_rows(None), "inventory": inventory_path(None), "lacks": lacks()}
    return shown(request, "boards.html", context)


def _board(request: Request) -> BoardEntry:
    return find_board(request.path_params["name"], inventory_path(None))


def _one(request: Request) -> Response:
    workspace, board = workspace_of(request), _board(request)
    real = not kind_of(board).runs_here
    models, heard = found_models(workspace), _heard(workspace)
    # As the form is when the page is opened.
    filled = {"model": models[0].path if models else "MODEL.json"}
    filled |= {name: paths[0] for name, paths in heard.items() if paths}
    context = {
        "board": board,
        "actions": actions(board),
        "models": models,
        "heard": heard,
        "lines": lines_of(workspace, board, filled),
        "lacks": lacks(),
        "secrets": tuple(VARIABLES) if real and not (workspace.root / SECRETS_FILE).is_file() else (),
        **_jobs_context(request, board),
    }
    return shown(request, "board.html", context)


def _heard(workspace: Workspace) -> dict[str, list[str]]:
    return {
        name: [workspace.relative(path) for pattern in patterns for path in sorted(workspace.root.glob(pattern))]
        for name, patterns in _HEARD.items()
    }


def _jobs_context(request: Request, board: BoardEntry) -> dict[str, Any]:
    workspace = workspace_of(request)
    jobs = sheet(request, jobs_of(workspace, board), _ROWS)
    return {"board": board, "jobs": jobs, "pages": {job.name: page_of(workspace, job) for job in jobs.rows}, **WORDS}


def _jobs_part(request: Request) -> Response:
    return part(request, "board_jobs.html", _jobs_context(request, _board(request)))


async def _begin(request: Request) -> Response:
    form = await request.form()
    return await run_in_threadpool(_begun, request, {key: str(value) for key, value in form.items()})


def _begun(request: Request, form: dict[str, str]) -> Response:
    job, faults = begin_action(workspace_of(request), _board(request), form.get("action", ""), form)
    return refused(faults) if job is None else went(request, f"/jobs/{job.name}/")


PAGE = Page(
    "boards",
    "Boards",
    60,
    [
        Route("/", _first),
        Route("/{name}/", _one),
        Route("/{name}/jobs", _jobs_part),
        Route("/{name}/begin", _begin, methods=["POST"]),
    ],
)
