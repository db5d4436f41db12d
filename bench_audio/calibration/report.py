"""A calibration as one self-contained page, or as pictures beside its file."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

from bench_audio.calibration.plots import Plot
from bench_audio.calibration.record import Calibration
from wakeword.files import write_atomically

_TEMPLATES = Path(__file__).parent / "templates"


def write_plots(plots: Sequence[Plot], folder: Path, stem: str) -> list[Path]:
    """Write each picture as SVG beside the calibration file; return where."""
    paths = [folder / f"{stem}-{plot.name}.svg" for plot in plots]
    for path, plot in zip(paths, plots, strict=True):
        write_atomically(path, plot.svg)
    return paths


def write_page(calibration: Calibration, plots: Sequence[Plot], path: Path) -> None:
    """Write the page: figures, pictures and what it all holds for. It loads nothing from anywhere."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    pictures = [
        {"source": f"data:image/svg+xml;base64,{base64.b64encode(plot.svg.encode()).decode()}", "name": plot.name, "caption": plot.caption} for plot in plots
    ]
    page = environment.get_template("calibration.html.j2").render(calibration=calibration, pictures=pictures, css=(_TEMPLATES / "calibration.css").read_text())
    write_atomically(path, page)
