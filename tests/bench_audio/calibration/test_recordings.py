"""A recording that may be looked at, and one that may not."""

from __future__ import annotations

import numpy as np
import pytest

from bench_audio import signals
from bench_audio.calibration.recordings import check_recording, laid_over
from bench_audio.duplex import MicrophoneRecording
from wakeword.errors import InfrastructureError

RATE = 16_000
PLAYED = signals.pink_noise(2.0, RATE, -20, seed=1)


@pytest.mark.parametrize("late", [0, 1, 4321, 24_000])
def test_the_signal_is_found_at_its_sample(late: int) -> None:
    recorded = (
        np.concatenate([np.zeros(late), -0.1 * PLAYED, np.zeros(24_000 - late)]) + 0.2
    )  # turned over, and with an offset
    np.testing.assert_allclose(laid_over(PLAYED, recorded, "noise"), -0.1 * PLAYED + 0.2)


def test_a_signal_whose_end_was_not_recorded_is_refused() -> None:
    recorded = np.concatenate([np.zeros(RATE), PLAYED])[: PLAYED.size + RATE - 1]
    with pytest.raises(InfrastructureError, match="noise: the recording ends before the signal does"):
        laid_over(PLAYED, recorded, "noise")
    with pytest.raises(InfrastructureError, match="32000 samples were played and 31999 recorded"):
        laid_over(PLAYED, recorded[:31_999], "noise")


def test_other_sound_is_not_taken_for_the_signal() -> None:
    with pytest.raises(InfrastructureError, match="does not hear the loudspeaker"):
        laid_over(PLAYED, signals.pink_noise(3.0, RATE, -20, seed=2), "noise")


@pytest.mark.parametrize(("in_a_row", "clips"), [(2, False), (3, True)])
@pytest.mark.parametrize("sign", [1, -1])
def test_three_samples_in_a_row_at_full_scale_clip(in_a_row: int, clips: bool, sign: int) -> None:
    samples = np.full(100, 0.1, np.float32)
    samples[50 : 50 + in_a_row] = sign
    if clips:
        with pytest.raises(InfrastructureError, match="the microphone clips"):
            check_recording(MicrophoneRecording(samples, RATE), "noise")
    else:
        check_recording(MicrophoneRecording(samples, RATE), "noise")
