"""Listen: what a device would do on this microphone, live."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from studio.live.datasets import dataset_names
from studio.live.incoming import sample_rate
from studio.live.listening import MOST_SECONDS, LiveListening
from studio.live.models import MANIFEST_BYTES, MOST_MODEL_BYTES, add_model, found_models, open_model
from studio.live.moments import AFTER_SECONDS, BEFORE_SECONDS, keep_moment, save_recording
from studio.live.socket import Asked, Told, hold_microphone
from studio.page import Page, refused, shown, went, workspace_of
from studio.uploads import uploaded


def _first(request: Request) -> Response:
    workspace = workspace_of(request)
    models = found_models(workspace)
    return shown(
        request,
        "listen.html",
        {
            "models": models,
            "chosen": request.query_params.get("model") or (models[0].path if models else ""),
            "datasets": dataset_names(workspace),
            "around": BEFORE_SECONDS + AFTER_SECONDS,
            "most_minutes": round(MOST_SECONDS / 60),
        },
    )


async def _add_model(request: Request) -> Response:
    async with uploaded(request, MOST_MODEL_BYTES + MANIFEST_BYTES, 2, "choose the manifest and its model") as form:
        given = {name: form.get(name) for name in ("manifest", "tflite")}
        missing = {name: f"Choose the {title}." for name, title in _FILES.items() if not _is_file(given[name])}
        if missing:
            return refused(missing)
        too_large = {
            name: f"Is larger than {most // 1024} KiB; choose the {_FILES[name]}."
            for name, most in (("manifest", MANIFEST_BYTES), ("tflite", MOST_MODEL_BYTES))
            if (getattr(given[name], "size", 0) or 0) > most
        }
        if too_large:
            return refused(too_large)
        contents = {name: await one.read() for name, one in given.items() if isinstance(one, UploadFile)}
        name = str(getattr(given["manifest"], "filename", ""))
    workspace = workspace_of(request)
    path = await run_in_threadpool(add_model, workspace, name, contents["manifest"], contents["tflite"])
    return went(request, f"/listen/?{urlencode({'model': path})}")


_FILES = {"manifest": "manifest (.json)", "tflite": "model (.tflite)"}


def _is_file(given: object) -> bool:
    return isinstance(given, UploadFile) and bool(given.filename)


async def _hear(websocket: WebSocket) -> None:
    workspace, query = workspace_of(websocket), websocket.query_params
    manifest = query.get("model", "")

    def opening() -> LiveListening:
        model = open_model(workspace, manifest, query.get("cutoff", ""), query.get("window", ""))
        return LiveListening(model, sample_rate(query.get("rate", "")), workspace.own)

    def save(listening: LiveListening, _: Asked) -> Told | Callable[[], Told]:
        return save_recording(workspace, listening, manifest)

    def keep(listening: LiveListening, asked: Asked) -> dict[str, object]:
        added = keep_moment(workspace, listening, asked)
        return {"name": added.name, "refused": added.refused, "of": asked.get("of")}

    await hold_microphone(websocket, opening, {"save": save, "keep": keep})


PAGE = Page(
    "listen",
    "Listen",
    40,
    [Route("/", _first), WebSocketRoute("/hear", _hear), Route("/models", _add_model, methods=["POST"])],
)
