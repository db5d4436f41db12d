"""Train: settings with their help, what a training costs, its curves and its log, runs side by side."""

from __future__ import annotations

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from studio.jobs.wording import WORDS
from studio.page import Page, part, refused, root_of, sheet, shown, went, workspace_of
from studio.training.asked import AskedTraining, asked_training, begin_dry_run, begin_training
from studio.training.curves import HEIGHT, WIDTH, curve
from studio.training.form import as_written, form_of
from studio.training.runs import RunFolder, differing, run_of, runs_of
from studio.workspace import Workspace
from trainer.config.loader import preset_names
from wakeword.errors import ConfigError

_MOST_COMPARED = 6
_ROWS = 50
"""Runs on a page of their list."""


def _first(request: Request) -> Response:
    lines = _example_lines("quick", _folders(workspace_of(request)))
    return shown(request, "train.html", {**_list_context(request), "lines": lines})


def _list_part(request: Request) -> Response:
    return part(request, "train_runs.html", _list_context(request))


def _list_context(request: Request) -> dict[str, Any]:
    return {"runs": sheet(request, runs_of(workspace_of(request)), _ROWS), **WORDS}


def _new(request: Request) -> Response:
    workspace = workspace_of(request)
    preset = request.query_params.get("preset", "quick")
    folders = _folders(workspace)
    context = {
        "preset": preset,
        "presets": preset_names(),
        "form": form_of(preset),
        "folders": folders,
        "lines": _example_lines(preset, folders),
    }
    return shown(request, "train_new.html", context)


def _example_lines(preset: str, folders: dict[str, list[str]]) -> list[str]:
    """What trains with a preset, and exports, before anything is typed."""
    given = {"export.wake_word": "WORD"} | {key: found[0] if found else "FOLDER" for key, found in folders.items()}
    settings = tuple(f"{key}={value}" for key, value in given.items())
    return [step.line for step in AskedTraining("NAME", preset, settings, export=True).steps]


def _folders(workspace: Workspace) -> dict[str, list[str]]:
    """What each field of folders may be, from the workspace."""
    places = {
        "positive": ("words/*/generated/positive", "datasets/*/positive"),
        "negative": ("words/*/generated/negative", "datasets/*/negative"),
    }
    return {
        f"paths.{label}_dir": [
            workspace.relative(folder) for pattern in patterns for folder in sorted(workspace.root.glob(pattern))
        ]
        for label, patterns in places.items()
    }


async def _begin(request: Request) -> Response:
    form = await request.form(max_fields=2000)
    return await run_in_threadpool(_begun, request, {key: str(value) for key, value in form.items()})


def _begun(request: Request, form: dict[str, str]) -> Response:
    workspace = workspace_of(request)
    # Whether a name is free is asked and answered before anybody else can take it.
    with workspace.desk.undisturbed():
        asked, faults = asked_training(workspace, form)
        if asked is None:
            return refused(faults)
        if form.get("action") == "cost":
            job = begin_dry_run(workspace, asked)
            return JSONResponse({"show": f"{root_of(request)}/train/cost/{job.name}"})
        job = begin_training(workspace, asked)
    return went(request, f"/train/run/{job.order.folder}")


def _cost_part(request: Request) -> Response:
    desk = workspace_of(request).desk
    job = desk.job(request.path_params["name"])
    said = desk.log(job.name)[0].partition("\n")[2]
    return part(request, "train_cost.html", {"job": job, "said": said, **WORDS})


def _run_context(request: Request) -> dict[str, Any]:
    run = run_of(workspace_of(request), request.path_params["path"])
    return {"run": run, "curves": _curves(run), "width": WIDTH, "height": HEIGHT, "job": run.job, **WORDS}


def _curves(run: RunFolder) -> list[Any]:
    if not run.evaluations:
        return []
    steps = [one.step for one in run.evaluations]
    marked = next((place for place, one in reversed(list(enumerate(run.evaluations))) if one.best), None)
    return [
        curve("Recall", steps, [one.recall for one in run.evaluations], marked, 1.0, "%"),
        curve(
            "False accepts per hour", steps, [one.false_accepts_per_hour for one in run.evaluations], marked, 1.0, ""
        ),
    ]


def _run(request: Request) -> Response:
    context = _run_context(request)
    run = context["run"]
    lines = [step.line for step in run.job.order.steps] if run.job else []
    return shown(request, "train_run.html", {**context, "lines": lines})


def _run_part(request: Request) -> Response:
    return part(request, "train_run_part.html", _run_context(request))


def _compare(request: Request) -> Response:
    workspace = workspace_of(request)
    paths = list(dict.fromkeys(request.query_params.getlist("run")))
    if not 2 <= len(paths) <= _MOST_COMPARED:
        raise ConfigError(f"choose 2 to {_MOST_COMPARED} runs to see them side by side")
    runs = [run_of(workspace, path) for path in paths]
    rows = [(key, [as_written(run.value(key)) for run in runs]) for key in differing(runs)]
    return shown(request, "train_compare.html", {"runs": runs, "rows": rows})


PAGE = Page(
    "train",
    "Train",
    30,
    [
        Route("/", _first),
        Route("/runs", _list_part),
        Route("/new", _new),
        Route("/begin", _begin, methods=["POST"]),
        Route("/cost/{name}", _cost_part),
        Route("/compare", _compare),
        Route("/run/{path:path}", _run),
        Route("/part/{path:path}", _run_part),
    ],
)
