"""Record: takes of a microphone, files from elsewhere, and the clips of a dataset."""

from __future__ import annotations

import shlex
from typing import Any, cast
from urllib.parse import urlencode

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from studio.gallery import moves
from studio.gallery.adding import add_files
from studio.gallery.index import Order
from studio.gallery.places import checked_label, checked_speaker, clip_path
from studio.gallery.shelf import index_of, shelf
from studio.gallery.waves import SECONDS_SHOWN, playable
from studio.live.datasets import dataset_folder, dataset_names
from studio.live.incoming import sample_rate
from studio.live.listening import LiveListening
from studio.live.models import found_models, open_model
from studio.live.socket import Asked, hold_microphone
from studio.live.takes import KINDS, keep_take
from studio.page import Page, part, refused, root_of, shown, workspace_of
from studio.uploads import MIB, uploaded
from studio.workspace import Workspace
from trainer.data.ingest import Label
from wakeword.audio import AUDIO_SUFFIXES
from wakeword.errors import ConfigError

MOST_UPLOAD_BYTES = 512 * MIB
"""Of the files of one request: one of 4.6 hours at 16 kHz, or many short ones. The page sends thousands in parts."""
PART_BYTES, MOST_UPLOAD_FILES = 32 * MIB, 50
"""What the page puts into one request, unless a file alone is larger."""
TITLES = {
    "": "All that trains",
    "positive": "Wake words",
    "negative": "Negatives",
    "hard_negative": "Hard negatives",
    "rejected": "Rejected",
}
ORDERS = {
    "newest": "Newest first",
    "name": "By name",
    "longest": "Longest first",
    "shortest": "Shortest first",
    "surest": "Surest first",
}


def _takes(request: Request) -> Response:
    workspace = workspace_of(request)
    names = dataset_names(workspace)
    dataset = request.query_params.get("dataset", "") or names[0]
    return shown(
        request,
        "record.html",
        {
            "section": "takes",
            "models": found_models(workspace),
            "datasets": names,
            "dataset": dataset_folder(workspace, dataset).name,
            "kinds": KINDS,
            "lines": _take_lines(workspace, dataset),
        },
    )


async def _hear(websocket: WebSocket) -> None:
    workspace, query = workspace_of(websocket), websocket.query_params

    def opening() -> LiveListening:
        model = open_model(workspace, query["model"]) if query.get("model") else None
        return LiveListening(model, sample_rate(query.get("rate", "")), workspace.own)

    def begin(listening: LiveListening, _: Asked) -> dict[str, Any]:
        return {"seconds": listening.kept.seconds}

    def end(listening: LiveListening, asked: Asked) -> dict[str, Any]:
        return keep_take(workspace, listening, asked)

    await hold_microphone(websocket, opening, {"begin": begin, "end": end})


def _import_page(request: Request) -> Response:
    workspace = workspace_of(request)
    names = dataset_names(workspace)
    dataset = request.query_params.get("dataset", "") or names[0]
    context = {
        "section": "import",
        "datasets": names,
        "dataset": dataset_folder(workspace, dataset).name,
        "lines": _import_lines(workspace, dataset),
        "suffixes": ",".join(sorted(AUDIO_SUFFIXES)),
        "most_bytes": MOST_UPLOAD_BYTES,
        "part_bytes": PART_BYTES,
        "part_files": MOST_UPLOAD_FILES,
    }
    return shown(request, "import.html", context)


async def _import(request: Request) -> Response:
    from starlette.concurrency import run_in_threadpool

    remedy = "import fewer at a time, or copy them into the dataset's folder"
    async with uploaded(request, MOST_UPLOAD_BYTES, MOST_UPLOAD_FILES, remedy) as form:
        return await run_in_threadpool(_imported, request, form)


def _imported(request: Request, form: FormData) -> Response:
    """The form's files, one after the other; each is in, or told with its reason."""
    root = dataset_folder(workspace_of(request), str(form.get("dataset", "")))
    label, speaker = checked_label(str(form.get("label", ""))), str(form.get("speaker", ""))
    files = [one for one in form.getlist("files") if isinstance(one, UploadFile) and one.filename]
    faults: dict[str, str] = {}
    if not files:
        faults["files"] = "Choose at least one recording."
    if label is Label.POSITIVE or speaker.strip():
        try:
            checked_speaker(speaker)
        except ConfigError as error:
            faults["speaker"] = str(error)
    if faults:
        return refused(faults)
    added = add_files(root, [(str(file.filename), file.file) for file in files], label, speaker)
    took = [one.name for one in added if not one.refused]
    refusals = [f"{one.name}: {one.refused}" for one in added if one.refused]
    return JSONResponse({"took": took, "refused": refusals, "dataset": root.name})


def _clips(request: Request) -> Response:
    return shown(request, "clips.html", {"section": "clips", **_gallery(request)})


def _clips_list(request: Request) -> Response:
    return part(request, "clips_list.html", _gallery(request))


def _gallery(request: Request) -> dict[str, Any]:
    workspace, query = workspace_of(request), request.query_params
    names = dataset_names(workspace)
    root = dataset_folder(workspace, query.get("dataset", "") or names[0])
    label, unheard = query.get("label", ""), query.get("unheard") == "yes"
    order = query.get("order", "") or "newest"
    number = query.get("page", "1")
    if label not in TITLES:
        raise ConfigError(f"label {label!r}: give one of {', '.join(filter(None, TITLES))}")
    asked = {
        "dataset": root.name,
        "label": label,
        "speaker": query.get("speaker", ""),
        "text": query.get("text", "").strip(),
        "order": order,
        "unheard": "yes" if unheard else "",
    }
    page = shelf(
        root,
        int(number) if number.isdecimal() and len(number) < 9 else 1,
        label,
        asked["speaker"],
        asked["text"],
        cast(Order, order),
        unheard,
    )
    kept = {name: value for name, value in asked.items() if value}
    return {
        "shelf": page,
        "asked": asked,
        "datasets": names if root.name in names else [*names, root.name],
        "titles": TITLES,
        "orders": ORDERS,
        "address": f"{root_of(request)}/record/clips?{urlencode(kept)}",
        "list_address": f"{root_of(request)}/record/clips/list?{urlencode(kept | {'page': str(page.number)})}",
        "query": urlencode,
        "folder": workspace.relative(root),
        "training": _train_command(workspace, root.name),
        "seconds_shown": SECONDS_SHOWN,
    }


def _take_lines(workspace: Workspace, dataset: str) -> list[str]:
    """What records a take by this machine's microphone (alsa-utils), what by a board's, and what would hear takes."""
    folder = workspace.relative(dataset_folder(workspace, dataset))
    words = shlex.quote(f"{folder}/positive/SPEAKER")
    return [
        f"mkdir -p {words}",
        f"arecord --format S16_LE --rate 16000 --channels 1 --duration 2 {words}/near_1.wav",
        shlex.join(("mww-bench", "record", "--board", "BOARD", "--output", folder, "--holds", "wake")),
        f"mww-simulate MODEL.json {words} --truth wake --mode session",
        _train_command(workspace, dataset, "--dry-run"),
    ]


def _import_lines(workspace: Workspace, dataset: str) -> list[str]:
    """What copies recordings into a dataset, and what says which of them a training would refuse, and why."""
    words = shlex.quote(f"{workspace.relative(dataset_folder(workspace, dataset))}/positive/SPEAKER")
    return [
        f"mkdir -p {words}",
        f"cp RECORDINGS/* {words}",
        _train_command(workspace, dataset, "--dry-run"),
    ]


def _train_command(workspace: Workspace, dataset: str, *more: str) -> str:
    """How a training takes a dataset."""
    root = dataset_folder(workspace, dataset)
    words = ["mww-train", "--config", "standard", "--set", "export.wake_word=WORD"]
    for label in (Label.POSITIVE, Label.NEGATIVE, Label.HARD_NEGATIVE):
        # Of these alone none need be there; a folder that is named must.
        if label is not Label.HARD_NEGATIVE or (root / label.value).is_dir():
            words += ["--set", f"paths.{label.value}_dir={workspace.relative(root)}/{label.value}"]
    return shlex.join((*words, *more))


def _sound(request: Request) -> Response:
    path = clip_path(dataset_folder(workspace_of(request), request.query_params.get("dataset", "")), _name(request))
    return Response(playable(path), media_type="audio/wav", headers={"Cache-Control": "private, max-age=60"})


def _name(request: Request) -> str:
    return request.query_params.get("name", "")


_MOVES = {"reject": moves.reject, "restore": moves.restore, "accept": moves.accept}


def _move(request: Request) -> Response:
    """Reject, restore, accept or take back: what a button of a clip asks for."""
    query = request.query_params
    root, name = dataset_folder(workspace_of(request), query.get("dataset", "")), _name(request)
    action = request.path_params["action"]
    if action == "undo":
        number = query.get("number", "")
        move = moves.undo(root, int(number) if number.isdecimal() else 0)
    elif action in _MOVES:
        clip_path(root, name)
        move = _MOVES[action](root, name)
    else:
        raise ConfigError(f"{action!r}: no move of a clip; these are: {', '.join(_MOVES)}, undo")
    return JSONResponse({"moved": move.after})


async def _relabel(request: Request) -> Response:
    from starlette.concurrency import run_in_threadpool

    async with request.form() as form:
        root = dataset_folder(workspace_of(request), str(form.get("dataset", "")))
        name, speaker = str(form.get("name", "")), str(form.get("speaker", ""))
        label = checked_label(str(form.get("label", "")))
    move = await run_in_threadpool(moves.relabel, root, name, label, speaker)
    return JSONResponse({"moved": move.after})


def _speakers(request: Request) -> Response:
    """How many takes of each way a speaker has in a dataset already, by the beginning of their names."""
    root = dataset_folder(workspace_of(request), request.query_params.get("dataset", ""))
    speaker = request.query_params.get("speaker", "").strip()
    own = [clip.name.rsplit("/", 1)[-1] for clip in index_of(root).clips() if clip.speaker == speaker]
    stems = {kind.name: f"{kind.name.replace(' ', '_')}_" for kind in KINDS}
    return JSONResponse({name: sum(one.startswith(stem) for one in own) for name, stem in stems.items()})


PAGE = Page(
    "record",
    "Record",
    20,
    [
        Route("/", _takes),
        WebSocketRoute("/hear", _hear),
        Route("/takes", _speakers),
        Route("/import", _import_page, methods=["GET"]),
        Route("/import", _import, methods=["POST"]),
        Route("/clips", _clips),
        Route("/clips/list", _clips_list),
        Route("/clips/sound", _sound),
        Route("/clips/relabel", _relabel, methods=["POST"]),
        Route("/clips/{action:str}", _move, methods=["POST"]),
    ],
)
