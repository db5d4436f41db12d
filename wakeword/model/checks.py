"""Checks of a model and its manifest: one line each with what was found, and the verdict that they come to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from wakeword import contract

type Status = Literal["passed", "warning", "failed"]

MANIFEST = "manifest"
"""Name of the lines about the manifest's keys; all others are about the model, and the arena that it is given."""


@dataclass(frozen=True)
class Check:
    """One line of the contract and what was found."""

    name: str
    status: Status
    detail: str

    @property
    def passed(self) -> bool:
        """True also for a warning: the device runs the model."""
        return self.status != "failed"


@dataclass(frozen=True)
class VerifyReport:
    """All checks of one model. `arena_bytes` is the ESP32-S3 estimate, None where the structure does not allow one."""

    source: str
    sha256: str | None
    """None where no model was found."""
    checks: tuple[Check, ...]
    arena_bytes: int | None

    @property
    def passed(self) -> bool:
        """Whether the device will run the model."""
        return all(check.passed for check in self.checks)

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if not check.passed)

    @property
    def warnings(self) -> tuple[Check, ...]:
        """The checks that are passed at a price."""
        return tuple(check for check in self.checks if check.status == "warning")

    @property
    def verdict(self) -> str:
        """What all checks come to, in one sentence."""
        refused = sum(check.name == MANIFEST for check in self.failures)
        unrunnable = list(dict.fromkeys(check.name for check in self.failures if check.name != MANIFEST))
        if refused or unrunnable:
            said = []
            if refused:
                counted = f"{refused} fault{'s' if refused > 1 else ''}"
                said = [f"ESPHome {contract.ESPHOME_VERSION} does not take this manifest as it is meant ({counted})"]
            said += [f"the device will not run this model ({', '.join(unrunnable)})"] if unrunnable else []
            return "; ".join(said)
        what = "the device will run this model"
        count = len(self.warnings)
        return (
            what
            if not count
            else (
                f"{what}, with {count} warning{'s' if count > 1 else ''}"
                f" ({', '.join(dict.fromkeys(check.name for check in self.warnings))})"
            )
        )

    def check(self, name: str) -> Check:
        """The first line of this name. Raises `KeyError` when there is none."""
        found = next((check for check in self.checks if check.name == name), None)
        if found is None:
            raise KeyError(name)
        return found

    def with_check(self, check: Check) -> VerifyReport:
        """The report with one more line."""
        return replace(self, checks=(*self.checks, check))

    def with_more(self, name: str, detail: str) -> VerifyReport:
        """The report with more said in the lines of this name."""
        return replace(
            self,
            checks=tuple(
                replace(check, detail=check.detail + detail) if check.name == name else check for check in self.checks
            ),
        )


def check_of(name: str, passed: bool, found: str, needed: str = "") -> Check:
    """A check that is passed or failed: what was found, and what was needed where it failed."""
    return Check(name, "passed" if passed else "failed", f"{found}; {needed}" if needed and not passed else found)
