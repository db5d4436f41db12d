"""The whole chain with no sound card and no board: loudspeaker, null sink, the virtual board's microphone, in real
time, through sounddevice on both ends.

On a machine that is busy the audio system loses sound by itself. That is no reason to fail: it must be found and be
void, and what is left must agree.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
import soxr
from numpy.typing import NDArray

from bench_audio.playback.resampling import Stage
from firmware.boards.board import Board, Player
from firmware.build import Firmware
from harness.air.player import AirPlayer
from harness.air.settings import AirSettings
from harness.results.device_records import AcousticsRecord
from harness.results.schema import Result, unpack_probabilities
from harness.session import measure as measuring
from harness.session.journal import sound_path
from harness.session.measure import measure
from harness.session.request import SessionRequest
from tests.spoken import Spoken, listed
from tests.virtual_audio import MICROPHONE, RATE_HZ, SPEAKER

pytestmark = [pytest.mark.slow, pytest.mark.realtime, pytest.mark.timeout(2400), pytest.mark.usefixtures("air")]

DRIFT_PPM = 50.0
INFERENCE_SLICES = 3
LEVEL_DB = -3.0


class Drift:
    """A microphone whose clock is fast."""

    def __init__(self, ppm: float) -> None:
        self._stream = soxr.ResampleStream(RATE_HZ, RATE_HZ * (1 + ppm * 1e-6), 1, np.float32, quality="VHQ")

    def process(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        converted: NDArray[np.float32] = self._stream.resample_chunk(samples)
        return converted


class Faults:
    """What may happen to sound on its way in, with no status flag anywhere: positions are those of the recording of the
    measured leg.
    """

    def __init__(self, lost: tuple[int, int], clipped: tuple[int, int], soft: tuple[int, int]) -> None:
        self.lost, self.clipped, self.soft = lost, clipped, soft
        self.position: int | None = None

    def process(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.position is None:
            return samples
        places = self.position + np.arange(len(samples))
        self.position += len(samples)
        samples = samples.copy()
        samples[(places >= self.clipped[0]) & (places < self.clipped[1])] *= 30
        samples[(places >= self.soft[0]) & (places < self.soft[1])] *= 10 ** (LEVEL_DB / 20)
        return samples[(places < self.lost[0]) | (places >= self.lost[1])]


class FaultyPlayer(AirPlayer):
    """Faults begin with the measured leg, the second stream; it also has nothing to play for three seconds once."""

    def __init__(
        self,
        settings: AirSettings,
        feed: Player | None,
        stages: list[Stage],
        faults: Faults | None,
        starve_at: int | None,
    ) -> None:
        super().__init__(settings, feed, stages)
        self.faults, self.starve_at = faults, starve_at
        self.streams = self.written = 0

    async def restart_stream(self, keep: Path | None = None) -> None:
        await super().restart_stream(keep)
        self.streams += 1
        self.written = 0

    async def play(self, samples: NDArray[np.int16]) -> None:
        if self.streams == 2 and self.written == 0 and self.faults is not None:
            self.faults.position = 0
        await super().play(samples)
        self.written += len(samples)
        if self.streams == 2 and self.starve_at is not None and self.written > self.starve_at:
            self.starve_at = None
            await asyncio.sleep(5)


@pytest.fixture
def request_of(
    official_models: Path, host_firmware: Firmware, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> SessionRequest:
    monkeypatch.setenv("MWW_LOCK_DIR", str(tmp_path / "locks"))
    boards = tmp_path / "boards.yaml"
    boards.write_text(
        f"boards:\n  - {{name: air, kind: virtual, speaker: {SPEAKER}, microphone: {MICROPHONE}, speaker_rate:"
        f" {RATE_HZ}, microphone_rate: {RATE_HZ}}}\n"
    )
    return SessionRequest(
        board="air",
        boards=boards,
        model=official_models / "alexa.json",
        firmware=host_firmware.folder,
        output=tmp_path / "session",
    )


def with_player(
    monkeypatch: pytest.MonkeyPatch, stages: list[Stage], faults: Faults | None = None, starve_at: int | None = None
) -> None:
    def open_player(board: Board, air: AirSettings) -> FaultyPlayer:
        return FaultyPlayer(air, board.feed(), stages, faults, starve_at)

    monkeypatch.setattr(measuring, "open_player", open_player)


def acoustics(result: Result) -> AcousticsRecord:
    assert result.session is not None
    (record,) = result.session.acoustics
    return record


def assert_agreed(result: Result) -> None:
    """Every detection that is not void has its partner within one inference of the simulation on the captured audio,
    and none was lost.
    """
    assert result.session is not None
    assert result.agreement is not None
    assert result.session.integrity.lost == 0
    assert result.session.integrity.ring_overflows == 0
    assert result.agreement.positions.largest_offset <= INFERENCE_SLICES
    assert not result.agreement.disagreements
    for device, simulated in zip(result.runs, result.simulation, strict=True):
        np.testing.assert_array_equal(
            unpack_probabilities(device.probabilities), unpack_probabilities(simulated.probabilities)
        )


def is_void(result: Result, start: int, stop: int) -> bool:
    """Whether samples of the recording are void; sections of the only leg follow one another."""
    assert result.session is not None
    assert result.session.legs == 1
    spans, begin = [], 0.0
    for run in result.runs:
        spans += [(begin + void.start, begin + void.end) for void in run.voids]
        begin += run.inferences_per_file[0] * 0.03
    return any(first * RATE_HZ <= start + 1600 and stop - 1600 <= last * RATE_HZ for first, last in spans)


def test_a_minute_agrees_and_drift_is_found(
    request_of: SessionRequest, spoken: Spoken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_player(monkeypatch, [Drift(DRIFT_PPM)])
    wake = listed(tmp_path / "wake.txt", spoken.words[:8])
    result = measure(SessionRequest(**(vars(request_of) | {"wake": (wake,)}))).result
    heard = acoustics(result)
    assert_agreed(result)
    assert heard.markers_heard == heard.markers_played == 2
    if not result.scores.void_seconds:
        assert heard.drift_ppm == pytest.approx(DRIFT_PPM, abs=2)
        assert result.agreement is not None
        assert result.agreement.positions.paired == result.agreement.utterances.both
        assert result.agreement.utterances.both == (
            8 if spoken.recorded else 6
        )  # of the first eight generated words the model itself finds six


def test_ten_minutes_with_drift_in_real_time(
    request_of: SessionRequest, spoken: Spoken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_player(monkeypatch, [Drift(DRIFT_PPM)])
    wake = listed(tmp_path / "wake.txt", spoken.words[:60])
    none = listed(tmp_path / "none.txt", spoken.speech[:26])
    result = measure(SessionRequest(**(vars(request_of) | {"wake": (wake,), "none": (none,)}))).result
    heard = acoustics(result)
    assert result.session is not None
    assert result.session.audio_seconds > 600
    assert_agreed(result)
    assert heard.residual_rms_ms is not None
    assert heard.residual_rms_ms < 1
    assert heard.drift_ppm == pytest.approx(DRIFT_PPM, abs=2)
    assert result.agreement is not None
    # Whatever this machine lost by itself is void; a machine that loses most of it tells nothing.
    if result.scores.void_utterances > 20:
        pytest.skip(
            f"this machine was too busy for real time: {result.scores.void_utterances} of 60 utterances are void"
        )
    assert result.agreement.positions.paired >= 60 - result.scores.void_utterances - 5


def test_injected_faults_are_found_and_void(
    request_of: SessionRequest, spoken: Spoken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = RATE_HZ
    # Within continuous speech, so that each of them meets sound.
    faults = Faults(
        lost=(25 * second, 25 * second + 700), clipped=(40 * second, 41 * second), soft=(55 * second, 60 * second)
    )
    with_player(monkeypatch, [faults], faults, starve_at=75 * second)
    speech = listed(tmp_path / "speech.txt", spoken.speech[:14])
    known = spoken.words[0]
    result = measure(SessionRequest(**(vars(request_of) | {"none": (speech,), "known_positive": known}))).result
    heard = acoustics(result)
    assert_agreed(result)
    assert heard.lost >= 1
    assert heard.clipped >= 1
    assert heard.level_faults >= 1
    assert heard.starved >= 1
    assert is_void(result, *faults.clipped)
    # What was lost is missing in the recording: what comes after it lies so much earlier.
    assert is_void(result, faults.lost[0], faults.lost[0] + 1)
    moved = faults.lost[1] - faults.lost[0]
    assert is_void(result, faults.soft[0] + second - moved, faults.soft[1] - second - moved)
    reasons = " ".join(void.reason for run in result.runs for void in run.voids)
    for words in ("of sound lost", "overdriven", "below the level of the session", "nothing to play"):
        assert words in reasons
    assert result.scores.void_seconds < 60
    assert sound_path(tmp_path / "session", 1).is_file()
