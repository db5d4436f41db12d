"""From what the user asked for to the plan of a session: recordings read and hashed, a described corpus rendered, the
way of the sound settled.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import shlex
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench_audio.markers import MARKER_SAMPLES
from firmware.boards.entry import BoardEntry
from firmware.boards.registry import kind_of
from harness.air.settings import AirOptions, AirSettings, air_settings
from harness.session.audio import plan_recording, plan_sections
from harness.session.connection import TimeLimits
from harness.session.known_positive import choose_known_positive
from harness.session.plan import DIGITAL_SOURCE, SessionPlan
from harness.session.schedule import PlannedSection, default_settings, make_schedule
from harness.simulated.simulated_result import PACKAGES, model_record
from wakeword.contract import SAMPLE_RATE_HZ
from wakeword.corpus.feature_cache import folder_beside_features
from wakeword.corpus.provenance import Stated
from wakeword.device_model import DeviceModel
from wakeword.engines import open_engine
from wakeword.engines.unrolled import UnrolledEngine
from wakeword.errors import ConfigError

MARKER_EVERY_SECONDS = 60.0
"""Between two alignment markers: a clock that drifts by 100 ppm moves by 6 ms in between, and each costs half a second
and a guard time."""


@dataclass(frozen=True)
class SessionRequest:
    """What the user asked for."""

    board: str
    model: Path
    wake: tuple[Path, ...] = ()
    none: tuple[Path, ...] = ()
    boards: Path | None = None
    firmware: Path | None = None
    flash: bool = False
    """Flash a board that is blank, or has firmware that is not the bench's; it needs `firmware`."""
    output: Path | None = None
    seed: int = 0
    cutoff: float | None = None
    realtime: bool = False
    known_positive: Path | None = None
    resume: bool = False
    margin: float = 0.03
    reconnect_timeout: float = TimeLimits.reconnect
    air: AirOptions = field(default_factory=AirOptions)
    corpus: Path | None = None
    """A description of a corpus, instead of or beside `wake` and `none`."""
    digital: bool = False
    """Samples over the network to the board's microphone, no sound."""
    deliver: bool = False
    """Bring the model to the running board before each stream instead of flashing a firmware with it."""
    provenance: Stated | None = None
    """What the user says of the origin of `wake` and `none`."""
    command: tuple[str, ...] = ()


def check_limits_of_input(request: SessionRequest) -> None:
    """Raise `ConfigError` for values that no measurement can have."""
    if not request.wake and not request.none and request.corpus is None:
        raise ConfigError(
            "nothing to play: give recordings with --wake, --none or both, or a description with --corpus"
        )
    if request.deliver and (request.firmware is None or not request.digital or request.flash):
        raise ConfigError(
            "--deliver is for --source digital, without --flash: give the firmware that the board runs by --firmware"
        )
    if request.flash and request.firmware is None:
        raise ConfigError("--flash needs the firmware to write; give the folder of mww-firmware build by --firmware")
    if not 0 < request.margin < 1:
        raise ConfigError(
            f"--margin {request.margin:g}: a difference in recall lies between 0 and 1; give for example 0.03"
        )
    if not 0 < request.reconnect_timeout <= 86_400:
        raise ConfigError(f"--reconnect-timeout {request.reconnect_timeout:g}: give seconds, up to a day")


def way_of_sound(request: SessionRequest, entry: BoardEntry) -> AirSettings | None:
    """The way through the air; None where the board is played samples. Raises `ConfigError` as `air_settings`, and for
    what has no meaning without air.
    """
    if not request.digital:
        return air_settings(entry, request.air)
    given = {
        "--speaker": request.air.speaker,
        "--microphone": request.air.microphone,
        "--gain-db": request.air.gain_db,
        "--room-rt60": request.air.room,
        "--calibration": request.air.calibration,
        "--gain": request.air.gains,
    }
    if needless := next((option for option, value in given.items() if value), None):
        raise ConfigError(
            f"{needless} has a meaning only for sound through the air; leave it out, or give --source air"
        )
    return None


def make_plan(request: SessionRequest, entry: BoardEntry, candidate: DeviceModel) -> SessionPlan:
    """What is to be played and how. Reads and hashes all recordings. Raises `ConfigError` for one that cannot be
    played.
    """
    model = model_record(candidate)
    engine, _ = open_engine(candidate.model)
    memory = engine.memory_slices if isinstance(engine, UnrolledEngine) else None
    settings = default_settings(request.seed, model.stride, model.window, memory)
    kind, air = kind_of(entry), way_of_sound(request, entry)
    if air is not None:
        settings = replace(settings, marker=MARKER_SAMPLES, marker_every=round(MARKER_EVERY_SECONDS * SAMPLE_RATE_HZ))
    schedule = make_schedule(
        (*plan_sections(list(request.wake), list(request.none), request.provenance), *_described(request)), settings
    )
    return SessionPlan(
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        command=shlex.join(request.command),
        board=entry,
        source=DIGITAL_SOURCE if request.digital and not kind.runs_here else kind.source,
        model=model,
        realtime=request.realtime or not kind.fed or air is not None,
        settings=settings,
        sections=schedule.sections,
        schedule_sha256=schedule.sha256,
        known_positive=choose_known_positive(engine, model, schedule, request.known_positive),
        margin=request.margin,
        air=air,
        digital=request.digital,
        delivered=request.deliver,
        versions={name: importlib.metadata.version(name) for name in (*PACKAGES, "aioesphomeapi")},
    )


def _described(request: SessionRequest) -> tuple[PlannedSection, ...]:
    """The sections of a described corpus, rendered into the cache."""
    if request.corpus is None:
        return ()
    from bench_audio.corpus.description import read_corpus
    from bench_audio.corpus.render import render

    corpus = read_corpus(request.corpus)
    full_scale = corpus.full_scale_spl
    if request.air.calibration is not None:
        from bench_audio.calibration.calibration_file import read_calibration

        level = read_calibration(request.air.calibration).level
        full_scale = full_scale if level is None else level.full_scale_played_spl
    if full_scale is None:
        raise ConfigError(
            f"{request.corpus}: levels at the board are known by a calibration, or by full_scale_spl in the file; give"
            " one of them"
        )
    # The gain is applied when it is played.
    sections = render(corpus, full_scale + request.air.gain_db, folder_beside_features("corpus") / corpus.name)
    return tuple(
        PlannedSection(
            one.label,
            one.truth,
            tuple(plan_recording(file.path, file.provenance, file.word_end, file.speaker) for file in one.files),
        )
        for one in sections
    )
