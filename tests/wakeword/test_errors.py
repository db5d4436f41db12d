"""Whatever happens to a command, it ends with one line and the exit code of its class."""

from __future__ import annotations

import errno
import subprocess
import sys

import pytest

from wakeword.command_line import reports_errors
from wakeword.errors import BoardRefused, ConfigError, InfrastructureError, MeasurementFailure


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ConfigError("a: is wrong;\n mend it"), 2, "error: a: is wrong; mend it"),
        (MeasurementFailure("too low"), 1, "error: too low"),
        (InfrastructureError("no board"), 3, "error: no board"),
        (BoardRefused("another board"), 4, "error: another board"),
        (
            PermissionError(errno.EACCES, "Permission denied", "out/x"),
            2,
            "error: out/x: Permission denied; check the path",
        ),
        (OSError(errno.ENAMETOOLONG, "File name too long", "aaa"), 2, "error: aaa: File name too long; check the path"),
        (
            OSError(errno.ENOSPC, "No space left on device", "out/x"),
            3,
            "error: out/x: No space left on device; free space",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), 3, "error: No space left on device; free space"),
        (OSError("only words"), 3, "error: only words; free space"),
        (KeyboardInterrupt(), 130, "error: interrupted"),
    ],
    ids=repr,
)
def test_every_error_has_its_line_and_its_exit_code(
    error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    @reports_errors
    def command() -> None:
        raise error

    with pytest.raises(SystemExit) as stopped:
        command()
    assert stopped.value.code == code
    said = capsys.readouterr().err
    assert said.startswith(line)
    assert said.count("\n") == 1


def run(body: str, redirection: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the body of a command in a Python of its own, its output redirected by a shell."""
    script = (
        "import os, signal, sys\nfrom wakeword.command_line import reports_errors\n@reports_errors\ndef command():\n   "
        f" {body}\ncommand()"
    )
    line = f'set -o pipefail; "$0" -c "$1" {redirection}'
    return subprocess.run(
        ["bash", "-c", line, sys.executable, script],
        capture_output=True,
        text=True,
        env=variables,
        timeout=60,
        check=False,
    )


def test_a_reader_that_went_away_is_no_error() -> None:
    for body in ("print('x' * 100_000)", "__import__('rich.console').console.Console().print('x ' * 100_000)"):
        done = run(body, "| true")
        assert (done.returncode, done.stderr) == (141, "")


def test_a_closed_or_poor_terminal_costs_no_result() -> None:
    assert run("print('done')", ">&-").returncode == 0
    done = run("print('1\\N{EN DASH}2')", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout, done.stderr) == (0, "1?2\n", "")


def test_a_full_disk_behind_stdout_is_void() -> None:
    done = run("print('x')", "> /dev/full")
    assert done.returncode == 3
    assert done.stderr == "error: No space left on device; free space or check the machine, then run again\n"


def test_sigterm_ends_a_command_as_cleanly_as_an_interrupt() -> None:
    done = run("\n    try: os.kill(os.getpid(), signal.SIGTERM)\n    finally: print('cleaned up')")
    assert (done.returncode, done.stdout) == (143, "cleaned up\n")
    assert done.stderr == "error: terminated; nothing half-written was kept under a final name\n"
