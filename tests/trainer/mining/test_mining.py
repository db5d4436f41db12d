"""Mining finds what the model wrongly accepts, once, and never in what validates or tests."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.trainer.evaluation.loudness import HEARD_SAMPLES, RATE, SLICES, LoudnessModel, write_bursts
from trainer.config.sections import HardNegativeMiningSection
from trainer.data.ingest import Label, SampleRecord, find_files
from trainer.data.mined import read_table, write_table
from trainer.data.split import Split
from trainer.mining import mine as mining_module
from trainer.mining import saving
from trainer.mining.mine import mine, mine_into
from trainer.mining.saving import STAGING
from trainer.mining.sources import choose_sources
from trainer.mining.windows import Stretch, accepted_stretches
from wakeword.audio import read_samples
from wakeword.corpus.recordings import hash_file
from wakeword.errors import ConfigError
from wakeword.part import Part
from wakeword.presentation import STREAM


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    return [
        write_bursts(tmp_path / "audio" / "a.wav", 12, {2.0: 0.9, 2.3: 0.95, 9.0: 0.85, 5.5: 0.5}, seed=1),
        write_bursts(tmp_path / "audio" / "b.wav", 6, {0.0: 0.99, 5.9: 0.97}, seed=2),
        write_bursts(tmp_path / "audio" / "c.wav", 4, {}, seed=3),
    ]


def into(
    folder: Path, model: LoudnessModel, sources: list[Path], limit: int = 100, threshold: float = 0.8
) -> mining_module.Mined:
    return mine_into(
        folder, model, sources, HardNegativeMiningSection(fp_threshold=threshold, max_samples=limit), SLICES
    )


def test_windows_above_the_threshold_most_confident_first_and_not_overlapping(sources: list[Path]) -> None:
    found, _ = mine(LoudnessModel(), sources, HardNegativeMiningSection(max_samples=100), SLICES)
    assert [(one.source.name, round(one.probability / 255, 1)) for one in found] == [
        ("b.wav", 1.0),
        ("b.wav", 1.0),
        ("a.wav", 0.9),
        ("a.wav", 0.8),
    ]
    for index, one in enumerate(found):
        assert not any(one.stretch.overlaps(other.stretch) for other in found[:index])
        burst = np.abs(read_samples(one.source)[one.stretch.start : one.stretch.end].astype(np.int32)).max()
        assert burst == pytest.approx(one.probability / 255 * 32767, rel=0.02)
        assert 0 <= one.stretch.start < one.stretch.end <= len(read_samples(one.source))
        assert one.stretch.end - one.stretch.start <= 480 + 49 * 160 + 0.75 * RATE


def test_taken_stretches_and_the_limit(sources: list[Path]) -> None:
    (stream,) = LoudnessModel().run_clips(sources[:1], lambda _: None)
    everything = accepted_stretches(stream, 0, 0.8, SLICES, 100)
    assert accepted_stretches(stream, 0, 0.8, SLICES, 1) == everything[:1]
    again = accepted_stretches(stream, 0, 0.8, SLICES, 100, [everything[0].stretch])
    assert not any(one.stretch.overlaps(everything[0].stretch) for one in again)
    assert everything[1] in again
    assert accepted_stretches(stream, 0, 0.8, SLICES, 100, [Stretch("another", 0, 10**9)]) == everything


def test_windows_of_a_joined_stream_belong_to_their_recording(sources: list[Path]) -> None:
    stream = LoudnessModel().stream(sources, STREAM)
    for index, recording in enumerate(stream.recordings):
        found = accepted_stretches(stream, index, 0.8, SLICES, 100)
        assert len(found) == (2, 2, 0)[index]
        assert all(one.source == recording.path and one.stretch.end <= recording.samples for one in found)


def test_clips_with_their_provenance(sources: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "hard_negative"
    mined = into(folder, LoudnessModel(), sources)
    assert (len(mined.clips), mined.total) == (4, 4)
    assert sorted(path.name for path in folder.iterdir()) == sorted(["mined.csv", *(clip.file for clip in mined.clips)])
    assert read_table(folder) == mined.clips
    for clip in mined.clips:
        np.testing.assert_array_equal(
            read_samples(folder / clip.file), read_samples(Path(clip.source))[clip.start_sample : clip.end_sample]
        )
        assert (clip.model_sha256, clip.threshold, clip.step) == ("loudness", 0.8, None)
        assert clip.window_end_sample is not None
        heard = read_samples(Path(clip.source))[: clip.window_end_sample][-HEARD_SAMPLES:]
        assert np.abs(heard.astype(np.int32)).max() == pytest.approx(clip.probability * 32767, rel=0.02), (
            "the window ends where the model was surest"
        )
    assert [clip.probability for clip in mined.clips] == sorted(
        (clip.probability for clip in mined.clips), reverse=True
    )
    assert [one.path.suffix for one in find_files(folder, Label.HARD_NEGATIVE).files] == [".wav"] * 4


def test_the_same_sound_is_never_mined_twice(sources: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "hard_negative"
    first = into(folder, LoudnessModel(), sources, limit=2)
    assert [Path(clip.source).name for clip in first.clips] == ["b.wav", "b.wav"]
    more = into(folder, LoudnessModel(sha256="a better one"), sources, limit=3)
    assert (len(more.clips), more.total) == (1, 3)
    # A clip that the user deleted is not mined again; its place is free for another.
    (folder / first.clips[0].file).unlink()
    last = into(folder, LoudnessModel(), sources, limit=5)
    assert [round(clip.probability, 1) for clip in last.clips] == [0.8]
    assert into(folder, LoudnessModel(), sources, limit=5).clips == ()
    # Another file with the same samples.
    import soundfile

    soundfile.write(tmp_path / "copy.flac", read_samples(sources[0]), RATE, subtype="PCM_16")
    assert into(folder, LoudnessModel(), [tmp_path / "copy.flac"], limit=50).clips == ()
    assert into(folder, LoudnessModel(), sources, limit=2).total == 3


def test_an_interrupted_mining_goes_on(sources: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mining_module, "RECORDINGS_PER_BATCH", 1)
    folder = tmp_path / "hard_negative"
    with pytest.raises(KeyboardInterrupt):
        into(folder, LoudnessModel(interrupt_after=2), sources)
    assert [path.name for path in folder.iterdir()] == [STAGING]
    assert find_files(folder, Label.HARD_NEGATIVE).files == ()
    with (folder / STAGING / "heard.jsonl").open("a") as file:
        file.write('{"sha256": "torn')
    model = LoudnessModel()
    mined = into(folder, model, sources)
    assert [path.name for path in model.heard_paths] == ["c.wav"]
    other = into(tmp_path / "undisturbed", LoudnessModel(), sources)
    assert [(clip.file, clip.start_sample) for clip in mined.clips] == [
        (clip.file, clip.start_sample) for clip in other.clips
    ]


def test_a_kill_between_table_and_clips_loses_nothing(
    sources: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "hard_negative"
    finish = saving.finish_staged
    with monkeypatch.context() as patch:
        patch.setattr(saving, "finish_staged", lambda folder, rows: finish(folder, rows[:1]) or 1 / 0)
        with pytest.raises(ZeroDivisionError):
            into(folder, LoudnessModel(), sources)
    assert len(read_table(folder)) == 4
    assert len(list(folder.glob("*.wav"))) == 1
    mined = into(folder, LoudnessModel(), sources)
    assert (len(mined.clips), mined.total) == (0, 4)
    assert len(list(folder.glob("*.wav"))) == 4


def test_a_broken_recording_is_told_of_and_the_others_are_mined(sources: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "audio" / "broken.wav"
    broken.write_bytes(b"RIFF")
    mined = into(tmp_path / "out", LoudnessModel(), [*sources, broken])
    assert [rejection.path for rejection in mined.rejections] == [broken]
    assert len(mined.clips) == 4
    with pytest.raises(ConfigError, match="no recording could be heard"):
        into(tmp_path / "none", LoudnessModel(), [broken])


def record(path: Path, label: Label, split: Split) -> SampleRecord:
    return SampleRecord(path, label, split, "somebody", 1.0, RATE)


def test_held_back_recordings_are_left_out_by_path_and_content(sources: list[Path], tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere.wav"
    copy.write_bytes(sources[1].read_bytes())
    twin = tmp_path / "twin.wav"
    twin.write_bytes(sources[2].read_bytes())
    mined = write_bursts(tmp_path / "out" / "mined.wav", 1, {}, seed=9)
    word = write_bursts(tmp_path / "word.wav", 1, {0.2: 0.9}, seed=8)
    records = [
        record(sources[0], Label.NEGATIVE, Split.VAL),
        record(sources[1], Label.NEGATIVE, Split.TEST),
        record(word, Label.POSITIVE, Split.TRAIN),
        record(sources[2], Label.NEGATIVE, Split.TRAIN),
        record(mined, Label.HARD_NEGATIVE, Split.TRAIN),
    ]
    chosen = choose_sources([*sources, copy, twin, mined, word], records, tmp_path / "out")
    assert chosen.usable == (sources[2],)
    assert [(one.path, one.reason.partition(" (")[0]) for one in chosen.refused] == [
        (sources[0], "validates the run"),
        (sources[1], "tests the run"),
        (copy, "tests the run"),
        (twin, f"the same content as {sources[2]}"),
        (mined, "was mined already"),
        (word, "holds the wake word"),
    ]
    with pytest.raises(ConfigError, match=r"nothing to mine: .*validates the run"):
        choose_sources(sources[:1], records)


def test_a_held_back_recording_that_was_moved_is_known_by_its_hash(sources: list[Path], tmp_path: Path) -> None:
    held = replace(record(sources[0], Label.NEGATIVE, Split.TEST), sha256=hash_file(sources[0]))
    moved = sources[0].rename(tmp_path / "moved.wav")
    chosen = choose_sources([moved, sources[1]], [held])
    assert chosen.usable == (sources[1],)
    assert [(one.path, one.reason) for one in chosen.refused] == [(moved, f"tests the run ({sources[0]})")]


def test_a_damaged_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mined.csv").write_text("file,clip_sha256\nx,y\n")
    with pytest.raises(ConfigError, match="damaged"):
        read_table(tmp_path)


def test_a_table_of_an_older_version_is_read(sources: list[Path], tmp_path: Path) -> None:
    mined = into(tmp_path / "out", LoudnessModel(), sources)
    table = tmp_path / "out" / "mined.csv"
    table.write_text("".join(f"{line.rsplit(',', 2)[0]}\n" for line in table.read_text().splitlines()))
    older = read_table(tmp_path / "out")
    assert [(row.file, row.window_end_sample, row.step) for row in older] == [
        (clip.file, None, None) for clip in mined.clips
    ]
    write_table(tmp_path / "out", older)
    assert read_table(tmp_path / "out") == older


def test_of_a_recording_that_was_split_by_stretches_those_that_train_are_mined(tmp_path: Path) -> None:
    evening = write_bursts(tmp_path / "evening.wav", 12, {2.0: 0.9, 7.0: 0.95, 11.0: 0.85})
    copy = tmp_path / "copies" / "other name.wav"
    copy.parent.mkdir()
    shutil.copy(evening, copy)
    parts = [(Part(evening, 0, 5), Split.TRAIN), (Part(evening, 6, 9), Split.VAL), (Part(evening, 10, 12), Split.TEST)]
    records = [
        SampleRecord(part.path, Label.NEGATIVE, split, "evening", 1.0, RATE, sha256=hash_file(evening))
        for part, split in parts
    ]
    for given in (evening, copy):
        found = choose_sources([given], records)
        assert found.usable == (Part(given, 0, 5).path,)
        assert [(one.path, one.reason) for one in found.refused] == [
            (Part(given, 6, 9).path, "validates the run"),
            (Part(given, 10, 12).path, "tests the run"),
        ]
    mined = into(tmp_path / "hard", LoudnessModel(), list(choose_sources([copy], records).usable))
    assert [clip.source for clip in mined.clips] == [str(Part(copy, 0, 5).path)]
    assert mined.clips[0].source_sha256 == hash_file(Part(copy, 0, 5).path)
    assert choose_sources([Part(evening, 1, 4).path], records).usable == (Part(evening, 1, 4).path,)
    for held_back in (Part(evening, 4, 7), Part(copy, 11, 12)):
        with pytest.raises(ConfigError, match=r"(validates|tests) the run"):
            choose_sources([held_back.path], records)
