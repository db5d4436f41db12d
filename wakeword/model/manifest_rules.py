"""ESPHome's rules for a manifest, key by key: what its validation refuses.

Read from `MANIFEST_SCHEMA_V1` and `MANIFEST_SCHEMA_V2` in `esphome/components/micro_wake_word/__init__.py` and the
validators that they name in `config_validation.py`. A test holds these rules against ESPHome's own over generated
manifests. ESPHome stops at the first fault; here all are found.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlparse

from wakeword import contract

V1_STEP_MS = 20
V1_ARENA_BYTES = 45_672
"""What ESPHome takes for a V1 manifest, which states neither (`_convert_manifest_v1_to_v2`)."""
V1_LANGUAGES = ("en",)
V1_WINDOW = "sliding_window_average_size"
V2_WINDOW = "sliding_window_size"
VAD_WORD = "vad"
"""ESPHome loads a model of this wake word as its voice activity model, whatever it was trained on."""
MAX_STEP_MS = 30

type Rule = Callable[[Any], str | None]
"""What is wrong with a value, None where it is accepted."""


@dataclass(frozen=True)
class ManifestFault:
    """One thing that is wrong with a manifest. `key` is dotted (`micro.tensor_arena_size`), empty for the manifest as a
    whole.
    """

    key: str
    text: str

    def __str__(self) -> str:
        return f"{self.key}: {self.text}" if self.key else self.text


@dataclass(frozen=True)
class _Key:
    rule: Rule
    example: str
    required: bool = True


def refusals(content: object, esphome: str = contract.ESPHOME_VERSION) -> tuple[ManifestFault, ...]:
    """Everything for which ESPHome `esphome` refuses a manifest, given as JSON gives it. Empty where ESPHome accepts
    it.
    """
    if not isinstance(content, Mapping):
        return (ManifestFault("", f"holds {_kind(content)}; a manifest is an object in braces"),)
    version = content.get("version")
    if not version:
        return (
            ManifestFault(
                "version",
                (
                    "missing; write 2, or 1 for a model of the first format"
                    if version is None
                    else f"is {version!r}; 1 and 2 are known"
                ),
            ),
        )
    if version not in (1, 2):
        return (ManifestFault("version", f"is {version!r}; 1 and 2 are known"),)
    keys, micro_keys = _keys(version == 1, esphome)
    faults = _judged(content, {**keys, "micro": _Key(_object, "{}")}, "")
    micro = content.get("micro")
    if isinstance(micro, Mapping):
        faults += _judged(micro, micro_keys, "micro.")
    return tuple(faults)


def website_rule(value: object, *, required: bool = False) -> str | None:
    """What ESPHome has against a `website`: an address has a scheme and a host. Version 1 requires the key."""
    if not isinstance(value, str):
        return _no_text(value)
    advice = f"write for example https://example.com{'' if required else ', or leave the key out'}"
    try:
        parsed = urlparse(value)
    except ValueError:
        return f"{value!r} is no address; {advice}"
    if (parsed.scheme and parsed.netloc) or parsed.scheme == "file":
        return None
    return f"{repr(value) + ' is no full address' if value else 'is empty'}; {advice}"


def version_rule(value: object, esphome: str = contract.ESPHOME_VERSION) -> str | None:
    """What ESPHome `esphome` has against a `minimum_esphome_version`."""
    if not isinstance(value, str):
        return _no_text(value)
    wanted = _version(value)
    if wanted is None:
        return f"{value!r} is no version; write for example 2024.7.0"
    if wanted > (_version(esphome) or wanted):
        return (
            f"{value} is newer than ESPHome {esphome}, which refuses the manifest; write the oldest release that runs"
            " the model"
        )
    return None


def _keys(first_format: bool, esphome: str) -> tuple[dict[str, _Key], dict[str, _Key]]:
    """The keys of a manifest and of its `micro` object."""
    whole = {
        "type": _Key(lambda value: None if value == "micro" else f'is {value!r}; write "micro"', '"micro"'),
        "wake_word": _Key(_text, '"Okay Computer"'),
        "author": _Key(_text, '"Your Name"'),
        "website": _Key(partial(website_rule, required=first_format), '"https://example.com"', required=first_format),
        "version": _Key(lambda _: None, "1 or 2"),  # judged before
        "model": _Key(_text, '"okay_computer.tflite"'),
    }
    micro = {
        "probability_cutoff": _Key(_number, "0.97"),
        V1_WINDOW if first_format else V2_WINDOW: _Key(_whole_from(0), "5"),
        "minimum_esphome_version": _Key(
            lambda value: version_rule(value, esphome), '"2024.7.0"', required=not first_format
        ),
    }
    if not first_format:
        whole["trained_languages"] = _Key(_texts, '["en"]')
        micro["feature_step_size"] = _Key(_whole_from(0, MAX_STEP_MS), str(contract.STEP_MS))
        micro["tensor_arena_size"] = _Key(_whole_from(None), "the size that mww-verify --verbose prints")
    return whole, micro


def _judged(content: Mapping[str, Any], keys: Mapping[str, _Key], prefix: str) -> list[ManifestFault]:
    missing = [
        ManifestFault(prefix + name, f"missing; add it, for example {key.example}")
        for name, key in keys.items()
        if key.required and name not in content
    ]
    wrong = [
        ManifestFault(prefix + name, text)
        for name, value in content.items()
        if name in keys and (text := keys[name].rule(value)) is not None
    ]
    unknown = [ManifestFault(prefix + name, _unknown(name, keys)) for name in content if name not in keys]
    return missing + wrong + unknown


def _unknown(name: str, keys: Mapping[str, _Key]) -> str:
    if name == V1_WINDOW:
        return (
            f"is the window's name in version 1; version 2 names it {V2_WINDOW}. A model of version 1 keeps version 1,"
            f" since its step is {V1_STEP_MS} ms"
        )
    if name == V2_WINDOW:
        return f"is the window's name in version 2; version 1 names it {V1_WINDOW}"
    return f"ESPHome does not know this key; remove it (known here: {', '.join(sorted(keys))})"


def _object(value: object) -> str | None:
    return None if isinstance(value, Mapping) else f"holds {_kind(value)}; an object in braces is needed"


def _text(value: object) -> str | None:
    """ESPHome turns numbers into text, and nothing else."""
    return None if isinstance(value, str | int | float) and not isinstance(value, bool) else _no_text(value)


def _texts(value: object) -> str | None:
    """A list of texts; ESPHome also takes one text for a list of one, and nothing for an empty list."""
    if value is None or value == {}:
        return None
    return next(
        (text for each in (value if isinstance(value, list) else [value]) if (text := _text(each)) is not None), None
    )


def _number(value: object) -> str | None:
    try:
        float(value)  # type: ignore[arg-type]  # the type is what is asked
    except (TypeError, ValueError, OverflowError):
        return f"holds {_kind(value)}; a number is needed"
    return None


def _whole_from(least: int | None, most: int | None = None) -> Rule:
    def rule(value: object) -> str | None:
        number = _whole(value)
        if number is None:
            return f"holds {_kind(value)}; a whole number is needed"
        if (least is not None and number < least) or (most is not None and number > most):
            return f"is {number}; " + (
                f"at least {least} is needed" if most is None else f"{least} to {most} is needed"
            )
        return None

    return rule


def _whole(value: object) -> int | None:
    """A whole number as `cv.int_` reads it: also one with .0, and one in a text, there also hexadecimal."""
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if math.isfinite(value) and int(value) == value else None
    if not isinstance(value, str):
        return None
    text = value.lower()
    try:
        return int(text, 16 if text.startswith("0x") else 10)
    except ValueError:
        return None


def _version(text: str) -> tuple[int, int, int, str] | None:
    """Major, minor, patch and suffix, as ESPHome compares them. The patch may be left out."""
    match = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?[-.]?(\w*)$", text)
    return None if match is None else (int(match[1]), int(match[2]), int(match[3] or 0), match[4])


def _no_text(value: object) -> str:
    return f"holds {_kind(value)}; a text in quotes is needed"


def _kind(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return "a list"
    return "an object" if isinstance(value, Mapping) else repr(value)
