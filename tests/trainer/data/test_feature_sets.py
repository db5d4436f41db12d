"""Published feature sets in place of negative recordings: found, split, told of, stored, drawn from."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest
from mmap_ninja import RaggedMmap

from tests.trainer.data.test_grouping import sound, words
from trainer.config.loader import load_config
from trainer.config.sections import TrainerConfig
from trainer.data.batches import BatchSampler
from trainer.data.composition import composition, of_split
from trainer.data.dataset import load_recordings, read_recordings, refuse_changed, write_recordings
from trainer.data.duplicates import find_duplicates
from trainer.data.feature_sets import SPLITS
from trainer.data.ingest import Label
from trainer.data.split import Split
from trainer.data.training_sets import recorded_clips, stored_clips, training_sets
from trainer.training.memory import memory_need
from trainer.training.progress import Silent
from wakeword.contract import quantise
from wakeword.corpus.recordings import find_recordings
from wakeword.errors import ConfigError

SLICES = 60


def feature_set(root: Path, *splits: str, clips: int = 4, slices: int = 300) -> Path:
    generator = np.random.default_rng(sum(map(ord, root.name)))
    for split in splits:
        folder = root / split / f"{root.name}_mmap"
        folder.parent.mkdir(parents=True)
        values = (generator.integers(0, 600, (slices + index, 40)).astype(np.uint16) for index in range(clips))
        RaggedMmap.from_generator(folder, values, batch_size=3)
    return root


def configured(root: Path, *settings: str) -> TrainerConfig:
    given = [
        f"paths.positive_dir={root / 'positive'}",
        "paths.negative_dir=[]",
        f"paths.feature_sets={root / 'sets'}",
        "training.seed=0",
        *settings,
    ]
    return load_config("fast_test", settings=["export.wake_word=x", *given])


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    words(tmp_path)
    feature_set(tmp_path / "sets" / "dinner_party", *SPLITS)
    feature_set(tmp_path / "sets" / "no_speech", "training", "validation", "testing")
    return tmp_path


def test_sets_alone_are_the_negatives_of_a_run(dataset: Path) -> None:
    config = configured(dataset)
    ingestion = load_recordings(config.paths, 0, jobs=1)
    stored = [record for record in ingestion.records if not record.is_sound]
    assert {(record.label, record.speaker) for record in stored} == {
        (Label.NEGATIVE, f"feature_sets/{name}") for name in ("dinner_party", "no_speech")
    }
    assert [(record.path.parent.name, record.split) for record in stored] == [
        *SPLITS.items(),
        ("training", Split.TRAIN),
        ("validation", Split.VAL),
        ("testing", Split.TEST),
    ]
    assert all(record.duration == pytest.approx(12.06) and record.sha256 for record in stored)
    shares = composition(ingestion.records, config.paths)
    assert of_split(shares, Split.VAL) == "feature_sets/dinner_party 0.4 min (2), feature_sets/no_speech 0.2 min (1)"
    write_recordings(ingestion, dataset / "run")
    assert read_recordings(dataset / "run") == ingestion.records
    refuse_changed(stored, dataset / "run")
    listed = find_recordings([dataset / "run" / "lists" / "test_negative.txt"])
    assert {path.parent.name for path in listed} == {"testing", "testing_ambient"}
    assert find_duplicates([record for record in ingestion.records if record.is_sound], jobs=1).unreadable == ()
    assert memory_need(config, ingestion.records).features < 100 << 20
    (stored[0].path / "data.ninja").write_bytes(b"\0" * 100)
    with pytest.raises(ConfigError, match="holds something else"):
        refuse_changed(stored, dataset / "run")


def test_a_set_or_a_folder_of_sets_can_be_named_and_anything_else_is_refused(dataset: Path) -> None:
    one = configured(dataset, f"paths.feature_sets=[{dataset / 'sets' / 'no_speech'}]")
    records = load_recordings(one.paths, 0, jobs=1).records
    assert {record.speaker for record in records if not record.is_sound} == {"feature_sets/no_speech"}
    for folder in (dataset / "positive", dataset / "nowhere"):
        with pytest.raises(ConfigError, match="holds no feature set; name a folder with training, validation"):
            load_recordings(configured(dataset, f"paths.feature_sets={folder}").paths, 0, jobs=1)
    with pytest.raises(
        ConfigError, match=r"is a part of a feature set; give it whole: --set paths\.feature_sets=\S*/sets/no_speech$"
    ):
        load_recordings(
            configured(dataset, f"paths.feature_sets={dataset / 'sets' / 'no_speech' / 'training'}").paths, 0, jobs=1
        )
    feature_set(dataset / "alone" / "speech", "training")
    with pytest.raises(ConfigError, match="negative: none of 1 recordings is in val and test"):
        load_recordings(configured(dataset, f"paths.feature_sets={dataset / 'alone'}").paths, 0, jobs=1)


def test_a_folder_of_features_has_one_split_and_is_given_once(dataset: Path) -> None:
    sets = dataset / "sets"
    twice = configured(dataset, f"paths.feature_sets=[{sets}, {sets / 'no_speech'}]")
    with pytest.raises(
        ConfigError,
        match=(
            r"no_speech_mmap: two of the given folders hold it; a recording has one label and one split, so give it"
            r" once"
        ),
    ):
        load_recordings(twice.paths, 0, jobs=1)
    (sets / "no_speech" / "testing_ambient").symlink_to(sets / "no_speech" / "training")
    with pytest.raises(
        ConfigError,
        match=r"testing_ambient/no_speech_mmap: is the same as .*/training/no_speech_mmap; a recording has one label",
    ):
        load_recordings(configured(dataset).paths, 0, jobs=1)


@pytest.mark.parametrize(
    "below", ["", "dinner_party", "dinner_party/training", "dinner_party/testing/dinner_party_mmap"]
)
def test_named_as_recordings_they_are_refused_with_the_line_that_works(
    dataset: Path, below: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(dataset)
    wrong = load_config(
        "fast_test",
        settings=["export.wake_word=x", "paths.positive_dir=positive", f"paths.negative_dir={Path('sets') / below}"],
    )
    with pytest.raises(ConfigError, match="holds feature sets, not recordings") as caught:
        load_recordings(wrong.paths, 0, jobs=1)
    said = str(caught.value)
    options = shlex.split(said[said.index("--set") :])
    right = load_config("fast_test", settings=["export.wake_word=x", "paths.positive_dir=positive", *options[1::2]])
    assert load_recordings(right.paths, 0, jobs=1).records


def test_with_sets_the_default_folder_of_negatives_may_be_missing(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(dataset)
    config = load_config(
        "fast_test", settings=["export.wake_word=x", "paths.positive_dir=positive", "paths.feature_sets=sets"]
    )
    assert load_recordings(config.paths, 0, jobs=1).records
    with pytest.raises(ConfigError, match="dataset/negative: no such folder"):
        load_recordings(
            load_config("fast_test", settings=["export.wake_word=x", "paths.positive_dir=positive"]).paths, 0, jobs=1
        )


def test_batches_are_drawn_from_each_set_by_its_share(dataset: Path) -> None:
    config = configured(
        dataset,
        "training.sampling_weights.feature_sets=4",
        "training.penalty_weights.feature_sets=2",
        f"paths.processed_dir={dataset}/processed",
    )
    records = load_recordings(config.paths, 0, jobs=1).records
    clips = stored_clips(config, records, SLICES, Silent(), jobs=1)
    sets = {one.name: one for one in training_sets(config, clips)}
    assert sorted(sets) == ["after_positive", "feature_sets/dinner_party", "feature_sets/no_speech", "positive"]
    for name in ("dinner_party", "no_speech"):
        one = sets[f"feature_sets/{name}"]
        assert (one.truth, one.sampling_weight, one.penalty_weight, one.truncation_strategy) == (
            False,
            2.0,
            2.0,
            "random",
        )
        expected = [quantise(values) for values in RaggedMmap(dataset / "sets" / name / "training" / f"{name}_mmap")]
        assert all((read == wanted).all() for read, wanted in zip(one.clips, expected, strict=True))
    batch = BatchSampler(
        training_sets(config, clips), SLICES, config.training.model_copy(update={"batch_size": 64})
    ).batch(0)
    assert batch.features.shape == (64, SLICES, 40)
    assert 0 < batch.truth.sum() < 64
    again = stored_clips(config, records, SLICES, Silent(), jobs=1)
    assert len(again.clips()) == len(clips.clips())


def test_ranges_of_an_export_are_measured_on_ten_minutes_of_a_set_at_most(tmp_path: Path) -> None:
    words(tmp_path)
    feature_set(tmp_path / "sets" / "speech", *SPLITS, clips=50, slices=3000)
    records = load_recordings(configured(tmp_path).paths, 0, jobs=1).records
    chosen = recorded_clips(records, SLICES, 0, lambda _: lambda _done, _total: None, jobs=1)
    assert 40_000 < sum(map(len, chosen.feature_sets["feature_sets"])) <= 60_000


def test_sets_and_recordings_train_together(dataset: Path) -> None:
    sound(dataset / "negative" / "evening.wav", 301)
    config = configured(dataset, f"paths.negative_dir={dataset / 'negative'}")
    records = load_recordings(config.paths, 0, jobs=1).records
    shares = composition(records, config.paths)
    assert of_split(shares, Split.TEST).startswith(
        "feature_sets/dinner_party 0.4 min (2), feature_sets/no_speech 0.2 min (1), negative 0."
    )
