"""The import law of ``doc/architecture``: down the house, never in a circle, and nothing slow where it is too early."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pipetask
from house import ROOT, between_rooms, imports

FLOORS = [
    {"wording"},
    {"errors", "lsst_internals", "text"},
    {"outcome", "settings"},
    {"options", "storage"},
    {"development", "graph"},
    {"runner"},
    {"executors"},
    {"observe"},
    {"journal"},
    {"batch", "repository"},
    {"pipeline", "monitor"},
    {"graph_building"},
    {"execution"},
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
    "journal",
    "monitor",
    "outcome",
    "settings",
    "text",
    "wording",
}
"""Rooms, and modules of other rooms, that are imported before it is clear that a run will need LSST's slow packages."""


def test_every_room_is_on_a_floor() -> None:
    rooms = {"" if path.stem == "__init__" else path.stem for path in ROOT.glob("*.py")}
    rooms |= {path.parent.name for path in ROOT.glob("*/__init__.py")}
    floors = [room for floor in FLOORS for room in floor]
    assert sorted(floors) == sorted(rooms), "each once, and none that is gone"


def test_imports_go_down() -> None:
    height = {room: number for number, floor in enumerate(FLOORS) for room in floor}
    ours = between_rooms(imports())
    assert len(ours) > 300, "they were found"
    wrong = {
        (each.room, each.target_room): each.module
        for each in ours
        if height[each.target_room] >= height[each.room]
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
