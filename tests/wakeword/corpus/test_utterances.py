"""Where a word ends is told from its sound, and not told where noise hides it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.spoken import AROUND_SECONDS, Spoken
from wakeword.audio import read_samples
from wakeword.contract import SAMPLE_RATE_HZ
from wakeword.corpus.utterances import known_utterance_end, utterance_end


def test_the_end_of_a_word_in_quiet_is_believed_and_right(generated_speech: Spoken) -> None:
    errors = []
    for path in generated_speech.words:
        samples = read_samples(path)
        end = known_utterance_end(samples)
        if end is not None:
            assert end == utterance_end(samples)
            errors.append((len(samples) - end) / SAMPLE_RATE_HZ - AROUND_SECONDS)
    assert len(errors) >= 0.9 * len(generated_speech.words)
    assert np.percentile(np.abs(errors), 90) < 0.06


def test_under_a_bed_of_noise_no_wrong_end_is_believed(generated_speech: Spoken) -> None:
    random = np.random.default_rng(0)
    believed = wrong = 0
    for path in generated_speech.words:
        word = read_samples(path).astype(float)
        margin = SAMPLE_RATE_HZ
        loud = np.sqrt(np.mean(word[word != 0] ** 2))
        bed = random.normal(0, loud * 10 ** (-4 / 20), len(word) + 2 * margin)  # a signal-to-noise ratio of 4 dB
        bed[margin : margin + len(word)] += word
        samples = np.clip(bed / 4, -32768, 32767).astype(np.int16)
        end = known_utterance_end(samples)
        truth = margin + len(word) - AROUND_SECONDS * SAMPLE_RATE_HZ
        believed += end is not None
        wrong += end is not None and abs(end - truth) > 0.3 * SAMPLE_RATE_HZ
    assert wrong == 0
    assert believed <= 6
    # Without the judgement the estimate is off by more than that.
    assert abs(utterance_end(samples) - truth) > 0.3 * SAMPLE_RATE_HZ


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(0, np.int16),
        np.zeros(16_000, np.int16),
        np.random.default_rng(1).normal(0, 900, 64_000).astype(np.int16),
    ],
)
def test_silence_and_noise_alone_have_no_end_to_believe(samples: NDArray[np.int16]) -> None:
    assert known_utterance_end(samples) is None
