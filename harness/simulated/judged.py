"""A simulation with a judge behind the device: what it says of each detection, and which are left.

The judge hears the sound around a detection as the simulated device heard it, with the silence around recordings and a
microphone's noise. It changes nothing in the device: detections, hold-off and probabilities are those without a judge.
What it says no to is gone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from harness.results.judge_records import JudgedRecord, JudgeMemberRecord, JudgeRecord
from judge.deciding import Judge, JudgeAnswer, refuse_other_word
from wakeword.contract import SAMPLE_RATE_HZ, slice_end_samples
from wakeword.detector import Detection
from wakeword.simulation.board import Simulation
from wakeword.simulation.sound import stream_excerpts


@dataclass(frozen=True)
class JudgedSimulation:
    """What a judge says of the detections of a simulation. `answers[i][j]` is of `simulation.detections[i][j]`."""

    simulation: Simulation
    judge: Judge
    answers: tuple[tuple[JudgeAnswer, ...], ...]

    @property
    def kept(self) -> Simulation:
        """The simulation with those detections alone that the judge says yes to."""
        pairs = zip(self.simulation.detections, self.answers, strict=True)
        left = (
            tuple(one for one, answer in zip(detections, answers, strict=True) if answer.yes)
            for detections, answers in pairs
        )
        return replace(self.simulation, detections=tuple(left))

    @property
    def title(self) -> str:
        """Of its figures."""
        return f"{self.simulation.title}; with the judge {self.judge.words}"


def judge_simulation(
    simulation: Simulation, judge: Judge, told: Callable[[int], None] = lambda _: None
) -> JudgedSimulation:
    """Ask a judge about each detection of a simulation, in order; `told` gets the number of those that were answered.

    Raises `ConfigError` for a judge of another wake word, for a recording that cannot be read any more, and for a
    folder of features, which has no sound.
    """
    refuse_other_word(simulation.model.manifest.wake_word, judge.wake_word, str(judge.members[0].path))
    listener = judge.listen()
    answers: list[tuple[JudgeAnswer, ...]] = []
    for stream, detections in zip(simulation.streams, simulation.detections, strict=True):
        clips = stream_excerpts(
            stream.recordings, simulation.presentation, [clip_span(judge, one) for one in detections]
        )
        said: list[JudgeAnswer] = []
        for clip in clips:
            listener.reset()
            listener.hear(clip)
            said.append(listener.answer)
            told(1)
        answers.append(tuple(said))
    return JudgedSimulation(simulation, judge, tuple(answers))


def clip_span(judge: Judge, detection: Detection) -> tuple[int, int]:
    """Samples of the stream that a judge hears of a detection."""
    heard = slice_end_samples(detection.slice_index, detection.step_ms)
    return (
        max(0, heard - round(judge.before_seconds * SAMPLE_RATE_HZ)),
        heard + round(judge.after_seconds * SAMPLE_RATE_HZ),
    )


def judge_record(judge: Judge) -> JudgeRecord:
    """A judge as a result holds it."""
    return JudgeRecord(
        wake_word=judge.wake_word,
        models=tuple(
            JudgeMemberRecord(
                path=str(member.path),
                sha256=member.sha256,
                kind=member.kind,
                feature_step_ms=member.step_ms,
                stride=member.stride,
                window=member.window,
            )
            for member in judge.members
        ),
        cutoff=judge.cutoff,
        before_seconds=judge.before_seconds,
        after_seconds=judge.after_seconds,
    )


def judged_records(judged: JudgedSimulation) -> tuple[JudgedRecord, ...]:
    """Its answers in the order of a run's detections."""
    return tuple(JudgedRecord(score=answer.score, yes=answer.yes) for answers in judged.answers for answer in answers)
