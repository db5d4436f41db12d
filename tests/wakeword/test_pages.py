"""Pages of HTML: one look for all, nothing unescaped, nothing forgotten."""

from __future__ import annotations

import re
from importlib import resources

import pytest
from jinja2 import UndefinedError

from wakeword.pages import render_page


def test_a_page_has_the_look_of_all_pages_and_a_missing_value_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        render_page("harness.results", "versus.html.j2", {})
    shared = render_page("wakeword", "page.css", {})
    assert "prefers-color-scheme: dark" in shared
    for name in ("report.html.j2", "versus.html.j2"):
        text = resources.files("harness.results").joinpath("templates", name).read_text()
        assert text.index('{% include "page.css" %}') < text.index('{% include "report.css" %}')


def test_no_colour_is_used_that_the_shared_look_does_not_name() -> None:
    shared, own = render_page("wakeword", "page.css", {}), render_page("harness.results", "report.css", {})
    assert set(re.findall(r"var\((--\w+)\)", shared + own)) <= set(re.findall(r"(--\w+):", shared))
