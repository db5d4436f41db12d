"""How the product's code is laid out, read from its source: names are unique."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("wakeword", "trainer", "firmware", "bench_audio", "harness", "benchmarks", "scripts")
SOURCES = {
    path.relative_to(ROOT): ast.parse(path.read_text())
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}


def test_a_class_name_means_one_thing() -> None:
    """A reader who greps for a class finds one; an underscore before it makes no other name."""
    places = defaultdict(list)
    for path, tree in SOURCES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name.lstrip("_")].append(f"{path}:{node.lineno}")
    assert len(places) > 100
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
