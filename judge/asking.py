"""Questions of clients, answered in threads: the arithmetic of one must not keep the others waiting."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from judge.deciding import ClipListener, Judge, JudgeAnswer
from judge.limits import BYTES_A_SECOND, ServiceLimits

_BLOCK_BYTES = BYTES_A_SECOND // 4
"""Sound is heard a quarter of a second at a time: a call of the model costs more than so little arithmetic."""


class TooLong(Exception):
    """More sound than a question may have."""


class ListenerPool:
    """Listeners that are used again, and the threads in which they hear."""

    def __init__(self, judge: Judge, limits: ServiceLimits) -> None:
        self.judge, self.limits = judge, limits
        self._free: list[ClipListener] = []
        self._threads = ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="judge")

    async def warm_up(self) -> None:
        """Answer once, so that the first client does not wait for what is compiled or loaded."""
        question = self.question()
        await question.hear(bytes(BYTES_A_SECOND))
        await question.finish()

    def question(self) -> ClipQuestion:
        """A new one."""
        return ClipQuestion(self)

    async def run[T](self, work: Callable[[], T]) -> T:
        """In a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def take(self) -> ClipListener:
        """A listener at the beginning of a clip; called in a thread."""
        with suppress(IndexError):
            listener = self._free.pop()
            listener.reset()
            return listener
        return self.judge.listen()

    def give_back(self, listener: ClipListener) -> None:
        """One that nobody uses any more. There are never more than clients at once."""
        self._free.append(listener)

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class ClipQuestion:
    """The sound of one clip as it comes, 16 kHz mono int16 in bytes, and what the judge says of it.

    Where a call is cut off, a thread may still be at work on its listener, which nobody then uses again.
    """

    def __init__(self, pool: ListenerPool) -> None:
        self._pool = pool
        self._listener: ClipListener | None = None
        self._waiting = bytearray()
        self._bytes = 0

    @property
    def seconds(self) -> float:
        """Of sound that came."""
        return self._bytes / BYTES_A_SECOND

    async def hear(self, sound: bytes) -> JudgeAnswer | None:
        """More sound. Returns what is said of all so far, None where too little came to listen again.

        Raises `TooLong` where it is more than a question may have.
        """
        self._bytes += len(sound)
        if self._bytes > self._pool.limits.longest_bytes:
            raise TooLong
        self._waiting += sound
        return await self._listen() if len(self._waiting) >= _BLOCK_BYTES else None

    async def finish(self) -> JudgeAnswer:
        """What is said of the whole clip. An odd last byte is no sample, and is dropped."""
        answer = await self._listen()
        assert self._listener is not None
        self._pool.give_back(self._listener)
        self._listener = None
        return answer

    async def _listen(self) -> JudgeAnswer:
        whole = len(self._waiting) // 2 * 2
        samples = np.frombuffer(bytes(self._waiting[:whole]), "<i2").astype(np.int16)
        del self._waiting[:whole]

        def work(samples: NDArray[np.int16] = samples) -> tuple[ClipListener, JudgeAnswer]:
            listener = self._listener or self._pool.take()
            listener.hear(samples)
            return listener, listener.answer

        self._listener, answer = await self._pool.run(work)
        return answer
