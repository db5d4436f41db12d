"""Synthetic words in hard conditions: nothing moves, it is the same every time, and recordings of people are left as
they are.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests import spoken
from trainer.data.augment.computed import computed_backgrounds
from trainer.data.ingest import Label, SampleRecord
from trainer.data.split import Split
from trainer.inference import conditions
from trainer.inference.conditions import CONDITIONS, Condition, Place, hard_streams, in_places, noises_alone
from trainer.inference.splits import PresentedSplit, SplitRecords, people_among, present_split
from wakeword.audio import read_samples
from wakeword.corpus.feature_cache import FeatureCache
from wakeword.corpus.recordings import GENERATED_TABLE


def records(label: Label, paths: tuple[Path, ...]) -> list[SampleRecord]:
    return [SampleRecord(path, label, Split.VAL, path.stem, len(read_samples(path)) / 16_000, 16_000) for path in paths]


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> SplitRecords:
    folder = tmp_path_factory.mktemp("spoken")
    made = spoken.generate(folder)
    with (folder / GENERATED_TABLE).open("w", newline="") as file:
        csv.writer(file).writerows(
            [("path",), *((path.relative_to(folder).as_posix(),) for path in (*made.words, *made.speech))]
        )
    found = [*records(Label.POSITIVE, made.words[:12]), *records(Label.NEGATIVE, made.speech[:2])]
    return SplitRecords.of(found, Split.VAL)


@pytest.fixture(scope="module")
def presented(split: SplitRecords, tmp_path_factory: pytest.TempPathFactory) -> tuple[FeatureCache, PresentedSplit]:
    cache = FeatureCache(tmp_path_factory.mktemp("cache"))
    return cache, present_split(cache, split, lambda _: None)


def test_each_condition_is_the_session_of_the_same_words_and_sounds_otherwise(
    presented: tuple[FeatureCache, PresentedSplit],
) -> None:
    split = presented[1]
    assert len(split.hard_positives) == len(CONDITIONS)
    plain = split.positives.features.read()
    heard = [stream.features.read() for stream in split.hard_positives]
    for stream, features in zip(split.hard_positives, heard, strict=True):
        assert stream.recordings == split.positives.recordings
        assert features.shape == plain.shape
    everything = [plain, *heard]
    for number, one in enumerate(everything):
        for other in everything[:number]:
            assert np.abs(one.astype(int) - other).mean() > 1


def test_negatives_are_heard_in_the_same_conditions_and_noises_alone(
    presented: tuple[FeatureCache, PresentedSplit],
) -> None:
    """In the time of the negatives, which is counted: hours in which a false accept can fall."""
    split = presented[1]
    assert len(split.hard_negatives) == len(CONDITIONS) + 1
    plain = split.negatives.features.read()
    everything = [plain, *(stream.features.read()[: len(plain)] for stream in split.hard_negatives)]
    for number, one in enumerate(everything):
        for other in everything[:number]:
            assert np.abs(one.astype(int) - other).mean() > 1
    length = split.negatives.recordings[-1].span.end + 0.5
    for stream in split.hard_negatives:
        assert stream.recordings == split.negatives.recordings
        truth = stream.presentation.truth([recording.span for recording in stream.recordings], wake=False)
        assert not truth.utterances
        assert sum(span.end - span.start for span in truth.counted) == pytest.approx(length), (
            "pauses count: the noise goes on in them"
        )


def test_long_recordings_do_not_keep_short_ones_from_being_heard() -> None:
    long, short = (
        SampleRecord(Path("a"), Label.NEGATIVE, Split.VAL, "a", seconds, 16_000) for seconds in (1500.0, 5.0)
    )
    assert list(conditions._up_to(1200.0, [long, short, long, short])) == [short, short]


def test_noises_follow_one_another_as_loud_as_what_they_replace(tmp_path: Path) -> None:
    noises = computed_backgrounds(tmp_path, Split.VAL, 3, jobs=1).sounds
    speech = (np.random.default_rng(0).normal(0, 1, 99_000) * 1000).astype(np.int16)
    alone = noises_alone(noises, speech, [0])
    assert alone.shape == speech.shape
    for place in range(3):
        part = alone[place * 33_000 : (place + 1) * 33_000].astype(float)
        assert 300 < np.sqrt(np.mean(part**2)) < 2500
        assert abs(np.corrcoef(part, speech[place * 33_000 : (place + 1) * 33_000])[0, 1]) < 0.1


def test_features_are_computed_once(
    split: SplitRecords, presented: tuple[FeatureCache, PresentedSplit], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, first = presented

    def refuse(*_: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr("trainer.inference.conditions.in_places", refuse)
    monkeypatch.setattr("trainer.inference.conditions.noises_alone", refuse)
    again = hard_streams(cache, split.positives, split.negatives)
    for one, other in zip(
        (*first.hard_positives, *first.hard_negatives), (*again.positives, *again.negatives), strict=True
    ):
        np.testing.assert_array_equal(one.features.read(), other.features.read())


def test_people_and_test_words_are_heard_as_they_are(split: SplitRecords, tmp_path: Path) -> None:
    test = SplitRecords(Split.TEST, split.positives, split.negatives)
    assert present_split(FeatureCache(tmp_path), test, lambda _: None).hard_negatives == ()
    people = []
    for record in split.positives:
        path = tmp_path / record.path.name
        path.write_bytes(record.path.read_bytes())
        people.append(SampleRecord(path, record.label, record.split, record.speaker, record.duration, 16_000))
    recorded = SplitRecords(Split.VAL, tuple(people), split.negatives)
    as_they_are = present_split(FeatureCache(tmp_path), recorded, lambda _: None)
    assert as_they_are.hard_positives == as_they_are.hard_negatives == ()


@pytest.mark.parametrize("words", [1, 2, 3, 9])
def test_a_share_of_the_words_is_in_each_place_and_none_moves(words: int) -> None:
    session = np.zeros(400_000, np.int16)
    starts = list(range(24_000, 384_000, 40_000))[:words]
    for start in starts:
        session[start : start + 8000] = (3000 * np.sin(np.arange(8000) / 8)).astype(np.int16)
    # Without a room or noise the level is all that changes.
    quiet = in_places(Condition("quiet", level_dbfs=-40), [Place(None, None)] * 4, session, starts)  # type: ignore[arg-type]
    assert quiet.shape == session.shape
    for start in starts:
        assert np.abs(quiet[start : start + 8000].astype(int)).max() == pytest.approx(327.68, abs=1)
        assert not quiet[start + 8000 : start + 40_000].any()


def test_minutes_of_people_are_a_stream_of_their_own(
    split: SplitRecords, presented: tuple[FeatureCache, PresentedSplit], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert presented[1].people == (), "generated negatives alone"
    path = tmp_path / "radio.wav"
    path.write_bytes(split.negatives[0].path.read_bytes())
    record = replace(split.negatives[0], path=path)
    mixed = SplitRecords(Split.VAL, split.positives, (*split.negatives, record))
    assert people_among(mixed.negatives) == [], "too little of it"
    monkeypatch.setattr("trainer.inference.splits.PEOPLE_SECONDS", record.duration)
    (people,) = present_split(presented[0], mixed, lambda _: None).people
    assert [recording.path for recording in people.recordings] == [path]
