"""The house as its imports draw it: what imports what, and how much of that there is.

``python tests/house.py [FOLDER]`` counts; another folder is another version of ``python/pipetask``.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import networkx as nx

import pipetask

ROOT = Path(pipetask.__file__).parent


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


def _targets(node: ast.Import | ast.ImportFrom, package: list[str], root: Path) -> Iterator[tuple[str, bool]]:
    if isinstance(node, ast.Import):
        yield from ((alias.name, False) for alias in node.names)
    elif not node.level:
        yield node.module or "", False
    else:
        base = package[: len(package) - node.level + 1] + (node.module.split(".") if node.module else [])
        if base:
            yield from ((_module([*base, alias.name], root), True) for alias in node.names)
        else:
            yield from ((alias.name, True) for alias in node.names)


def _module(parts: list[str], root: Path) -> str:
    """Return the module that an imported name stands for, or is defined in."""
    path = root.joinpath(*parts)
    return ".".join(parts if path.is_dir() or path.with_suffix(".py").exists() else parts[:-1])


def imports(root: Path = ROOT) -> Iterator[Import]:
    """Yield every import statement of a package, one for each name."""
    for path in sorted(root.rglob("*.py")):
        parts = list(path.relative_to(root).with_suffix("").parts)
        package, module = parts[:-1], [part for part in parts if part != "__init__"]
        for node, at_once, for_types in _statements(ast.parse(path.read_text())):
            for target, inside in _targets(node, package, root):
                room = _room(target.split("."))
                yield Import(".".join(module), _room(module), target, room, inside, at_once, for_types)


def between_rooms(found: Iterable[Import]) -> list[Import]:
    """Return the imports that lead from one room into another."""
    # The package names public classes from everywhere, and imports them when they are asked for.
    return [each for each in found if each.inside and each.room and each.target_room != each.room]


def circles(graph: nx.DiGraph) -> list[list[str]]:
    """Return the groups of nodes each of which can be reached from each other."""
    return [sorted(group) for group in nx.strongly_connected_components(graph) if len(group) > 1]


def main(root: Path) -> None:
    found = list(imports(root))
    crossing = between_rooms(found)
    rooms = nx.DiGraph({(each.room, each.target_room) for each in crossing})
    modules = nx.DiGraph(
        {
            (each.module, each.target)
            for each in found
            if each.inside and each.module and each.target != each.module
        }
    )
    files = sorted(root.rglob("*.py"))
    print(f"{sum(len(path.read_text().splitlines()) for path in files):,} lines in {len(files)} modules")
    print(f"{len(rooms)} rooms on {nx.dag_longest_path_length(nx.condensation(rooms)) + 1} floors")
    print(f"{len(rooms.edges)} pairs of rooms, {len(crossing)} imported names between rooms")
    for kind, graph in (("rooms", rooms), ("modules", modules)):
        groups = circles(graph)
        print(
            f"{len(groups)} circles of {kind}{':' if groups else ''}",
            *(" ".join(g) for g in groups),
            sep="\n  ",
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT)
