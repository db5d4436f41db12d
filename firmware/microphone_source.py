"""What a target's detection hears with: the microphone, the channel and the gain that its YAML gives to
`micro_wake_word`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from wakeword.errors import ConfigError
from wakeword.reading import UniqueKeys


@dataclass(frozen=True)
class MicrophoneSource:
    """A microphone as `micro_wake_word` hears it."""

    microphone: str
    """Its id."""
    channel: int
    gain: int
    """A factor, 1-64, on what the microphone gives."""


class _AnyTag(UniqueKeys):
    """Reads what ESPHome tags (`!include`, `!secret`) as nothing."""


def _nothing(_loader: yaml.SafeLoader, _suffix: str, _node: yaml.Node) -> None:
    return None


_AnyTag.add_multi_constructor("!", _nothing)


def own_source(target: Path) -> MicrophoneSource:
    """Of a target's file. Raises `ConfigError` where it does not say which microphone detection hears with."""
    # A safe loader: it makes plain values only.
    content = yaml.load(target.read_text(encoding="utf-8"), Loader=_AnyTag)  # noqa: S506
    given: Any = (content or {}).get("micro_wake_word", {}).get("microphone")
    values = {"microphone": given} if isinstance(given, str) else given
    if not isinstance(values, dict) or not isinstance(values.get("microphone"), str):
        raise ConfigError(f"{target}: says no microphone of micro_wake_word; add 'micro_wake_word: microphone: ID'")
    channels = values.get("channels", 0)
    (channel,) = channels if isinstance(channels, list) else (channels,)
    return MicrophoneSource(values["microphone"], int(channel), int(values.get("gain_factor", 1)))
