"""How clips sound: whispers without a voice, formants, the place of a word in its sentence, and a file that says where
it is.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import wave
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.trainer.data.recognised import needs_recogniser
from trainer.data.clips import SHORTEST_SAMPLES, GeneratedClip, Word, finish_clip, read_clip, wav_bytes
from trainer.data.ingest import find_generated, ingest
from trainer.data.speech import espeak
from trainer.data.speech.engine import Speech
from trainer.data.speech.engines.espeak import EspeakEngine
from trainer.data.speech.manner import called, whispered
from trainer.data.speech.plan import POSITIVE, ClipPlan
from trainer.data.speech.speaking import speak, word_in
from trainer.data.speech.ways import ALONE, CALLED, IN_FLOW, WHISPERED
from wakeword.frontend import device_features

RATE = 16_000
PLAN = ClipPlan(
    0, POSITIVE, "alexa", 0, 5, "espeak", "en-us+f2", "espeak_f2", "espeak_f2", "en", ALONE, 1.0, 0.0, 1.0, -3.0, 3
)
FLOW = dataclasses.replace(PLAN, text="turn it off, alexa what time is it", word_from=13, word_to=18, way=IN_FLOW)


@cache
def spoken(plan: ClipPlan) -> GeneratedClip:
    clip = speak(EspeakEngine(), plan)
    assert clip is not None
    return clip


def voicing(samples: NDArray[np.int16]) -> float:
    """Median over the loud frames of the highest autocorrelation at 80 to 400 Hz: near 1 for a voice, low for noise."""
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(float), 640)[::320]
    loud = frames[np.std(frames, axis=1) > 0.3 * np.std(frames, axis=1).max()]
    return float(
        np.median([max(np.corrcoef(frame[:-lag], frame[lag:])[0, 1] for lag in range(40, 200)) for frame in loud])
    )


def centroid(samples: NDArray[np.int16]) -> float:
    power = np.abs(np.fft.rfft(samples.astype(float))) ** 2
    return float((power * np.fft.rfftfreq(len(samples), 1 / RATE)).sum() / power.sum())


def test_a_whisper_has_no_voice_and_the_same_sounds() -> None:
    voice, whisper = spoken(PLAN).samples, spoken(dataclasses.replace(PLAN, way=WHISPERED)).samples
    assert len(voice) == len(whisper)
    assert voicing(voice) > 0.8
    assert voicing(whisper) < 0.4
    bands = [device_features(samples).astype(float)[:, 12:] for samples in (voice, whisper)]
    shape = [one - one.mean(axis=1, keepdims=True) for one in bands]
    assert np.corrcoef(shape[0].ravel(), shape[1].ravel())[0, 1] > 0.6


def test_a_call_is_brighter() -> None:
    voice, call = spoken(PLAN).samples, spoken(dataclasses.replace(PLAN, way=CALLED)).samples
    assert len(voice) == len(call)
    assert centroid(call) > 1.3 * centroid(voice)


def test_formants_move_and_the_speech_keeps_its_length() -> None:
    tall, small = (spoken(dataclasses.replace(PLAN, formant=factor)).samples for factor in (0.87, 1.3))
    assert centroid(small) > 1.2 * centroid(tall)
    assert len(small) == pytest.approx(len(tall), rel=0.12)


@given(st.integers(0, 3000), st.integers(0, 2**31), st.sampled_from([whispered, called]))
def test_any_sound_keeps_its_length_and_the_same_seed_gives_the_same_samples(
    length: int, seed: int, change: object
) -> None:
    assert callable(change)
    sound = np.random.default_rng(length).standard_normal(length).astype(np.float32) / 4
    one, other = (change(sound, np.random.default_rng(seed)) for _ in range(2))
    assert one.dtype == np.float32
    assert len(one) == length
    assert np.isfinite(one).all()
    np.testing.assert_array_equal(one, other)
    assert not change(np.zeros(length, np.float32), np.random.default_rng(seed)).any(), "silence stays silent"


def test_espeak_says_where_words_begin_and_speaks_as_ever() -> None:
    speech = espeak.speak("hey there alexa what time is it", "en-us+f2", 1.0, 0.0, 3)
    assert speech.onsets == ((0, 0), (4, 4991), (10, 8967), (16, 17670), (21, 22427), (26, 29445), (29, 32645))
    assert hashlib.sha256(speech.samples.tobytes()).hexdigest()[:12] == "a17e7a7b0145"
    german = espeak.speak("Die Tür, alexa, über alles", "de", 1.0, 0.0, 3)
    assert [place for place, _ in german.onsets] == [0, 4, 9, 16, 21], "characters are counted, not bytes"


def test_a_word_in_flow_is_found_and_what_follows_is_cut() -> None:
    alone, flow = spoken(PLAN), spoken(FLOW)
    assert alone.word is None
    assert flow.word is not None
    assert flow.word.start is not None
    assert flow.word.end - flow.word.start == pytest.approx(len(alone.samples), rel=0.3)
    assert 0.3 * RATE - 1 <= len(flow.samples) - flow.word.end <= 0.6 * RATE + 1
    assert abs(int(flow.samples[-1])) < 50, "the cut does not click"
    after = np.abs(flow.samples[flow.word.end : flow.word.end + RATE // 10]).max()
    assert after > 300, "what follows comes without a pause"


def test_a_word_at_the_end_of_its_sentence_ends_with_the_clip() -> None:
    flow = spoken(dataclasses.replace(FLOW, text=FLOW.text[: FLOW.word_to]))
    assert flow.word is not None
    assert 0 <= len(flow.samples) - flow.word.end <= 0.02 * RATE


@needs_recogniser
def test_a_recogniser_finds_the_word_where_the_engine_does_not_mark_it() -> None:
    speech = EspeakEngine().synthesise(FLOW.text, FLOW.voice, 1.0, 0.0, FLOW.seed)
    marked, found = (word_in(one, FLOW) for one in (speech, dataclasses.replace(speech, onsets=())))
    assert marked is not None
    assert found is not None
    assert found.end == pytest.approx(marked.end, abs=0.1 * speech.sample_rate)
    german = dataclasses.replace(FLOW, language="de")
    assert word_in(dataclasses.replace(speech, onsets=()), german) is None, "no recogniser knows German"


def test_a_word_whose_end_is_not_certain_is_not_taken() -> None:
    speech = Speech(np.full(8000, 1000, np.int16), RATE, ((0, 0), (13, 4000), (24, 6000)))
    assert word_in(speech, FLOW) is None, "no mark where 'what' begins"
    assert word_in(dataclasses.replace(speech, onsets=((13, 4000), (19, 6000))), FLOW) == Word(4000, 6000)
    assert word_in(dataclasses.replace(speech, onsets=((13, 6000), (19, 4000))), FLOW) is None
    silent = dataclasses.replace(speech, samples=np.zeros(8000, np.int16), onsets=((13, 4000), (19, 6000)))
    assert word_in(silent, FLOW) is None
    last = dataclasses.replace(FLOW, text=FLOW.text[: FLOW.word_to])
    assert word_in(dataclasses.replace(speech, onsets=()), last) == Word(None, 8000), (
        "nothing follows, so its end is the end of the speech"
    )


@given(
    st.lists(st.integers(-32768, 32767), max_size=50),
    st.none() | st.tuples(st.none() | st.integers(0, 9), st.integers(0, 50)),
)
def test_a_file_says_where_its_word_is(values: list[int], place: tuple[int | None, int] | None) -> None:
    samples, word = np.array(values, np.int16), None if place is None else Word(*place)
    content = wav_bytes(samples, word)
    found = read_clip(content)
    assert found is not None
    np.testing.assert_array_equal(found.samples, samples)
    assert found.word == word
    with wave.open(io.BytesIO(content)) as reader:
        assert reader.readframes(reader.getnframes()) == samples.tobytes()
    assert not any(read_clip(content[:end]) for end in range(44 + 2 * len(samples))), "half a file is none"


def test_a_file_with_markers_is_a_recording(tmp_path: Path) -> None:
    clip = spoken(FLOW)
    path = tmp_path / "positive" / "me" / "1.wav"
    path.parent.mkdir(parents=True)
    path.write_bytes(wav_bytes(clip.samples, clip.word))
    found = ingest(find_generated(tmp_path), require_splits=False, jobs=1)
    assert not found.rejections
    assert found.records[0].duration == len(clip.samples) / RATE


def test_a_sound_is_never_shorter_than_a_recording_may_be() -> None:
    samples = finish_clip(Speech(np.full(900, 900, np.int16), RATE), -3.0).samples
    assert len(samples) == SHORTEST_SAMPLES
    assert not samples[900:].any()


def test_a_silent_engine_makes_an_empty_clip() -> None:
    assert not len(finish_clip(Speech(np.zeros(500, np.int16), RATE), -3.0).samples)
