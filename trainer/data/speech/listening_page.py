"""A page to listen to what was generated: some clips of each engine with their texts, voices and verdicts, whole in one
file without scripts.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.data.speech.plan import POSITIVE, ClipPlan
from trainer.data.speech.pronunciation import PASSES, ClipVerdict
from wakeword.files import write_atomically
from wakeword.pages import render_page

PAGE_NAME = "listen.html"
CLIPS_OF_ENGINE = 10
"""On the page; they are spread over ways of speaking, kinds of text and voices."""
MOST_THROWN_OUT = 4
"""Of those, at most; the rest is what trains."""
_POSITIVES = 0.7
_NEAREST = ("reason", "way", "kind", "voice")
"""What the clips that are chosen differ in, the first before the others."""


@dataclass(frozen=True)
class PagedClip:
    """A clip for the page: its file, its plan, and the verdict of the pronunciation check where there was one."""

    file: Path
    plan: ClipPlan
    verdict: ClipVerdict | None = None

    @property
    def reason(self) -> str:
        """Why it was thrown out; empty where it was not."""
        return "" if self.verdict is None or self.verdict.passed else self.verdict.reason


def write_listening_page(page: Path, phrase: str, clips: Sequence[PagedClip], notes: Sequence[str] = ()) -> None:
    """Write the page of a corpus, whose clips come in its order; `notes` are lines for its top. Raises `OSError`."""
    engines = sorted({clip.plan.engine for clip in clips})
    context = {
        "phrase": phrase,
        "notes": tuple(notes),
        "passes": f"{PASSES:g}",
        "engines": [_engine(name, [clip for clip in clips if clip.plan.engine == name]) for name in engines],
    }
    write_atomically(page, render_page("trainer.data.speech", "listen.html.j2", context).encode())


def choose_clips(clips: Sequence[PagedClip], count: int = CLIPS_OF_ENGINE) -> list[PagedClip]:
    """`count` clips of one engine, in the order of the corpus: thrown-out ones, wake words and negatives, of as many
    ways and voices as there are.
    """
    thrown = _spread([clip for clip in clips if clip.reason], min(MOST_THROWN_OUT, count))
    positive = [clip for clip in clips if not clip.reason and clip.plan.kind == POSITIVE]
    negative = [clip for clip in clips if not clip.reason and clip.plan.kind != POSITIVE]
    rest = count - len(thrown)
    wanted = min(len(positive), max(round(rest * _POSITIVES), rest - len(negative)))
    chosen = {id(clip) for clip in (*thrown, *_spread(positive, wanted), *_spread(negative, rest - wanted))}
    return [clip for clip in clips if id(clip) in chosen]


def _spread(clips: Sequence[PagedClip], count: int) -> list[PagedClip]:
    """`count` clips; each next one is the first of those whose reason, way, kind and voice were chosen least often so
    far.
    """
    seen: Counter[tuple[str, str]] = Counter()
    left, chosen = list(clips), list[PagedClip]()
    while left and len(chosen) < count:
        best = min(left, key=lambda clip: [seen[trait] for trait in _traits(clip)])
        left.remove(best)
        chosen.append(best)
        seen.update(_traits(best))
    return chosen


def _traits(clip: PagedClip) -> list[tuple[str, str]]:
    values = (clip.reason, clip.plan.way, clip.plan.kind, clip.plan.voice)
    return list(zip(_NEAREST, values, strict=True))


def _engine(name: str, clips: Sequence[PagedClip]) -> dict[str, object]:
    reasons = Counter(clip.reason for clip in clips if clip.reason)
    return {
        "name": name,
        "count": len(clips),
        "judged": sum(clip.verdict is not None for clip in clips),
        "thrown": reasons.total(),
        "reasons": reasons.most_common(),
        "clips": [_shown(clip) for clip in choose_clips(clips)],
    }


def _shown(clip: PagedClip) -> dict[str, object]:
    plan = clip.plan
    before, word, after = plan.parts
    factors = [("rate", plan.rate, 1.0), ("formants", plan.formant, 1.0)]
    manner = [f"{name} {value:g}" for name, value, usual in factors if value != usual]
    return {
        "before": before,
        "word": word,
        "after": after,
        "facts": [
            plan.kind.replace("_", " "),
            plan.way.replace("_", " "),
            plan.voice,
            *manner,
            *([f"pitch {plan.pitch:+g}"] if plan.pitch else []),
        ],
        "thrown": bool(clip.reason),
        "verdict": "" if clip.verdict is None else str(clip.verdict),
        "wav": base64.b64encode(clip.file.read_bytes()).decode(),
    }
