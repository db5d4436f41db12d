"""What is wrong with a value that a person wrote, in plain words: pydantic's own speak of tuples and literals."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

_LIMITS = {
    "greater_than": "above {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "below {lt}",
    "less_than_equal": "{le} or less",
    "too_short": "a list of {min_length} or more",
}
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "path": "a path",
    "url": "an address",
}
_LISTS = ("tuple", "list", "set")
_PARTS = ("dict", "model", "mapping")


def first_fault(error: ValidationError, whole: str = "the file") -> str:
    """Where the first fault of a file that a program wrote is, and what pydantic says of it; `whole` names the file
    itself.
    """
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"])) or whole
    return f"{where}: {first['msg'].removeprefix('Value error, ')}"


def complaint(error: ErrorDetails, given: object, example: object = None) -> str:
    """What a value has to be, as what follows "it is X: ". `given` is shown, `example` is a value that would be right,
    such as the default.
    """
    kind = error["type"]
    context: dict[str, Any] = error.get("ctx") or {}
    first = kind.partition("_")[0]
    if kind in _LIMITS:
        wanted = _LIMITS[kind].format(
            **{name: f"{limit:g}" if isinstance(limit, int | float) else limit for name, limit in context.items()}
        )
    elif kind in ("literal_error", "enum"):
        wanted = f"one of {context.get('expected', '')}".replace(" or ", ", ")
    elif kind == "string_too_short":
        wanted = (
            "text that is not empty"
            if context.get("min_length") == 1
            else f"text of {context.get('min_length')} letters or more"
        )
    elif kind == "finite_number":
        wanted = "a number that is not infinite"
    elif first in _LISTS and kind.endswith("_type"):
        wanted = f"a list, even of one value: [{given}]" if isinstance(given, int | float | str) else "a list"
    elif first in _PARTS and kind.endswith("_type"):
        wanted = "keys with values below it"
    elif first in _KINDS and kind.endswith(("_type", "_parsing", "_from_float")):
        wanted = _KINDS[first] + (" in quotes" if first == "string" and isinstance(given, int | float) else "")
    else:
        return error["msg"].removeprefix("Value error, ")
    return f"it must be {wanted}" + (
        "" if example is None or example in ("", [], {}) else f", for example {_written(example)}"
    )


def nearest(name: str, known: Iterable[str], what: str, *, prefix: str = "", cutoff: float = 0.6) -> str:
    """What to say of a name that is not `known`: the nearest one (`cutoff`: how alike it must be, 0-1), else `what` and
    all of them.
    """
    names = list(known)
    near = difflib.get_close_matches(name, names, 1, cutoff)
    return f"did you mean {prefix}{near[0]}?" if near else f"{what} {', '.join(names)}"


def _written(value: object) -> str:
    """A value as it would be written in YAML."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
