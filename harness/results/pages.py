"""A page of HTML from one of the templates: whole in one file, everything escaped."""

from __future__ import annotations

from typing import Any


def render_page(template: str, context: dict[str, Any]) -> str:
    """The template with these values; a name that it asks for and that is missing is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("harness.results", "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(template).render(context)
