"""What a measured session adds to a result: the board and its integrity, and how far it agrees with the simulation of
the same audio.

Conventions: `device` is the measured side, a virtual board or a real one; `simulated` is the simulation of the same
audio. Differences are device minus simulated. Times are seconds of the run, see `DetectionRecord`.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from wakeword.records import Record

Disagreement = Literal[
    "utterance missed by the device",
    "utterance missed by the simulation",
    "false accept of the device only",
    "false accept of the simulation only",
    "further detection of the device only",
    "further detection of the simulation only",
]
"""A further detection is one in a run of the wake word that finds no utterance."""


class BoardRecord(Record):
    """The board that was measured, as the inventory names it."""

    name: str
    kind: str
    """As the inventory has it: `virtual` or `serial`, or one that is registered beside them."""
    target: str
    """ESPHome's name of the board, e.g. `host` or `esp32-s3-devkitc-1`."""
    mac: str | None = None
    room: str | None = None
    microphone: str | None = None


class IntegrityRecord(Record):
    """Counts of what may go wrong between a board and its record. All but the first two are zero in a clean session."""

    detections: int = Field(default=0, ge=0)
    """Detections in the record, each once."""
    both_witnesses: int = Field(default=0, ge=0)
    """Of these, told by the event and by the log line."""
    event_only: int = Field(default=0, ge=0)
    log_only: int = Field(default=0, ge=0)
    duplicates: int = Field(default=0, ge=0)
    """Events that came twice and count once."""
    lost: int = Field(default=0, ge=0)
    """Detections that the board counted and nobody received: gaps of `seq`. The time they may lie in is void."""
    reboots: int = Field(default=0, ge=0)
    reconnects: int = Field(default=0, ge=0)
    ring_overflows: int = Field(default=0, ge=0)
    api_gap_seconds: float = Field(default=0.0, ge=0)

    def __add__(self, other: IntegrityRecord) -> IntegrityRecord:
        """The counts of two sessions together."""
        return IntegrityRecord.model_validate(
            {name: getattr(self, name) + getattr(other, name) for name in type(self).model_fields}
        )


class ClockRecord(Record):
    """The board's clock against the host's, fitted from the probes with the shortest round trips."""

    probes: int = Field(ge=0)
    offset_ms: float
    drift_ppm: float
    residual_rms_ms: float = Field(ge=0)


class AcousticsRecord(Record):
    """Sound through the air: devices, alignment, and what went wrong with the sound. Levels in dBFS are rms, within the
    band of the alignment markers.
    """

    speaker: str
    speaker_rate: int | None = None
    """Hz, as it was used."""
    microphone: str | None = None
    """A recording device of the bench's machine."""
    microphone_rate: int | None = None
    listener: Literal["the virtual board's microphone", "a reference microphone", "nobody"]
    """Who heard with it. The simulation hears what a virtual board's microphone heard, else what was played."""
    gain_db: float
    """Applied to all recordings alike."""
    calibration: str | None = None
    calibration_sha256: str | None = None
    geometry: str | None = None
    room: str | None = None
    room_computed: bool = False
    """No room at all: what one would do to the sound was computed."""

    @model_validator(mode="before")
    @classmethod
    def _computed_before_it_was_said(cls, given: Any) -> Any:
        """Results that have no `room_computed` say it in the room's words."""
        if isinstance(given, dict) and "room_computed" not in given:
            return {**given, "room_computed": str(given.get("room") or "").startswith("computed: RT60 ")}
        return given

    markers_played: int = Field(default=0, ge=0)
    markers_heard: int = Field(default=0, ge=0)
    residual_rms_ms: float | None = None
    """Of the markers about their line. None where there were too few to tell."""
    drift_ppm: float | None = None
    """Of the longest leg; above 0, the microphone's clock is faster than the loudspeaker's."""
    noise_dbfs: float | None = None
    channel_gain_db: float | None = None
    """From played to heard."""
    true_peak_dbfs: float | None = None
    """Of what was played, four times oversampled."""
    starved: int = Field(default=0, ge=0)
    """Times that the player had nothing to play, and silence was put in. All counters below are zero in a clean
    session."""
    underflows: int = Field(default=0, ge=0)
    """Status flags of the audio system; `lost` and `repeated` were found in the recording whatever the flags say."""
    overflows: int = Field(default=0, ge=0)
    lost: int = Field(default=0, ge=0)
    repeated: int = Field(default=0, ge=0)
    not_heard: int = Field(default=0, ge=0)
    level_faults: int = Field(default=0, ge=0)
    clipped: int = Field(default=0, ge=0)
    ambient: int = Field(default=0, ge=0)
    """Stretches with other sound."""


class SessionRecord(Record):
    """One session with one board; of several merged ones, their sum."""

    board: BoardRecord
    esphome_version: str
    model_sha256_on_board: str
    """Of the bytes that the board runs, computed by the board. A verdict needs it to equal the model file's."""
    delivered: bool = False
    """The model was brought to the running board before each stream, and ran from its memory, not from its flash."""
    seed: int | None
    """Of the order of playback. None for merged sessions with different ones."""
    legs: int = Field(ge=1)
    """Streams from a fresh start of detection; every reboot or resume begins one."""
    audio_seconds: float = Field(ge=0)
    """Sound that the board heard, silence included."""
    wall_seconds: float = Field(ge=0)
    health: str
    """The health check in words: which known positives the board had to detect, and that it did."""
    integrity: IntegrityRecord
    clock: ClockRecord | None = None
    """None where there was too little to fit, and for merged sessions: each has a clock of its own."""
    acoustics: tuple[AcousticsRecord, ...] = ()
    """One for each session through the air."""

    @property
    def sound(self) -> str:
        """How the sound came to the board, in words."""
        if not self.acoustics:
            return "digital"
        return f"through {'a computed room' if any(one.room_computed for one in self.acoustics) else 'the air'}"

    @property
    def computed_rooms(self) -> tuple[str, ...]:
        """Those that the sound came through, in words; none for digital sound and for air."""
        return tuple(sorted({one.room or "" for one in self.acoustics if one.room_computed}))


class PairedUtterances(Record):
    """The same utterances, heard by both. Void ones are in none of the four."""

    both: int = Field(ge=0)
    device_only: int = Field(ge=0)
    simulated_only: int = Field(ge=0)
    neither: int = Field(ge=0)

    @property
    def total(self) -> int:
        """Utterances that were compared."""
        return self.both + self.device_only + self.simulated_only + self.neither

    @property
    def discordant(self) -> int:
        """Utterances that only one of the two found."""
        return self.device_only + self.simulated_only


class EquivalenceRecord(Record):
    """Two one-sided tests of the paired difference in recall, device minus simulated."""

    margin: float = Field(gt=0, lt=1)
    """Differences below it count as none that matters. Stated before the measurement."""
    difference: float
    low: float
    high: float
    """Ends of the 90 % interval: equivalent at 5 % when it lies inside the margin."""
    p: float
    equivalent: bool
    method: str


class PairedEvents(Record):
    """False accepts, paired by their position in the audio. Only runs without the wake word."""

    matched: int = Field(ge=0)
    device_only: int = Field(ge=0)
    simulated_only: int = Field(ge=0)


class OffsetRecord(Record):
    """How many pairs of detections lie so many 10 ms slices apart, device minus simulated."""

    slices: int
    pairs: int = Field(ge=1)


class PositionsRecord(Record):
    """Where paired detections lie: every detection of every run that both sides have."""

    paired: int = Field(ge=0)
    same_slice: int = Field(ge=0)
    largest_offset: int = Field(ge=0)
    """Slices between the two of the pair furthest apart; 0 without pairs."""
    tolerance: int = Field(ge=0)
    """Slices up to which two detections are a pair."""
    offsets: tuple[OffsetRecord, ...]
    """All offsets that occur, in order."""


class SeenRecord(Record):
    """What one side made of the place of a disagreement."""

    slice: int | None = None
    """Of its detection; the next three too. None where it had none."""
    seconds: float | None = None
    average: float | None = None
    max: float | None = None
    highest_probability: float | None = None
    """Between `begin` and `end` of the disagreement, 0-1. None without a trace: a real board gives none."""
    highest_average: float | None = None
    """Of the sliding window, what is compared with the cutoff; between `begin` and `end` too."""


class DisagreementRecord(Record):
    """One utterance or detection that only one side has."""

    run: int = Field(ge=0)
    """Index into the result's `runs` and `simulation`."""
    file_index: int = Field(ge=0)
    what: Disagreement
    begin: float
    end: float
    """Seconds of the stream in which it is decided: the utterance and its tolerance, or the surroundings of the
    detection."""
    device: SeenRecord
    simulated: SeenRecord

    @property
    def moment(self) -> float:
        """Seconds of the stream at the detection that one side had; else the beginning of its place."""
        return next((seen.seconds for seen in (self.device, self.simulated) if seen.seconds is not None), self.begin)

    def words(self, source: str) -> str:
        """What it is, with the measured side named as what it is: a virtual board is not a device."""
        return self.what.replace("the device", "the virtual board") if source == "virtual board" else self.what


class LatencyFigures(Record):
    """Seconds from the end of an utterance to the detection that found it, see `LatencyRecord.measured_from`."""

    n: int = Field(ge=1)
    median: float
    low: float
    """The 5th percentile; negative where the detection came before that end."""
    high: float
    """The 95th percentile."""


class LatencyRecord(Record):
    """Latency of both sides, over the utterances that each of them found."""

    device: LatencyFigures | None
    simulated: LatencyFigures | None
    measured_from: Literal["estimated end of the word", "end of the recording"] = "end of the recording"
    """By loudness, before noise was mixed in where the bench did that; or, for results whose word ends nobody
    estimated, the end of the file, whose silence behind the word gives smaller figures."""
    hidden: int = Field(default=0, ge=0)
    """Utterances in neither figure: noise in their recording hides where the word ends."""


class FirstDifference(Record):
    """The first inference for which device and simulation gave different probabilities."""

    run: str
    """Label of the run."""
    slice: int = Field(ge=0)
    """Of the run: the one that completed the inference's stride."""
    seconds: float
    device: int = Field(ge=0, le=255)
    simulated: int = Field(ge=0, le=255)


class DifferenceRecord(Record):
    """How many inferences differ by so much, device minus simulated, in 1/255."""

    by: int = Field(ge=-255, le=255)
    inferences: int = Field(ge=1)


class ProbabilitiesRecord(Record):
    """Every probability that a board told, beside the simulation's."""

    compared: int = Field(ge=0)
    """Inferences of both sides outside of void time."""
    differing: int = Field(ge=0)
    missing: int = Field(ge=0)
    """Inferences outside of void time that only one side has."""
    crossed_cutoff: int = Field(ge=0)
    """Of the differing ones, those with the cutoff between the two."""
    first: FirstDifference | None
    differences: tuple[DifferenceRecord, ...]
    """All differences that occur, in order."""


class AgreementRecord(Record):
    """Device and simulation of the same audio, compared utterance by utterance and detection by detection."""

    utterances: PairedUtterances
    mcnemar_p: float | None
    """Exact, two-sided. None without an utterance. A large one shows nothing: see `equivalence`."""
    equivalence: EquivalenceRecord | None
    """None without an utterance."""
    false_accepts: PairedEvents
    positions: PositionsRecord
    latency: LatencyRecord
    probabilities: ProbabilitiesRecord | None = None
    """None where the board tells none, and in results of older versions."""
    disagreements: tuple[DisagreementRecord, ...]
