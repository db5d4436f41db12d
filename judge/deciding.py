"""What a judge says of a clip: yes or no, and how sure it is.

Conventions
-----------
- A clip is 16 kHz mono int16: the sound around a detection, usually from 2 s before it to 0.5 s after it.
- Each model hears the clip after as much digital silence as a simulated clip begins with (`presentation.CLIPS`), from
  its state after boot, through the device's frontend at its own step: a model that was just started may answer
  anything. Its peak is the highest mean of `window` probabilities in a row, all of them from within the
  clip: the average that a device compares with its cutoff.
- The score of one model is its peak. The score of several is the logistic function of the mean of their peaks'
  log-odds. Their peaks need not lie at the same moment: models answer a word a little earlier or later. A peak nearer
  to 0 or 1 than half of what the model can tell apart is taken for that half, so no model is ever infinitely sure.
- Yes is a score at or above the cutoff.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from judge.members import Member, open_member
from wakeword.contract import SAMPLE_RATE_HZ, quantise
from wakeword.errors import ArgumentError, ConfigError
from wakeword.frontend import open_frontend
from wakeword.presentation import CLIPS

BEFORE_SECONDS, AFTER_SECONDS = 2.0, 0.5
"""Of the sound around a detection. A device detects 0.1 to 0.3 s after the end of the word."""
SHORTEST_SECONDS = 0.5
LONGEST_SECONDS = 10.0
"""That a judge may be asked about at once."""


@dataclass(frozen=True)
class JudgeAnswer:
    """What a judge says of one clip."""

    yes: bool
    score: float
    """0-1."""
    peaks: tuple[float, ...]
    """Of each model, 0-1."""


@dataclass(frozen=True)
class Judge:
    """One or several models of one wake word, and when they say yes."""

    members: tuple[Member, ...]
    cutoff: float
    before_seconds: float = BEFORE_SECONDS
    """Of the sound before a detection that it is asked about."""
    after_seconds: float = AFTER_SECONDS

    @property
    def wake_word(self) -> str:
        """As the first model has it."""
        return self.members[0].wake_word

    @property
    def words(self) -> str:
        """What it is, in short: its models' files and its cutoff."""
        named = ", ".join(_short(member) for member in self.members)
        return f"{named}: cutoff {self.cutoff:g}"

    def ask(self, clip: NDArray[np.int16]) -> JudgeAnswer:
        """What it says of a whole clip, int16 `[n]`."""
        listener = self.listen()
        listener.hear(clip)
        return listener.answer

    def listen(self) -> ClipListener:
        """Somebody who hears one clip as it comes, and then the next."""
        return ClipListener(self)

    def answer(self, peaks: Sequence[float]) -> JudgeAnswer:
        """What follows from each model's peak, 0-1."""
        score = combined_score(peaks, [member.probability_step for member in self.members])
        return JudgeAnswer(score >= self.cutoff, score, tuple(peaks))


def open_judge(
    models: Sequence[Path],
    cutoff: float | None = None,
    before_seconds: float = BEFORE_SECONDS,
    after_seconds: float = AFTER_SECONDS,
    cutoff_argument: str = "cutoff",
) -> Judge:
    """A judge of these models: manifests (.json) or runs.

    Args:
        models: Their files or folders, one or several.
        cutoff: From which score it says yes, 0-1. None: the models' own, combined as their answers are.
        before_seconds: Of the sound before a detection that it is asked about.
        after_seconds: Of the sound after it.
        cutoff_argument: What the cutoff is called where it was typed, for messages.

    Returns the judge. Raises `ConfigError` for models that cannot be read, that have no cutoff or know different words,
    and for values out of range; `InfrastructureError` for a run where TensorFlow is missing.
    """
    if not models:
        raise ConfigError("a judge needs a model; give its manifest (.json) or the folder of a run")
    for name, seconds in (("judge_before", before_seconds), ("judge_after", after_seconds)):
        if not 0 <= seconds <= LONGEST_SECONDS / 2:
            raise ArgumentError(name, f"{seconds:g}", f"give 0 to {LONGEST_SECONDS / 2:g} seconds")
    if before_seconds + after_seconds < SHORTEST_SECONDS:
        raise ConfigError(
            f"{before_seconds:g} s before a detection and {after_seconds:g} s after it hold no word; give"
            f" {SHORTEST_SECONDS:g} s or more together"
        )
    if cutoff is not None and not 0 <= cutoff <= 1:
        raise ArgumentError(cutoff_argument, f"{cutoff:g}", "a score is between 0 and 1; give for example 0.5")
    members = tuple(map(open_member, models))
    for member in members[1:]:
        refuse_other_word(members[0].wake_word, member.wake_word, str(member.path))
    if cutoff is None:
        own = [member.cutoff for member in members if member.cutoff is not None]
        if len(own) < len(members):
            named = next(member.path for member in members if member.cutoff is None)
            raise ConfigError(
                f"{named}: a run without export.probability_cutoff has no cutoff for a judge; give"
                f" --{cutoff_argument.replace('_', '-')} (docs/judge.md says how to choose it)"
            )
        cutoff = combined_score(own, [member.probability_step for member in members])
    return Judge(members, cutoff, before_seconds, after_seconds)


def refuse_other_word(word: str, other: str, whose: str) -> None:
    """Raise `ConfigError` where two models know different wake words; case and punctuation make no difference."""
    if _plain(word) != _plain(other):
        raise ConfigError(f"{whose}: knows the wake word {other!r}, not {word!r}; give a judge of the same word")


def combined_score(peaks: Sequence[float], steps: Sequence[float]) -> float:
    """The score of models with these peaks, 0-1; `steps` are between probabilities that each can tell apart."""
    within = [min(max(peak, step / 2), 1 - step / 2) for peak, step in zip(peaks, steps, strict=True)]
    if len(within) == 1:
        return float(within[0])
    log_odds = np.mean([np.log(peak) - np.log1p(-peak) for peak in within])
    return float(1 / (1 + np.exp(-log_odds)))


class ClipListener:
    """Hears one clip after another, each in as many pieces as it comes in."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._steps = [_StepListener(step, judge.members) for step in sorted({one.step_ms for one in judge.members})]
        self.reset()

    def reset(self) -> None:
        """Begin a new clip."""
        self._samples = 0
        for step in self._steps:
            step.reset()

    @property
    def seconds(self) -> float:
        """Of the clip that were heard."""
        return self._samples / SAMPLE_RATE_HZ

    def hear(self, samples: NDArray[np.int16]) -> None:
        """More of the clip, int16 `[n]`."""
        self._samples += len(samples)
        for step in self._steps:
            step.hear(samples)

    @property
    def answer(self) -> JudgeAnswer:
        """Of what was heard so far. A score never falls with what follows, so a yes stays one."""
        peaks = {number: peak for step in self._steps for number, peak in step.peaks}
        return self._judge.answer([peaks[number] for number in range(len(peaks))])


class _StepListener:
    """The models of one step, which share their features."""

    def __init__(self, step_ms: int, members: Sequence[Member]) -> None:
        self._step_ms = step_ms
        self._silence = np.zeros(CLIPS.at_step(step_ms).lead_in, np.int16)
        self._numbered = [
            (number, member.open_model(), _Peak(member.window, member.certain))
            for number, member in enumerate(members)
            if member.step_ms == step_ms
        ]

    @property
    def peaks(self) -> list[tuple[int, float]]:
        """Of each model by its number in the judge."""
        return [(number, peak.highest) for number, _, peak in self._numbered]

    def reset(self) -> None:
        self._frontend = open_frontend(self._step_ms)
        silence = quantise(self._frontend.process(self._silence))
        for _, model, peak in self._numbered:
            model.reset()
            model.run(silence)
            peak.reset()

    def hear(self, samples: NDArray[np.int16]) -> None:
        features = quantise(self._frontend.process(samples))
        for _, model, peak in self._numbered:
            peak.add(model.run(features))


class _Peak:
    """The highest mean of so many probabilities in a row, 0-1, whatever pieces they come in; `certain` means 1."""

    def __init__(self, window: int, certain: int) -> None:
        self._window, self._certain = window, certain
        self.reset()

    def reset(self) -> None:
        self.highest = 0.0
        self._kept = np.zeros(0)

    def add(self, probabilities: NDArray[Any]) -> None:
        joined = np.concatenate([self._kept, probabilities])
        if len(joined) >= self._window:
            sums = sliding_window_view(joined, self._window).sum(axis=1)
            self.highest = max(self.highest, float(sums.max()) / (self._window * self._certain))
        self._kept = joined[max(0, len(joined) - self._window + 1) :]


def _short(member: Member) -> str:
    """Its file with the folder, since models of one word are often called alike; of a run, the run's folder."""
    path = member.path.absolute()
    return "/".join(path.parts[-2:]) if member.kind == "int8" else path.parent.parent.name


def _plain(word: str) -> str:
    return re.sub(r"[\W_]+", "", word.casefold())
