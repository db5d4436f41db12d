"""Sessions of one board become one: counts are added. Another board, or other bytes on it, are refused."""

from __future__ import annotations

from collections.abc import Sequence

from harness.results.device_records import IntegrityRecord, SessionRecord
from harness.results.schema import Result
from wakeword.errors import ConfigError

_SAME_BOARD = {"name": "board", "kind": "kind of board", "target": "target", "mac": "MAC address", "room": "room", "microphone": "microphone"}


def merge_sessions(results: Sequence[Result]) -> SessionRecord | None:
    """The sessions of several results together; None when no result has one.

    Raises `ConfigError` when only some have one, or when two differ in board or in the model that the board ran.
    """
    sessions = list(dict.fromkeys(result.session for result in results if result.session is not None))
    if not sessions:
        return None
    if any(result.session is None for result in results):
        raise ConfigError("cannot merge results: one names the board it was measured on and another does not; report them one by one")
    first = sessions[0]
    for other in sessions[1:]:
        _require_same_board(first, other)
    if len(sessions) == 1:
        return first
    return SessionRecord(
        board=first.board,
        esphome_version=", ".join(dict.fromkeys(session.esphome_version for session in sessions)),
        model_sha256_on_board=first.model_sha256_on_board,
        seed=first.seed if len({session.seed for session in sessions}) == 1 else None,
        legs=sum(session.legs for session in sessions),
        audio_seconds=sum(session.audio_seconds for session in sessions),
        wall_seconds=sum(session.wall_seconds for session in sessions),
        health="; ".join(dict.fromkeys(session.health for session in sessions)),
        integrity=sum((session.integrity for session in sessions), IntegrityRecord()),
        clock=None,
        acoustics=tuple(one for session in sessions for one in session.acoustics),
    )


def _require_same_board(first: SessionRecord, other: SessionRecord) -> None:
    for field, name in _SAME_BOARD.items():
        ours, theirs = getattr(first.board, field), getattr(other.board, field)
        if ours != theirs:
            raise ConfigError(f"cannot merge sessions of different boards: {name} {ours!r} and {theirs!r}; report them one by one")
    if first.model_sha256_on_board != other.model_sha256_on_board:
        raise ConfigError(
            f"cannot merge sessions: the board ran model {first.model_sha256_on_board[:12]} in one and {other.model_sha256_on_board[:12]} in the other; "
            "report them one by one"
        )
