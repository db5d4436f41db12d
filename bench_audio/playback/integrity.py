"""Whether a recording is what was played: found faults as stretches of what was played, each with its reason.

Conventions: positions are samples of what was played, 16 kHz. A fault says nothing about a model; its time is void on
both sides of a comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, pairwise

import numpy as np
from numpy.typing import NDArray

from bench_audio.markers import MARKER_SAMPLES, Alignment, MarkerFound, find_marker, fit_alignment
from bench_audio.playback.channel import FULL_SCALE, Channel, band, estimate_channel
from bench_audio.playback.tracking import WINDOW_SAMPLES, Pause, Tracked, level_db, track
from wakeword.contract import SAMPLE_RATE_HZ

FIRST_REACH_SECONDS = 8.0
"""The first marker is looked for in so much of the recording behind its own place: it begins some seconds before the
loudspeaker does."""
REACH_SECONDS = 2.0
"""Each further one as far to both sides of where the one before it makes expect."""
STEP_SAMPLES = 3.0
"""Two windows that lie further apart than before have lost or repeated samples between them: 0.19 ms. The place of a
window is known to a tenth of it."""
LEVEL_DB = 1.5
"""Further from the level of the reference, and the gain was changed. A room's own response is in the reference."""
EXCESS_DB = 10.0
"""So far above the noise of the leg, or above a tenth of what was played, what else is heard is not the room's
quiet."""
QUIET_DBFS = -60.0
"""Never an excess below."""
HOLE_DB = 6.0
LEARNT_WINDOWS = 240
DRIFT_UNKNOWN = 3e-5
"""What may be wrong with the drift while steps are looked for."""
LARGEST_DRIFT = 1e-3
"""No two clocks differ by more; sound that is lost all the time does."""
CLIPPED_RUN = 3
"""Samples at full scale in a row that are clipping; single ones happen to be there."""
LARGEST = 32767


@dataclass(frozen=True)
class SoundFault:
    """What went wrong from `start` to `stop`."""

    kind: str
    """`lost`, `repeated`, `level`, `clipped`, `ambient`, `not heard`."""
    start: int
    stop: int
    reason: str
    amount: float = 0.0
    """Samples of `lost` and `repeated`, dB of `level`, dBFS of `ambient`."""


@dataclass(frozen=True, eq=False)
class Examined:
    """A recording against what was played."""

    alignment: Alignment | None
    """None when no marker was found: then nothing is known of the recording, and one fault says so."""
    markers: int
    """That were played."""
    found: tuple[MarkerFound, ...]
    faults: tuple[SoundFault, ...]
    channel: Channel | None
    noise_dbfs: float | None
    """Rms in the markers' band where nothing was played."""
    windows: tuple[Tracked, ...] = field(repr=False, default=())


def examine(
    played: Callable[[], Iterable[NDArray[np.int16]]],
    samples: int,
    recording: NDArray[np.int16],
    markers: Sequence[int],
    *,
    reference: Channel | None = None,
    pauses: Sequence[Pause] = (),
) -> Examined:
    """Compare a recording with what was played.

    Args:
        played: Gives what was played from its first sample on, in blocks, int16 `[n]` at 16 kHz; called twice.
        samples: Of what was played.
        recording: int16 `[n]` at 16 kHz.
        markers: First samples of the markers in what was played.
        reference: The channel whose level is right. None: the recording's own; then a level that is wrong throughout
        cannot be told.
        pauses: That the player made by its own account.

    Returns where each part of what was played was heard, and all that is wrong with the recording.
    """
    found = find_markers(recording, markers, pauses)
    channel = reference or estimate_channel(recording, found)
    if not found or channel is None:
        lost = SoundFault("not heard", 0, samples, f"none of {len(markers)} alignment markers was heard")
        return Examined(None, len(markers), found, (lost, *_clipped(recording, None)), None, None)
    shift = found[0].heard - found[0].played - sum(pause.samples for pause in pauses if pause.played <= found[0].played)
    # Until the first marker nothing is played, whatever the drift.
    noise = _noise(recording, round(found[0].heard))
    # The clocks' drift is learnt from the beginning: within half a second it moves the highest frequencies into
    # opposition.
    drift = _drift(
        [one for one in islice(track(played(), recording, channel, shift, noise, pauses), LEARNT_WINDOWS) if one.found]
    )
    channel = reference or estimate_channel(recording, found, drift) or channel
    windows = tuple(track(played(), recording, channel, shift, noise, pauses, drift))
    noise = _quiet_level(windows, noise)
    steps = list(_steps(windows, pauses))
    between = [(one.played, one.played + one.shift) for one in windows if one.found]
    alignment = fit_alignment(
        found, [step.place for step in steps] + [float(pause.played) for pause in pauses], between
    )
    heard_to = windows[-1].stop if windows else 0
    faults = [
        *(SoundFault(*step.fault) for step in steps),
        *_joined(_not_heard(windows)),
        *_joined(_levels(windows)),
        *_joined(_ambient(windows, noise)),
        *_clipped(recording, alignment),
    ]
    if samples - heard_to > 2 * WINDOW_SAMPLES:
        faults.append(SoundFault("not heard", heard_to, samples, "the recording ends before it"))
    own = estimate_channel(recording, found, drift) or channel
    return Examined(
        alignment, len(markers), found, tuple(sorted(faults, key=lambda one: one.start)), own, noise, windows
    )


def find_markers(
    recording: NDArray[np.int16], markers: Sequence[int], pauses: Sequence[Pause] = ()
) -> tuple[MarkerFound, ...]:
    """Each marker that is in the recording, in order; played positions are those of `markers`."""
    found: list[MarkerFound] = []
    for number, position in enumerate(markers):
        paused = sum(pause.samples for pause in pauses if pause.played <= position)
        if found:
            last = found[-1]
            before = sum(pause.samples for pause in pauses if pause.played <= last.played)
            centre = last.heard + position - last.played + paused - before
            reach = REACH_SECONDS * (1 + number / 8)
            first, stop = centre - reach * SAMPLE_RATE_HZ, centre + MARKER_SAMPLES + reach * SAMPLE_RATE_HZ
        else:
            first, stop = (
                position + paused - SAMPLE_RATE_HZ,
                position + paused + MARKER_SAMPLES + FIRST_REACH_SECONDS * SAMPLE_RATE_HZ,
            )
        begin = max(round(first), 0)
        one = find_marker(recording[begin : max(round(stop), 0)], position, begin)
        if one is not None:
            found.append(one)
    return tuple(found)


@dataclass(frozen=True)
class _AlignmentStep:
    place: float
    """Where the pieces of the alignment meet."""
    fault: tuple[str, int, int, str, float]


def _steps(windows: Sequence[Tracked], pauses: Sequence[Pause]) -> Iterator[_AlignmentStep]:
    """Places where what follows is further on, or further back, than what came before. A window that the next one does
    not agree with is left out.
    """
    found = [one for one in windows if one.found]
    drift = _drift(found)

    def moved(before: Tracked, after: Tracked) -> float:
        paused = sum(pause.samples for pause in pauses if before.played < pause.played <= after.played)
        return after.shift - before.shift - drift * (after.played - before.played) - paused

    def agree(before: Tracked, after: Tracked) -> bool:
        return abs(moved(before, after)) <= STEP_SAMPLES + DRIFT_UNKNOWN * (after.played - before.played)

    if not found:
        return
    last = found[0]
    for one, following in zip(found[1:], [*found[2:], None], strict=False):
        if agree(last, one):
            last = one
        elif following is None or agree(one, following):
            count = moved(last, one)
            kind, word = ("lost", "lost") if count < 0 else ("repeated", "too much")
            reason = f"{abs(count) / SAMPLE_RATE_HZ * 1000:.1f} ms of sound {word}"
            yield _AlignmentStep((last.stop + one.played) / 2, (kind, last.played, one.stop, reason, abs(count)))
            last = one


def _drift(found: Sequence[Tracked]) -> float:
    """Median slope from each window to the one some windows on: steps are rare, so few of these cross one."""
    apart = min(max(len(found) // 4, 1), 20)
    slopes = [
        (after.shift - before.shift) / (after.played - before.played)
        for before, after in zip(found, found[apart:], strict=False)
    ]
    return float(np.clip(np.median(slopes), -LARGEST_DRIFT, LARGEST_DRIFT)) if slopes else 0.0


def _not_heard(windows: Sequence[Tracked]) -> Iterator[SoundFault]:
    active = [one for one in windows if one.active]
    for before, one, after in zip([None, *active[:-1]], active, [*active[1:], None], strict=True):
        alone = (before is None or before.found) and (after is None or after.found)
        # One window alone may be hard to know again; that it is much too quiet or too loud is another thing.
        if not one.found and not (alone and abs(one.rest_db - one.expected_db) < HOLE_DB):
            yield SoundFault("not heard", one.played, one.stop, "the microphone did not hear what was played")


def _levels(windows: Sequence[Tracked]) -> Iterator[SoundFault]:
    found = [one for one in windows if one.found]
    drift = _drift(found)
    for number, one in enumerate(found):
        # Where nearly as much else was heard as was played the level is not known so well.
        if abs(one.gain_db) <= LEVEL_DB or one.expected_db + one.gain_db <= one.rest_db + 3:
            continue
        beside = min(
            [*found[max(number - 1, 0) : number], *found[number + 1 : number + 2]],
            key=lambda other: abs(other.played - one.played),
            default=one,
        )
        # One that holds little but the edge of a sound tells neither place nor level. Beside a step it is void for
        # that.
        if abs(one.shift - beside.shift - drift * (one.played - beside.played)) <= STEP_SAMPLES / 2:
            direction = "below" if one.gain_db < 0 else "above"
            yield SoundFault(
                "level",
                one.played,
                one.stop,
                f"{abs(one.gain_db):.1f} dB {direction} the level of the session",
                one.gain_db,
            )


def _ambient(windows: Sequence[Tracked], noise: float) -> Iterator[SoundFault]:
    for number, one in enumerate(windows):
        loudest = max(window.expected_db for window in windows[max(number - 1, 0) : number + 1])
        if one.rest_db > max(noise + EXCESS_DB, loudest - EXCESS_DB, QUIET_DBFS) and (one.found or not one.active):
            yield SoundFault(
                "ambient",
                one.played,
                one.stop,
                f"other sound at {one.rest_db:.0f} dBFS, the room's noise is {noise:.0f} dBFS",
                one.rest_db,
            )


def _clipped(recording: NDArray[np.int16], alignment: Alignment | None) -> Iterator[SoundFault]:
    minute = 60 * SAMPLE_RATE_HZ
    spans: list[tuple[int, int]] = []
    for start in range(0, len(recording), minute):
        # As far as the longest run that the piece before cannot have seen whole.
        block = np.asarray(recording[max(start - CLIPPED_RUN + 1, 0) : start + minute])
        at = np.concatenate([[False], (block >= LARGEST) | (block <= -LARGEST - 1), [False]])
        begins, ends = np.flatnonzero(at[1:] & ~at[:-1]), np.flatnonzero(at[:-1] & ~at[1:])
        first = max(start - CLIPPED_RUN + 1, 0)
        spans += [(first + int(a), first + int(b)) for a, b in zip(begins, ends, strict=True) if b - a >= CLIPPED_RUN]
    if alignment is None:
        return
    placed = (
        SoundFault("clipped", round(alignment.played(a)), round(alignment.played(b)), "the microphone was overdriven")
        for a, b in spans
    )
    yield from _joined(placed)


def _joined(faults: Iterable[SoundFault]) -> Iterator[SoundFault]:
    """Faults of one kind that are less than two windows apart as one, with the words of the worst."""
    held: SoundFault | None = None
    for one in chain(faults, [None]):
        if held is not None and one is not None and one.start - held.stop <= 2 * WINDOW_SAMPLES:
            worst = max(held, one, key=lambda fault: abs(fault.amount))
            held = SoundFault(held.kind, held.start, max(held.stop, one.stop), worst.reason, worst.amount)
        else:
            if held is not None:
                yield held
            held = one


def _noise(recording: NDArray[np.int16], stop: int) -> float:
    """Level of the second before the first marker, in the markers' band."""
    piece = (
        recording[max(stop - SAMPLE_RATE_HZ - MARKER_SAMPLES // 4, 0) : max(stop - MARKER_SAMPLES // 4, 0)] / FULL_SCALE
    )
    return _band_level(piece)


def _band_level(piece: NDArray[np.float64]) -> float:
    if not len(piece):
        return -200.0
    size = 1 << (len(piece) - 1).bit_length()
    return level_db(np.fft.irfft(np.fft.rfft(piece, size) * band(size), size)[: len(piece)])


def _quiet_level(windows: Sequence[Tracked], before: float) -> float:
    """Median level of the windows in which nothing was played, and nothing rang on; the level before the first marker
    where there are too few.
    """
    quiet = [
        after.rest_db
        for earlier, after in pairwise(windows)
        if not after.active and not earlier.active and after.expected_db < after.rest_db - 10
    ]
    return float(np.median(quiet)) if len(quiet) >= 3 else before
