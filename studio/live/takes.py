"""Guided takes of a microphone: what somebody is asked to say, and a take as it becomes a clip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from studio.gallery.adding import add_samples, trimmed
from studio.gallery.places import plain_stem
from studio.gallery.provenance import Origin
from studio.live.datasets import dataset_folder
from studio.live.listening import LiveListening
from studio.live.socket import asked_seconds
from studio.workspace import Workspace
from trainer.data.ingest import Label
from wakeword.contract import PROBABILITY_MAX
from wakeword.errors import ConfigError

LEAD_SECONDS = 0.25
"""Heard before somebody pressed the key, and part of the take: people begin to speak with the finger."""
MOST_SECONDS = 60.0


@dataclass(frozen=True)
class TakeKind:
    """One of the ways in which the wake word is asked for."""

    name: str
    title: str
    line: str
    """What to do."""
    takes: int
    """How many are asked for."""


KINDS = (
    TakeKind("near", "Near", "At arm's length, in your usual voice.", 4),
    TakeKind("far", "Far", "From three or four metres away, in your usual voice.", 4),
    TakeKind("whispered", "Whispered", "Whispered, at arm's length, as at night.", 3),
    TakeKind("angry", "Angry", "Loud and impatient, from two metres away.", 3),
    TakeKind("other room", "Other room", "From another room, with the door open.", 3),
)


def keep_take(workspace: Workspace, listening: LiveListening, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Save what was said since a moment as a clip.

    `asked` has `dataset`, `speaker`, `what` (`word`, `speech` or `room`), `take` and `from`, the seconds since boot at
    which the take began. A word is trimmed to itself. Returns the clip's name or why it was refused, and what the model
    said of it. Raises `ConfigError`.
    """
    what, begin = str(asked.get("what", "word")), asked_seconds(asked, "from")
    if what not in ("word", "speech", "room"):
        raise ConfigError(f"what {what!r}: give word, speech or room")
    label = Label.POSITIVE if what == "word" else Label.NEGATIVE
    speaker = "room" if what == "room" else str(asked.get("speaker", ""))
    take = plain_stem(str(asked.get("take", what))) if what == "word" else what
    root = dataset_folder(workspace, str(asked.get("dataset", "")))
    end = listening.kept.seconds
    if begin > end:
        raise ConfigError("the recording was full, and the device booted anew during this take; record it again")
    if begin < 0 or end - begin > MOST_SECONDS:
        raise ConfigError(f"a take lasts at most {MOST_SECONDS:g} s; record another one")
    sound = listening.around(begin, LEAD_SECONDS, end - begin)
    detected, average = listening.verdict(begin)
    device = listening.device
    origin = Origin(
        how="microphone",
        take=take.replace("_", " "),
        source=str(asked.get("microphone", ""))[:80],
        source_rate_hz=listening.sample_rate,
        wake_word="" if device is None else device.model.manifest.wake_word,
        model_sha256="" if device is None else device.model.model.sha256,
        average=None if average is None else round(average / PROBABILITY_MAX, 3),
        detected=detected,
    )
    added = add_samples(root, trimmed(sound) if label is Label.POSITIVE else sound, label, speaker, take, origin)
    return {
        "name": added.name,
        "refused": added.refused,
        "detected": detected,
        "average": origin.average,
        "dataset": root.name,
    }
