"""What every section of a configuration shares."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


class Section(BaseModel):
    """Base of every section: frozen, unknown keys refused, texts without blanks around them, numbers finite.

    The docstrings below the keys are their descriptions in the JSON Schema.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", str_strip_whitespace=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


def _listed(value: object) -> object:
    return [value] if isinstance(value, str | Path) else value


Folders = Annotated[tuple[Path, ...], BeforeValidator(_listed, json_schema_input_type=Path | tuple[Path, ...])]
"""One folder, or a list of them."""
Files = Folders
"""One file, or a list of them."""


def fixed(value: int | str, reason: str) -> AfterValidator:
    """What annotates a key that has one value, and tells whoever gives another why."""

    def check[T: (int, str)](given: T) -> T:
        if given != value:
            raise ValueError(f"this is always {value}, because {reason}; leave the key out")
        return given

    return AfterValidator(check)


def written(value: str) -> Any:
    """The field of a key that people write as text and that is read as something else: its default, as it would be
    written.
    """
    return Field(value, validate_default=True)


def constant(value: int | str) -> Any:
    """The field of a key that is `fixed`: its default, which editors are told to be the only value."""
    return Field(value, json_schema_extra={"const": value})
