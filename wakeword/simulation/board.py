"""The simulated board at work: what it is given to hear, and what it gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wakeword import contract
from wakeword.audio import probe
from wakeword.corpus.recordings import find_recordings
from wakeword.detector import Detection
from wakeword.device_model import DeviceModel
from wakeword.engines import open_engine
from wakeword.engines.litert import engine_words
from wakeword.errors import ConfigError
from wakeword.noise_floor import checked_noise_floor, noise_words
from wakeword.presentation import CLIPS, SESSION, STREAM, Mode, Presentation
from wakeword.simulation.features import Progress
from wakeword.simulation.simulate import Options, simulate, unwatched
from wakeword.simulation.streams import Recording, SimulatedStream


@dataclass(frozen=True, repr=False)
class Simulation:
    """What a model gave on recordings. `detections[i]` are those of `streams[i]`."""

    model: DeviceModel
    presentation: Presentation
    streams: tuple[SimulatedStream, ...]
    detections: tuple[tuple[Detection, ...], ...]
    engine: str
    note: str
    """Why the reference engine was used although it was not asked for; empty otherwise."""

    @property
    def title(self) -> str:
        """The wake word, that this is a simulation, whose kernels and what noise of a microphone are in it, and where
        it decides.
        """
        point, step = self.model.point, self.model.manifest.micro.feature_step_size
        noise = noise_words(self.presentation.noise_floor_dbfs)
        what = (self.model.manifest.wake_word, "simulated", engine_words(self.engine), noise)
        title = (
            f"{', '.join(filter(None, what))}: cutoff {point.probability_cutoff:g} ({point.cutoff}/255), window"
            f" {point.window}"
        )
        return title + (f", step {step} ms" if step != contract.STEP_MS else "")

    @property
    def detected(self) -> list[tuple[Recording, Detection]]:
        """Each detection with the recording that was heard last; silence belongs to the recording before it."""
        pairs = zip(self.streams, self.detections, strict=True)
        return [
            (stream.recordings[stream.recording_at(one.slice_index)], one)
            for stream, detections in pairs
            for one in detections
        ]

    def __repr__(self) -> str:
        recordings, detections = sum(len(stream.recordings) for stream in self.streams), sum(map(len, self.detections))
        return f"<{self.title}: recordings {recordings}, detections {detections}>"


def choose_recordings(sources: Sequence[Path], resample: bool) -> tuple[list[Path], float]:
    """Recordings to present, and their length in seconds as their headers state it.

    The device hears 16 kHz mono. Converting is a choice that moves bits, so anything else is refused unless `resample`.
    Raises `ConfigError` for that, for a missing file and for one that cannot be read.
    """
    paths = find_recordings(sources)
    return paths, check_recordings(paths, resample, "pass --resample to convert such recordings")


def check_recordings(paths: Sequence[Path], resample: bool, remedy: str) -> float:
    """The length of recordings in seconds as their headers state it. Raises `ConfigError` as `choose_recordings` does,
    with what to do about another rate in the caller's words.
    """
    seconds = 0.0
    for path in paths:
        info = probe(path)
        if not resample and (info.sample_rate, info.channels) != (contract.SAMPLE_RATE_HZ, 1):
            what = f"{info.sample_rate} Hz, {info.channels} channel{'s' if info.channels != 1 else ''}"
            raise ConfigError(f"{path}: {what}, but the device hears 16000 Hz mono; {remedy}")
        seconds += info.seconds
    return seconds


def choose_presentation(
    mode: Mode,
    lead_in: float | None,
    tail: float | None,
    gap: float | None,
    step_ms: int,
    noise_floor_dbfs: float | None = None,
) -> Presentation:
    """The layout of a mode at the model's step, with what was given in place of the usual silence.

    Args:
        mode: Which layout.
        lead_in: Seconds before the first recording; None for the mode's, as of the next two.
        tail: Seconds after the last one.
        gap: Seconds between recordings.
        step_ms: From feature slice to slice, the manifest's `feature_step_size`.
        noise_floor_dbfs: Level of the microphone's noise, see `wakeword.noise_floor`; None adds none.

    Returns the layout. Raises `ConfigError` for seconds or a level out of range, and for seconds that the mode does not
    have.
    """
    given = {"--lead-in": lead_in, "--tail": tail, "--gap": gap}
    foreign = [
        name
        for name in {"clips": ("--gap",), "stream": ("--lead-in", "--tail"), "session": tuple(given)}[mode]
        if given[name] is not None
    ]
    if foreign:
        raise ConfigError(f"{foreign[0]} has no meaning in --mode {mode}; leave it out or change the mode")
    for name, seconds in given.items():
        if seconds is not None and not 0 <= seconds <= 3600:
            raise ConfigError(f"{name} {seconds:g}: give seconds from 0 to 3600")
    usual = {"clips": CLIPS, "session": SESSION, "stream": STREAM}[mode].at_step(step_ms)
    defaults = (usual.lead_in_seconds, usual.tail_seconds, usual.gap_seconds)
    before, after, between = (
        default if seconds is None else seconds for default, seconds in zip(defaults, given.values(), strict=True)
    )
    return Presentation(mode, before, after, between, checked_noise_floor("--noise-floor", noise_floor_dbfs))


def hear(
    model: DeviceModel,
    recordings: Sequence[Path],
    presentation: Presentation,
    options: Options,
    progress: Progress = unwatched,
) -> Simulation:
    """Present recordings to the simulated board and decide at the model's operating point."""
    engine, note = open_engine(model.model, options.engine)
    streams = simulate(model.model, recordings, presentation, options, progress, model.manifest.micro.feature_step_size)
    detections = tuple(tuple(stream.detections(model.point.cutoff, model.point.window)) for stream in streams)
    return Simulation(model, presentation, tuple(streams), detections, engine.name, note)
