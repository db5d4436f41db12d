"""Splits: disjoint, stable under addition, independent of order; explicit tables and their errors."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.data.split import FRACTIONS, PlacedGroup, Split, Splitter, check_filled, read_splits, split_of
from trainer.data.stretches import stretches
from wakeword.errors import ConfigError

speakers = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=30)


@given(speakers, st.text(min_size=1, max_size=8), st.integers(0, 1 << 40))
def test_an_added_speaker_moves_nobody(names: list[str], added: str, seed: int) -> None:
    before = {name: Splitter(seed).place(Path("a.wav"), name) for name in names}
    after = {name: Splitter(seed).place(Path("b.wav"), name) for name in [added, *reversed(names)]}
    assert all(after[name] == before[name] for name in names)


@given(speakers, st.integers(0, 1000))
def test_a_speaker_is_in_one_split_whatever_the_file(names: list[str], seed: int) -> None:
    splitter = Splitter(seed)
    placed = {(name, splitter.place(Path(f"{number}.wav"), name)[1]) for name in names for number in range(3)}
    assert len(placed) == len(set(names))


def test_shares_are_as_asked_and_the_seed_matters() -> None:
    for fractions in (FRACTIONS, (0.5, 0.3, 0.2)):
        counts = Counter(split_of(f"speaker {number}", 3, fractions) for number in range(5000))
        assert [counts[split] for split in Split] == pytest.approx([5000 * share for share in fractions], abs=110)
    assert all(split_of(str(number), 3) is split_of(str(number), 3, (0.7, 0.15, 0.15)) for number in range(50))
    assert any(split_of(str(number), 3) is not split_of(str(number), 4) for number in range(50))


def test_the_hash_is_pinned() -> None:
    """Another hash would move speakers of existing datasets between versions."""
    assert [
        split_of(name, 0) for name in ("alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi")
    ] == PINNED


PINNED = ["train", "train", "train", "val", "train", "test", "test", "train"]


def placed_by(splitter: Splitter, names: list[str]) -> list[PlacedGroup]:
    return [PlacedGroup("positive", "speakers", name, splitter.place(Path("x.wav"), name)[1]) for name in names]


def test_an_empty_split_names_a_seed_that_fills_all() -> None:
    names = ["ann", "ben", "cleo", "dan"]
    seed = next(seed for seed in range(100) if len({split_of(name, seed) for name in names}) < 3)
    with pytest.raises(
        ConfigError, match=r"positive: none of 4 speakers is in .*--set training\.seed=\d+ fills all three"
    ) as caught:
        check_filled(placed_by(Splitter(seed), names), Splitter(seed))
    better = int(str(caught.value).split("seed=")[1].split()[0])
    check_filled(placed_by(Splitter(better), names), Splitter(better))


def test_two_speakers_cannot_fill_three_splits() -> None:
    with pytest.raises(ConfigError, match="at least three speakers"):
        check_filled(placed_by(Splitter(), ["ann", "ben"]), Splitter())


def table(folder: Path, *lines: str) -> Path:
    path = folder / "splits.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_table_goes_before_the_hash(tmp_path: Path) -> None:
    found = read_splits(table(tmp_path, "path,group,split,note", "a/1.wav,g1,val,x", "a/2.wav,g2,test,y"))
    splitter = Splitter(table=found)
    assert splitter.place(tmp_path / "a" / "1.wav", "folder") == ("g1", Split.VAL)
    assert splitter.place(tmp_path / "a" / ".." / "a" / "2.wav", "folder") == ("g2", Split.TEST)
    assert splitter.place(tmp_path / "new.wav", "g2") == ("g2", Split.TEST), "a new file of a listed group"
    assert splitter.place(tmp_path / "new.wav", "other") == ("other", split_of("other", 0))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["path,group", "a,b"], "no column 'split'"),
        (["path,group,split", "a.wav,g,validation"], "line 2.*train, val, test"),
        (["path,group,split", "a.wav,,val"], "line 2.*empty"),
        (["path,group,split", "a.wav,g,val", "a.wav,g,val"], "line 3.*twice"),
        (["path,group,split", "a.wav,g,val", "b.wav,g,test"], "line 3.*'g' stands in val and in test"),
        (
            ["path,group,split", '"e.wav#t=0,60",a,train', '"e.wav#t=50,90",b,test'],
            "line 3.*shares sound with line 2; a second of a recording has one split",
        ),
        (["path,group,split", "e.wav,a,train", '"e.wav#t=50,90",b,test'], "line 3.*shares sound with line 2"),
        (
            ["path,group,split", '"e.wav#t=0,60",a,train', '"e.wav#t=60,90",a,train', "e.wav,b,test"],
            "line 4.*shares sound with line 2",
        ),
    ],
)
def test_errors_of_a_table(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_splits(table(tmp_path, *lines))


def test_a_missing_table_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.csv"):
        read_splits(tmp_path / "none.csv")


def test_the_corpus_table_reads(corpus: Path) -> None:
    found = read_splits(corpus / "splits.csv")
    assert set(found.groups.values()) == set(Split)
    assert all(path.is_file() for path in list(found.files)[:50])


@pytest.mark.parametrize("order", [("val", "train"), ("train", "val")])
def test_in_the_table_of_a_run_what_trains_by_force_moves_nobody(tmp_path: Path, order: tuple[str, str]) -> None:
    rows = "".join(
        f"{split}.wav,ann,{split},positive,1.0,{sha256}\n" for split, sha256 in zip(order, ("0", "1"), strict=True)
    )
    (tmp_path / "recordings.csv").write_text(
        f"path,group,split,label,weight,sha256\n{rows}bob.wav,bob,train,positive,1.0,2\n"
    )
    table = read_splits(tmp_path / "recordings.csv")
    assert table.groups == {"ann": Split.VAL, "bob": Split.TRAIN}
    assert {path.stem: split for path, (_, split) in table.files.items()} == {
        "val": Split.VAL,
        "train": Split.TRAIN,
        "bob": Split.TRAIN,
    }
    (tmp_path / "splits.csv").write_text("path,group,split\na.wav,ann,val\nb.wav,ann,train\n")
    with pytest.raises(ConfigError, match="must be on one side"):
        read_splits(tmp_path / "splits.csv")
    (tmp_path / "recordings.csv").write_text(
        "path,group,split,label,weight,sha256\na.wav,ann,val,positive,1.0,0\nb.wav,ann,test,positive,1.0,1\n"
    )
    divided = read_splits(tmp_path / "recordings.csv")
    assert divided.groups == {}, "a person who was split by session has no split"
    assert sorted(divided.files.values()) == [("ann", Split.TEST), ("ann", Split.VAL)]


def test_a_seed_fills_the_splits_of_all_labels_at_once() -> None:
    words = ["ann", "ben", "cleo"]
    others = [
        PlacedGroup("negative", "recordings", f"negative/{name}", split_of(f"negative/{name}", 0)) for name in "abcd"
    ]
    stretches = [PlacedGroup("negative", "recordings", "negative/evening", split, fixed=True) for split in Split]
    for negatives in (others, stretches):
        placed = [*placed_by(Splitter(0), words), *negatives]
        with pytest.raises(ConfigError, match=r"training\.seed=") as caught:
            check_filled(placed, Splitter(0))
        better = Splitter(int(str(caught.value).split("seed=")[1].split()[0]))
        moved = [one if one.fixed else replace(one, split=split_of(one.group, better.seed)) for one in placed]
        check_filled(moved, better)


def test_a_table_may_list_parts_of_a_recording(tmp_path: Path) -> None:
    found = read_splits(
        table(tmp_path, "path,group,split", '"evening.flac#t=60,120",b,test', '"evening.flac#t=0,60",a,train')
    )
    parts = found.parts(tmp_path / "evening.flac")
    assert [(part.start, part.end) for part in parts] == [(0, 60), (60, 120)]
    assert [Splitter(table=found).place(part.path, "x") for part in parts] == [("a", Split.TRAIN), ("b", Split.TEST)]
    assert found.parts(tmp_path / "other.flac") == []


def test_fractions_divide_long_recordings_and_find_seeds() -> None:
    fractions = (0.5, 0.3, 0.2)
    seconds = dict.fromkeys(Split, 0)
    for start, stop, split in stretches("evening", 36_000, 1, fractions):
        seconds[split] += stop - start
    assert [seconds[split] / 36_000 for split in Split] == pytest.approx(fractions, abs=0.01)
    names = ["ann", "ben", "cid", "dora"]
    rule = next(
        rule
        for rule in (Splitter(seed, fractions=(0.1, 0.8, 0.1)) for seed in range(50))
        if len({rule.place(Path("a.wav"), name)[1] for name in names}) < 3
    )
    with pytest.raises(ConfigError) as caught:
        check_filled(placed_by(rule, names), rule)
    better = Splitter(int(str(caught.value).split("seed=")[1].split()[0]), fractions=rule.fractions)
    check_filled(placed_by(better, names), better)
