"""Who stays together: speakers by folder and by name, one person's sessions, negatives by file, by folder and by
stretch.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.data.folders import folders
from trainer.config.loader import load_config
from trainer.data.dataset import find_recorded, load_recordings, read_recordings, refuse_changed, write_recordings
from trainer.data.grouping import session_note, shared_speakers
from trainer.data.ingest import GENERATED, Label, SampleRecord, find_generated, speaker_of_name
from trainer.data.split import FRACTIONS, Split, split_of
from trainer.data.stretches import GAP_SECONDS, LONG_SECONDS, stretches
from wakeword.audio import read_samples
from wakeword.corpus.recordings import find_recordings, hash_file, list_notes
from wakeword.errors import ConfigError
from wakeword.part import part_of


def sound(path: Path, seconds: float = 1.0, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(seed).integers(-9000, 9000, round(seconds * 16_000), dtype=np.int16)
    soundfile.write(path, samples, 16_000)
    return path


def words(root: Path, speakers: int = 12, takes: int = 1) -> Path:
    for speaker in range(speakers):
        for take in range(takes):
            sound(root / "positive" / f"s{speaker}" / f"{take}.wav", seed=speaker * 100 + take)
    return root / "positive"


SEED = 0


def loaded(
    positive: Path, negative: Path, seed: int = SEED, **sources: Sequence[Path] | Path
) -> tuple[SampleRecord, ...]:
    return load_recordings(folders([positive], [negative], **sources), seed, jobs=1).records  # type: ignore[arg-type]


def of(records: Sequence[SampleRecord], label: Label) -> dict[str, SampleRecord]:
    return {record.path.name: record for record in records if record.label is label}


def test_folders_of_negatives_are_kinds_of_sound_and_their_files_are_split_one_by_one(tmp_path: Path) -> None:
    positive = words(tmp_path)
    for kind in ("speech", "noise"):
        for number in range(20):
            sound(tmp_path / "negative" / kind / f"{kind}{number}.wav", seed=1000 + number)
    found = of(loaded(positive, tmp_path / "negative"), Label.NEGATIVE)
    for kind in ("speech", "noise"):
        assert {record.split for name, record in found.items() if name.startswith(kind)} == set(Split)
    before = {name: record.split for name, record in found.items()}
    for number in range(5):
        sound(tmp_path / "negative" / "speech" / f"added{number}.wav", seed=2000 + number)
    after = of(loaded(positive, tmp_path / "negative"), Label.NEGATIVE)
    assert {name: after[name].split for name in before} == before


def test_a_folder_named_like_a_speaker_of_wake_words_is_that_speakers(tmp_path: Path) -> None:
    positive = words(tmp_path)
    for number in range(9):
        sound(tmp_path / "negative" / "speech" / "s3" / "evening" / f"{number}.wav", seed=number)
    for number in range(20):
        sound(tmp_path / "negative" / f"{number}.wav", seed=50 + number)
    records = loaded(positive, tmp_path / "negative")
    assert {record.split for record in records if record.speaker == "s3"} == {split_of("s3", SEED)}
    assert sum(record.speaker == "s3" for record in records) == 10


def test_loose_negatives_that_have_a_speakers_name_are_that_speakers(tmp_path: Path) -> None:
    """One person who trains and tests would make a test look better than it is."""
    for speaker in range(12):
        sound(tmp_path / "positive" / f"speaker{speaker:02}_take1.wav", seed=speaker)
    for number in range(20):
        sound(tmp_path / "negative" / f"speaker03_{number}.wav", seed=100 + number)
        sound(tmp_path / "negative" / "noise" / f"street_{number}.wav", seed=200 + number)
    records = loaded(tmp_path / "positive", tmp_path / "negative")
    assert {record.split for record in records if record.path.name.startswith("speaker03_")} == {
        split_of("speaker03", SEED)
    }
    assert {record.split for record in records if record.path.name.startswith("street_")} == set(Split)


def test_folders_within_a_grouped_folder_are_not_divided(tmp_path: Path) -> None:
    positive = words(tmp_path)
    for number in range(30):
        sound(tmp_path / "negative" / "shows" / f"show{number // 10}" / f"{number}.wav", seed=number)
        sound(tmp_path / "negative" / "noise" / f"n{number}.wav", seed=100 + number)
    records = loaded(positive, tmp_path / "negative", grouped_negative_dir=[tmp_path / "negative" / "shows"])
    for show in ("show0", "show1", "show2"):
        assert {record.split for record in records if record.speaker == show} == {split_of(show, SEED)}
    assert {record.split for record in records if record.path.parent.name == "noise"} == set(Split)
    with pytest.raises(ConfigError, match="no negative recording lies in it"):
        loaded(positive, tmp_path / "negative", grouped_negative_dir=[tmp_path / "elsewhere"])


@given(st.floats(LONG_SECONDS, 20_000), st.integers(0, 1000))
def test_stretches_share_a_recording_as_speakers_are_shared(seconds: float, seed: int) -> None:
    cut = stretches("negative/evening", seconds, seed)
    assert cut == stretches("negative/evening", seconds, seed)
    assert cut[0][0] == 0 and cut[-1][1] - 1 < seconds <= cut[-1][1]
    for (_, stop, split), (start, _, following) in pairwise(cut):
        assert start - stop == GAP_SECONDS
        assert split is not following
    for split, share in ((Split.VAL, FRACTIONS[1]), (Split.TEST, FRACTIONS[2])):
        length = sum(stop - start for start, stop, one in cut if one is split)
        assert length == pytest.approx(share * seconds, abs=(GAP_SECONDS + 1) * len(cut))


@given(st.floats(LONG_SECONDS, 5000), st.integers(0, 1000), st.floats(0.0005, 0.02), st.floats(0.0005, 0.02))
def test_shares_near_none_make_no_stretch_without_sound(
    seconds: float, seed: int, validate: float, test: float
) -> None:
    cut = stretches("negative/evening", seconds, seed, (1 - validate - test, validate, test))
    assert cut[0][0] >= 0 and cut[-1][1] - 1 < seconds + 1
    assert all(stop - start >= 1 for start, stop, _ in cut)
    assert all(start - stop >= GAP_SECONDS for (_, stop, _), (start, _, _) in pairwise(cut))
    assert Split.TRAIN in {split for _, _, split in cut}


def test_a_share_too_small_for_a_stretch_leaves_its_split_empty(tmp_path: Path) -> None:
    negative = sound(tmp_path / "negative" / "evening.flac", LONG_SECONDS, 7).parent
    sources = folders([words(tmp_path, 60)], [negative])
    with pytest.raises(ConfigError, match="negative: none of 1 recordings is in val and test; give at least three"):
        load_recordings(sources, SEED, jobs=1, fractions=(0.998, 0.001, 0.001))


def test_stretches_differ_by_seed_and_name() -> None:
    orders = {tuple(split for _, _, split in stretches(name, 600, seed)) for name in "ab" for seed in range(20)}
    assert len(orders) == 6


@pytest.fixture
def evening(tmp_path: Path) -> tuple[Path, Path]:
    return words(tmp_path), sound(tmp_path / "negative" / "evening.flac", LONG_SECONDS + 20, 7).parent


def test_one_long_recording_fills_all_splits_by_stretches(evening: tuple[Path, Path]) -> None:
    records = loaded(*evening)
    parts = [record for record in records if record.label is Label.NEGATIVE]
    assert {record.split for record in parts} == set(Split)
    whole = read_samples(evening[1] / "evening.flac")
    for record in parts:
        part = part_of(record.path)
        assert part is not None
        np.testing.assert_array_equal(
            read_samples(record.path), whole[round(part.start * 16_000) : round(part.end * 16_000)]
        )
        assert record.duration == len(read_samples(record.path)) / 16_000
        assert record.sha256 == hash_file(part.file)
        assert record.content == hash_file(record.path)
    assert sum(record.duration for record in parts) == pytest.approx(LONG_SECONDS + 20 - 2 * GAP_SECONDS)


def test_a_run_with_stretches_describes_itself(evening: tuple[Path, Path], tmp_path: Path) -> None:
    ingestion = load_recordings(folders([evening[0]], [evening[1]]), SEED, jobs=1)
    write_recordings(ingestion, tmp_path / "run")
    assert read_recordings(tmp_path / "run") == ingestion.records
    refuse_changed(ingestion.records, tmp_path / "run")
    (listed,) = find_recordings([tmp_path / "run" / "lists" / "test_negative.txt"])
    (tested,) = (
        record for record in ingestion.records if record.split is Split.TEST and record.label is Label.NEGATIVE
    )
    assert listed == tested.path
    # As a splits table the run gives another seed the same stretches; a table that lists the whole file keeps it whole.
    again = loaded(*evening, seed=99, splits=tmp_path / "run" / "recordings.csv")
    assert [(record.path, record.split) for record in again] == [
        (record.path, record.split) for record in ingestion.records
    ]
    sound(evening[1] / "evening.flac", LONG_SECONDS + 21, 8)
    with pytest.raises(ConfigError, match=r"evening\.flac#t=.*holds something else"):
        refuse_changed(ingestion.records, tmp_path / "run")


def test_a_table_that_lists_a_long_file_keeps_it_whole(evening: tuple[Path, Path], tmp_path: Path) -> None:
    for number in range(30):
        sound(evening[1] / f"{number}.wav", seed=number)
    (tmp_path / "splits.csv").write_text("path,group,split\nnegative/evening.flac,evening,train\n")
    records = of(loaded(*evening, splits=tmp_path / "splits.csv"), Label.NEGATIVE)
    assert records["evening.flac"].split is Split.TRAIN


@pytest.mark.parametrize(
    ("stem", "speaker"),
    [
        ("speaker01_take01", "speaker01"),
        ("anna-3", "anna"),
        ("anna_maria_take_12", "anna_maria"),
        ("Bob_0007", "Bob"),
        ("0", ""),
        ("17", ""),
        ("alexa", ""),
        ("common_voice_en_123456", ""),
        ("rec_20240105_1", ""),
        ("2024-01-05", ""),
    ],
)
def test_speakers_by_their_files_names(stem: str, speaker: str) -> None:
    assert speaker_of_name(stem) == speaker


def test_a_flat_folder_of_takes_has_its_speakers_names(tmp_path: Path) -> None:
    for speaker in range(12):
        for take in range(2):
            sound(tmp_path / "positive" / f"speaker{speaker:02}_take{take:02}.wav", seed=speaker * 2 + take)
    sound(tmp_path / "negative" / "evening.wav", LONG_SECONDS)
    ingestion = load_recordings(folders([tmp_path / "positive"], [tmp_path / "negative"]), SEED, jobs=1)
    assert not shared_speakers(ingestion.records)
    assert any(
        "by their names they are of 12 (such as speaker00_take00.wav of 'speaker00')" in warning
        for warning in ingestion.warnings
    )


def flat(root: Path, number: int) -> Path:
    return root / f"{number}.wav"


def one_folder(root: Path, number: int) -> Path:
    return root / "me" / f"{number}.wav"


def named(root: Path, number: int) -> Path:
    return root / f"me_take{number}.wav"


def sessions(root: Path, number: int) -> Path:
    return root / "me" / f"day{number // 5}" / f"{number}.wav"


@pytest.mark.parametrize("place", [flat, one_folder, named, sessions])
def test_one_person_is_split_by_session_and_called_so(tmp_path: Path, place: Callable[[Path, int], Path]) -> None:
    for number in range(60):
        sound(place(tmp_path / "positive", number), seed=number)
    sound(tmp_path / "negative" / "evening.wav", LONG_SECONDS)
    ingestion = load_recordings(folders([tmp_path / "positive"], [tmp_path / "negative"]), 1, jobs=1)
    positives = [record for record in ingestion.records if record.label is Label.POSITIVE]
    assert {record.split for record in positives} == set(Split)
    assert len({record.speaker for record in positives}) == 1
    assert len(shared_speakers(ingestion.records)) == 1
    assert ingestion.warnings[0] == "one speaker, split by session: the test says nothing of other people"
    write_recordings(ingestion, tmp_path / "run")
    lists = tmp_path / "run" / "lists"
    assert list_notes([lists / "test_positive.txt"]) == (ingestion.warnings[0],)
    assert list_notes([lists / "test_negative.txt", tmp_path]) == ()
    assert {path.resolve() for path in find_recordings([lists / "test_positive.txt"])} == {
        one.path for one in positives if one.split is Split.TEST
    }
    if place is sessions:
        for day in range(12):
            assert len({record.split for record in positives if record.path.parent.name == f"day{day}"}) == 1


def test_too_few_sessions_name_a_seed_or_say_what_is_missing(tmp_path: Path) -> None:
    for number in range(4):
        sound(tmp_path / "positive" / "me" / f"{number}.wav", seed=number)
    sound(tmp_path / "negative" / "evening.wav", LONG_SECONDS)
    seed = next(seed for seed in range(100) if len({split_of(f"me/{number}", seed) for number in range(4)}) < 3)
    with pytest.raises(
        ConfigError, match=r"none of 4 sessions of one or two people is in .*--set training\.seed=\d+ fills"
    ) as caught:
        loaded(tmp_path / "positive", tmp_path / "negative", seed)
    better = int(str(caught.value).split("training.seed=")[1].split()[0])
    assert len(loaded(tmp_path / "positive", tmp_path / "negative", better)) == 7
    for number in range(2):
        (tmp_path / "positive" / "me" / f"{number}.wav").unlink()
    with pytest.raises(
        ConfigError,
        match=r"none of 2 sessions of one or two people is in .*; give at least three sessions of one or two people",
    ):
        loaded(tmp_path / "positive", tmp_path / "negative", seed)


def test_two_people_are_two_in_the_note() -> None:
    assert session_note(["ann", "ben"]).startswith("2 speakers, split by session")
    assert session_note([]) == ""


def test_a_flat_folder_of_generated_samples_is_wake_words(tmp_path: Path) -> None:
    positive = words(tmp_path)
    sound(tmp_path / "negative" / "evening.wav", LONG_SECONDS)
    for number in range(5):
        sound(tmp_path / "generated_samples" / f"{number}.wav", seed=500 + number)
    records = loaded(positive, tmp_path / "negative", generated=[tmp_path / "generated_samples"])
    spoken = [record for record in records if record.speaker == GENERATED]
    assert len(spoken) == 5
    assert {(record.label, record.split) for record in spoken} == {(Label.POSITIVE, Split.TRAIN)}
    told = load_recordings(
        folders([positive], [tmp_path / "negative"], [tmp_path / "generated_samples"]), SEED, jobs=1
    ).warnings
    assert [line for line in told if line.startswith("generated")] == [
        "generated speech: only 5 positive clips; at least 100 are recommended"
    ]


def test_what_lies_beside_the_folders_of_generated_speech_is_told(tmp_path: Path) -> None:
    spoken = tmp_path / "spoken"
    sound(spoken / "positive" / "espeak_x" / "1.wav")
    for beside in ("negatives/2.wav", "3.wav"):
        sound(spoken / beside)
    (spoken / "generated.csv").write_text("path\n")
    found = find_generated(spoken)
    assert [file.relative.name for file in found.files] == ["1.wav"]
    assert {one.path.relative_to(spoken).as_posix(): one.reason for one in found.rejections} == dict.fromkeys(
        ("negatives/2.wav", "3.wav"), "lies beside positive/, so what it is to the training is not known"
    )


def test_other_layouts_are_refused_with_the_line_that_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    positive = words(tmp_path)
    sound(tmp_path / "negative" / "evening.wav", LONG_SECONDS)
    for name in ("computer", "hey computer"):
        sound(tmp_path / "my model" / name / f"{name}.wav", seed=len(name))
    with pytest.raises(ConfigError) as caught:
        loaded(positive, tmp_path / "negative", generated=[tmp_path / "my model"])
    said = str(caught.value)
    config = load_config("fast_test", settings=["export.wake_word=x", *shlex.split(said[said.index("--set") :])[1:]])
    records = loaded(positive, tmp_path / "negative", generated=config.paths.generated_dir)
    assert {"computer.wav", "hey computer.wav"} <= {record.path.name for record in records}

    for dataset in (tmp_path, many_folders(tmp_path / "openwakeword")):
        with pytest.raises(ConfigError, match="holds a whole dataset") as caught:
            find_recorded(folders([dataset], [tmp_path / "negative"]))
        said = str(caught.value)
        options = shlex.split(said[said.index("--set") :])
        config = load_config("fast_test", settings=["export.wake_word=x", *options[1::2]])
        found = find_recorded(config.paths).files
        assert found and all(file.label in file.path.relative_to(dataset).parts[0] for file in found)


def many_folders(root: Path) -> Path:
    """As openWakeWord keeps what it generates."""
    for name in ("positive_train", "positive_test", "negative_train", "negative_test"):
        for number in range(3):
            sound(root / name / f"{name}{number}.wav", seed=len(name) * 10 + number)
    return root


def test_folders_that_begin_with_the_name_of_a_label_are_its(tmp_path: Path) -> None:
    """The advice was to train such negatives as wake words."""
    positive = words(tmp_path)
    sound(tmp_path / "negative" / "evening.wav", LONG_SECONDS)
    sources = folders([positive], [tmp_path / "negative"], generated=[many_folders(tmp_path / "spoken")])
    ingestion = load_recordings(sources, SEED, jobs=1)
    spoken = [record for record in ingestion.records if record.path.is_relative_to(tmp_path / "spoken")]
    assert len(spoken) == 12
    assert all(record.path.name.startswith(record.label) and record.split is Split.TRAIN for record in spoken)
    assert not [line for line in ingestion.warnings if "no speaker's folder" in line]
