"""Running esphome on a project: its output into build.log, its steps as progress, its failures as one line. Secrets are
taken out of all of it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from firmware.artefacts import printed_sizes
from firmware.credentials import VARIABLES, keep_private
from firmware.processes import run_program
from firmware.project import Project
from firmware.redaction import Redactor, without_concealed
from firmware.toolenv import ToolEnvironment, neutral_environment
from wakeword.errors import ConfigError, InfrastructureError

LOG_FILE = "build.log"

_OURS_ALONE = ("ESPHOME_DATA_DIR", "ESPHOME_BUILD_PATH", "ESPHOME_IS_HA_ADDON", "ESPHOME_VERBOSE")
"""Variables that would lead ESPHome out of the project's folder, or make it print the secrets."""
_OURS = {"CCACHE_UMASK": "077"}
"""Where ccache is installed, ESPHome has it keep copies of objects, which hold the secrets, for all builds of the
machine."""
_STEP = re.compile(r"\[(\d+)/(\d+)\]")
_UNREACHABLE = re.compile(
    r"could not resolve|name or service not known|temporary failure in name resolution|getaddrinfo|network is"
    r" unreachable|connection refused"
    r"|connection (?:timed out|reset)|max retries exceeded|failed to download|download (?:failed|error)|could not"
    r" download|unable to access"
    r"|no route to host|proxyerror|sslerror|certificate verify failed|httpsconnectionpool|connecterror|error"
    r" downloading|http error \d+",
    re.IGNORECASE,
)
_ERROR = re.compile(
    r"\berror:|^ERROR\b|\bfatal\b|undefined reference|No space left|overflowed by|too big|Killed", re.IGNORECASE
)
_FAILED = re.compile(r"FAILED:")

type Progress = Callable[[int, int], None]


@dataclass
class Esphome:
    """ESPHome at work on one project. A context manager that keeps the log open. `progress` takes the steps done and
    all steps.
    """

    project: Project
    environment: ToolEnvironment
    progress: Progress
    lines: list[str] = field(default_factory=list)
    """What the last command printed, without the secrets."""
    sizes: tuple[int | None, int | None] = (None, None)
    """Bytes of flash and RAM, as the last command printed them."""

    def __post_init__(self) -> None:
        self._redact = Redactor(self.project.secrets)
        self._log: TextIO | None = None

    @property
    def log_path(self) -> Path:
        """The log of the whole build."""
        return self.project.folder / LOG_FILE

    def __enter__(self) -> Self:
        self._log = self.log_path.open("w", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._log is not None
        self._log.close()

    def validate(self) -> None:
        """Have ESPHome check the configuration. Raises `ConfigError` with its complaint."""
        if self._run("config") != 0:
            raise ConfigError(
                f"{self.project.configuration}: ESPHome refuses the configuration: {self._complaint()}; see"
                f" {self.log_path}"
            )

    def generate(self) -> None:
        """Have ESPHome write the C++ project. Raises `InfrastructureError` when it cannot."""
        if self._run("compile", "--only-generate") != 0:
            raise InfrastructureError(
                f"{self.project.configuration}: ESPHome could not generate the program: {self._telling()}; see"
                f" {self.log_path}"
            )

    def compile(self) -> None:
        """Have ESPHome generate and compile. Raises `InfrastructureError` that says whether the network, the compiler
        or the code is at fault.
        """
        if self._run("compile") == 0:
            return
        if any(_UNREACHABLE.search(line) for line in self.lines):
            raise InfrastructureError(
                f"{self.project.target}: {self._download()} could not be downloaded; connect this machine to the"
                f" network and build again, or use --generate-only; see {self.log_path}"
            )
        raise InfrastructureError(f"{self.project.target}: compiling failed: {self._telling()}; see {self.log_path}")

    def _run(self, command: str, *options: str) -> int:
        assert self._log is not None
        log = self._log
        self.lines, printed = [], []

        def take(line: str) -> None:
            # A network may be named "Flash" or "1": what is read from the lines is read before names are taken out.
            printed.append(line)
            clean = without_concealed(self._redact(line))
            self.lines.append(clean)
            print(clean, file=log, flush=True)
            if step := _STEP.search(line):
                self.progress(int(step.group(1)), int(step.group(2)))

        configuration = self.project.configuration.name
        print(f"$ esphome {command} {' '.join((*options, configuration))}", file=log, flush=True)
        variables = neutral_environment((*_OURS_ALONE, *VARIABLES.values())) | _OURS | dict(self.project.variables)
        try:
            return run_program(
                [self.environment.esphome, command, *options, configuration], self.project.folder, variables, take
            )
        finally:
            # ESPHome lets everybody read the program that it writes, and its objects.
            keep_private(self.project.private)
            self.sizes = printed_sizes(printed)

    def _complaint(self) -> str:
        """What `esphome config` says is wrong. It prints the section at fault as YAML, and the complaint between its
        lines, without a key.
        """
        after = self.lines[self.lines.index("Failed config") + 1 :] if "Failed config" in self.lines else []
        prose = (line for line in after if line.strip())
        begins = itertools.dropwhile(_is_yaml, prose)
        spoken = list(itertools.takewhile(lambda line: not _is_yaml(line), begins))
        return _short(" ".join(spoken)) if spoken else self._telling()

    def _download(self) -> str:
        """What was being fetched, and from where."""
        what = [
            match.group(1) for line in self.lines if (match := re.search(r"\bDownloading (.+?)(?: \.\.\.|$)", line))
        ]
        hosts = [
            match.group(1) for line in self.lines if (match := re.search(r"https?://(?:[^/@\s]+@)?([\w.\-]+)", line))
        ]
        return (what[-1] if what else "the compiler or a library") + (f" from {hosts[-1]}" if hosts else "")

    def _telling(self) -> str:
        found = next((line for pattern in (_ERROR, _FAILED) for line in self.lines if pattern.search(line)), None)
        spoken = [line for line in self.lines if line.strip()]
        return _short(found or (spoken[-1] if spoken else "it said nothing"))


def _is_yaml(line: str) -> bool:
    return re.match(r"\s*(- )?[\w.\-]+:(\s|$)|\s*- ", line) is not None


def _short(text: str, longest: int = 300) -> str:
    line = " ".join(text.split()).rstrip(".")
    return line if len(line) <= longest else line[: longest - 1] + "…"
