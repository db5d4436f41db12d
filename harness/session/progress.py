"""Where a session stands, on stderr: a bar on a terminal, a line a minute where the output is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from harness.session.runner import Moment
from wakeword.progress import audio_progress


@contextmanager
def session_progress(description: str, total_seconds: float) -> Iterator[Callable[[Moment], None]]:
    """Yield a function that takes the present moment of a session of so many seconds of audio."""
    with audio_progress(description, total_seconds, "connecting to the board") as advance:
        began: float | None = None
        played = 0.0

        def watch(moment: Moment) -> None:
            nonlocal began, played
            now = time.monotonic()
            began = now if began is None else began
            speed = moment.audio_seconds / (now - began) if now > began else 0.0
            detections = f"{moment.detections} detection{'' if moment.detections == 1 else 's'}"
            advance(moment.audio_seconds - played, f"{speed:.1f} times real time, {detections}")
            played = moment.audio_seconds

        yield watch
