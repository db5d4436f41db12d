"""One clip of a generated corpus: spoken, judged and written, or taken as it lies there; and how many an engine may
fail on.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.data.clips import SHORTEST_SAMPLES, Word, read_clip, write_clip
from trainer.data.listening import MAX_WORD_SECONDS
from trainer.data.speech.engine import SpeechEngine
from trainer.data.speech.plan import POSITIVE, THROWN_OUT, ClipPlan
from trainer.data.speech.pronunciation import ClipVerdict, judge_clip
from trainer.data.speech.speaking import speak
from wakeword import contract
from wakeword.errors import ConfigError, InfrastructureError

MOST_FAILED, MOST_FAILED_SHARE = 2, 0.02
"""Clips that an engine may fail on, and the same as a share of all that it is to say: the greater of the two."""


@dataclass(frozen=True)
class FinishedClip:
    """A clip on disk: its plan, its length in samples, the SHA-256 of its file, and whether an earlier run had made it.

    `word` is the place of the wake word where the clip holds more than that; `verdict` that of the pronunciation check,
    None where none was made.
    """

    plan: ClipPlan
    samples: int
    sha256: str
    kept: bool
    word: Word | None = None
    verdict: ClipVerdict | None = None

    @property
    def thrown_out(self) -> bool:
        """Whether the pronunciation check did not let it pass: it lies in the folder `thrown_out` and never trains."""
        return self.verdict is not None and not self.verdict.passed

    @property
    def path(self) -> Path:
        """Where it lies in the corpus."""
        return THROWN_OUT / self.plan.path if self.thrown_out else self.plan.path


@dataclass(frozen=True)
class DroppedClip:
    """A planned clip that there is not, and why. `detail` is what an engine said that failed on it."""

    plan: ClipPlan
    reason: str
    detail: str = ""


def make_clip(
    output: Path, engines: Mapping[str, SpeechEngine], checked: str | None, plan: ClipPlan
) -> FinishedClip | DroppedClip:
    """Speak, judge and write one clip, or take the one that is there. `checked` is the phrase for the pronunciation
    check, None without one.

    Raises `ConfigError` for a phrase that takes too long to say, `OSError` when the clip cannot be written.
    """
    places = (output / plan.path, output / THROWN_OUT / plan.path)
    there = next((path for path in places if path.is_file()), None)
    content = there.read_bytes() if there else b""
    clip = read_clip(content)
    kept = (
        clip is not None and len(clip.samples) >= SHORTEST_SAMPLES
    )  # earlier versions made shorter ones, which nobody takes
    if clip is None or not kept:
        try:
            clip = speak(engines[plan.engine], plan)
        except InfrastructureError as error:
            return DroppedClip(plan, f"{plan.engine} failed on them", str(error))
        if clip is None:
            return DroppedClip(plan, "where the wake word ends in its sentence is not certain")
        if not len(clip.samples):
            return DroppedClip(
                plan,
                f"{plan.engine} failed on them",
                f"{plan.engine} made no sound for {plan.text!r} with voice {plan.voice}",
            )
        seconds = len(clip.samples) / contract.SAMPLE_RATE_HZ
        if plan.kind == POSITIVE and seconds > MAX_WORD_SECONDS:
            most = f"a wake word has at most {MAX_WORD_SECONDS:g} s"
            raise ConfigError(
                f"the wake phrase takes {plan.engine} {seconds:.1f} s to say, and {most}; choose a shorter one"
            )
    verdict = None if checked is None else ClipVerdict.of_note(clip.note) or judge_clip(clip.samples, plan, checked)
    note = verdict.note if verdict else ""
    path = places[verdict is not None and not verdict.passed]
    if not kept or path != there or note != clip.note:
        content = write_clip(path, clip.samples, clip.word, note)
        if there not in {None, path}:
            there.unlink(missing_ok=True)
    return FinishedClip(plan, len(clip.samples), hashlib.sha256(content).hexdigest(), kept, clip.word, verdict)


def refuse_failing_engines(
    made: Iterable[FinishedClip | DroppedClip], plans: Sequence[ClipPlan]
) -> Iterator[FinishedClip | DroppedClip]:
    """The clips as they come. Raises `InfrastructureError` as soon as an engine has failed on more than some of those
    that it is to say, or on all.

    A rare text that an engine cannot say costs one clip, not the run; an engine that does not work says so after its
    first clips.
    """
    planned, failed = Counter(plan.engine for plan in plans), Counter[str]()
    for clip in made:
        engine = clip.plan.engine
        if isinstance(clip, FinishedClip) and clip.kept:
            planned[engine] -= 1  # an earlier run's; this one tells nothing of it
        if isinstance(clip, DroppedClip) and clip.detail:
            failed[engine] += 1
            if failed[engine] > max(MOST_FAILED, MOST_FAILED_SHARE * planned[engine]) or failed[engine] == len(plans):
                more = f" ({failed[engine]} clips failed)" if failed[engine] > 1 else ""
                raise InfrastructureError(f"{clip.detail}{more}; name the other engines with --engine")
        yield clip
