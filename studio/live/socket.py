"""The microphone's connection to a page: the browser sends sound and, in between, what the user asks for; the studio
answers each block with what was heard in it.

Binary messages are float32 samples, little-endian, at the rate that the page told when it connected. Text messages are
JSON objects with `do`; the answer to one has the same `do`, or `error`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket, WebSocketDisconnect

from studio.live.listening import LiveListening, Update
from wakeword.contract import HOLD_OFF_SLICES
from wakeword.errors import MwwError

type Asked = Mapping[str, Any]
type Command = Callable[[LiveListening, Asked], Mapping[str, Any]]
"""What a page can ask for while it listens. Runs in a thread; the microphone's next block waits."""


async def hold_microphone(
    websocket: WebSocket, opening: Callable[[], LiveListening], commands: Mapping[str, Command]
) -> None:
    """Hear a page's microphone until it disconnects; what was heard and not saved is forgotten then.

    `opening` is called in a thread. What is wrong is told to the page in one line.
    """
    await websocket.accept()
    try:
        listening = await run_in_threadpool(opening)
    except (MwwError, OSError) as error:
        await _tell_error(websocket, error)
        await websocket.close(1008)
        return
    try:
        await websocket.send_json({"do": "hear", **_device(listening)})
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            await _answer(websocket, listening, commands, message)
    except WebSocketDisconnect:
        return
    finally:
        listening.close()


async def _answer(
    websocket: WebSocket, listening: LiveListening, commands: Mapping[str, Command], message: Mapping[str, Any]
) -> None:
    try:
        if message.get("bytes") is not None:
            await websocket.send_json(update_message(listening.hear(message["bytes"])))
            return
        asked = json.loads(message.get("text") or "null")
        do = asked.get("do") if isinstance(asked, dict) else None
        if do == "stop":
            await websocket.send_json(update_message(listening.finish()) | {"do": "stop"})
        elif isinstance(do, str) and do in commands:
            answer = await run_in_threadpool(commands[do], listening, asked)
            await websocket.send_json({"do": do, **answer})
        else:
            await websocket.send_json({"error": f"there is nothing to do that is called {do!r}"})
    except (MwwError, OSError, ValueError, KeyError, TypeError) as error:
        await _tell_error(websocket, error)


def update_message(update: Update) -> dict[str, Any]:
    """An update as a page takes it: probabilities and averages are the device's, 0 to 255."""
    told: dict[str, Any] = {
        "seconds": round(update.seconds, 4),
        "level": round(update.level.rms_dbfs, 1),
        "peak": round(update.level.peak, 4),
        "clips": update.level.clips,
        "booted": update.booted,
    }
    heard = update.heard
    if heard is not None:
        told |= {
            "first": heard.first_inference,
            "p": heard.probabilities.tolist(),
            "a": [round(float(one), 2) for one in heard.averages],
            "hold_off": heard.hold_off,
            "detections": [
                {"slice": one.slice_index, "seconds": round(one.seconds, 4), "average": one.average, "max": one.maximum}
                for one in heard.detections
            ],
        }
    return told


def _device(listening: LiveListening) -> dict[str, Any]:
    """What the page has to know of the device to draw it."""
    device = listening.device
    if device is None:
        return {}
    point = device.model.point
    return {
        "wake_word": device.model.manifest.wake_word,
        "cutoff": point.cutoff,
        "probability_cutoff": point.probability_cutoff,
        "window": point.window,
        "warning": point.warning,
        "engine": device.engine,
        "step": device.step_ms / 1000,
        "first_seconds": device.seconds_of(0),
        "inference_seconds": device.stride * device.step_ms / 1000,
        "hold_off_seconds": HOLD_OFF_SLICES * device.step_ms / 1000,
    }


async def _tell_error(websocket: WebSocket, error: Exception) -> None:
    line = " ".join(str(error).split()) or type(error).__name__
    await websocket.send_json({"error": line})
