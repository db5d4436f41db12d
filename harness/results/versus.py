"""Two models, or two operating points of one, on the same recordings: compared pair by pair.

Conventions
-----------
- A recording is the same when its bytes are. Only recordings that both heard without void time are compared; the others
  are counted and left out.
- An utterance is found or missed by each: McNemar's exact test says whether one finds more, the equivalence test
  whether they find equally many.
- False accepts of the two are one event where they lie at most `PAIR_SLICES` steps of 10 ms apart in the same
  recording, whatever the models' own steps are; McNemar's test on the rest says whether one has more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from harness.results import wording
from harness.results.agreement import MARGIN, PAIR_SLICES, equivalence_record
from harness.results.device_records import EquivalenceRecord, PairedEvents, PairedUtterances
from harness.results.runs import score_run
from harness.results.schema import DetectionRecord, Result, RunRecord
from harness.results.scores import share_record
from harness.results.wording import Cell, cell
from wakeword.contract import SAMPLE_RATE_HZ, STEP_SAMPLES
from wakeword.errors import ConfigError
from wakeword.scoring.agreement import mcnemar, pair_positions
from wakeword.scoring.matching import overlap_seconds

type Key = tuple[str, int]
"""A recording: its hash, and which of several with it."""


class NothingSharedError(ConfigError):
    """No recording without void time is in both."""


@dataclass(frozen=True)
class Difference:
    """An utterance or a false accept of one model only."""

    what: str
    path: str
    where: str
    highest: tuple[str, str]
    """Of the first and the second model, in the whole recording."""


@dataclass(frozen=True)
class SpeakerRow:
    """One speaker's recall with both models."""

    name: str
    first: Cell
    second: Cell


@dataclass(frozen=True)
class Versus:
    """What the pairs say. `device_only` of the records is the first model's, `simulated_only` the second's."""

    utterances: PairedUtterances
    mcnemar_p: float | None
    equivalence: EquivalenceRecord | None
    false_accepts: PairedEvents
    hours: float
    false_accepts_p: float | None
    speakers: tuple[SpeakerRow, ...]
    differences: tuple[Difference, ...]
    left_out: int
    """Recordings that only one of the two heard, or heard in void time."""


@dataclass(frozen=True)
class _Answer:
    """A recording as one model heard it."""

    run: RunRecord
    file: int
    found: bool
    """Of an utterance."""
    false: tuple[DetectionRecord, ...]
    """Of a recording without the wake word."""

    @property
    def path(self) -> str:
        return self.run.files[self.file].path

    @property
    def highest(self) -> str:
        value = self.run.files[self.file].max_probability
        return wording.NONE if value is None else wording.probability(value)

    def positions(self) -> list[int]:
        """When its false accepts were decided, in steps of 10 ms from the recording's first sample on; in
        their order."""
        start = self.run.files[self.file].stream_start
        return [round((one.seconds - start) * SAMPLE_RATE_HZ / STEP_SAMPLES) for one in self.false]


def model_groups(results: Sequence[Result]) -> list[list[Result]]:
    """Results by model, step and operating point, in the order given."""
    groups: dict[tuple[str, int, int, int], list[Result]] = {}
    for result in results:
        model = result.model
        groups.setdefault((model.tflite_sha256, model.feature_step_ms, model.cutoff_uint8, model.window), []).append(
            result
        )
    return list(groups.values())


def compare(first: Result, second: Result, margin: float = MARGIN) -> Versus:
    """Compare two models on the recordings that both heard.

    Raises `ConfigError` when they were measured in two ways, wake at different words, or share no recording.
    """
    _require_comparable(first, second)
    (one, noise), (other, its_noise) = _answers(first), _answers(second)
    common = sorted(one.keys() & other.keys(), key=lambda key: one[key].path)
    counts = Counter((one[key].found, other[key].found) for key in common)
    utterances = PairedUtterances(
        both=counts[True, True],
        device_only=counts[True, False],
        simulated_only=counts[False, True],
        neither=counts[False, False],
    )
    shared = sorted(noise.keys() & its_noise.keys(), key=lambda key: noise[key].path)
    if not common and not shared:
        raise NothingSharedError(
            "the results of the two models share no recording without void time; measure both with the same recordings"
        )
    events, alone = _paired_events([(noise[key], its_noise[key]) for key in shared])
    differences = [
        Difference(
            f"found by {'A' if one[key].found else 'B'} only", one[key].path, "", (one[key].highest, other[key].highest)
        )
        for key in common
        if one[key].found != other[key].found
    ]
    return Versus(
        utterances=utterances,
        mcnemar_p=mcnemar(utterances.device_only, utterances.simulated_only) if utterances.total else None,
        equivalence=equivalence_record(utterances, margin),
        false_accepts=events,
        hours=sum(noise[key].run.files[noise[key].file].seconds for key in shared) / 3600,
        false_accepts_p=mcnemar(events.device_only, events.simulated_only) if shared else None,
        speakers=_speakers([(one[key], other[key]) for key in common]),
        differences=tuple(
            sorted(
                (*differences, *alone),
                key=lambda one: (not one.what.startswith("found"), one.what, one.path, one.where),
            )
        ),
        left_out=len(one.keys() ^ other.keys()) + len(noise.keys() ^ its_noise.keys()),
    )


def _require_comparable(first: Result, second: Result) -> None:
    ways = sorted({first.way, second.way})
    if len(ways) > 1:
        raise ConfigError(
            f"cannot compare models that were measured in two ways ({'; '.join(ways)}); measure both in the same way"
        )
    words = [result.model.wake_word for result in (first, second)]
    if words[0].casefold() != words[1].casefold():
        raise ConfigError(
            f"cannot compare models of two wake words, {words[0]!r} and {words[1]!r}: the same recordings cannot hold"
            " both"
        )
    truths = [
        {file.sha256: run.protocol.truth for run in result.runs for file in run.files} for result in (first, second)
    ]
    for digest in truths[0].keys() & truths[1].keys():
        if truths[0][digest] != truths[1][digest]:
            path = next(file.path for run in first.runs for file in run.files if file.sha256 == digest)
            raise ConfigError(
                f"{path}: holds the wake word in one result and not in the other; measure again with the right --truth"
            )
    for result in (first, second):
        if result.runs_another_model:
            raise ConfigError(
                f"{result.model.manifest_path}: the board ran another model than this; flash it and measure again"
            )


def _answers(result: Result) -> tuple[dict[Key, _Answer], dict[Key, _Answer]]:
    """The utterances that count: found or missed, not void; and the recordings without the wake word and without void
    time, with their false accepts.
    """
    wake: dict[Key, _Answer] = {}
    none: dict[Key, _Answer] = {}
    seen = Counter[str]()
    for run in result.runs:
        for part in score_run(run).parts:
            found, missed = part.found, frozenset(part.missed)
            false = [run.detections[number] for number in part.false]
            for index, file in enumerate(part.files, part.first_file):
                key = (file.sha256, seen[file.sha256])
                seen[file.sha256] += 1
                if run.protocol.wake and (index in found or index in missed):
                    wake[key] = _Answer(run, index, index in found, ())
                elif not run.protocol.wake and not overlap_seconds([file.span], part.truth.void):
                    none[key] = _Answer(run, index, False, tuple(one for one in false if one.file_index == index))
    return wake, none


def _paired_events(pairs: Sequence[tuple[_Answer, _Answer]]) -> tuple[PairedEvents, list[Difference]]:
    matched, alone = 0, [0, 0]
    differences: list[Difference] = []
    for both in pairs:
        positions = [one.positions() for one in both]
        pairing = pair_positions(positions[0], positions[1], PAIR_SLICES)
        matched += len(pairing.pairs)
        for side, taken in enumerate(({first for first, _ in pairing.pairs}, {second for _, second in pairing.pairs})):
            for number, position in enumerate(positions[side]):
                if number not in taken:
                    alone[side] += 1
                    where = wording.clock(max(position, 0) * STEP_SAMPLES / SAMPLE_RATE_HZ)
                    differences.append(
                        Difference(
                            f"false accept of {'AB'[side]} only",
                            both[0].path,
                            where,
                            (both[0].highest, both[1].highest),
                        )
                    )
    return PairedEvents(matched=matched, device_only=alone[0], simulated_only=alone[1]), differences


def _speakers(pairs: Sequence[tuple[_Answer, _Answer]]) -> tuple[SpeakerRow, ...]:
    """Recall by speaker, the largest difference first; empty where fewer than two are known."""
    counts: dict[str, list[int]] = {}
    for one, other in pairs:
        if (speaker := one.run.files[one.file].speaker) is not None:
            count = counts.setdefault(speaker, [0, 0, 0])
            for place, value in enumerate((1, one.found, other.found)):
                count[place] += value
    if len(counts) < 2:
        return ()
    ordered = sorted(counts.items(), key=lambda item: (-abs(item[1][1] - item[1][2]), item[0]))
    return tuple(SpeakerRow(name, cell(share_record(a, of)), cell(share_record(b, of))) for name, (of, a, b) in ordered)
