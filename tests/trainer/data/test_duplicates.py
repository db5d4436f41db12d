"""Duplicates: copies that were made are found, other recordings are not, and the report says which splits
they cross."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from trainer.data import duplicates
from trainer.data.duplicates import (
    FRAME_SAMPLES,
    WINDOW_SAMPLES,
    AudioPrint,
    Likeness,
    audio_print,
    duplicate_summary,
    find_duplicates,
    write_duplicates,
)
from trainer.data.ingest import Label, SampleRecord
from trainer.data.split import Split

Samples = NDArray[np.float64]


def speechlike(seed: int, seconds: float = 2.0) -> Samples:
    """Syllables of noise with changing formants over a falling spectrum, with pauses; full scale is 1."""
    generator = np.random.default_rng(seed)
    parts: list[Samples] = [np.zeros(1600)]
    while sum(map(len, parts)) < seconds * 16_000:
        length = int(generator.integers(1600, 4000))
        spectrum = np.fft.rfft(generator.normal(0, 1, length))
        frequencies = np.fft.rfftfreq(length, 1 / 16_000)
        formants = sum(np.exp(-(((frequencies - generator.uniform(200, 5000)) / 300) ** 2)) for _ in range(3))
        shape = formants + 0.3 / (1 + frequencies / 2000)
        sound = np.fft.irfft(spectrum * shape, length) * np.hanning(length)
        parts += [0.3 * sound / np.abs(sound).max(), np.zeros(int(generator.integers(200, 2000)))]
    return np.concatenate(parts)[: round(seconds * 16_000)]


def with_noise(samples: Samples, ratio_db: float) -> Samples:
    level = float(np.sqrt(np.mean(samples**2))) * 10 ** (-ratio_db / 20)
    return samples + np.random.default_rng(5).normal(0, level, len(samples))


def record(path: Path, samples: Samples, split: Split = Split.TRAIN, subtype: str | None = None) -> SampleRecord:
    pcm = np.rint(samples * 32767).clip(-32768, 32767).astype(np.int16)
    soundfile.write(path, pcm, 16_000, subtype, format="OGG" if path.suffix == ".opus" else None)
    return SampleRecord(path, Label.NEGATIVE, split, path.stem, len(samples) / 16_000, 16_000)


CHANGES: dict[str, Callable[[Samples], Samples]] = {
    "quieter": lambda samples: samples * 0.1,
    "half a second earlier": lambda samples: np.concatenate([np.zeros(8000), samples]),
    "cut by 0.305 s": lambda samples: samples[4880:],
    "cut at both ends": lambda samples: samples[4000:-4000],
    "25 dB of noise": lambda samples: with_noise(samples, 25),
    "all of it": lambda samples: with_noise(samples[4000:] * 0.3, 25),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found_among_others(tmp_path: Path, change: str) -> None:
    original = speechlike(0)
    records = [record(tmp_path / f"other{seed}.wav", speechlike(seed)) for seed in range(1, 8)]
    records += [
        record(tmp_path / "original.wav", original),
        record(tmp_path / "copy.wav", CHANGES[change](original), Split.TEST),
    ]
    report = find_duplicates(records, jobs=1)
    (pair,) = report.pairs
    assert {pair.first.path.stem, pair.second.path.stem} == {"original", "copy"}
    assert pair.likeness is Likeness.NEAR
    assert pair.similarity > 0.65
    assert pair.crosses
    assert report.crossing == report.pairs


@pytest.mark.parametrize(("name", "subtype"), [("a.opus", "OPUS"), ("a.ogg", "VORBIS"), ("a.flac", None)])
def test_a_re_encoded_copy_is_found(tmp_path: Path, name: str, subtype: str | None) -> None:
    records = [record(tmp_path / "a.wav", speechlike(0)), record(tmp_path / name, speechlike(0), subtype=subtype)]
    (pair,) = find_duplicates(records, jobs=1).pairs
    assert pair.likeness is (Likeness.EXACT if name == "a.flac" else Likeness.NEAR)


def test_the_offset_is_how_much_later_the_second_begins(tmp_path: Path) -> None:
    whole = speechlike(0)
    records = [record(tmp_path / "whole.wav", whole), record(tmp_path / "cut.wav", whole[8000:])]
    assert find_duplicates(records, jobs=1).pairs[0].offset_s == 0.5
    assert find_duplicates(records[::-1], jobs=1).pairs[0].offset_s == -0.5


def test_a_piece_of_a_long_recording_is_found(tmp_path: Path) -> None:
    long = np.concatenate([speechlike(seed, 3.0) for seed in range(20)])
    records = [record(tmp_path / "long.wav", long), record(tmp_path / "piece.wav", long[400_077:430_000])]
    (pair,) = find_duplicates(records, jobs=1).pairs
    assert pair.offset_s == pytest.approx(400_077 / 16_000, abs=0.01)


def test_exact_copies_are_all_named_and_share_their_near_ones(tmp_path: Path) -> None:
    sound = speechlike(0)
    records = [
        record(tmp_path / "a.wav", sound),
        record(tmp_path / "b.flac", sound, Split.TEST),
        record(tmp_path / "c.wav", sound),
        record(tmp_path / "near.wav", sound * 0.5, Split.VAL),
    ]
    report = find_duplicates(records, jobs=1)
    found = {(pair.first.path.name, pair.second.path.name): pair.likeness for pair in report.pairs}
    exact = dict.fromkeys([("a.wav", "b.flac"), ("a.wav", "c.wav"), ("b.flac", "c.wav")], Likeness.EXACT)
    near = dict.fromkeys([("a.wav", "near.wav"), ("b.flac", "near.wav"), ("c.wav", "near.wav")], Likeness.NEAR)
    assert found == exact | near
    assert [pair.crosses for pair in report.pairs] == [True] * 5 + [False]


def test_silence_tones_and_clips_that_are_too_short_are_like_nothing(tmp_path: Path) -> None:
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(32_000) / 16_000)
    records = [
        record(tmp_path / "silence.wav", np.zeros(32_000)),
        record(tmp_path / "longer.wav", np.zeros(32_001)),
        record(tmp_path / "short.wav", speechlike(0)[:1000]),
        record(tmp_path / "shorter.wav", speechlike(0)[:999]),
        record(tmp_path / "tone.wav", tone),
        record(tmp_path / "noise.wav", with_noise(tone, -30) / 40),
    ]
    assert find_duplicates(records, jobs=1).pairs == ()


def test_an_unreadable_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    bad = SampleRecord(tmp_path / "bad.wav", Label.NEGATIVE, Split.TRAIN, "a", 1.0, 16_000)
    records = [record(tmp_path / "a.wav", speechlike(0)), bad, record(tmp_path / "b.wav", speechlike(0))]
    report = find_duplicates(records, jobs=2)
    assert [rejection.path for rejection in report.unreadable] == [bad.path]
    assert report.recordings == 3
    assert len(report.pairs) == 1


def test_nothing_to_compare() -> None:
    report = find_duplicates([], jobs=1)
    assert report.pairs == ()
    assert duplicate_summary(report) == ""


def test_the_report_is_written_and_summed_up(tmp_path: Path) -> None:
    records = [record(tmp_path / "a.wav", speechlike(0)), record(tmp_path / "b.wav", speechlike(0)[160:], Split.TEST)]
    report = find_duplicates(records, jobs=1)
    write_duplicates(report, tmp_path / "duplicates.csv")
    (row,) = csv.DictReader((tmp_path / "duplicates.csv").read_text().splitlines())
    assert row["crosses"] == "yes"
    assert row["likeness"] == "near"
    assert row["offset_s"] == "0.01"
    assert (row["first_split"], row["second_split"]) == ("train", "test")
    assert duplicate_summary(report).startswith(
        f"1 pair of recordings in different splits hold the same sound, first {records[0].path} (train)"
    )


def test_a_print_does_not_depend_on_how_a_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = record(tmp_path / "a.wav", speechlike(3, 7.0))
    whole = audio_print(one.path)
    samples, _ = soundfile.read(one.path, dtype="int16")
    monkeypatch.setattr(duplicates, "stream_samples", lambda _: iter(np.array_split(samples, 300)))
    parts = audio_print(one.path)
    assert parts.digest == whole.digest
    for name in ("bits", "weak", "active"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))
    assert len(whole.bits) == (7 * 16_000 - WINDOW_SAMPLES) // FRAME_SAMPLES


@given(st.integers(0, 2**31), st.integers(2, 6), st.integers(1, 60))
@settings(max_examples=30)
def test_votes_are_those_of_all_pairs_of_frames(seed: int, recordings: int, frames: int) -> None:
    """Against two plain loops over frames: equal after any of one frame's three weak bits are flipped, for every
    direction.
    """
    generator = np.random.default_rng(seed)
    prints = [
        AudioPrint(
            "",
            generator.integers(0, 64, frames).astype(np.uint32),
            np.array([generator.permutation(6)[:3] for _ in range(frames)], np.uint8),
            generator.random(frames) < 0.8,
        )
        for _ in range(recordings)
    ]
    expected: dict[tuple[int, int, int], int] = {}
    for first, one in enumerate(prints):
        for second, other in enumerate(prints):
            for here in np.flatnonzero(one.active):
                for there in np.flatnonzero(other.active):
                    different = int(one.bits[here] ^ other.bits[there])
                    if first != second and different & ~sum(1 << int(bit) for bit in one.weak[here]) == 0:
                        shift = int(here - there)
                        key = (first, second, shift) if first < second else (second, first, -shift)
                        expected[key] = expected.get(key, 0) + 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "MOST_ALIKE", 1000)
        keys, votes = duplicates._votes(prints)
    found = {
        (int(key >> 43), int(key >> 23 & (1 << 20) - 1), int(key & (1 << 23) - 1) - (1 << 22)): int(count)
        for key, count in zip(keys, votes, strict=True)
    }
    assert found == expected


@pytest.mark.corpus
def test_precision_and_recall_on_real_recordings(corpus: Path, tmp_path: Path) -> None:
    """Made copies of real clips of people saying the same few words: found, and no others (119 of 120, and 121 of 121,
    when this was written).
    """
    names = [
        path
        for folder in ("alexa", "computer", "speech_speechocean762", "noise_esc10")
        for path in sorted((corpus / folder).glob("*.flac"))[:120:4]
    ]
    originals, copies = [], []
    changes = list(CHANGES.values())
    for number, path in enumerate(names):
        samples, _ = soundfile.read(path)
        originals.append(SampleRecord(path, Label.NEGATIVE, Split.TRAIN, path.parent.name, 1.0, 16_000))
        if number % 7 == 6:
            copies.append(record(tmp_path / f"{number}.opus", samples, Split.TEST, "OPUS"))
        else:
            copies.append(record(tmp_path / f"{number}.wav", changes[number % 7](samples), Split.TEST))
    report = find_duplicates([*originals, *copies], jobs=2)
    found = {(pair.first.path, pair.second.path) for pair in report.crossing}
    made = {(one.path, other.path) for one, other in zip(originals, copies, strict=True)}
    own = {(pair.first.path, pair.second.path) for pair in find_duplicates(originals, jobs=2).pairs}
    related = {(one, copies[names.index(other)].path) for pair in own for one, other in (pair, pair[::-1])}
    recall = len(found & made) / len(made)
    precision = len(found & (made | related)) / len(found)
    assert recall >= 0.95
    assert precision >= 0.98


@pytest.mark.corpus
def test_recordings_that_the_corpus_really_holds_twice(corpus: Path) -> None:
    """The same utterance under two names, of which the corpus's splits have one in train and one in val."""
    names = (
        "notwakeword-en-1c54f75b-0415-4813-954e-5b834c1254d9",
        "notwakeword-en-58b8c7f8-5cbe-45ad-aea6-72af624dd4a3",
    )
    records = [
        SampleRecord(corpus / "speech_precise" / f"{name}.flac", Label.NEGATIVE, Split.TRAIN, name, 1.0, 16_000)
        for name in names
    ]
    (pair,) = find_duplicates(records, jobs=1).pairs
    assert pair.similarity > 0.9
