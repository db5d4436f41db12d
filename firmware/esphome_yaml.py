"""YAML for ESPHome in which text arrives as it is. ESPHome replaces `$name`, `${name}` and Jinja expressions in all
text but that tagged `!literal`.
"""

from __future__ import annotations

from typing import Any

import yaml

from wakeword.reading import UniqueKeys

LITERAL = "!literal"
_PLACEHOLDER = "REPLACEME"
"""ESPHome refuses it, for a sample that was not filled in."""


def dump(content: dict[str, Any]) -> str:
    """A document of keys and values, in their order."""
    return str(yaml.dump(content, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=1000))


def load(text: str) -> Any:
    """A document; what is tagged `!literal` is read as text. Raises as `wakeword.reading.load_yaml`."""
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader: it makes plain values only


def in_double_quotes(text: str, *, unicode: bool) -> str:
    """What stands between the quotes of a scalar in double quotes, with letters as they are or escaped."""
    return str(yaml.safe_dump(text, default_style='"', allow_unicode=unicode, width=10_000)).strip()[1:-1]


class _Dumper(yaml.SafeDumper):
    """Tags what ESPHome would change."""


class _Loader(UniqueKeys):
    """Knows the tag."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    if "$" in text or text == _PLACEHOLDER:
        return dumper.represent_scalar(LITERAL, text, style='"')
    return dumper.represent_scalar("tag:yaml.org,2002:str", text)


def _literal(loader: yaml.SafeLoader, node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise yaml.constructor.ConstructorError(
            None, None, f"{LITERAL} before something that is not text", node.start_mark
        )
    return str(loader.construct_scalar(node))


_Dumper.add_representer(str, _text)
_Loader.add_constructor(LITERAL, _literal)
