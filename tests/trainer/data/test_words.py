"""Where the wake word lies: by the markers of a generated clip, else by loudness; and that training hears the word
there.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from trainer.config.sections import AugmentationSection
from trainer.data.augment.chain import EFFECTS, Augmenter
from trainer.data.augment.features import augmented_clip
from trainer.data.augment.sounds import SoundBank, Sounds, store_backgrounds
from trainer.data.clips import Word, read_clip, wav_bytes, write_clip
from trainer.data.features import first_slice_after, positive_features
from trainer.data.ingest import Label, SampleRecord
from trainer.data.split import Split
from trainer.data.words import WordPlace, word_place
from trainer.evaluation.windows import word_ends_of
from wakeword.corpus.utterances import utterance_bounds
from wakeword.synthetic_speech import synthetic_speech

SENTENCE = synthetic_speech(2.0, 3)
QUIET = AugmentationSection.model_validate(dict.fromkeys(EFFECTS, 0.0) | {"SpeechBefore": 1, "SpeechAfter": 1})


def test_a_marked_word_is_where_its_file_says(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    write_clip(path, SENTENCE, Word(4000, 12_000))
    assert word_place(path, SENTENCE) == WordPlace(4000, 12_000, in_flow=True)
    write_clip(path, SENTENCE, Word(None, 12_000))
    place = word_place(path, SENTENCE)
    assert (place.end, place.in_flow) == (12_000, True)
    assert 0 <= place.start < 12_000
    write_clip(path, SENTENCE)
    assert word_place(path, SENTENCE) == WordPlace(*utterance_bounds(SENTENCE))
    assert not word_place(Path("part.flac#t=0,2"), SENTENCE).in_flow


def test_training_and_evaluation_hear_the_word_there(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    write_clip(path, SENTENCE, Word(4000, 12_000))
    record = SampleRecord(path, Label.POSITIVE, Split.TRAIN, "a", 2.0, 16_000)
    (features,) = positive_features([record], jobs=1)
    assert features.word_end == first_slice_after(24_000 + 12_000)
    assert word_ends_of([path], jobs=1)[0].sample == 12_000
    assert word_ends_of([path], jobs=1)[0].known
    soundfile.write(tmp_path / "talk.wav", synthetic_speech(3.0, 1), 16_000)
    talk = store_backgrounds([tmp_path / "talk.wav"], tmp_path / "store", jobs=1)
    placed = augmented_clip(
        Augmenter(QUIET, Sounds(SoundBank(), SoundBank(), talk)), record, SENTENCE, word_place(path, SENTENCE), 0, 0
    )
    assert placed.word_end is not None
    start = placed.word_end - 12_000
    np.testing.assert_array_equal(placed.samples[start:], SENTENCE[: 51_200 - start])
    assert not placed.samples[:start].any(), "what is in a sentence gets no other"


def test_markers_of_other_programs_are_no_words(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    for points in ([(7, 100)], [(1, 100)], [(1, 9000), (2, 100)], [(1, 1), (2, 200), (3, 300)], [(2, 10**6)], []):
        body = struct.pack("<I", len(points)) + b"".join(
            struct.pack("<II4sIII", name, at, b"data", 0, 0, at) for name, at in points
        )
        path.write_bytes(wav_bytes(SENTENCE) + struct.pack("<4sI", b"cue ", len(body)) + body)
        assert not word_place(path, SENTENCE).in_flow
    path.write_bytes(wav_bytes(SENTENCE, Word(10, 2000)))
    assert not word_place(path, SENTENCE[:1000]).in_flow, "samples of another rate"


@given(
    st.binary(max_size=80),
    st.sampled_from([b"", b"RIFF", wav_bytes(np.ones(9, np.int16))[:44], wav_bytes(np.ones(9, np.int16)) + b"cue "]),
)
def test_no_content_of_a_file_is_a_fault(content: bytes, before: bytes) -> None:
    clip = read_clip(before + content)
    assert clip is None or clip.samples.dtype == np.int16


@pytest.mark.parametrize("name", ["gone.wav", "gone.flac"])
def test_a_file_that_is_gone_is_found_by_its_sound(name: str, tmp_path: Path) -> None:
    assert word_place(tmp_path / name, SENTENCE) == WordPlace(*utterance_bounds(SENTENCE))
