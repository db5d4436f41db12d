"""An analysis as text for the terminal."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from trainer.analysis.analyse import ESTIMATED, ModelAnalysis, fits


def rendered(analysis: ModelAnalysis) -> Group:
    """Layers, sums, boards, and what of it is estimated."""
    layers = Table("layer", box=None, pad_edge=False)
    for column in ("parameters", "MACs", "state bytes", "weight bytes"):
        layers.add_column(column, justify="right")
    for layer in analysis.layers:
        layers.add_row(
            layer.name, f"{layer.parameters:,}", f"{layer.macs:,}", f"{layer.state_bytes:,}", f"{layer.weight_bytes:,}"
        )
    layers.add_section()
    sums = (analysis.parameters, analysis.macs, analysis.state_bytes, analysis.weight_bytes)
    layers.add_row("all", *(f"{value:,}" for value in sums), style="bold")
    boards = Table("board", "flash", "memory", "load", "", box=None, pad_edge=False)
    for one in fits(analysis):
        boards.add_row(
            one.board.name if one.board.esphome else f"{one.board.name} (not under ESPHome)",
            f"{analysis.model_bytes / one.board.flash_for_model:.1%} of {one.board.flash_for_model:,}",
            f"{analysis.ram_bytes / one.board.ram_for_model:.1%} of {one.board.ram_for_model:,}",
            f"{one.load:.1%} of a core",
            Text("fits", "green") if one.fits else Text("does not fit", "bold red"),
        )
    return Group(
        Text("The model before training", "bold"),
        layers,
        Text(
            f"window {analysis.window_slices} slices ({analysis.window_ms} ms), an inference every"
            f" {analysis.stride * 10} ms, {analysis.macs_per_second / 1e6:.2f} million MACs/s"
        ),
        Text(f"int8 file {analysis.model_bytes:,} bytes, tensor arena {analysis.arena_bytes:,} bytes with its margin"),
        boards,
        Text(ESTIMATED, "italic"),
    )
