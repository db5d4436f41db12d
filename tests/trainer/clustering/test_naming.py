"""Names of groups: a sorted dataset keeps its folders, new names collide with nothing."""

from __future__ import annotations

import pytest

from trainer.clustering.naming import check_speaker_name, folded, name_groups, present_folder
from trainer.data.ingest import Label
from wakeword.errors import ConfigError


def test_a_sorted_dataset_keeps_its_names() -> None:
    assert name_groups([0, 0, 1, 1, 2], ["ann", "ann", "ben", "ben", "cleo"], {"ann", "ben", "cleo"}, "speaker") == [
        "ann",
        "ben",
        "cleo",
    ]


def test_a_folder_of_many_voices_names_none_of_them() -> None:
    names = name_groups([0, 0, 1, 1, 2], ["unsorted"] * 5, {"unsorted"}, "speaker")
    assert names == ["speaker_001", "speaker_002", "speaker_003"]


def test_a_folder_is_kept_by_the_group_that_has_most_of_it() -> None:
    assert name_groups([0, 0, 0, 1, 1], ["ann", "ann", None, "ann", "ben"], {"ann", "ben"}, "speaker") == ["ann", "ben"]


def test_a_new_name_avoids_what_is_there() -> None:
    assert name_groups([0, 1], [None, None], {"speaker_001"}, "speaker") == ["speaker_002", "speaker_003"]
    assert name_groups([0, 1], ["Speaker_001", None], set(), "speaker") == ["Speaker_001", "speaker_002"]
    assert name_groups([0, 1], ["Ann", "ann"], set(), "speaker") == ["Ann", "speaker_001"], "one folder on some disks"
    assert name_groups([], [], set(), "speaker") == []


def test_folders_count_as_they_do_in_training() -> None:
    assert [present_folder(Label.POSITIVE, path) for path in ("a.wav", "ann/a.wav", "ann/deep/a.wav")] == [
        None,
        "ann",
        "ann",
    ]
    assert [present_folder(Label.NEGATIVE, path) for path in ("a.wav", "talk/ann/a.wav")] == [None, "ann"]


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "a\\b", " a", "a\n", "x" * 101, "a\0"])
def test_names_that_are_no_folder(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be a speaker's folder"):
        check_speaker_name(name, "list")


def test_folding_knows_case_and_accents() -> None:
    assert folded("JOS\u00c9") == folded("jose\u0301")
