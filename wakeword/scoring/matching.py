"""The one matcher: detections against the truth, for simulations, virtual boards and devices alike.

Task: of a stream with known utterances, say which were found, which were missed, and which detections were false.

Conventions
-----------
- Times are seconds of one stream. An utterance is found by a detection in `[start, end + tolerance]`, bounds included;
  the tolerance is applied once, after the end, because a device fires when it has heard the word.
- One-to-one: a detection finds one utterance at most, and of several detections of one utterance the others are false.
- Void time (reboot, ring overflow, API gap, playback fault) is in no figure: a detection in it is dropped; an utterance
  whose window touches it is dropped with the detections in its window; the rest of the time is the scored time.

Components are counts and seconds and add up over streams; rates are taken from their sums.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

TOLERANCE_SECONDS = 0.75
"""How long after an utterance a detection still finds it: the silence that `mww-simulate` puts behind a clip."""


@dataclass(frozen=True)
class Span:
    """A stretch of a stream: an utterance, or void time."""

    start: float
    end: float

    def __post_init__(self) -> None:
        if not self.start <= self.end:
            raise ValueError(f"a span cannot end at {self.end} before it starts at {self.start}")


@dataclass(frozen=True)
class Components:
    """Outcome of one stream, or the sum of several. Indices are into the given sequences, and are dropped by a sum."""

    utterances: int = 0
    """Scored ones: without those that are void."""
    found: int = 0
    false_accepts: int = 0
    scored_seconds: float = 0.0
    void_seconds: float = 0.0
    void_utterances: int = 0
    void_detections: int = 0
    matches: tuple[tuple[int, int], ...] = field(default=(), compare=False)
    """Pairs of utterance and detection."""
    missed: tuple[int, ...] = field(default=(), compare=False)
    false: tuple[int, ...] = field(default=(), compare=False)

    def __add__(self, other: Components) -> Components:
        return Components(
            self.utterances + other.utterances,
            self.found + other.found,
            self.false_accepts + other.false_accepts,
            self.scored_seconds + other.scored_seconds,
            self.void_seconds + other.void_seconds,
            self.void_utterances + other.void_utterances,
            self.void_detections + other.void_detections,
        )


@dataclass(frozen=True)
class Truth:
    """What is true of one stream since boot; times in seconds of it. `wakeword.presentation` says it of recordings."""

    utterances: tuple[Span, ...]
    counted: tuple[Span, ...]
    """The time that counts, a span a recording in their order; they do not overlap. False accepts in silence between
    them count too."""
    rated: bool
    """Whether false accepts and hours of this stream are part of a rate."""
    voids: tuple[Span, ...] = ()

    def outcome(self, detections: Sequence[float]) -> Components:
        """Match detections (seconds, any order) with the one tolerance; seconds are those that count."""
        void_seconds = overlap_seconds(self.counted, self.void)
        seconds = sum(span.end - span.start for span in self.counted) - void_seconds
        return replace(
            match(self.utterances, detections, self._end, TOLERANCE_SECONDS, self.voids),
            scored_seconds=seconds,
            void_seconds=void_seconds,
        )

    @property
    def void(self) -> list[Span]:
        """The void time in order, with touching spans joined."""
        return merge_spans(self.voids, self._end)

    @property
    def _end(self) -> float:
        """An end behind all that counts or is void."""
        return max((span.end + TOLERANCE_SECONDS for span in (*self.counted, *self.voids)), default=0.0)


def match(
    utterances: Sequence[Span],
    detections: Sequence[float],
    seconds: float,
    tolerance: float,
    voids: Iterable[Span] = (),
) -> Components:
    """Match the detections of one stream of so many `seconds` (times in seconds, any order) against its utterances.

    Detections are taken in time order, each for the open utterance whose window ends first; for windows on a line that
    finds as many utterances as any assignment can. Raises `ValueError` for a negative length or tolerance.
    """
    if seconds < 0 or tolerance < 0:
        raise ValueError(f"a stream of {seconds} s with a tolerance of {tolerance} s cannot be scored")
    void = merge_spans(voids, seconds)
    windows = [Span(utterance.start, utterance.end + tolerance) for utterance in utterances]
    open_windows = {
        index: window for index, window in enumerate(windows) if not any(_touch(window, span) for span in void)
    }
    void_windows = [window for index, window in enumerate(windows) if index not in open_windows]
    matches: list[tuple[int, int]] = []
    false: list[int] = []
    dropped = 0
    waiting = sorted(open_windows, key=lambda index: open_windows[index].start, reverse=True)
    heard: list[tuple[float, int]] = []  # open windows that have begun, by their ends
    for number in sorted(range(len(detections)), key=lambda index: detections[index]):
        moment = detections[number]
        while waiting and open_windows[waiting[-1]].start <= moment:
            index = waiting.pop()
            heapq.heappush(heard, (open_windows[index].end, index))
        while heard and heard[0][0] < moment:
            heapq.heappop(heard)
        if any(span.start <= moment <= span.end for span in void):
            dropped += 1
        elif heard:
            matches.append((heapq.heappop(heard)[1], number))
        elif any(window.start <= moment <= window.end for window in void_windows):
            dropped += 1
        else:
            false.append(number)
    found = {utterance for utterance, _ in matches}
    void_seconds = sum(span.end - span.start for span in void)
    return Components(
        utterances=len(open_windows),
        found=len(matches),
        false_accepts=len(false),
        scored_seconds=seconds - void_seconds,
        void_seconds=void_seconds,
        void_utterances=len(void_windows),
        void_detections=dropped,
        matches=tuple(matches),
        missed=tuple(index for index in sorted(open_windows) if index not in found),
        false=tuple(false),
    )


def overlap_seconds(spans: Iterable[Span], others: Iterable[Span]) -> float:
    """Seconds that lie in spans of both kinds; the spans of each kind do not overlap one another."""
    others = list(others)
    return sum(max(0.0, min(span.end, other.end) - max(span.start, other.start)) for span in spans for other in others)


def merge_spans(spans: Iterable[Span], seconds: float) -> list[Span]:
    """Spans cut to `[0, seconds]`, in order, with touching ones joined."""
    merged: list[Span] = []
    for span in sorted(spans, key=lambda span: span.start):
        start, end = max(0.0, span.start), min(seconds, span.end)
        if start > end:
            continue
        if merged and start <= merged[-1].end:
            merged[-1] = Span(merged[-1].start, max(merged[-1].end, end))
        else:
            merged.append(Span(start, end))
    return merged


def _touch(first: Span, second: Span) -> bool:
    return first.start <= second.end and second.start <= first.end
