"""Programs of the system that some tests need: a test without its program is skipped, and one line at the end says what
to install.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable

import pytest

_INSTALL = re.compile(r"\(Debian: apt-get install ([^)]+)\)")


def install(*packages: str) -> str:
    """The end of a reason for skipping, which `what_to_install` finds again."""
    return f"(Debian: apt-get install {' '.join(packages)})"


def needs(program: str, package: str) -> pytest.MarkDecorator:
    """Skips a test where `program` is not installed."""
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"needs {program} {install(package)}")


def what_to_install(reasons: Iterable[str]) -> str | None:
    """One line for all tests that were skipped for want of a program, None when there are none. `reasons` has one entry
    for each skipped test.
    """
    found = [match.group(1).split() for reason in reasons if (match := _INSTALL.search(reason))]
    if not found:
        return None
    packages = sorted({package for packages in found for package in packages})
    tests = "1 test was" if len(found) == 1 else f"{len(found)} tests were"
    return f"{tests} skipped for want of programs; to run all of them: apt-get install {' '.join(packages)}"
