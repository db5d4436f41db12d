"""How jobs are spoken of."""

from __future__ import annotations

from typing import Any

from studio.jobs.desk import StudioJob
from studio.jobs.progress import progress_of
from studio.jobs.records import BegunStep, JobPhase
from wakeword.time_left import in_words

_PHASES = {
    JobPhase.QUEUED: "Waits for its turn",
    JobPhase.RUNNING: "At work",
    JobPhase.DONE: "Done",
    JobPhase.FAILED: "Failed",
    JobPhase.STOPPED: "Stopped",
    JobPhase.KILLED: "Interrupted: its process is gone",
}


def phrase_of(job: StudioJob) -> str:
    """Where a job stands, in words."""
    words = _PHASES[job.phase]
    if job.alive and job.state.stopping:
        return "Stopping: its command saves what it has"
    if job.phase is JobPhase.QUEUED and job.state.after:
        return f"{words}, behind job {', '.join(one.name for one in job.state.after)}"
    if job.phase is JobPhase.RUNNING and len(job.order.steps) > 1:
        return f"{words}: step {job.step} of {len(job.order.steps)}"
    if job.phase is JobPhase.FAILED:
        return f"{words}: exit code {job.state.steps[-1].exit_code}"
    return words


def time_of(job: StudioJob) -> str:
    """How long a job has taken so far, or took."""
    seconds = job.seconds
    if seconds is None:
        return ""
    return f"for {in_words(seconds)}" if job.alive else f"took {in_words(seconds)}"


def length_of(step: BegunStep) -> str:
    """How long a step took."""
    assert step.ended is not None
    return in_words((step.ended - step.began).total_seconds())


def step_class(job: StudioJob, number: int) -> str:
    """What a step's mark shows: `done`, `now`, `failed`, `held` (begun and not done), `later`."""
    if number >= len(job.state.steps):
        return "later"
    code = job.state.steps[number].exit_code
    if code is not None:
        return "failed" if code else "done"
    return "now" if job.phase is JobPhase.RUNNING else "held"


WORDS: dict[str, Any] = {
    "phrase_of": phrase_of,
    "time_of": time_of,
    "length_of": length_of,
    "step_class": step_class,
    "progress_of": progress_of,
}
"""What the templates of jobs call."""
