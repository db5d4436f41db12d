"""A model whose probabilities a test can write down: it takes loud for the wake word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from wakeword import contract
from wakeword.audio import read_samples
from wakeword.corpus.recordings import hash_file
from wakeword.errors import ConfigError
from wakeword.part import file_of
from wakeword.presentation import CLIPS, Presentation
from wakeword.simulation.features import Progress
from wakeword.simulation.streams import PresentedStream, Recording, SimulatedStream

RATE = contract.SAMPLE_RATE_HZ
STRIDE = 3
SLICES = 50
"""A window of about half a second."""
HEARD_SAMPLES = RATE // 5
SETTINGS = [
    "export.wake_word=loud",
    "export.sliding_window_size=2",
    "hardware.clip_duration_ms=500",
    "model.first_conv_filters=6",
    "model.pointwise_filters=6,6",
    "model.mixconv_kernel_sizes=[3],[5]",
    "model.repeat_in_block=1,1",
    "model.residual_connection=0,0",
]


def write_bursts(path: Path, seconds: float, bursts: dict[float, float], seed: int = 0) -> Path:
    """A recording of quiet noise with loud 0.2 s at the given seconds; a burst's value is the probability
    that it gets."""
    rng = np.random.default_rng(seed)
    samples = rng.normal(0, 30, round(seconds * RATE))
    for moment, probability in bursts.items():
        start = round(moment * RATE)
        samples[start : start + HEARD_SAMPLES] = (
            probability * 32767 * np.sin(np.arange(HEARD_SAMPLES) * 0.3)[: len(samples) - start]
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples.clip(-32768, 32767).astype(np.int16), RATE, subtype="PCM_16")
    return path


@dataclass
class LoudnessModel:
    """The probability of an inference is the highest amplitude of the last 0.2 s."""

    form: str = "int8"
    sha256: str = "loudness"
    heard_paths: list[Path] = field(default_factory=list)
    interrupt_after: int | None = None

    def run(self, stream: PresentedStream) -> SimulatedStream:
        return self.stream([recording.path for recording in stream.recordings], stream.presentation)

    def run_clips(self, recordings: Sequence[Path], progress: Progress) -> list[SimulatedStream]:
        return [self.stream([path], CLIPS, progress) for path in recordings]

    def stream(
        self, paths: Sequence[Path], presentation: Presentation, progress: Progress = lambda _: None
    ) -> SimulatedStream:
        parts: list[NDArray[np.int16]] = [np.zeros(presentation.lead_in, np.int16)]
        recordings: list[Recording] = []
        for path in paths:
            if file_of(path).stat().st_size < 100:
                raise ConfigError(f"{path}: cannot be decoded")
            if self.interrupt_after is not None and len(self.heard_paths) >= self.interrupt_after:
                raise KeyboardInterrupt
            self.heard_paths.append(path)
            samples = read_samples(path)
            recordings.append(Recording(path, hash_file(path), len(samples), sum(map(len, parts))))
            parts += [samples, np.zeros(presentation.gap, np.int16)]
            progress(len(samples) / RATE)
        sound = np.abs(np.concatenate([*parts[:-1], np.zeros(presentation.tail, np.int16)]).astype(np.int32))
        slices = contract.slice_count(len(sound))
        ends = contract.WINDOW_SAMPLES + (np.arange(1, slices // STRIDE + 1) * STRIDE - 1) * contract.STEP_SAMPLES
        probabilities = np.array([sound[max(0, end - HEARD_SAMPLES) : end].max() for end in ends]) * 255 // 32767
        return SimulatedStream(tuple(recordings), presentation, slices, STRIDE, probabilities.astype(np.uint8))
