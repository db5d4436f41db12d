"""What a package of modules registers: each module holds one constant, so a new one is one file."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import Any


def registered(package: ModuleType, constant: str) -> list[Any]:
    """The value of `constant` in each module of a package, in the alphabetical order of the modules."""
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."))
    return [getattr(importlib.import_module(name), constant) for name in names]
