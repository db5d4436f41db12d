"""Loudspeakers and microphones of this machine, found by name and opened at a rate of their own, without the system's
effects.

sounddevice (PortAudio) is an extra of this package, and is imported when a device is asked for. Samples cross as int32:
it holds every format that a converter has, and 16 bits pass through it unchanged.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from wakeword.errors import ConfigError, InfrastructureError
from wakeword.extras import require

Direction = Literal["output", "input"]

FULL_SCALE = 2.0**31
LATENCY_SECONDS = 1.0
"""Asked of the system: a program that is late by less loses nothing. No figure depends on it, the alignment finds
it."""
THREAD_PRIORITY = -10
"""Nice value, where real-time scheduling is not allowed."""

_WORDS = {"output": "loudspeaker", "input": "microphone"}


@dataclass(frozen=True)
class Device:
    """One direction of a device, at the rate that it is to be used with."""

    name: str
    direction: Direction
    index: int
    """PortAudio's, until devices are looked for again."""
    channels: int
    rate: int
    """Samples a second."""
    host_api: str

    @property
    def word(self) -> str:
        """`loudspeaker 'NAME'`, for messages."""
        return f"{_WORDS[self.direction]} {self.name!r}"


def portaudio() -> ModuleType:
    """The module sounddevice. Raises `InfrastructureError` where it, or PortAudio itself, is not installed."""
    require("sound", "sounddevice")
    try:
        return importlib.import_module("sounddevice")
    except OSError as error:
        raise InfrastructureError(
            f"sound needs the system's PortAudio library ({error}); install it (Debian: apt install libportaudio2)"
        ) from error


def look_again() -> None:
    """Have PortAudio list the devices anew: it does so only when it starts. No stream may be open."""
    sounddevice = portaudio()
    sounddevice._terminate()
    sounddevice._initialize()


def list_devices(direction: Direction) -> list[Device]:
    """All devices that can play (`output`) or record (`input`), at their default rates. Raises `ConfigError` as
    `portaudio` does.
    """
    sounddevice = portaudio()
    apis = [str(api["name"]) for api in sounddevice.query_hostapis()]
    key = f"max_{direction}_channels"
    return [
        Device(
            str(one["name"]),
            direction,
            index,
            int(one[key]),
            round(float(one["default_samplerate"])),
            apis[int(one["hostapi"])],
        )
        for index, one in enumerate(sounddevice.query_devices())
        if int(one[key]) > 0
    ]


def find_device(name: str, direction: Direction, rate: int | None = None) -> Device:
    """The device of exactly that name, or the only one whose name holds it, whatever the case. `rate` instead of its
    default one.

    Raises `ConfigError` when there is none or several, with the list of those there are, or when it cannot be used at
    that rate.
    """
    devices = list_devices(direction)
    found = [one for one in devices if one.name == name] or [one for one in devices if name.lower() in one.name.lower()]
    word = _WORDS[direction]
    if not found:
        known = ", ".join(repr(one.name) for one in devices) or "none"
        raise ConfigError(f"no {word} {name!r} on this machine; there are: {known}")
    if len(found) > 1:
        raise ConfigError(
            f"{word} {name!r} may be any of {', '.join(repr(one.name) for one in found)}; give more of its name"
        )
    device = (
        found[0]
        if rate is None
        else Device(found[0].name, direction, found[0].index, found[0].channels, rate, found[0].host_api)
    )
    sounddevice = portaudio()
    check = sounddevice.check_output_settings if direction == "output" else sounddevice.check_input_settings
    try:
        check(device=device.index, channels=1, dtype="int32", samplerate=device.rate)
    except (sounddevice.PortAudioError, ValueError) as error:
        raise ConfigError(
            f"{device.word} cannot be used at {device.rate} Hz ({_reason(error)}); give another rate"
        ) from error
    return device


def open_stream(
    device: Device, callback: Callable[..., None], ended: Callable[[], None], latency: float = LATENCY_SECONDS
) -> Any:
    """An open, not yet started one-channel stream of int32. `ended` is called when it stops, also by itself.

    `callback` gets samples `[frames, 1]` to fill or to read, the frames, and PortAudio's times and status, in the audio
    system's thread. Raises `InfrastructureError` when the device does not open.
    """
    sounddevice = portaudio()
    kind = sounddevice.RawOutputStream if device.direction == "output" else sounddevice.RawInputStream

    def raw(buffer: Any, frames: int, times: Any, status: Any) -> None:
        # sounddevice's own arrays set a shape in a way that NumPy 2.5 deprecates: where warnings are errors, that ends
        # the stream.
        callback(np.frombuffer(buffer, np.int32).reshape(-1, 1), frames, times, status)

    try:
        # No clipping and no dither by PortAudio: what is written is what is played.
        return kind(
            samplerate=device.rate,
            device=device.index,
            channels=1,
            dtype="int32",
            latency=latency,
            callback=raw,
            finished_callback=ended,
            clip_off=True,
            dither_off=True,
        )
    except (sounddevice.PortAudioError, ValueError) as error:
        raise InfrastructureError(
            f"{device.word} does not open at {device.rate} Hz ({_reason(error)}); see who uses it, and that it is"
            " plugged in"
        ) from error


def start_stream(device: Device, stream: Any) -> None:
    """Start it. Raises `InfrastructureError` when the device refuses."""
    sounddevice = portaudio()
    try:
        stream.start()
    except sounddevice.PortAudioError as error:
        stream.close()
        raise InfrastructureError(
            f"{device.word} does not start ({_reason(error)}); see that it is plugged in"
        ) from error


def prefer_this_thread() -> None:
    """Have the calling thread go before others, where the system allows it: a sound card does not wait."""
    if hasattr(os, "sched_setscheduler"):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
            return
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, THREAD_PRIORITY)


def to_int32(samples: NDArray[np.float32] | NDArray[np.float64]) -> NDArray[np.int32]:
    """Samples of full scale 1 as the devices take them; what is beyond full scale is clipped."""
    return np.clip(np.rint(np.asarray(samples, np.float64) * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int32)


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0]
