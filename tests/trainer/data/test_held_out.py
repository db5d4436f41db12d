"""Synthetic voices and engines that never train: no family on two sides, no split empty, and nobody moves when clips
are added.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.data.folders import folders
from trainer.config.loader import load_config
from trainer.data.dataset import load_recordings
from trainer.data.held_out import FEWEST_TO_HASH, Family, family_of, held_out_engines, split_families
from trainer.data.ingest import Ingestion, Label, SampleRecord
from trainer.data.split import Split
from trainer.training.progress import Silent
from trainer.training.run import checked_recordings
from wakeword.errors import ConfigError

ENGINES = ("espeak", "flite", "kokoro", "nanotts", "piper")
families = st.sets(st.tuples(st.sampled_from(ENGINES), st.integers(0, 40).map(str)), min_size=3, max_size=80)


@given(families, st.integers(0, 50))
def test_every_family_has_one_split_and_no_split_is_empty(found: set[Family], seed: int) -> None:
    placed = split_families(found, seed)
    assert set(placed) == found
    assert set(placed.values()) == set(Split)
    assert placed == split_families(sorted(found, reverse=True), seed)


@given(families, st.integers(0, 50))
def test_a_held_out_engine_trains_nothing_and_kokoro_always_trains(found: set[Family], seed: int) -> None:
    engines = held_out_engines(found, seed)
    placed = split_families(found, seed)
    by_engine = {name for name, _ in found}
    assert "kokoro" not in engines
    assert len(engines) < len(by_engine)
    assert engines or by_engine - {"kokoro"} <= {
        max(by_engine, key=lambda name: (sum(one == name for one, _ in found), name))
    }
    assert all(split is not Split.TRAIN for family, split in placed.items() if family[0] in engines)


@given(st.integers(0, 50), st.sets(st.integers(100, 200), max_size=30))
def test_voices_that_are_added_to_many_move_nobody(seed: int, added: set[int]) -> None:
    found = {("espeak", str(number)) for number in range(FEWEST_TO_HASH)} | {
        ("flite", str(number)) for number in range(4)
    }
    for setting in ("auto", ()):
        before = split_families(found, seed, setting)
        after = split_families(found | {("espeak", str(number)) for number in added}, seed, setting)
        assert {family: after[family] for family in before} == before


@given(st.integers(0, 50))
def test_beside_a_held_out_engine_only_natural_voices_validate(seed: int) -> None:
    found = {
        (engine, str(number))
        for engine, count in (("espeak", 30), ("flite", 4), ("kokoro", 8))
        for number in range(count)
    }
    splits = {
        engine: {split for (name, _), split in split_families(found, seed).items() if name == engine}
        for engine in ("espeak", "flite", "kokoro")
    }
    assert (splits["flite"], splits["kokoro"]) == ({Split.VAL, Split.TEST}, set(Split))
    assert Split.TRAIN in splits["espeak"]
    assert Split.VAL not in splits["espeak"], "a voice of an engine that is known tells nothing new"


def test_beside_a_held_out_engine_enough_voices_test() -> None:
    found = {
        (engine, str(number))
        for engine, count in (("espeak", 87), ("pico", 2), ("flite", 4), ("kokoro", 6))
        for number in range(count)
    }
    tested = [
        sum(split is Split.TEST for (engine, _), split in split_families(found, seed).items() if engine == "espeak")
        for seed in range(20)
    ]
    assert min(tested) >= 4, "five utterances were the whole test"


def test_several_families_of_an_engine_with_eight_validate() -> None:
    placed = split_families({("kokoro", str(number)) for number in range(8)}, 0)
    assert [list(placed.values()).count(split) for split in (Split.TRAIN, Split.VAL, Split.TEST)] == [5, 2, 1]


def test_the_seed_rotates_the_engine_that_is_held_out() -> None:
    found = {
        (engine, str(number))
        for engine, count in zip(ENGINES, (30, 4, 8, 2, 3), strict=True)
        for number in range(count)
    }
    chosen = {held_out_engines(found, seed) for seed in range(30)}
    assert chosen == {("flite",), ("nanotts",), ("piper",)}


def test_engines_by_name() -> None:
    found = {("espeak", "a"), ("espeak", "b"), ("espeak", "c"), ("flite", "d")}
    assert held_out_engines(found, 0, ()) == ()
    assert held_out_engines(found, 0, ("flite",)) == ("flite",)
    assert split_families(found, 0, ("flite",))[("flite", "d")] is Split.VAL
    with pytest.raises(
        ConfigError, match="held_out_engines names 'festival', but generated speech is by espeak, flite"
    ):
        held_out_engines(found, 0, ("festival",))
    with pytest.raises(ConfigError, match="names every engine"):
        held_out_engines(found, 0, ("espeak", "flite"))


# --- in a dataset -----------------------------------------------------------------------------------------------------


def spoken(root: Path, voices: dict[str, int], takes: int = 2) -> Path:
    """A corpus as mww-generate leaves it; two speakers of an engine are a family."""
    rows = []
    for engine, count in voices.items():
        for voice in range(count):
            for kind in ("positive", "negative/near_miss", "negative/sentences"):
                for take in range(takes):
                    path = Path(kind) / f"{engine}_{voice}" / f"{take}.wav"
                    (root / path).parent.mkdir(parents=True, exist_ok=True)
                    soundfile.write(
                        root / path,
                        np.random.default_rng([voice, take, len(kind)]).integers(-9000, 9000, 8000, dtype=np.int16),
                        16_000,
                    )
                    rows.append((path.as_posix(), engine, f"{engine}_{voice}", f"family{voice // 2}"))
    with (root / "generated.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "engine", "speaker", "family"), *rows])
    return root


def splits_of(ingestion: Ingestion) -> dict[str, set[Split]]:
    found: dict[str, set[Split]] = {}
    for record in ingestion.records:
        engine, voice = record.path.parent.name.split("_")
        found.setdefault(f"{engine}/{int(voice) // 2}", set()).add(record.split)
    return found


def by_name(records: tuple[SampleRecord, ...]) -> dict[str, Split]:
    return {str(record.path): record.split for record in records}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return spoken(tmp_path / "generated", {"espeak": 20, "flite": 4})


def test_without_people_voices_that_never_train_validate(corpus: Path) -> None:
    ingestion = load_recordings(folders((), (), [corpus]), 0, jobs=1)
    placed = splits_of(ingestion)
    assert all(len(splits) == 1 for splits in placed.values()), (
        "near misses and sentences are where the voice's words are"
    )
    assert all(placed[f"flite/{family}"] != {Split.TRAIN} for family in range(2))
    for label in (Label.POSITIVE, Label.NEGATIVE):
        assert {record.split for record in ingestion.records if record.label is label} == set(Split)
    assert (
        "synthetic voices validate and test: families that never train, and the engine flite whole"
        in ingestion.warnings[0]
    )
    assert "0.00 h without the wake word validate; that is little" in ingestion.warnings[0]


def test_folders_of_a_corpus_that_are_given_as_recordings_are_split_in_the_same_way(corpus: Path) -> None:
    whole = load_recordings(folders((), (), [corpus]), 0, jobs=1)
    parts = load_recordings(folders([corpus / "positive"], [corpus / "negative"]), 0, jobs=1)
    assert by_name(parts.records) == by_name(whole.records)


def test_more_clips_of_the_same_voices_move_nobody(corpus: Path) -> None:
    before = by_name(load_recordings(folders((), (), [corpus]), 0, jobs=1).records)
    after = by_name(
        load_recordings(folders((), (), [spoken(corpus, {"espeak": 20, "flite": 4}, takes=4)]), 0, jobs=1).records
    )
    assert len(after) == 2 * len(before)
    assert {path: after[path] for path in before} == before


def test_an_engine_by_name_and_none(corpus: Path) -> None:
    sources = folders((), (), [corpus])
    held = splits_of(load_recordings(sources, 0, jobs=1, held_out=("espeak",)))
    assert not any(Split.TRAIN in splits for name, splits in held.items() if name.startswith("espeak"))
    assert {split for name, splits in held.items() if name.startswith("flite") for split in splits} == {Split.TRAIN}
    none = splits_of(load_recordings(sources, 0, jobs=1, held_out=()))
    assert set().union(*(splits for name, splits in none.items() if name.startswith("espeak"))) == set(Split)


def test_with_people_generated_speech_trains_only(corpus: Path, tmp_path: Path) -> None:
    people, others = tmp_path / "people", tmp_path / "others"
    for number in range(12):
        for folder in (people / f"p{number}", others):
            folder.mkdir(parents=True, exist_ok=True)
            soundfile.write(
                folder / f"{number}.wav",
                np.random.default_rng(number).integers(-9000, 9000, 8000, dtype=np.int16),
                16_000,
            )
    records = load_recordings(folders([people], [others], [corpus]), 0, jobs=1).records
    assert {record.split for record in records if record.path.is_relative_to(corpus)} == {Split.TRAIN}


def recorded(root: Path, count: int) -> tuple[Path, Path]:
    """So many people with a recording each, and other sound."""
    for number in range(count):
        for folder in (root / "people" / f"p{number}", root / "others"):
            folder.mkdir(parents=True, exist_ok=True)
            sound = np.random.default_rng([number, len(folder.name)]).integers(-9000, 9000, 8000, dtype=np.int16)
            soundfile.write(folder / f"{number}.wav", sound, 16_000)
    return root / "people", root / "others"


def test_beside_people_no_family_stands_on_two_sides(corpus: Path, tmp_path: Path) -> None:
    people, others = recorded(tmp_path, 12)
    records = load_recordings(folders([people, corpus / "positive"], [others, corpus / "negative"]), 0, jobs=1).records
    spoken_ones = splits_of(
        Ingestion(tuple(record for record in records if record.path.is_relative_to(corpus)), (), ())
    )
    assert all(len(splits) == 1 for splits in spoken_ones.values())
    assert len(set().union(*spoken_ones.values())) > 1


def test_where_a_table_lets_all_people_train_synthetic_voices_validate(corpus: Path, tmp_path: Path) -> None:
    """A few recordings of one's own teach; of so few, none could say how well it went."""
    people, others = recorded(tmp_path, 2)
    table = tmp_path / "own.csv"
    table.write_text(
        "path,group,split\n" + "".join(f"people/p{number}/{number}.wav,p{number},train\n" for number in range(2))
    )
    alone = by_name(load_recordings(folders((), [others], [corpus]), 0, jobs=1).records)
    for sources in (
        folders([people], [others], [corpus], table),
        folders([people, corpus / "positive"], [others, corpus / "negative"], (), table),
    ):
        ingestion = load_recordings(sources, 0, jobs=1)
        found = by_name(ingestion.records)
        assert {path: found[path] for path in alone} == alone
        assert {split for path, split in found.items() if Path(path).is_relative_to(people)} == {Split.TRAIN}
        assert (
            "the splits table lets all people who say the wake word train, so synthetic voices validate"
            in ingestion.warnings[0]
        )


def test_a_figure_of_synthetic_words_chooses_among_synthetic_words_alone(corpus: Path, tmp_path: Path) -> None:
    people, others = recorded(tmp_path, 12)

    def check(positive: Path | None, negative: Path) -> Ingestion:
        paths = [
            f"paths.positive_dir={positive or '[]'}",
            f"paths.negative_dir={negative}",
            f"paths.generated_dir={corpus}",
        ]
        changes = [
            "export.wake_word=x",
            "training.maximization_metric=expected_recall",
            "augmentation.copies=0",
            *paths,
        ]
        return checked_recordings(load_config("fast_test", (), changes), tmp_path / "run", Silent(), jobs=1)

    assert check(None, others).records
    with pytest.raises(
        ConfigError, match="expected_recall, which only synthetic words have, but other words validate; give auto"
    ):
        check(people, others)


def test_a_pupil_stands_where_its_teacher_does() -> None:
    assert family_of("hibari", "kokoro_f4") == family_of("kokoro", "kokoro_f4") == ("kokoro", "kokoro_f4")
    assert family_of("hibari", "hibari_new") == ("hibari", "hibari_new")


def test_recorded_negatives_are_split_by_their_own_rules_beside_synthetic_words(corpus: Path, tmp_path: Path) -> None:
    others = tmp_path / "others"
    others.mkdir()
    for number in range(20):
        soundfile.write(
            others / f"{number}.wav", np.random.default_rng(number).integers(-9000, 9000, 8000, dtype=np.int16), 16_000
        )
    records = load_recordings(folders((), [others], [corpus]), 0, jobs=1).records
    assert {record.split for record in records if record.path.is_relative_to(others)} == set(Split)
    assert {record.split for record in records if record.label is Label.POSITIVE} == set(Split)


def test_a_flat_folder_of_samples_is_split_file_by_file(tmp_path: Path) -> None:
    for number in range(30):
        for folder in ("positive", "negative"):
            path = tmp_path / "spoken" / folder / f"{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(
                path,
                np.random.default_rng([number, len(folder), ord(folder[0])]).integers(
                    -9000, 9000, 8000, dtype=np.int16
                ),
                16_000,
            )
    records = load_recordings(folders((), (), [tmp_path / "spoken"]), 0, jobs=1).records
    assert {record.split for record in records if record.label is Label.POSITIVE} == set(Split)
