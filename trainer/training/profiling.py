"""Where a run's time goes: milliseconds a step by section, and Python profiles at intervals."""

from __future__ import annotations

import cProfile
import io
import pstats
import resource
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wakeword.files import write_atomically

PROFILED_STEPS = 20
"""A profile covers so many steps: one alone would show chance."""
SHOWN_FUNCTIONS = 40


class StepTimes:
    """Seconds by section since the last report; sections may run in several threads."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = defaultdict(float)
        self._lock = threading.Lock()
        self._steps, self._began = 0, time.perf_counter()

    @contextmanager
    def timed(self, section: str) -> Iterator[None]:
        """Count the block's time to a section."""
        began = time.perf_counter()
        try:
            yield
        finally:
            with self._lock:
                self._seconds[section] += time.perf_counter() - began

    @contextmanager
    def beside_steps(self, section: str) -> Iterator[None]:
        """Count the block's time to a section, and not to the steps: it does not slow their rate."""
        began = time.perf_counter()
        with self.timed(section):
            yield
        self._began += time.perf_counter() - began

    def step_done(self) -> None:
        """Count a step."""
        self._steps += 1

    def report(self) -> dict[str, float]:
        """Milliseconds a step by section, steps a second, and the process's largest memory so far; begins anew."""
        with self._lock:
            steps, seconds = max(1, self._steps), time.perf_counter() - self._began
            values = {f"{name}_ms": value * 1000 / steps for name, value in sorted(self._seconds.items())}
            values |= {
                "steps_per_second": self._steps / seconds,
                "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
            self.restart()
        return values

    def restart(self) -> None:
        """Forget what was counted, as after an evaluation, whose time is not the steps'."""
        self._seconds.clear()
        self._steps, self._began = 0, time.perf_counter()


def gpu_memory() -> dict[str, float]:
    """MiB that TensorFlow and JAX hold of all GPUs now, and held at most so far; nothing where there is none."""
    from trainer.networks.runtime import jax_devices, start_tensorflow

    tf = start_tensorflow()
    gpus = len(tf.config.list_logical_devices("GPU"))
    used = [tf.config.experimental.get_memory_info(f"GPU:{index}") for index in range(gpus)]
    for device in jax_devices():
        held = device.memory_stats() or {}
        if device.platform != "cpu" and held:
            used.append({"current": held["bytes_in_use"], "peak": held["peak_bytes_in_use"]})
    names = {"gpu_memory_mib": "current", "peak_gpu_memory_mib": "peak"}
    return {name: sum(one[key] for one in used) / 2**20 for name, key in names.items()} if used else {}


class Profiler:
    """Profiles from every so many steps on: `step_N.prof` for tools, `step_N.txt` to read. A profile covers
    `PROFILED_STEPS` steps, or more where these are done at once.
    """

    def __init__(self, folder: Path, every: int) -> None:
        self._folder, self._every = folder, every
        self._profile: cProfile.Profile | None = None
        self._first = 0

    def before_steps(self, steps: range) -> None:
        """Begin a profile when one is due at one of the steps, which are done at once."""
        if self._profile is None and -steps.start % self._every < len(steps):
            self._profile, self._first = cProfile.Profile(), steps.start
            self._profile.enable()

    def after_step(self, step: int) -> None:
        """End the profile when it has its steps; `step` steps are done."""
        if step - self._first >= min(PROFILED_STEPS, self._every):
            self.stop()

    def stop(self) -> None:
        """Write the profile that is going on, if there is one."""
        if self._profile is None:
            return
        self._profile.disable()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._profile.dump_stats(self._folder / f"step_{self._first}.prof")
        text = io.StringIO()
        pstats.Stats(self._profile, stream=text).sort_stats("cumulative").print_stats(SHOWN_FUNCTIONS)
        write_atomically(self._folder / f"step_{self._first}.txt", text.getvalue())
        self._profile = None
