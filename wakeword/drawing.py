"""Figures for the project's pages, drawn by matplotlib and made fit for them: themed by CSS, deterministic, without any
address.

Each figure is drawn twice, for wide and for narrow screens, because the text of one SVG cannot be readable on both.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, MUTED, RULE, ACCENT, SECOND = "#010203", "#020304", "#030405", "#040506", "#050607"
"""Colours that stand for variables of the style sheet: matplotlib writes them, `_themed` replaces them."""
_VARIABLES = {INK: "--ink", MUTED: "--muted", RULE: "--rule", ACCENT: "--accent", SECOND: "--second"}

_STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.minor.visible": False,
    "ytick.minor.visible": False,
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.8,
    "lines.solid_joinstyle": "round",
}
_WIDE_INCHES, _NARROW_INCHES = 8.2, 3.9


@dataclass(frozen=True)
class Plot:
    """One figure as two SVG fragments."""

    wide: str
    narrow: str


def draw(name: str, paint: Callable[[Figure], None], height: float) -> Plot:
    """What `paint` draws, `height` inches high on a wide screen. `name` is in the ids: unique on a page."""
    return Plot(
        wide=_svg(f"{name}-wide", paint, _WIDE_INCHES, height),
        narrow=_svg(f"{name}-narrow", paint, _NARROW_INCHES, height * 0.85),
    )


def _svg(name: str, paint: Callable[[Figure], None], width: float, height: float) -> str:
    """Draw one figure. No state of pyplot is touched, no style of the user's and no date gets in."""
    from matplotlib import style
    from matplotlib.figure import Figure

    buffer = io.StringIO()
    with style.context(["default", {**_STYLE, "svg.hashsalt": name}]):
        figure = Figure(figsize=(width, height), layout="constrained")
        paint(figure)
        figure.savefig(
            buffer,
            format="svg",
            transparent=True,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    return _themed(_embeddable(buffer.getvalue(), name))


def _embeddable(svg: str, name: str) -> str:
    """Only the `<svg>` element, without namespaces, metadata or a fixed size; ids made unique on the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", svg)
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    return re.sub(
        r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true" focusable="false">', svg, count=1
    )


def _themed(svg: str) -> str:
    """Colours become variables of the page's style sheet, the font becomes the page's."""
    for color, variable in _VARIABLES.items():
        svg = svg.replace(color, f"var({variable})")
    return re.sub(r"font: (?:(?:normal|bold|\d+) )*(\d+(?:\.\d+)?px)[^;\"]*", r"font-size: \1", svg)
