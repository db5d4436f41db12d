"""Clips that come into a dataset: takes of a microphone and files, checked, named and written with their origin."""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from studio.gallery import moves
from studio.gallery.adding import Added, add_files, add_samples, trimmed
from studio.gallery.places import free_path
from studio.gallery.provenance import Origin, origins
from tests.studio.gallery import tone, write_dataset
from trainer.data.clips import wav_bytes
from trainer.data.grouping import grouped
from trainer.data.ingest import Label, find_files
from wakeword.audio import read_samples
from wakeword.errors import ConfigError
from wakeword.files import write_atomically


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "dataset")


def test_two_imports_of_one_file_name_at_once_are_both_there(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both look for a free name before either has put its file there, if nothing keeps them apart."""
    from studio.gallery import adding

    real, both, done = free_path, threading.Barrier(2), threading.Event()

    def free(folder: Path, stem: str, suffix: str) -> Path:
        path = real(folder, stem, suffix)
        if not done.is_set():
            with contextlib.suppress(threading.BrokenBarrierError):
                both.wait(1.0)  # the other one comes here too where nothing keeps it away
        done.set()
        return path

    monkeypatch.setattr(adding, "free_path", free)
    added: list[Added] = []
    threads = [
        threading.Thread(
            target=lambda sound: added.extend(
                add_files(dataset, [("clip.wav", io.BytesIO(wav_bytes(sound)))], Label.NEGATIVE, "bob")
            ),
            args=(tone(0.5 + number),),
        )
        for number in range(2)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert sorted(one.name for one in added) == ["negative/bob/clip-2.wav", "negative/bob/clip.wav"]
    lengths = {len(read_samples(dataset / one.name)) for one in added}
    assert lengths == {len(tone(0.5)), len(tone(1.5))}
    assert {row["file"] for row in origins(dataset).values()} == {one.name for one in added}


def test_of_many_files_the_folder_is_looked_through_and_the_table_written_once(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from studio.gallery import adding, provenance

    looked: list[str] = []
    wrote: list[str] = []
    real_known, real_write = Path.rglob, write_atomically

    def known(self: Path, pattern: str) -> Iterator[Path]:
        looked.append(self.name)
        return real_known(self, pattern)

    def write(path: Path, content: str | bytes) -> None:
        wrote.append(path.name)
        real_write(path, content)

    monkeypatch.setattr(Path, "rglob", known)
    monkeypatch.setattr(provenance, "write_atomically", write)
    files = [(f"{number}.wav", io.BytesIO(wav_bytes(tone(0.5 + number / 10)))) for number in range(5)]
    files += [("again.wav", io.BytesIO(wav_bytes(tone(0.5)))), ("notes.txt", io.BytesIO(b"x"))]
    added = adding.add_files(dataset, files, Label.NEGATIVE, "bob")
    assert [one.refused for one in added] == [
        *[""] * 5,
        "is there already, as negative/bob/0.wav",
        ".txt is not a known kind of audio file",
    ]
    assert (len(looked), wrote) == (4, ["recordings.csv"])
    assert sorted(path.name for path in dataset.iterdir() if path.name.startswith(".adding")) == []


def test_a_take_becomes_a_clip_with_its_origin(dataset: Path) -> None:
    origin = Origin("microphone", take="far", source="USB mic", source_rate_hz=48_000, detected=True, average=0.97)
    added = add_samples(dataset, tone(1.2), Label.POSITIVE, "Anna B", "far", origin)
    assert not added.refused
    assert added.name.startswith("positive/Anna B/far_")
    np.testing.assert_array_equal(read_samples(dataset / added.name), tone(1.2))
    row = next(row for row in origins(dataset).values() if row["file"] == added.name)
    assert (row["how"], row["take"], row["detected"], row["average"]) == ("microphone", "far", "yes", "0.97")
    moved = moves.relabel(dataset, added.name, Label.NEGATIVE, "")
    from wakeword.corpus.recordings import hash_file

    assert hash_file(dataset / moved.after) in origins(dataset)


def test_takes_of_one_person_are_sessions_of_their_own(dataset: Path) -> None:
    """Takes lie side by side in the speaker's folder: of one speaker they are split file by file."""
    for number in range(3):
        add_samples(dataset, tone(0.8 + number / 10), Label.POSITIVE, "anna", "near", Origin("microphone"))
    found = find_files(dataset / "positive/anna", Label.POSITIVE)
    assert len({file.group for file in grouped(found.files)}) == 4


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.zeros(8000, np.int16), "silent"),
        (tone(0.1), "too short"),
        (tone(11), "too long"),
        (np.full(8000, 32767, np.int16), "clipped"),
    ],
)
def test_what_the_trainer_would_reject_is_refused_with_its_reason(
    dataset: Path, samples: np.ndarray, reason: str
) -> None:
    before = sorted(dataset.rglob("*"))
    added = add_samples(dataset, samples, Label.POSITIVE, "anna", "near", Origin("microphone"))
    assert reason in added.refused
    assert sorted(dataset.rglob("*")) == before


def test_files_are_imported_as_they_are(dataset: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.flac"
    soundfile.write(path, tone(0.7), 44_100)

    def add_file(name: str, content: bytes, label: Label = Label.NEGATIVE) -> Added:
        (added,) = add_files(dataset, [(name, io.BytesIO(content))], label, "")
        return added

    added = add_file("C:\\My sounds\\../Küche nachts!.FLAC", path.read_bytes())
    assert added.name == "negative/Küche_nachts.flac"
    assert (dataset / added.name).read_bytes() == path.read_bytes()
    assert [row["source_rate_hz"] for row in origins(dataset).values()] == ["44100"]
    twin = add_file("again.flac", path.read_bytes())
    assert twin.refused == "is there already, as negative/Küche_nachts.flac"
    assert add_file("a.txt", b"x").refused == ".txt is not a known kind of audio file"
    assert "cannot be read" in add_file("a.wav", b"x" * 99).refused
    with pytest.raises(ConfigError, match="who speaks"):
        add_file("a.wav", wav_bytes(tone()), Label.POSITIVE)


def test_a_take_is_trimmed_to_its_word() -> None:
    noise = np.random.default_rng(0).normal(0, 20, 16_000 * 4).astype(np.int16)
    noise[32_000:40_000] += tone(0.5)
    cut = trimmed(noise)
    assert 0.8 * 16_000 < len(cut) < 1.5 * 16_000
