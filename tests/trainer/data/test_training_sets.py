"""From recordings to what batches are drawn from: plain, hard and augmented sets, their weights, and sounds that may be
missing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from trainer.config.loader import load_config
from trainer.config.sections import TrainerConfig
from trainer.data.clip_rows import ClipRows
from trainer.data.dataset import load_recordings
from trainer.data.ingest import Label, SampleRecord
from trainer.data.split import Split
from trainer.data.training_sets import SetClips, recorded_clips, stored_clips, training_sets
from trainer.training.progress import Silent
from wakeword.errors import ConfigError
from wakeword.processes import threads_of_workers

SLICES, SEED = 50, 3
# Effects that need no more than NumPy: the library takes a second to import.
QUICK = [
    f"augmentation.{name}=0"
    for name in ("SevenBandParametricEQ", "TanhDistortion", "PitchShift", "BandStopFilter", "AddColorNoise", "Gain")
]
QUICK += ["augmentation.computed_rooms=0", "augmentation.computed_backgrounds=0"]


def counting(_stage: str) -> Callable[[int, int], None]:
    return lambda _done, _total: None


def sound(path: Path, seconds: float, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).normal(0, 2000, int(16_000 * seconds))
    soundfile.write(path, noise.astype(np.int16), 16_000)


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose default folders hold recordings of twelve speakers each."""
    monkeypatch.chdir(tmp_path)
    for speaker in range(12):
        for number, (label, seconds) in enumerate(
            (("positive", 0.5), ("negative", 1.0 + speaker), ("hard_negative", 0.6))
        ):
            sound(tmp_path / "dataset" / label / f"speaker{speaker}" / f"{label}.wav", seconds, 100 * number + speaker)
    return tmp_path


def configuration(*settings: str) -> TrainerConfig:
    given = [
        "export.wake_word=x",
        f"training.seed={SEED}",
        "augmentation.copies=2",
        "paths.processed_dir=processed",
        *QUICK,
        *settings,
    ]
    return load_config("standard", settings=given)


def records_of(config: TrainerConfig) -> tuple[SampleRecord, ...]:
    return load_recordings(config.paths, SEED, jobs=1).records


@dataclass
class Lines(Silent):
    """Keeps what is told."""

    lines: list[str] = field(default_factory=list)

    def told(self, message: str) -> None:
        self.lines.append(message)


def stored(config: TrainerConfig, told: list[str] | None = None) -> SetClips:
    return stored_clips(config, records_of(config), SLICES, Lines([] if told is None else told), jobs=1)


@pytest.mark.usefixtures("dataset")
def test_hard_negatives_are_recordings_of_their_own() -> None:
    config = configuration()
    ingestion = load_recordings(config.paths, SEED, jobs=1)
    hard = [record for record in ingestion.records if record.label is Label.HARD_NEGATIVE]
    assert len(hard) == 12
    assert "only 12 hard_negative clips; at least 50 are recommended, or none" in ingestion.warnings
    without = recorded_clips([record for record in ingestion.records if record not in hard], SLICES, SEED, counting, 1)
    with_them = recorded_clips(ingestion.records, SLICES, SEED, counting, 1)
    assert len(without.hard_negative) == 0
    assert len(with_them.hard_negative) > 0
    assert [len(clip) for clip in without.negative_joined] == [len(clip) for clip in with_them.negative_joined]


def test_sets_come_from_the_store_the_second_time(dataset: Path) -> None:
    told: list[str] = []
    config = configuration()
    first = stored(config, told)
    assert told == [
        "paths.background_dir: no recordings in dataset/background, so clips are augmented without background noise",
        "paths.rir_dir: no recordings in dataset/rirs, so clips are augmented without room",
        "0 of 7 sets of training features found in processed, 7 computed",
    ]
    training = [record for record in records_of(config) if record.split is Split.TRAIN]
    positives = sum(record.label is Label.POSITIVE for record in training)
    assert len(first.positive_augmented) == 2 * positives
    assert {len(clip) for clip in first.positive_augmented} == {318}
    assert len(first.negative_augmented) >= sum(record.label is Label.NEGATIVE for record in training)
    made = {path: path.stat().st_mtime_ns for path in (dataset / "processed" / "training").rglob("*.ninja")}
    assert made
    again = stored(config, told)
    assert told[-1] == "7 of 7 sets of training features found in processed, 0 computed"
    for one, other in zip(first.clips(), again.clips(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert {path: path.stat().st_mtime_ns for path in (dataset / "processed" / "training").rglob("*.ninja")} == made
    plain = recorded_clips(records_of(config), SLICES, SEED, counting, 1)
    for one, other in zip(plain.negative_joined, again.negative_joined, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.usefixtures("dataset")
def test_weights_reach_the_sets() -> None:
    config = configuration(
        "training.sampling_weights.hard_negative=2",
        "training.penalty_weights.negative_joined=3",
    )
    clips = stored(config)
    sets = training_sets(config, clips)
    by_name = {one.name: one for one in sets}
    assert (by_name["hard_negative"].sampling_weight, by_name["hard_negative"].hard) == (2.0, True)
    assert (by_name["negative_joined"].penalty_weight, by_name["negative_joined"].hard) == (3.0, False)
    assert {one.name for one in sets if one.truth} == {"positive", "positive_augmented"}


def test_strategies_reach_the_sets() -> None:
    one = [np.zeros((60, 40), np.int8)]
    clips = SetClips(one, one, one, one, one, feature_sets={"dinner": one})
    mined = ClipRows(np.zeros((60, 40), np.int8), np.full(3, 50), np.zeros(3, np.int64))

    def strategies(*settings: str) -> dict[str, str]:
        config = configuration(*(f"training.{setting}" for setting in settings))
        return {one.name: one.truncation_strategy for one in training_sets(config, clips, mined=mined)}

    negatives = (
        "after_positive",
        "negative_joined",
        "negative_alone",
        "hard_negative",
        "hard_negative_mined",
        "dinner",
    )
    assert strategies() == {"positive": "truncate_start"} | dict.fromkeys(negatives, "random")
    changed = strategies(
        "truncation_strategies.positive=fixed_right_cutoff",
        "truncation_strategies.negative_joined=split",
        "truncation_strategies.negative_alone=truncate_end",
        "truncation_strategies.hard_negative=truncate_start",
        "truncation_strategies.feature_sets=split",
    )
    assert changed == {
        "positive": "fixed_right_cutoff",
        "after_positive": "random",
        "negative_joined": "split",
        "negative_alone": "truncate_end",
        "hard_negative": "truncate_start",
        "hard_negative_mined": "truncate_start",
        "dinner": "split",
    }
    config = configuration(
        "training.right_cutoff_slices=7", "training.truncation_strategies.positive=fixed_right_cutoff"
    )
    assert {one.right_cutoff_slices for one in training_sets(config, clips)} == {7}


def test_without_augmentation_its_share_is_that_of_the_recorded() -> None:
    clips = SetClips(*([np.zeros((60, 40), np.int8)] for _ in range(4)))
    sets = {one.name: one.sampling_weight for one in training_sets(configuration(), clips)}
    own = {"positive": 0.5, "after_positive": 0.5, "negative_joined": 3.0, "negative_alone": 0.5}
    assert sets == {
        **own,
        "positive": 1.0,
        "negative_joined": pytest.approx(3.0 + 2.0 * 3.0 / 3.5),
        "negative_alone": pytest.approx(0.5 + 2.0 * 0.5 / 3.5),
    }
    none = configuration("training.sampling_weights.negative_joined=0", "training.sampling_weights.negative_alone=0")
    assert {one.name: one.sampling_weight for one in training_sets(none, clips)} == {
        "positive": 1.0,
        "after_positive": 0.5,
        "negative_joined": 1.0,
        "negative_alone": 1.0,
    }


def test_what_is_mined_shares_weight_and_share_with_the_hard_negatives() -> None:
    clips = SetClips(*([np.zeros((60, 40), np.int8)] for _ in range(4)))
    config = configuration("training.sampling_weights.hard_negative=2", "training.penalty_weights.hard_negative=3")

    def shares(recorded: list[int], mined: int) -> dict[str, float]:
        hard = [np.zeros((length, 40), np.int8) for length in recorded]
        windows = ClipRows(np.zeros((60, 40), np.int8), np.full(mined, 50), np.zeros(mined, np.int64))
        sets = {one.name: one for one in training_sets(config, replace(clips, hard_negative=hard), mined=windows)}
        found = {name: one for name, one in sets.items() if name.startswith("hard")}
        assert all((one.hard, one.penalty_weight) == (True, 3.0) for one in found.values())
        return {name: one.sampling_weight for name, one in found.items()}

    assert shares([400, 100], 10) == {"hard_negative": 1.0, "hard_negative_mined": 1.0}
    assert shares([500], 0) == {"hard_negative": 2.0}
    # Alone: a few would be learned by heart.
    assert shares([], 5) == {"hard_negative_mined": pytest.approx(0.2)}
    assert shares([], 50) == shares([], 5000) == {"hard_negative_mined": 2.0}
    assert shares([], 0) == {}


def test_sounds_of_the_folders_are_mixed_in(dataset: Path) -> None:
    silent = stored(configuration("augmentation.AddBackgroundNoise=1"))
    for number in range(6):
        sound(dataset / "dataset" / "background" / f"{number}.wav", 5, 1000 + number)
    (dataset / "dataset" / "background" / "damaged.wav").write_text("none")
    told: list[str] = []
    noisy = stored(configuration("augmentation.AddBackgroundNoise=1"), told)
    assert told[0].startswith("paths.background_dir: 1 of 7 files are not used, first dataset/background/damaged.wav: ")
    assert any(
        not np.array_equal(one, other)
        for one, other in zip(silent.positive_augmented, noisy.positive_augmented, strict=True)
    )


def test_without_recordings_of_rooms_and_noises_they_are_computed(dataset: Path) -> None:
    told: list[str] = []
    some = (
        "augmentation.computed_rooms=2",
        "augmentation.computed_backgrounds=5",
        "augmentation.RIR=1",
        "augmentation.AddBackgroundNoise=1",
    )
    clips = stored(configuration(*some), told)
    assert told == [
        "paths.background_dir: no recordings in dataset/background, so clips are augmented over 5 computed backgrounds",
        "paths.rir_dir: no recordings in dataset/rirs, so clips are augmented in 2 computed rooms",
        "0 of 7 sets of training features found in processed, 7 computed",
    ]
    assert len(clips.positive_augmented)
    sound(dataset / "dataset" / "rirs" / "mine.wav", 0.2, 5)
    for number in range(6):
        sound(dataset / "dataset" / "rirs" / f"{number}.wav", 0.2, 1000 + number)
    told.clear()
    stored(configuration(*some), told)
    assert [line.partition(":")[0] for line in told[:-1]] == ["paths.background_dir"], "who has rooms hears those"


def test_what_is_said_around_words_comes_from_the_negatives_of_training(dataset: Path) -> None:
    silent = ("augmentation.AddBackgroundNoise=0", "augmentation.RIR=0", "augmentation.SelfNoise=0")
    alone, among = (
        stored(configuration(*silent, f"augmentation.SpeechBefore={share}", "augmentation.SpeechAfter=0"))
        for share in (0, 1)
    )
    # Words of half a second begin at slice 250.
    quietest = [min(int(clip[235:245].max()) for clip in clips.positive_augmented) for clips in (alone, among)]
    assert quietest[0] == -128, "digital silence before a word"
    assert quietest[1] > -128
    assert dataset.is_dir()


def test_a_folder_that_was_named_must_hold_sounds(dataset: Path) -> None:
    (dataset / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"paths\.background_dir: none of 0 usable sounds falls to training"):
        stored(configuration("paths.background_dir=empty"))


def test_threads_of_workers_are_set_and_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with threads_of_workers(2):
        assert (os.environ["OMP_NUM_THREADS"], os.environ["MKL_NUM_THREADS"]) == ("2", "2")
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ
