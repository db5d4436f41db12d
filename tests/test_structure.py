"""How the product's code is written, read from its source: names are unique, many parameters are described, nothing
imports itself."""

from __future__ import annotations

import ast
import functools
import re
from collections import defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("wakeword", "trainer", "firmware", "bench_audio", "judge", "harness", "studio", "benchmarks", "scripts")


@functools.cache
def sources() -> dict[Path, ast.Module]:
    """Read by whoever runs a test of this file, and no process that only collects it."""
    return {
        path.relative_to(ROOT): ast.parse(path.read_text())
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    }


def test_a_class_name_means_one_thing() -> None:
    """A reader who greps for a class finds one; an underscore before it makes no other name."""
    places = defaultdict(list)
    for path, tree in sources().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name.lstrip("_")].append(f"{path}:{node.lineno}")
    assert len(places) > 100
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


type Function = ast.FunctionDef | ast.AsyncFunctionDef


def parameters(function: Function) -> list[str]:
    names = [one.arg for one in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
    return [name for name in names if name not in {"self", "cls"}]


def with_many_parameters(tree: ast.AST) -> Iterator[tuple[Function, str]]:
    """Public functions of more than five parameters, and how a public class is made, with their docstrings. Commands
    describe each option where it is declared, and pytest passes the parameters of a fixture.
    """
    for node in ast.walk(tree):
        of_class = node if isinstance(node, ast.ClassDef) and not node.name.startswith("_") else None
        for function in ast.iter_child_nodes(node):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) or len(parameters(function)) <= 5:
                continue
            declared = ast.unparse(function.args) + "".join(map(ast.unparse, function.decorator_list))
            if function.name == "__init__" and of_class:
                yield function, f"{ast.get_docstring(of_class)}\n{ast.get_docstring(function)}"
            elif not function.name.startswith("_") and "typer." not in declared and "pytest.fixture" not in declared:
                yield function, ast.get_docstring(function) or ""


def undescribed(function: Function, said: str) -> list[str]:
    """What a docstring leaves out: parameters without a line of their own, and what comes back."""
    entries = re.findall(r"^    ([\w, ]+):", said.partition("\nArgs:\n")[2], re.MULTILINE)
    described = {name for entry in entries for name in entry.split(", ")}
    silent = function.returns is None or ast.unparse(function.returns) == "None"
    returns = [] if silent or re.search(r"^Returns\b", said, re.MULTILINE) else ["Returns"]
    return [name for name in parameters(function) if name not in described] + returns


def test_a_function_of_many_parameters_describes_each() -> None:
    """Of five parameters the names tell enough; of more, the docstring tells what each is, and what comes back."""
    found = {
        f"{path}:{function.lineno} {function.name}": missing
        for path, tree in sources().items()
        for function, said in with_many_parameters(tree)
        if (missing := undescribed(function, said))
    }
    assert found == {}


def name_of(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


@functools.cache
def modules() -> dict[str, ast.Module]:
    return {name_of(path): tree for path, tree in sources().items()}


@functools.cache
def imports() -> dict[str, set[str]]:
    """The product's modules, and what each imports, inside functions too."""
    return {name: set(imported(tree)) for name, tree in modules().items()}


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            inside = [f"{node.module}.{one.name}" for one in node.names]
            yield from (one if one in modules() else node.module for one in inside)
        elif isinstance(node, ast.Import):
            yield from (one.name for one in node.names)


def test_no_module_imports_itself_through_others() -> None:
    """An import inside a function hides a circle from Python, not from who wants to understand one of the modules."""
    graph = {name: found & imports().keys() for name, found in imports().items()}
    assert sum(map(len, graph.values())) > 1000
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' <- '.join(error.args[1])}")


STANDS_ON = {
    "wakeword": set(),
    "trainer": {"wakeword"},
    "firmware": {"wakeword"},
    "bench_audio": {"wakeword"},
    "judge": {"wakeword"},
    "harness": {"wakeword", "firmware", "bench_audio", "judge"},
    "studio": {"wakeword", "trainer", "firmware", "bench_audio", "judge", "harness"},
}
"""What the modules of a package import of others."""


@pytest.mark.parametrize("package", STANDS_ON)
def test_imports_of_packages_point_down(package: str) -> None:
    found = {
        (name, one)
        for name, inside in imports().items()
        for one in inside
        if name.partition(".")[0] == package and one.partition(".")[0] in PACKAGES
    }
    assert found
    allowed = STANDS_ON[package] | {package}
    assert {(name, one) for name, one in found if one.partition(".")[0] not in allowed} == set()


def imported_at_once(tree: ast.Module) -> Iterator[str]:
    """Modules that an import of a module imports: not those of functions, nor those that types alone need."""
    left: list[ast.stmt] = list(tree.body)
    while left:
        node = left.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            left += node.orelse
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from imported(ast.Module([node], []))
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            left += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]


@pytest.mark.parametrize("library", [{"tensorflow", "keras"}, {"jax"}], ids=["TensorFlow", "JAX"])
def test_what_is_slow_to_import_or_not_installed_is_imported_inside_functions(library: set[str]) -> None:
    """A command answers at once, and a training without JAX works: modules that import one of them at their top are
    imported at the top of such modules alone.
    """
    at_once = {name: set(imported_at_once(tree)) for name, tree in modules().items()}
    with_it = {name for name, found in at_once.items() if library & {one.partition(".")[0] for one in found}}
    assert len(with_it) > 4
    assert {name for name in with_it if not name.startswith(("trainer.", "benchmarks."))} == set()
    assert {(name, one) for name in modules().keys() - with_it for one in at_once[name] & with_it} == set()
