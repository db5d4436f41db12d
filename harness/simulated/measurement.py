"""One simulated measurement: the model and operating point, the recordings, and what the board gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wakeword import contract
from wakeword.audio import probe
from wakeword.corpus.recordings import find_recordings
from wakeword.detector import Detection
from wakeword.engines import open_engine
from wakeword.errors import ConfigError
from wakeword.model.flatbuffer import TfliteModel, read_model
from wakeword.model.manifest import Manifest, read_manifest
from wakeword.operators import foreign_operators
from wakeword.presentation import CLIPS, SESSION, STREAM, Mode, Presentation
from wakeword.simulation.features import Progress
from wakeword.simulation.simulate import Options, simulate
from wakeword.simulation.streams import SimulatedStream


@dataclass(frozen=True)
class OperatingPoint:
    """The cutoff as the manifest states it (0-1) and as the device compares it (0-255), and the sliding window."""

    probability_cutoff: float
    cutoff: int
    window: int

    @property
    def warning(self) -> str:
        """Why nothing can be detected at this cutoff, whatever is heard; empty for all others."""
        if self.cutoff == 0:
            return "At cutoff 0/255 no probability is below it, so the hold-off after boot never ends: nothing can be detected."
        if self.cutoff == contract.PROBABILITY_MAX:
            return "At cutoff 255/255 no average is above it: nothing can be detected."
        return ""


@dataclass(frozen=True)
class Candidate:
    """The model under test."""

    manifest_path: Path
    manifest: Manifest
    model: TfliteModel
    point: OperatingPoint


@dataclass(frozen=True)
class Measurement:
    """What a candidate gave on recordings. `detections[i]` are those of `streams[i]`."""

    candidate: Candidate
    presentation: Presentation
    streams: tuple[SimulatedStream, ...]
    detections: tuple[tuple[Detection, ...], ...]
    engine: str
    note: str
    """Why the reference engine was used although it was not asked for; empty otherwise."""


def open_candidate(manifest_path: Path, cutoff: float | None, window: int | None) -> Candidate:
    """Read a manifest and its model; `cutoff` (0-1) and `window` replace the manifest's.

    Raises `ConfigError` when a file cannot be read, the operating point is out of range, or the device would not load the model.
    """
    manifest, model_path = read_manifest(manifest_path)
    probability_cutoff = manifest.micro.probability_cutoff if cutoff is None else cutoff
    size = manifest.micro.sliding_window_size if window is None else window
    if not 0 <= probability_cutoff <= 1:
        raise ConfigError(f"--cutoff {probability_cutoff:g}: a probability is between 0 and 1; give for example 0.97")
    if not 1 <= size <= contract.MAX_WINDOW:
        raise ConfigError(f"--window {size}: a sliding window has 1 to {contract.MAX_WINDOW} probabilities; give for example 5")
    model = read_model(model_path)
    refuse_unloadable(model)
    return Candidate(manifest_path, manifest, model, OperatingPoint(probability_cutoff, contract.cutoff_to_uint8(probability_cutoff), size))


def refuse_unloadable(model: TfliteModel) -> None:
    """Raise `ConfigError` for a model that the device does not load: nothing simulated of it would be true.

    Only what the simulation itself depends on is asked here; `mww-verify` checks the whole contract.
    """
    if foreign := foreign_operators(model):
        raise ConfigError(f"{model.source}: uses {', '.join(foreign)}, which the device does not register, so it cannot load the model; run mww-verify on it")
    source, output = (model.main.tensors[indices[0]] for indices in (model.main.inputs, model.main.outputs))
    if source.type_name != "INT8" or len(source.shape) != 3 or (source.shape[0], source.shape[2]) != (1, contract.FEATURE_CHANNELS) or source.shape[1] < 1:
        raise ConfigError(f"{model.source}: input is {source.type_name} {list(source.shape)}, the device needs INT8 [1, stride, 40]; run mww-verify on it")
    if output.type_name != "UINT8" or output.shape != (1, 1):
        raise ConfigError(f"{model.source}: output is {output.type_name} {list(output.shape)}, the device needs UINT8 [1, 1]; run mww-verify on it")


def choose_recordings(sources: Sequence[Path], resample: bool) -> tuple[list[Path], float]:
    """Recordings to present, and their length in seconds as their headers state it.

    The device hears 16 kHz mono. Converting is a choice that moves bits, so anything else is refused unless `resample`.
    Raises `ConfigError` for that, for a missing file and for one that cannot be read.
    """
    paths = find_recordings(sources)
    seconds = 0.0
    for path in paths:
        info = probe(path)
        if not resample and (info.sample_rate, info.channels) != (contract.SAMPLE_RATE_HZ, 1):
            what = f"{info.sample_rate} Hz, {info.channels} channel{'s' if info.channels != 1 else ''}"
            raise ConfigError(f"{path}: {what}, but the device hears 16000 Hz mono; pass --resample to convert such recordings")
        seconds += info.seconds
    return paths, seconds


def choose_presentation(mode: Mode, lead_in: float | None, tail: float | None, gap: float | None, step_ms: int) -> Presentation:
    """The layout of a mode at the model's step, with the seconds of silence that were given in place of the usual ones.

    Raises `ConfigError` for seconds out of range, and for those that the mode does not have.
    """
    given = {"--lead-in": lead_in, "--tail": tail, "--gap": gap}
    foreign = [name for name in {"clips": ("--gap",), "stream": ("--lead-in", "--tail"), "session": tuple(given)}[mode] if given[name] is not None]
    if foreign:
        raise ConfigError(f"{foreign[0]} has no meaning in --mode {mode}; leave it out or change the mode")
    for name, seconds in given.items():
        if seconds is not None and not 0 <= seconds <= 3600:
            raise ConfigError(f"{name} {seconds:g}: give seconds from 0 to 3600")
    usual = {"clips": CLIPS, "session": SESSION, "stream": STREAM}[mode].at_step(step_ms)
    defaults = (usual.lead_in_seconds, usual.tail_seconds, usual.gap_seconds)
    return Presentation(mode, *(default if seconds is None else seconds for default, seconds in zip(defaults, given.values(), strict=True)))


def measure(candidate: Candidate, recordings: Sequence[Path], presentation: Presentation, options: Options, progress: Progress) -> Measurement:
    """Present recordings to the simulated board and decide at the candidate's operating point."""
    engine, note = open_engine(candidate.model, options.engine)
    streams = simulate(candidate.model, recordings, presentation, options, progress, candidate.manifest.micro.feature_step_size)
    detections = tuple(tuple(stream.detections(candidate.point.cutoff, candidate.point.window)) for stream in streams)
    return Measurement(candidate, presentation, tuple(streams), detections, engine.name, note)
