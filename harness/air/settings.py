"""The way of the sound to a board through the air, as it is settled before a session: devices, gain, calibration, and a
computed room.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from firmware.boards.entry import BoardEntry
from firmware.boards.registry import kind_of
from wakeword.errors import ConfigError
from wakeword.records import Record

if TYPE_CHECKING:
    from bench_audio.calibration.equalizer import InverseFilter
    from bench_audio.devices import Device


class SyntheticRoom(Record):
    """A room that is computed, between a virtual board's microphone and the board; see
    `bench_audio.synthetic_room.Room`.
    """

    rt60_seconds: float = Field(ge=0, le=10)
    noise_dbfs: float | None = Field(default=None, le=0)
    seed: int = 0


class AirSettings(Record):
    """The way of the sound, frozen for a session."""

    speaker: str
    speaker_rate: int | None = None
    """Hz; the device's own rate where None."""
    microphone: str | None = None
    """What a virtual board hears with, or the reference beside a real one. Without it only what the player says is
    known of alignment and integrity."""
    microphone_rate: int | None = None
    gain_db: float = Field(default=0.0, ge=-60, le=20)
    """Applied to all recordings alike."""
    room: SyntheticRoom | None = None
    calibration: str | None = None
    """The calibration file; all is played through its inverse filter, where it has one."""
    calibration_sha256: str | None = None
    gains: dict[str, str] = Field(default_factory=dict)
    """Each knob and slider of the chain, as the user states it, else as the calibration says that it stood; a
    calibration holds for the same ones only."""
    geometry: str | None = None
    """Where loudspeaker, board and microphone stand, in words."""


@dataclass(frozen=True)
class AirOptions:
    """What the user says of the way of the sound; the inventory says the rest."""

    speaker: str | None = None
    microphone: str | None = None
    gain_db: float = 0.0
    room: SyntheticRoom | None = None
    calibration: Path | None = None
    gains: tuple[str, ...] = ()
    """`KNOB=SETTING`."""


def air_settings(entry: BoardEntry, options: AirOptions) -> AirSettings | None:
    """The way of the sound to a board: what was given, else what the inventory says; None for a board that is fed
    without air.

    Raises `ConfigError` where something is missing, or has no meaning for this kind of board.
    """
    from bench_audio.calibration.run import stated_gains

    fed, gains, calibration = kind_of(entry).fed, stated_gains(options.gains), options.calibration
    speaker = options.speaker or entry.speaker
    microphone = options.microphone or (entry.microphone if fed else entry.reference_microphone)
    if fed and (speaker is None) != (microphone is None):
        given, missing = ("a loudspeaker", "--microphone") if microphone is None else ("a microphone", "--speaker")
        raise ConfigError(
            f"board {entry.name!r} has {given} only; give {missing} too, or neither for sound without air"
        )
    if not fed and options.room is not None:
        raise ConfigError("--room-rt60: a real board stands in a real room; leave it out")
    if speaker is None and not fed:
        raise no_loudspeaker(entry)
    if speaker is None:
        given_of = {
            "--room-rt60": options.room,
            "--calibration": calibration,
            "--gain-db": options.gain_db,
            "--gain": gains,
        }
        if needless := next((option for option, given in given_of.items() if given), None):
            raise ConfigError(
                f"{needless} has a meaning only for sound through the air; give --speaker and --microphone"
            )
        return None
    return AirSettings(
        speaker=speaker,
        speaker_rate=entry.speaker_rate,
        microphone=microphone,
        microphone_rate=entry.microphone_rate,
        gain_db=options.gain_db,
        room=options.room,
        calibration=None if calibration is None else str(calibration.absolute()),
        calibration_sha256=None if calibration is None else _hash(calibration),
        gains=_gains(calibration, gains),
        geometry=entry.geometry,
    )


def no_loudspeaker(entry: BoardEntry) -> ConfigError:
    """What is said where nothing brings sound to a board that hears the room that it stands in."""
    return ConfigError(
        f"board {entry.name!r} is a real one: sound reaches it through a loudspeaker; give --speaker, or name it in"
        " boards.yaml"
    )


def inverse_filter(settings: AirSettings) -> InverseFilter | None:
    """What the calibration wants all to be played through. Raises `ConfigError` where it does not hold for these
    devices and gains, or has changed.
    """
    if settings.calibration is None:
        return None
    from bench_audio.calibration.calibration_file import read_calibration, read_equalizer, require_valid
    from bench_audio.duplex import DeviceFacts

    path = Path(settings.calibration)
    if _hash(path) != settings.calibration_sha256:
        raise ConfigError(f"{path}: has changed since the session began; put it back, or begin a new session")
    calibration = read_calibration(path)
    speaker, microphone = (
        None if one is None else DeviceFacts(one.name, one.host_api, one.rate) for one in find_devices(settings)
    )
    assert speaker is not None
    require_valid(calibration, path, speaker=speaker, microphone=microphone, gains=settings.gains, source="measured")
    return read_equalizer(calibration, path)


def _gains(calibration: Path | None, stated: dict[str, str]) -> dict[str, str]:
    """The gains of a session. One that was calibrated and is not stated again is taken to be as it was; `require_valid`
    refuses another setting.
    """
    if calibration is None:
        return stated
    from bench_audio.calibration.calibration_file import read_calibration

    return read_calibration(calibration).gains | stated


def find_devices(settings: AirSettings) -> tuple[Device, Device | None]:
    """Loudspeaker and microphone as they are on this machine. Raises `ConfigError` as `bench_audio.devices.find_device`
    does.
    """
    from bench_audio.devices import find_device

    microphone = (
        None if settings.microphone is None else find_device(settings.microphone, "input", settings.microphone_rate)
    )
    return find_device(settings.speaker, "output", settings.speaker_rate), microphone


def check_sound(settings: AirSettings | None) -> None:
    """Raise `ConfigError` for a loudspeaker or microphone that is not there, and for a calibration that does not hold
    for them and their gains.
    """
    if settings is not None:
        find_devices(settings)
        inverse_filter(settings)


def _hash(path: Path) -> str:
    from wakeword.corpus.recordings import hash_file

    if not path.is_file():
        raise ConfigError(f"--calibration {path}: no such file; make one with mww-bench calibrate")
    return hash_file(path)
