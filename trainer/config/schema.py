"""The JSON Schema of a configuration file, for editors: keys, types, defaults and what each key means."""

from __future__ import annotations

import json
from typing import Any

from trainer.config.sections import TrainerConfig

_VARIABLE = {
    "type": "string",
    "pattern": r"\$\{",
    "description": "an environment variable, ${NAME} or ${NAME:-default}",
}


def config_schema() -> str:
    """The schema as JSON text. A file may leave out any key: others may give it, and all but the wake word have
    defaults.
    """
    schema = TrainerConfig.model_json_schema()
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "wakeword-bench training configuration",
    }
    for model in (schema, *schema["$defs"].values()):
        model.pop("required", None)
        if model.get("type") != "object":
            continue
        model["properties"] = {name: _with_variable(key) for name, key in model["properties"].items()}
    schema["$defs"]["variable"] = _VARIABLE
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _with_variable(key: dict[str, Any]) -> dict[str, Any]:
    """A key that takes no text takes a variable too; a section takes neither."""
    key = {name: value for name, value in key.items() if name != "title"}
    if "$ref" in key:
        return key
    about = {name: key.pop(name) for name in ("description", "default") if name in key}
    alternatives = key.pop("anyOf", [key])
    if any(kind.get("type") == "string" and not {"const", "enum", "minLength"} & kind.keys() for kind in alternatives):
        return about | ({"anyOf": alternatives} if len(alternatives) > 1 else alternatives[0])
    return about | {"anyOf": [*alternatives, {"$ref": "#/$defs/variable"}]}
