"""The import law of ``doc/architecture``: down the house, never in a circle, and nothing slow where it is too early."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pipetask

ROOT = Path(pipetask.__file__).parent

FLOORS = [
    {"errors", "lsst_internals"},
    {"outcome", "settings"},
    {"options", "storage"},
    {"development", "graph"},
    {"runner"},
    {"executors"},
    {"observe"},
    {"batch", "repository"},
    {"pipeline"},
    {"graph_building"},
    {"run"},
    {"testing", ""},
    {"cli"},
]
"""Rooms from the bottom to the top.  A room imports what is below it, and nothing beside or above.

The package itself is ``""``.
"""

EXCEPTIONS: dict[tuple[str, str], str] = {}
"""Imports that break the law, with the reason.  This list only ever gets shorter."""

CIRCLES = {
    ("runner.spec", "runner.quantum_runner"): "a spec makes its runner, and imports it only then",
}
"""Imports that close a circle of modules, with the reason.  One at most, and it must be harmless."""

WITHOUT_LSST = {
    "",
    "cli",
    "errors",
    "executors",
    "options",
    "graph.enumeration",
    "graph.structure",
    "outcome",
    "settings",
}
"""Rooms, and modules of other rooms, that are imported before it is clear that a run will need LSST's slow packages."""


class Import(NamedTuple):
    """One import statement."""

    module: str
    """Where it stands."""

    room: str
    target: str
    """A module of ours, or the name of another package."""

    target_room: str

    inside: bool
    """Whether the target is ours."""

    at_once: bool
    """Whether importing the module executes it."""

    for_types: bool
    """Whether nothing ever executes it."""


def _room(parts: list[str]) -> str:
    return parts[0] if parts else ""


def _statements(tree: ast.Module) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool, bool]]:
    at_once = {id(node) for node in tree.body}
    guards = (node for node in tree.body if isinstance(node, ast.If))
    for_types = {
        id(node) for guard in guards if "TYPE_CHECKING" in ast.unparse(guard.test) for node in ast.walk(guard)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, id(node) in at_once, id(node) in for_types


def _targets(node: ast.Import | ast.ImportFrom, package: list[str]) -> Iterator[tuple[str, bool]]:
    if isinstance(node, ast.Import):
        yield from ((alias.name, False) for alias in node.names)
    elif not node.level:
        yield node.module or "", False
    else:
        base = package[: len(package) - node.level + 1] + (node.module.split(".") if node.module else [])
        if base:
            yield from ((_module([*base, alias.name]), True) for alias in node.names)
        else:
            yield from ((alias.name, True) for alias in node.names)


def _module(parts: list[str]) -> str:
    """Return the module that an imported name stands for, or is defined in."""
    path = ROOT.joinpath(*parts)
    return ".".join(parts if path.is_dir() or path.with_suffix(".py").exists() else parts[:-1])


def imports() -> Iterator[Import]:
    for path in sorted(ROOT.rglob("*.py")):
        parts = list(path.relative_to(ROOT).with_suffix("").parts)
        package, module = parts[:-1], [part for part in parts if part != "__init__"]
        for node, at_once, for_types in _statements(ast.parse(path.read_text())):
            for target, inside in _targets(node, package):
                room = _room(target.split("."))
                yield Import(".".join(module), _room(module), target, room, inside, at_once, for_types)


def test_every_room_is_on_a_floor() -> None:
    rooms = {"" if path.stem == "__init__" else path.stem for path in ROOT.glob("*.py")}
    rooms |= {path.parent.name for path in ROOT.glob("*/__init__.py")}
    floors = [room for floor in FLOORS for room in floor]
    assert sorted(floors) == sorted(rooms), "each once, and none that is gone"


def test_imports_go_down() -> None:
    height = {room: number for number, floor in enumerate(FLOORS) for room in floor}
    ours = [each for each in imports() if each.inside and each.target_room != each.room]
    assert len(ours) > 300, "they were found"
    # The package names public classes from everywhere, and imports them when they are asked for.
    wrong = {
        (each.room, each.target_room): each.module
        for each in ours
        if height[each.target_room] >= height[each.room] and each.room
    }
    assert {pair: wrong[pair] for pair in wrong.keys() - EXCEPTIONS.keys()} == {}
    assert EXCEPTIONS.keys() - wrong.keys() == set(), "no longer needed: take it off the list"


def test_no_modules_import_each_other() -> None:
    """Also not late or for types: two modules of a circle are to be understood together."""
    needs: dict[str, set[str]] = {}
    # The package names public classes from everywhere, and imports them when they are asked for.
    for each in imports():
        if each.inside and each.module and each.target != each.module:
            needs.setdefault(each.module, set()).add(each.target)
    assert len(CIRCLES) <= 1
    for module, target in CIRCLES:
        assert target in needs[module], "no longer needed: take it off the list"
        needs[module].remove(target)
    TopologicalSorter(needs).prepare()  # raises an error that names a circle


def test_what_must_be_there_at_once_does_not_wait_for_lsst() -> None:
    slow = [each for each in imports() if each.at_once and each.target.split(".")[0] == "lsst"]
    assert slow, "they were found"
    assert [each for each in slow if {each.room, each.module} & WITHOUT_LSST] == []


def test_execution_models_do_not_know_the_butler() -> None:
    executed = [each for each in imports() if each.room == "executors" and not each.for_types]
    assert [each for each in executed if each.target.startswith("lsst.daf")] == []


def test_public_names_have_the_homes_that_type_checkers_see() -> None:
    tree = ast.parse(Path(pipetask.__file__).read_text())
    (guard,) = (
        node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    seen = {
        alias.name: node.module
        for node in guard.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == pipetask._HOME_OF
    assert sorted(seen) == sorted(pipetask.__all__)
