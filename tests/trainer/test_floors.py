"""Rooms of the trainer stand on floors, and import downwards alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import trainer

FLOORS = (
    {"config", "terminal", "options"},
    {"data", "networks"},
    {"inference", "export"},
    {"evaluation", "mining", "clustering", "analysis", "exporting"},
    {"training"},
    {"tuning", "search", "cli"},
)
"""From the ground up."""
ROOT = Path(trainer.__file__).parent


def room_of(module: str) -> str:
    return module.split(".")[1]


def imports(path: Path) -> Iterator[str]:
    """The trainer's modules that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.ImportFrom(module="trainer", names=names):
                yield from (f"trainer.{one.name}" for one in names)
            case ast.ImportFrom(module=str(module)) if module.startswith("trainer."):
                yield module
            case ast.Import(names=names):
                yield from (one.name for one in names if one.name.startswith("trainer."))


def test_imports_of_rooms_point_down() -> None:
    floor_of = {room: number for number, floor in enumerate(FLOORS) for room in floor}
    seen = set()
    for path in sorted(ROOT.rglob("*.py")):
        relative = path.relative_to(ROOT.parent).with_suffix("")
        if relative.parts == ("trainer", "__init__"):
            continue
        room = room_of(".".join(relative.parts))
        seen.add(room)
        up = [
            module
            for module in imports(path)
            if room_of(module) != room and floor_of[room_of(module)] >= floor_of[room]
        ]
        assert not up, f"{relative} (floor {floor_of[room]}) imports {up}, which does not stand below it"
    assert seen == set(floor_of), "every room has its floor, and no floor names a room that is gone"
