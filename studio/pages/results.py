"""Results: what was measured, what another cutoff would give, models against each other, and what is handed out."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from harness.results import wording
from harness.results.card import badge, make_card
from harness.results.matrix import are_comparable
from harness.results.matrix_page import write_matrix
from harness.results.report import write_report
from harness.results.timeline import HEIGHT, WIDTH
from harness.results.versus_page import write_comparison
from studio.live.datasets import dataset_names
from studio.live.models import found_models
from studio.measured.found import MeasuredModel, found_results, measured_by, report_command
from studio.measured.handing_out import handed_out, model_of
from studio.measured.measuring import begin_measuring
from studio.measured.sweep import AtCutoff, at_cutoff, checked_cutoff, sweep
from studio.page import Page, part, sheet, shown, went, workspace_of
from studio.pages.files import POLICY
from trainer.export.package import esphome_lines
from wakeword.corpus.provenance import Stated
from wakeword.errors import ConfigError, MwwError

MOST_CLIPS = 12
"""Misses and false accepts in a report, of each at most: what mww-report takes by itself."""
_ROWS = 20
"""Results on a page of their list."""


def _first(request: Request) -> Response:
    workspace = workspace_of(request)
    found = found_results(workspace)
    listed = sheet(request, found.measured, _ROWS)
    here, there = {one.key for one in listed.rows}, {one.key for one in found.measured}
    chosen = [key for key in dict.fromkeys(request.query_params.getlist("of")) if key in there]
    context = {
        "found": found,
        "measured": listed,
        "chosen": chosen,
        "elsewhere": [key for key in chosen if key not in here],
        "cells": figure_cells,
        "models": found_models(workspace),
        "datasets": dataset_names(workspace),
    }
    return shown(request, "results.html", context)


async def _measure(request: Request) -> Response:
    async with request.form() as form:
        model, dataset, origin = (str(form.get(name, "")) for name in ("model", "dataset", "provenance"))
    stated: Stated | None = "recorded" if origin == "recorded" else "synthetic" if origin == "synthetic" else None
    job = await run_in_threadpool(begin_measuring, workspace_of(request), model, dataset, stated)
    return went(request, f"/jobs/{job.name}/")


def _one(request: Request) -> Response:
    workspace, measured = workspace_of(request), _measured(request)
    try:
        outside = ""
        model_of(workspace, measured)
    except (MwwError, OSError) as error:
        outside = str(error)
    try:
        card, picture = "", badge(make_card(measured.result))
    except MwwError as error:
        card, picture = str(error), ""
    stem = Path(measured.result.model.manifest_path).stem
    return shown(
        request,
        "result.html",
        {
            "one": measured,
            "model": measured.result.model,
            "w": wording,
            "own": measured.result.model.cutoff_uint8,
            "at": at_cutoff(measured, measured.result.model.cutoff_uint8),
            "relative": lambda path: workspace.relative(Path(path)),
            "outside": outside,
            "no_card": card,
            "badge": bool(picture),
            "yaml": esphome_lines(f"{stem}.json"),
            "commands": [
                shlex.join(report_command(measured.files, "--output", "report.html", "--card", f"{stem}.card.json")),
                *measured.result.command.splitlines(),
            ],
            "timeline_width": WIDTH,
            "timeline_height": HEIGHT,
        },
    )


def _curve(request: Request) -> Response:
    return JSONResponse(sweep(_measured(request)))


def _evidence(request: Request) -> Response:
    """What is missed and accepted falsely at a cutoff: the part of the page below the slider."""
    workspace, measured = workspace_of(request), _measured(request)
    cutoff = checked_cutoff(request.query_params.get("cutoff", ""), measured.result.model.cutoff_uint8)
    at: AtCutoff = at_cutoff(measured, cutoff)
    context = {
        "at": at,
        "own": measured.result.model.cutoff_uint8,
        "w": wording,
        "relative": lambda path: workspace.relative(Path(path)),
        "timeline_width": WIDTH,
        "timeline_height": HEIGHT,
    }
    return part(request, "evidence.html", context)


def _report(request: Request) -> Response:
    measured = _measured(request)
    return _document(lambda path: write_report([measured.result], path, max_clips=MOST_CLIPS))


def _chosen(request: Request) -> list[MeasuredModel]:
    keys = list(dict.fromkeys(request.query_params.getlist("of")))
    chosen = [measured_by(workspace_of(request), key) for key in keys]
    if len(chosen) < 2:
        raise ConfigError("choose at least two results to compare, in the list of results")
    return chosen


def _compare(request: Request) -> Response:
    chosen = _chosen(request)
    return shown(
        request,
        "compared.html",
        {
            "chosen": chosen,
            "query": request.url.query,
            "commands": [shlex.join(report_command([file for one in chosen for file in one.files]))],
        },
    )


def _compared(request: Request) -> Response:
    """The page that mww-report makes of several results: of two that can be compared pair by pair, or of all."""
    groups = [[one.result] for one in _chosen(request)]
    two = len(groups) == 2 and are_comparable(groups[0][0], groups[1][0])
    return _document(lambda path: write_comparison(groups, path) if two else write_matrix(groups, path))


def _document(write: Any) -> Response:
    """A page that is whole in one file."""
    with tempfile.TemporaryDirectory(prefix="mww-report-") as folder:
        path = Path(folder) / "report.html"
        write(path)
        return HTMLResponse(path.read_text(encoding="utf-8"), headers={"Content-Security-Policy": POLICY})


def _download(request: Request) -> Response:
    measured, kind = _measured(request), request.path_params["kind"]
    handed = handed_out(workspace_of(request), measured, kind, request.query_params.get("cutoff", ""))
    headers = {"Content-Security-Policy": POLICY}
    if "show" not in request.query_params:
        headers["Content-Disposition"] = f'attachment; filename="{_plain(handed.name)}"'
    return Response(handed.content, media_type=handed.kind, headers=headers)


def _plain(name: str) -> str:
    return "".join(one if one.isascii() and (one.isalnum() or one in "._-") else "_" for one in name)


def _measured(request: Request) -> MeasuredModel:
    return measured_by(workspace_of(request), request.path_params["key"])


def figure_cells(one: MeasuredModel) -> Sequence[tuple[str, wording.Cell, str]]:
    """The two figures of a result with their grades; none where a board ran another model."""
    scores, verdict = one.result.scores, one.verdict
    told = (
        ("Recall", scores.recall, verdict.recall),
        ("False accepts/h", scores.false_accepts_per_hour, verdict.false_accepts),
    )
    return [
        (title, wording.cell(record), grade.headline)
        for title, record, grade in told
        if record is not None and not verdict.withheld
    ]


PAGE = Page(
    "results",
    "Results",
    50,
    [
        Route("/", _first),
        Route("/measure", _measure, methods=["POST"]),
        Route("/compare", _compare),
        Route("/compared", _compared),
        Route("/{key:str}", _one),
        Route("/{key:str}/curve", _curve),
        Route("/{key:str}/evidence", _evidence),
        Route("/{key:str}/report", _report),
        Route("/{key:str}/{kind:str}", _download),
    ],
)
