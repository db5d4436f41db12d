"""A page of HTML from a template: whole in one file, everything escaped."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


def render_page(package: str, template: str, context: dict[str, Any]) -> str:
    """A template of a package's folder `templates` with these values; a name that it asks for and that is missing is an
    error.

    Every template can include page.css of this package, which gives all pages of the project one look.
    """
    return _environment(package).get_template(template).render(context)


@functools.cache
def _environment(package: str) -> Environment:
    """Keeps the templates that it has compiled: half of the time of a page."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    loader = ChoiceLoader([PackageLoader(package, "templates"), PackageLoader("wakeword", "templates")])
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
