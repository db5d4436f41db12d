"""Options that several commands of the trainer have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[str, typer.Option(help="Preset (fast_test, quick, standard, max_quality) or YAML file.")]
RunConfig = Annotated[str | None, typer.Option(help="Preset or YAML file. (default: the config.yaml of the run)")]
Overrides = Annotated[
    list[Path] | None, typer.Option("--override", help="YAML file laid over the configuration; may be repeated.")
]
Settings = Annotated[list[str] | None, typer.Option("--set", help="One value, as section.key=value; may be repeated.")]
Checkpoint = Annotated[Path | None, typer.Option(help="Weights of a run: its checkpoints/best_weights.weights.h5.")]
ExportedModel = Annotated[Path | None, typer.Option(help="An exported model, or its manifest.")]
RunFolder = Annotated[Path | None, typer.Option(help="Folder of the run. (default: found from the model or --config)")]
Jobs = Annotated[int | None, typer.Option(help="Processes. (default: one per core)", min=1)]
