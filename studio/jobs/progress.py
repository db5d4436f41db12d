"""How far the command of a job is, from the line that it shows its onlookers."""

from __future__ import annotations

import re
from dataclasses import dataclass

from studio.jobs.desk import StudioJob
from studio.jobs.records import PROGRESS_FILE, JobPhase, now
from wakeword.time_left import MEASURED_S, in_words

_SO_FAR = re.compile(r"\b(\d+(?:\.\d+)?) of (\d+(?:\.\d+)?)\b")
_SAYS_ITSELF = re.compile(r"\b(left|to go)\b")


@dataclass(frozen=True)
class StepProgress:
    """Where the step of a job stands that is at work."""

    line: str
    """What its command says; "" where it says nothing."""
    share: float | None
    """Of its work that is done, 0 to 1; None where nobody knows."""
    left: str
    """How long it still takes, in words; "" where that cannot be told, or the line tells it."""


def progress_of(job: StudioJob) -> StepProgress | None:
    """Where the step at work stands; None where no step is. The time left is told from all that is done, once that took
    as long as `MEASURED_S`.
    """
    if job.phase is not JobPhase.RUNNING or not job.state.steps:
        return None
    try:
        line = (job.folder / PROGRESS_FILE).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        line = ""
    found = _SO_FAR.search(line)
    if found is None or not float(found[2]):
        return StepProgress(line, None, "")
    share = min(float(found[1]) / float(found[2]), 1.0)
    so_far = (now() - job.state.steps[-1].began).total_seconds()
    told = share and so_far >= MEASURED_S and not _SAYS_ITSELF.search(line)
    return StepProgress(line, share, f"about {in_words(so_far / share * (1 - share))} left of it" if told else "")
