"""The records of a judge: a second stage that says yes or no to each detection of a device."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from wakeword.records import Record


class JudgeMemberRecord(Record):
    """One model of a judge, by content."""

    path: str
    """Of its manifest, or of a run's weights."""
    sha256: str
    kind: Literal["int8", "float"]
    feature_step_ms: int = Field(ge=1)
    stride: int = Field(ge=1)
    window: int = Field(ge=1)


class JudgeRecord(Record):
    """A judge and when it says yes."""

    wake_word: str
    models: tuple[JudgeMemberRecord, ...] = Field(min_length=1)
    cutoff: float = Field(ge=0, le=1)
    """It says yes to a score at or above this."""
    before_seconds: float = Field(ge=0)
    """Of the sound before a detection that it hears."""
    after_seconds: float = Field(ge=0)
    """Of the sound after it."""

    @property
    def same(self) -> tuple[object, ...]:
        """What two equal judges share, wherever their files lie."""
        models = tuple((one.sha256, one.kind, one.feature_step_ms, one.window) for one in self.models)
        return (models, self.cutoff, self.before_seconds, self.after_seconds)


class JudgedRecord(Record):
    """What a judge says of one detection."""

    score: float = Field(ge=0, le=1)
    yes: bool
