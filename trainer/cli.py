"""`mww-export`: parse, call, print; and `mww-generate` and `mww-train`, which lie beside what they call."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trainer.data.cli import generate
from trainer.options import Jobs, Overrides, RunConfig, Settings
from trainer.training.cli import train
from wakeword.command_line import CommandApp, reports_errors

if TYPE_CHECKING:
    from trainer.exporting import Exported, ExportedFloat
    from wakeword.model.float_model import Agreement, FormFigures

generate_app = CommandApp()
train_app = CommandApp()
export_app = CommandApp()

generate_app.command()(generate)
train_app.command()(train)


@export_app.command()
@reports_errors
def export(
    checkpoint: Annotated[Path, typer.Option(help="Weights of a run: its checkpoints/best_weights.weights.h5.")],
    config: RunConfig = None,
    override: Overrides = None,
    setting: Settings = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder for model and manifest. (default: paths.export_dir)")
    ] = None,
    model_name: Annotated[str | None, typer.Option(help="Name of the files. (default: from the wake word)")] = None,
    no_quantize: Annotated[
        bool, typer.Option("--no-quantize", help="Write a float32 model for computers instead; no device runs it.")
    ] = False,
    onnx: Annotated[
        bool,
        typer.Option(
            "--onnx", help="Write the float32 streaming model as ONNX for computers instead; no device runs it."
        ),
    ] = False,
    jobs: Jobs = None,
) -> None:
    """Export trained weights as an int8 streaming model with its ESPHome manifest.

    The cutoff is chosen on validation data for training.target_minimization false accepts an hour, unless
    export.probability_cutoff gives it. No file is written when mww-verify would not pass model and manifest. Beside
    both lie the lines for an ESPHome device's configuration (NAME.esphome.yaml), the float model (streaming/), the
    configuration, and a record of what was measured. What the float model finds on validation data and what int8
    arithmetic makes of it is told; an export that loses more than export.max_recall_drop is refused.

    Example:

      mww-export --checkpoint runs/computer/checkpoints/best_weights.weights.h5 --output models/computer
    """
    from trainer.export.onnx import require_onnx
    from trainer.exporting import default_name, export_float, export_onnx, export_run
    from trainer.inference.runs import run_config
    from trainer.networks.runtime import require_tensorflow
    from trainer.terminal import Terminal
    from trainer.training.memory import workers
    from wakeword.errors import ConfigError
    from wakeword.locks import hold_folder

    if onnx and no_quantize:
        raise ConfigError("--onnx and --no-quantize write different files; give one of them, then the other")
    if onnx:
        require_onnx()
    configuration = run_config(
        checkpoint, config, override or (), [*(setting or ()), *(["export.quantize=false"] if no_quantize else [])]
    )
    output, name = output or configuration.paths.export_dir, model_name or default_name(configuration.export.wake_word)
    require_tensorflow()
    with hold_folder(output, "give another --output"), Terminal() as terminal:
        if onnx:
            _print_onnx_export(export_onnx(checkpoint, configuration, output, name, terminal))
        elif configuration.export.quantize:
            _print_export(
                export_run(checkpoint, configuration, output, name, terminal, workers(configuration.performance, jobs))
            )
        else:
            _print_float_export(export_float(checkpoint, configuration, output, name, terminal))


def _print_export(exported: Exported) -> None:
    from trainer.export.package import esphome_lines

    choice, agreement = exported.choice, exported.agreement
    if choice is not None:
        typer.echo(
            f"Cutoff {choice.probability_cutoff} chosen on validation data:"
            f" {choice.counted}{f'; {choice.margin}' if choice.margin else ''}"
        )
        if not choice.reaches_target:
            typer.echo(
                "warning: no cutoff reaches the target of false accepts; the one with the fewest was taken", err=True
            )
    _print_forms(exported.forms)
    _print_agreement("int8 against float", agreement)
    if agreement.suspicious:
        typer.echo("warning: quantisation has changed the model by more than 0.02 on average", err=True)
    package = exported.package
    typer.echo(f"Model: {package.model}\nManifest: {package.manifest} (arena {exported.arena_bytes} bytes)")
    typer.echo(
        f"For an ESPHome device, copy both beside its configuration and add these lines to it ({package.yaml}):\n\n"
        f"{esphome_lines(package.manifest.name)}\n"
        "docs/deploy.md shows a whole device and Home Assistant."
    )


def _print_float_export(exported: ExportedFloat) -> None:
    _print_agreement("float32 against Keras", exported.agreement)
    typer.echo(
        f"Model: {exported.model}\nThis float32 model is for computers: no ESPHome device runs it. So it has no"
        " manifest, no cutoff was chosen, and the device contract was not checked. Export without --no-quantize"
        " (export.quantize: true) for a device."
    )


def _print_onnx_export(exported: ExportedFloat) -> None:
    from trainer.exporting import ONNX_TOLERANCE

    agreement = exported.agreement
    typer.echo(
        f"ONNX Runtime against Keras: largest difference {agreement.maximum:.1e} (allowed: {ONNX_TOLERANCE:g}), over"
        f" {agreement.inferences} inferences\nModel: {exported.model}\nThis float32 model is for computers: no ESPHome"
        " device runs it. Its metadata says what goes in. Export without --onnx for a device."
    )


def _print_forms(forms: tuple[FormFigures, ...]) -> None:
    """A line a form of the model: what it finds on validation data at the float model's false accepts."""
    for figures in forms:
        difference = (
            f"; probabilities differ by {figures.agreement.mean:.4f} on average, {figures.agreement.maximum:.3f} at"
            " most"
            if figures.agreement
            else ""
        )
        typer.echo(
            f"{figures.form}: {figures.detected}/{figures.utterances} utterances found ({figures.recall:.1%}),"
            f" {figures.false_accepts} false accepts in {figures.hours:.2f} h{difference}"
        )


def _print_agreement(what: str, agreement: Agreement) -> None:
    typer.echo(
        f"{what}: mean difference {agreement.mean:.4f}, largest {agreement.maximum:.3f}, over {agreement.inferences}"
        " inferences"
    )
