"""Files of the workspace: played, shown or downloaded, at `/files/PATH`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from firmware.credentials import SECRETS_FILE
from studio.page import Page, workspace_of
from wakeword.errors import ConfigError

_KINDS = {
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".csv": "text/plain; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".yaml": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
"""What a browser may show; all else is downloaded."""
POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:; font-src data:"
"""Of what is shown: a report is a page whole in one file. It runs no script and has nothing to do with the studio."""


def _file(request: Request) -> Response:
    relative = request.path_params["path"]
    workspace = workspace_of(request)
    path = workspace.inside(relative)
    hidden = any(part.startswith(".") for part in path.relative_to(workspace.root.resolve()).parts)
    if hidden or path.name == SECRETS_FILE or path.is_relative_to(workspace.firmware.resolve()):
        raise ConfigError(f"{relative}: may hold secrets, which no page shows; read it in the workspace")
    if not path.is_file():
        raise ConfigError(f"{relative}: there is no such file in the workspace")
    kind = _KINDS.get(path.suffix.lower())
    as_file = kind is None or "download" in request.query_params
    return FileResponse(
        path,
        media_type=kind or "application/octet-stream",
        filename=path.name if as_file else None,
        headers={"Content-Security-Policy": POLICY},
    )


PAGE = Page("files", "Files", 110, [Route("/{path:path}", _file)])
