"""`mww-verify`: will the device run this model?"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wakeword.command_line import CommandApp, reports_errors
from wakeword.errors import MeasurementFailure

if TYPE_CHECKING:
    from wakeword.model.checks import VerifyReport
    from wakeword.model.flatbuffer import Subgraph, TfliteModel
    from wakeword.model.float_model import Agreement

verify_app = CommandApp(rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]})

_STYLE = {"passed": "green", "warning": "yellow", "failed": "bold red"}


@verify_app.command()
@reports_errors
def verify(
    model: Annotated[
        Path, typer.Argument(help="A .tflite model, or the .json manifest beside it.", show_default=False)
    ],
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Float weights that the model came from: compare now, with the run's recordings."),
    ] = None,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", help="Also measure the arena on this machine, list the operators and the states."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Check a model against what ESPHome's micro_wake_word demands.

    Reads the flatbuffer, then runs the model in tflite-micro in a child process. Given a manifest, every key is judged
    by ESPHome's rules, and its arena is compared with the model's estimated need. How far the model is from the float
    model it was made of stands in the record that mww-export leaves beside it, or is measured again with --checkpoint.
    The last line is the verdict.

    Exit code 0: the device will run it. 1: it will not, or ESPHome refuses the manifest. 2: the file is no model, or
    cannot be read.

    \b
    Examples:
      mww-verify okay_computer.tflite
      mww-verify okay_computer.json --verbose
      mww-verify okay_computer.tflite --json | jq .checks
      mww-verify okay_computer.tflite --checkpoint runs/okay_computer/checkpoints/best_weights.weights.h5
    """
    from wakeword.deliverable import judge
    from wakeword.model.float_model import measured_agreement, recorded_agreement
    from wakeword.progress import working

    judged = judge(model)
    path, parsed, report = judged.path, judged.model, judged.report
    agreement, found = (None, None) if parsed is None else recorded_agreement(path, parsed.sha256)
    if checkpoint is not None and parsed is not None and report.passed:
        with working("measuring how far the model is from its float model"):
            agreement, found = measured_agreement(parsed, checkpoint)
    if found is not None:
        report = report.with_check(found)
    if as_json:
        print(json.dumps(_values(report, parsed, agreement, verbose), indent=2))
    else:
        _print_table(report)
        if verbose and parsed is not None:
            _print_details(report, parsed)
    if not report.passed:
        raise MeasurementFailure(f"{model}: {report.verdict}; correct that and verify again")
    if not as_json:
        print(f"{model}: {report.verdict}")


def _print_table(report: VerifyReport) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("", "Check", "Found", title=Text(report.source), title_justify="left")
    for check in report.checks:
        table.add_row(Text(check.status, _STYLE[check.status]), Text(check.name), Text(check.detail))
    Console().print(table)


def _values(
    report: VerifyReport, model: TfliteModel | None, agreement: Agreement | None, verbose: bool
) -> dict[str, object]:
    from wakeword.model.arena import host_arena, recommended_arena
    from wakeword.model.arena_esp32s3 import state_sizes

    values = asdict(report) | {
        "passed": report.passed,
        "verdict": report.verdict,
        "bytes": len(model.content) if model else None,
        "recommended_arena_size": recommended_arena(report.arena_bytes) if report.arena_bytes is not None else None,
        "float_model": agreement.model_dump() if agreement else None,
        "subgraphs": [
            {"operators": _operators(graph), "tensors": len(graph.tensors)}
            for graph in (model.subgraphs if model else ())
        ],
    }
    if model is not None and report.arena_bytes is not None:
        values["state_bytes"] = state_sizes(model)
        if verbose:
            values["host_arena"] = asdict(host_arena(model.content))
    return values


def _operators(graph: Subgraph) -> dict[str, int]:
    from collections import Counter

    return dict(Counter(operator.name for operator in graph.operators).most_common())


def _print_details(report: VerifyReport, model: TfliteModel) -> None:
    from wakeword.model.arena import host_arena, recommended_arena
    from wakeword.model.arena_esp32s3 import state_sizes

    print(f"sha256 {report.sha256}, {len(model.content):,} bytes")
    for index, graph in enumerate(model.subgraphs):
        listed = ", ".join(f"{number} {name}" for name, number in _operators(graph).items())
        print(f"subgraph {index}: {len(graph.operators)} operators, {len(graph.tensors)} tensors: {listed}")
    if report.arena_bytes is not None:
        print("states: " + ", ".join(f"{name} {size:,}" for name, size in state_sizes(model).items()) + " bytes")
        print(f"tensor_arena_size for a manifest: {recommended_arena(report.arena_bytes)}")
        host = host_arena(model.content)
        print(f"arena on this machine: {host.used} used, {host.minimum} at least (never for a manifest)")
    if not any(check.name == "float model" for check in report.checks):
        print(
            "agreement with its float model: not known; mww-export leaves it in a record beside the model, or give the"
            " weights with --checkpoint"
        )
