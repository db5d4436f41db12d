"""Listen: what a device would do on this microphone, live."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from studio.live.datasets import dataset_names
from studio.live.listening import MOST_SECONDS, LiveListening
from studio.live.models import found_models, open_model
from studio.live.moments import AFTER_SECONDS, BEFORE_SECONDS, keep_moment, save_recording
from studio.live.socket import Asked, hold_microphone
from studio.page import Page, shown, workspace_of
from wakeword.errors import ConfigError


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


async def _hear(websocket: WebSocket) -> None:
    workspace, query = workspace_of(websocket), websocket.query_params
    manifest = query.get("model", "")

    def opening() -> LiveListening:
        model = open_model(workspace, manifest, query.get("cutoff", ""), query.get("window", ""))
        return LiveListening(model, sample_rate(query.get("rate", "")))

    def save(listening: LiveListening, _: Asked) -> dict[str, object]:
        return dict(save_recording(workspace, listening, manifest))

    def keep(listening: LiveListening, asked: Asked) -> dict[str, object]:
        added = keep_moment(workspace, listening, asked)
        return {"name": added.name, "refused": added.refused, "of": asked.get("of")}

    await hold_microphone(websocket, opening, {"save": save, "keep": keep})


def sample_rate(text: str) -> int:
    """The rate that a page tells. Raises `ConfigError`."""
    if not text.isdecimal():
        raise ConfigError(f"rate {text!r}: give the microphone's sample rate in Hz")
    return int(text)


PAGE = Page("listen", "Listen", 40, [Route("/", _first), WebSocketRoute("/hear", _hear)])
