"""Start: a phrase, how it sounds and how hard it is, and all the way to a model with its report in one job."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from studio.chain import (
    ChainOptions,
    begin_chain,
    begin_voices,
    chain_steps,
    folder_name,
    made,
    made_model,
    made_of,
    voices_folder,
    voices_of,
)
from studio.jobs.records import JobPhase
from studio.jobs.wording import WORDS
from studio.page import Page, part, refused, sheet, shown, went, workspace_of
from studio.phrase_look import look_at
from studio.training.runs import CONFIG
from studio.workspace import WORDS_FOLDER
from wakeword.errors import ConfigError

_LANGUAGES = (
    ("en", "English"),
    ("en-GB", "English, British"),
    ("de", "German"),
    ("fr", "French"),
    ("es", "Spanish"),
    ("it", "Italian"),
    ("nl", "Dutch"),
)
"""Those that have words and sentences of their own (`trainer/data/speech/banks`); the field takes any other tag."""
_PRESETS = (
    ("quick", "Quick: a first model"),
    ("standard", "Standard: the usual recipe, seven times as many steps"),
    ("max_quality", "Best: the longest training, sixteen times as many"),
)
_ROWS = 50
"""Phrases on a page of their list."""


def _first(request: Request) -> Response:
    asked = _asked(request)
    defaults = ChainOptions("", "en")
    context: dict[str, Any] = {
        "languages": _LANGUAGES,
        "presets": _PRESETS,
        "defaults": defaults,
        "asked": asked,
        "lines": _chain_lines(asked["phrase"], asked["language"]) if asked else [],
        "made": sheet(request, made(workspace_of(request)), _ROWS),
        **WORDS,
    }
    return shown(request, "start.html", context)


def _chain_lines(phrase: str, language: str) -> list[str]:
    """What makes a phrase's model, unless more is chosen."""
    _, steps = chain_steps(ChainOptions(phrase, language), WORDS_FOLDER / folder_name(phrase))
    return [step.line for step in steps]


def _asked(request: Request) -> dict[str, str] | None:
    phrase = request.query_params.get("phrase", "").strip()
    return {"phrase": phrase, "language": request.query_params.get("language", "en")} if phrase else None


def _surely_asked(request: Request) -> dict[str, str]:
    asked = _asked(request)
    if asked is None:
        raise ConfigError("the address names no phrase; type one on the page Start")
    return asked


async def _looked(request: Request) -> Response:
    form = await request.form()
    return await run_in_threadpool(_look, request, str(form.get("phrase", "")), str(form.get("language", "en")))


def _look(request: Request, phrase: str, language: str) -> Response:
    try:
        look = look_at(phrase.strip(), language.strip())
    except ConfigError as error:
        of_language = "--language" in str(error) and "not known" in str(error)
        return refused({"language" if of_language else "phrase": str(error).removeprefix("--language ")})
    begin_voices(workspace_of(request), look.phrase, look.language)
    return went(request, f"/start/?{urlencode({'phrase': look.phrase, 'language': look.language})}")


def _look_part(request: Request) -> Response:
    asked = _surely_asked(request)
    return part(request, "start_look.html", {"look": look_at(asked["phrase"], asked["language"])})


def _voices_part(request: Request) -> Response:
    asked = _surely_asked(request)
    workspace = workspace_of(request)
    folder = voices_folder(asked["phrase"], asked["language"])
    job = next((one for one in workspace.desk.jobs() if one.order.folder == str(folder)), None)
    return part(request, "start_voices.html", {"voices": voices_of(workspace, folder), "job": job, **WORDS})


async def _begin(request: Request) -> Response:
    form = await request.form()
    return await run_in_threadpool(_begun, request, {key: str(value).strip() for key, value in form.items()})


def _begun(request: Request, form: dict[str, str]) -> Response:
    faults: dict[str, str] = {}

    def number(name: str, least: float, most: float) -> float:
        text = form.get(name, "")
        try:
            value = float(text or "0")
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            faults[name] = f"{text!r} is not a number from {least:g} to {most:g}"
        return value

    clips, natural, hours = number("clips", 10, 100_000), number("natural", 0, 100_000), number("real_speech", 0, 10.7)
    if faults:
        return refused(faults)
    options = ChainOptions(
        form.get("phrase", ""),
        form.get("language", "en"),
        form.get("config", "quick"),
        int(clips),
        int(natural),
        hours,
        tuple(Path(line.strip()) for line in form.get("negatives", "").splitlines() if line.strip()),
    )
    try:
        job = begin_chain(workspace_of(request), options)
    except ConfigError as error:
        return refused({"negatives" if options.negatives else "": str(error)})
    return went(request, f"/start/made/{Path(job.order.folder).name}/")


def _made(request: Request) -> Response:
    name = request.path_params["name"]
    return shown(request, "made.html", _made_context(request, name))


def _made_part(request: Request) -> Response:
    return part(request, "made_result.html", _made_context(request, request.path_params["name"]))


def _made_context(request: Request, name: str) -> dict[str, Any]:
    workspace = workspace_of(request)
    job = made_of(workspace, name)
    if job is None:
        raise ConfigError(f"{name}: no such phrase was begun; type one on the page Start")
    lines = [step.line for step in job.order.steps]
    model = made_model(workspace, job) if job.phase is JobPhase.DONE else None
    has_run = (workspace.words / name / "run" / CONFIG).is_file()
    return {"name": name, "job": job, "lines": lines, "model": model, "has_run": has_run, **WORDS}


PAGE = Page(
    "start",
    "Start",
    10,
    [
        Route("/", _first),
        Route("/look", _looked, methods=["POST"]),
        Route("/look", _look_part),
        Route("/voices", _voices_part),
        Route("/begin", _begin, methods=["POST"]),
        Route("/made/{name}/", _made),
        Route("/made/{name}/result", _made_part),
    ],
)
