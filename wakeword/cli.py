"""`mww-verify`: will the device run this model?"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wakeword.errors import MeasurementFailure, reports_errors

if TYPE_CHECKING:
    from wakeword.model.verify import VerifyReport

verify_app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]})

_STYLE = {"passed": "green", "warning": "yellow", "failed": "bold red"}


@verify_app.command()
@reports_errors
def verify(
    model: Annotated[Path, typer.Argument(help="A .tflite model, or the .json manifest beside it.", show_default=False)],
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also measure the arena on this machine and list the operators.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Check a model against what ESPHome's micro_wake_word demands.

    Reads the flatbuffer, then runs the model in tflite-micro in a child process. Given a manifest, its arena is
    compared with the model's estimated need as well.

    Exit code 0: the device will run it. 1: it will not. 2: the file is no model, or cannot be read.

    \b
    Examples:
      mww-verify okay_computer.tflite
      mww-verify okay_computer.json --verbose
      mww-verify okay_computer.tflite --json | jq .checks
    """
    from wakeword.model.flatbuffer import read_model
    from wakeword.model.manifest import read_manifest
    from wakeword.model.verify import VerifyReport, check_manifest_arena, verify_model

    manifest, path = read_manifest(model) if model.suffix == ".json" else (None, model)
    parsed = read_model(path)
    report = verify_model(parsed)
    if manifest is not None and report.arena_bytes is not None:
        check = check_manifest_arena(manifest.micro.tensor_arena_size, report.arena_bytes)
        report = VerifyReport(report.source, report.sha256, (*report.checks, check), report.arena_bytes)
    if as_json:
        print(json.dumps({**asdict(report), "passed": report.passed}, indent=2))
    else:
        _print_table(report)
        if verbose:
            _print_details(report, parsed.content, [operator.name for operator in parsed.main.operators])
    if not report.passed:
        failed = ", ".join(check.name for check in report.failures)
        raise MeasurementFailure(f"{path}: the device will not run this model ({failed}); correct the export and verify again")


def _print_table(report: VerifyReport) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("", "Check", "Found", title=Text(report.source), title_justify="left")
    for check in report.checks:
        table.add_row(Text(check.status, _STYLE[check.status]), Text(check.name), Text(check.detail))
    Console().print(table)


def _print_details(report: VerifyReport, content: bytes, operators: list[str]) -> None:
    from collections import Counter

    from wakeword.model.arena import host_arena, recommended_arena

    print(f"sha256 {report.sha256}, {len(content):,} bytes")
    print("operators: " + ", ".join(f"{number} {name}" for name, number in Counter(operators).most_common()))
    if report.arena_bytes is not None:
        print(f"tensor_arena_size for a manifest: {recommended_arena(report.arena_bytes)}")
        host = host_arena(content)
        print(f"arena on this machine: {host.used} used, {host.minimum} at least (never for a manifest)")
