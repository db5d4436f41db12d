"""The microphone's connection to a page: the browser sends sound and, in between, what the user asks for; the studio
answers each block with what was heard in it.

Binary messages are float32 samples, little-endian, at the rate that the page told when it connected. Text messages are
JSON objects with `do`; the answer to one has the same `do`, or `error`.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket, WebSocketDisconnect

from studio.live.listening import LiveListening, Update
from wakeword.contract import HOLD_OFF_SLICES
from wakeword.errors import ConfigError, MwwError

type Asked = Mapping[str, Any]
type Told = Mapping[str, Any]
type Command = Callable[[LiveListening, Asked], Told | Callable[[], Told]]
"""What a page can ask for while it listens. Runs in a thread; the microphone's next block waits. What takes long and
needs the microphone no more is returned as a function, which runs beside it and gives the answer."""
MOST_MICROPHONES = 8
"""Pages that hear at the same time."""
_CANNOT = (MwwError, OSError, ValueError, KeyError, TypeError, ArithmeticError, RuntimeError)
_open: set[WebSocket] = set()


async def hold_microphone(
    websocket: WebSocket, opening: Callable[[], LiveListening], commands: Mapping[str, Command]
) -> None:
    """Hear a page's microphone until it disconnects; what was heard and not saved is forgotten then.

    `opening` is called in a thread, as all that hears is: other pages are answered meanwhile. What is wrong is told to
    the page in one line.
    """
    await websocket.accept()
    microphone: _PageMicrophone | None = None
    try:
        if len(_open) >= MOST_MICROPHONES:
            raise ConfigError(f"{MOST_MICROPHONES} pages have a microphone already; close one of them")
        _open.add(websocket)
        microphone = _PageMicrophone(websocket, await run_in_threadpool(opening), commands)
        await microphone.hold()
    except WebSocketDisconnect:
        return
    except (MwwError, OSError) as error:
        await websocket.send_json(_fault(error))
        await websocket.close(1008)
    finally:
        _open.discard(websocket)
        if microphone is not None:
            await microphone.close()


class _PageMicrophone:
    """A page's microphone while it is connected."""

    def __init__(self, websocket: WebSocket, listening: LiveListening, commands: Mapping[str, Command]) -> None:
        self._websocket, self._listening, self._commands = websocket, listening, commands
        self._sending = asyncio.Lock()
        self._beside: set[asyncio.Task[None]] = set()

    async def hold(self) -> None:
        """Answer the page until it disconnects."""
        await self._send({"do": "hear", **_device(self._listening)})
        while (message := await self._websocket.receive())["type"] != "websocket.disconnect":
            try:
                answer = await self._answer(message)
            except _CANNOT as error:
                answer = _fault(error)
            if answer is not None:
                await self._send(answer)

    async def close(self) -> None:
        """Forget what was heard; what goes on beside it is waited for."""
        self._listening.close()
        await asyncio.gather(*self._beside)

    async def _answer(self, message: Mapping[str, Any]) -> Told | None:
        if message.get("bytes") is not None:
            return update_message(await run_in_threadpool(self._listening.hear, message["bytes"]))
        asked = json.loads(message.get("text") or "null")
        do = asked.get("do") if isinstance(asked, dict) else None
        if do == "stop":
            return update_message(await run_in_threadpool(self._listening.finish)) | {"do": "stop"}
        if not isinstance(do, str) or do not in self._commands:
            return {"error": f"there is nothing to do that is called {do!r}"}
        told = await run_in_threadpool(self._commands[do], self._listening, asked)
        if not callable(told):
            return {"do": do, **told}
        task = asyncio.create_task(self._tell_when_done(do, told))
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)
        return None

    async def _tell_when_done(self, do: str, work: Callable[[], Told]) -> None:
        try:
            answer: Told = {"do": do, **await run_in_threadpool(work)}
        except _CANNOT as error:
            answer = _fault(error)
        with suppress(WebSocketDisconnect, RuntimeError):  # the page has gone
            await self._send(answer)

    async def _send(self, told: Told) -> None:
        async with self._sending:
            await self._websocket.send_json(told)


def asked_seconds(asked: Asked, name: str) -> float:
    """A moment that a page names, in seconds since boot. Raises `ConfigError` for what is no number."""
    value = asked.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{name}: give seconds since the device booted")
    return float(value)


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


def _fault(error: Exception) -> Told:
    return {"error": " ".join(str(error).split()) or type(error).__name__}
